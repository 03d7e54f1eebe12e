"""Authentication of deliveries: schemes as data, and the two ways to check them.

An `Hmac` is a keyed hash over the body's exact bytes, in the platform's format; a `SharedSecret` is sent along.
The named schemes of `SCHEMES` preset the parts of these two; a source can override each part.

Sources: the Standard Webhooks specification 1.0 (standardwebhooks.com); Stripe, "Verify webhook signatures manually"; for
`presets`, the platforms' own pages on verifying webhooks.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from activate import bodies, checks
from activate.checks import Check, InvalidSettings, invalid

if TYPE_CHECKING:
    from lambda_support.http import Request

_ENCODINGS: Final = {"hex": bytes.hex, "base64": lambda digest: base64.b64encode(digest).decode()}
_PLACEHOLDER: Final = re.compile(r"\{(.*?)\}")
_UNIX_SECONDS: Final = re.compile(r"[0-9]{1,11}")
_UNIX_MILLISECONDS: Final = re.compile(r"[0-9]{12,14}")
_LONGEST_ISO: Final = 40

_LONGEST_TO_SEARCH: Final = 131_072
"""Bytes. A larger body is not parsed to find a token in it, because an unauthenticated sender can cause that work."""


class Auth(Protocol):
    """A scheme: turns secrets into keys, once, and then checks deliveries with them."""

    def key(self, secret: str) -> bytes:
        """Decode a secret into its key.

        Raises:
            InvalidSettings: the secret is not in the scheme's encoding.
        """

    def verifies(self, request: Request, keys: Collection[bytes], now: float) -> bool:
        """Whether the delivery is authentic by any of the keys. `now` is in Unix seconds."""


@dataclass(frozen=True, kw_only=True)
class Hmac:
    """A keyed hash in a header."""

    header: tuple[str, ...]
    """The header's name, in lower case, or several: any of them may hold the signature. Each is paired with the header at the
    same index in `timestamp_header` and `id_header`, or with their last one."""
    encoding: str
    """The encoding of the hash: `hex` or `base64`."""
    algorithm: str = "sha256"
    key_encoding: str = "text"
    """The encoding of the key in the secret: `text` (UTF-8 bytes), `hex`, or `base64` (with or without the prefix `whsec_`)."""
    signed: str = "{body}"
    """What is hashed: a text with `{body}`, and `{timestamp}` and `{id}` if they are signed too."""
    prefix: str = ""
    """The text before the hash, such as `sha256=`."""
    separator: str = ""
    """The separator of a header with several parts; only parts that begin with `prefix` are signatures."""
    timestamp_header: tuple[str, ...] = ()
    timestamp_prefix: str = ""
    """If the timestamp is a part of the signature's header: the text before it, such as `t=`."""
    id_header: tuple[str, ...] = ()
    tolerance: int = 300
    """Seconds that a signed timestamp may differ from our clock, either way."""

    def __post_init__(self) -> None:
        placeholders = _PLACEHOLDER.findall(self.signed)
        if placeholders.count("body") != 1 or not {"body", "timestamp", "id"}.issuperset(placeholders):
            raise InvalidSettings(("signed", "write {body} once, and no other placeholders than {timestamp} and {id}"))
        if ("timestamp" in placeholders) != bool(self.timestamp_header or self.timestamp_prefix):
            raise InvalidSettings(
                (
                    "signed",
                    "{timestamp} and a timestamp_header (or timestamp_prefix) need each other: an unsigned one proves nothing",
                )
            )
        if ("id" in placeholders) != bool(self.id_header):
            raise InvalidSettings(("signed", "{id} and an id_header need each other"))
        if self.timestamp_prefix and not self.separator:
            raise InvalidSettings(
                ("separator", "is missing: timestamp_prefix selects one of the parts that it separates")
            )

    def key(self, secret: str) -> bytes:
        if self.key_encoding == "text":
            return secret.encode()
        if self.key_encoding == "hex":
            try:
                return bytes.fromhex(secret)
            except ValueError as error:
                raise invalid(
                    "is not hex, an even number of the characters 0-9 and a-f, as key_encoding says"
                ) from error
        encoded = secret.removeprefix("whsec_").rstrip("=")
        try:
            key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        except (binascii.Error, ValueError) as error:
            raise invalid("is not base64, the encoding of this scheme's secrets (with or without whsec_)") from error
        if not key:
            raise invalid("holds no key")
        return key

    def verifies(self, request: Request, keys: Collection[bytes], now: float) -> bool:
        return any(
            self._is_signed(request, place, request.headers[name], keys, now)
            for place, name in enumerate(self.header)
            if name in request.headers
        )

    def _is_signed(self, request: Request, place: int, header: str, keys: Collection[bytes], now: float) -> bool:
        """Whether a header has a valid signature of the body; `place`: the header's index."""
        parts = [part.strip() for part in header.split(self.separator)] if self.separator else [header.strip()]
        delivery_id = request.headers.get(_paired(self.id_header, place), "")
        if self.id_header and not delivery_id:
            return False
        timestamp = self._timestamp(request, place, parts)
        if (self.timestamp_header or self.timestamp_prefix) and not self._is_fresh(timestamp, now):
            return False
        given = [self._comparable(part.removeprefix(self.prefix)) for part in parts if part.startswith(self.prefix)]
        if not given:
            return False
        expected = [self._comparable(self.signature(key, request.body, timestamp, delivery_id)) for key in keys]
        return any(hmac.compare_digest(ours, theirs) for ours in expected for theirs in given)

    def signature(self, key: bytes, body: bytes, timestamp: str = "", delivery_id: str = "") -> str:
        """The encoded hash, without the prefix."""
        before, _, after = self.signed.partition("{body}")
        around = [
            text.replace("{timestamp}", timestamp).replace("{id}", delivery_id).encode(errors="replace")
            for text in (before, after)
        ]
        return _ENCODINGS[self.encoding](hmac.digest(key, body.join(around), self.algorithm))

    def _timestamp(self, request: Request, place: int, parts: list[str]) -> str:
        if self.timestamp_prefix:
            return next(
                (p.removeprefix(self.timestamp_prefix) for p in parts if p.startswith(self.timestamp_prefix)), ""
            )
        return request.headers.get(_paired(self.timestamp_header, place), "")

    def _is_fresh(self, timestamp: str, now: float) -> bool:
        sent = _unix_seconds(timestamp)
        return sent is not None and abs(now - sent) <= self.tolerance

    def _comparable(self, signature: str) -> bytes:
        """As bytes, because compare_digest refuses non-ASCII texts; hex in lower case, as it may be sent in either."""
        return (signature.lower() if self.encoding == "hex" else signature).encode(errors="replace")


def _paired(names: tuple[str, ...], place: int) -> str:
    """The header paired with the signature header at an index; `""` if there is none."""
    return names[min(place, len(names) - 1)] if names else ""


def _unix_seconds(timestamp: str) -> float | None:
    """Parse a timestamp: Unix seconds or milliseconds, or ISO 8601 (in UTC, if it has no offset)."""
    if _UNIX_SECONDS.fullmatch(timestamp):
        return int(timestamp)
    if _UNIX_MILLISECONDS.fullmatch(timestamp):
        return int(timestamp) / 1000
    if not timestamp.isascii() or len(timestamp) > _LONGEST_ISO:
        return None
    try:
        moment = datetime.fromisoformat(timestamp)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, kw_only=True)
class SharedSecret:
    """A shared secret sent along in a header, in a field of the body, or in the URL's query; in any of those named."""

    header: str = ""
    prefix: str = ""
    """The text before the secret in the header, such as `Bearer `."""
    field: str = ""
    query: str = ""

    def __post_init__(self) -> None:
        if not (self.header or self.field or self.query):
            raise InvalidSettings(("scheme", "name the header, the field or the query parameter that holds the token"))

    def key(self, secret: str) -> bytes:
        return secret.encode()

    def verifies(self, request: Request, keys: Collection[bytes], now: float) -> bool:
        return any(
            hmac.compare_digest(key, token.encode(errors="replace")) for token in self._tokens(request) for key in keys
        )

    def _tokens(self, request: Request) -> Iterator[str]:
        """The tokens in the places named; the body is parsed last, and only if no other token was right."""
        if self.query:
            yield request.query.get(self.query, "")
        header = request.headers.get(self.header, "")
        if header.startswith(self.prefix):
            yield header.removeprefix(self.prefix)
        if self.field and len(request.body) <= _LONGEST_TO_SEARCH:
            yield bodies.field(request.body, request.media_type, self.field)


SCHEMES: Final[Mapping[str, Mapping[str, Any]]] = {
    "hmac": {},
    "standard-webhooks": {
        # Svix sends both sets of headers, and some of its customers' libraries only the second.
        "header": ("webhook-signature", "svix-signature"),
        "prefix": "v1,",
        "separator": " ",
        "encoding": "base64",
        "key_encoding": "base64",
        "signed": "{id}.{timestamp}.{body}",
        "id_header": ("webhook-id", "svix-id"),
        "timestamp_header": ("webhook-timestamp", "svix-timestamp"),
    },
    "stripe": {
        "header": ("stripe-signature",),
        "prefix": "v1=",
        "separator": ",",
        "encoding": "hex",
        "signed": "{timestamp}.{body}",
        "timestamp_prefix": "t=",
    },
    "token": {},
}
"""The values of `scheme`, and the parts that each presets."""


def _header_name(value: object) -> str:
    return checks.text(value).lower()


def _header_names(value: object) -> tuple[str, ...]:
    return checks.list_of(_header_name)(value) if isinstance(value, list) else (_header_name(value),)


_SCHEME: Final[Mapping[str, Check]] = {"scheme": checks.one_of(SCHEMES)}
_HMAC: Final[Mapping[str, Check]] = {
    **_SCHEME,
    "header": _header_names,
    "encoding": checks.one_of(_ENCODINGS),
    "algorithm": checks.one_of(("sha1", "sha256", "sha384", "sha512")),
    "key_encoding": checks.one_of(("text", "base64", "hex")),
    "signed": checks.text,
    "prefix": checks.text,
    "separator": checks.text,
    "timestamp_header": _header_names,
    "timestamp_prefix": checks.text,
    "id_header": _header_names,
    "tolerance": checks.whole_number,
}
_TOKEN: Final[Mapping[str, Check]] = {
    **_SCHEME,
    "header": _header_name,
    "prefix": checks.text,
    "field": checks.text,
    "query": checks.text,
}


def auth(settings: object) -> Auth:
    """Check the setting `auth`: `{"scheme": ..., and the parts that differ from it}`.

    Raises:
        InvalidSettings: with every fault found.
    """
    scheme = settings.get("scheme") if isinstance(settings, Mapping) else None
    if not isinstance(scheme, str) or scheme not in SCHEMES:
        raise InvalidSettings(("scheme", f"write one of {', '.join(SCHEMES)}"))
    kind, table = (SharedSecret, _TOKEN) if scheme == "token" else (Hmac, _HMAC)
    parts = {**SCHEMES[scheme], **checks.table(settings, table)}
    del parts["scheme"]
    if missing := [name for name in ("header", "encoding") if kind is Hmac and name not in parts]:
        raise InvalidSettings(*((name, "is missing") for name in missing))
    return kind(**parts)
