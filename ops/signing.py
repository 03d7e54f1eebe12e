"""Deliveries as a shop's platform sends them: bodies in files, and signatures by the layouts of `activate.signatures`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from activate.bodies import FORM
from activate.checks import InvalidSettings
from activate.signatures import Hmac, SharedSecret
from activate.sources import Source, SourceUnavailable, UnknownSource, parse
from ops.errors import Unusable

if TYPE_CHECKING:
    from ops.target import Target

MEDIA_TYPES: Final[Mapping[str, str]] = {".json": "application/json", ".xml": "application/xml", ".form": FORM}
"""What the ending of a file says of the body in it."""

SAMPLES: Final = Path(__file__).parents[1] / "events" / "bodies"
"""Sample bodies, each named after its platform."""


def document(target: Target, file: Path | None) -> str:
    """The document of sources in a file; without one, the target's own.

    Raises:
        Unusable: it cannot be read.
    """
    return (
        read(file, "SOURCES").decode(errors="replace") if file else target.secret_text("sources_secret_id", "SOURCES")
    )


def source_of(document: str, name: str) -> Source:
    """The source of this name.

    Raises:
        Unusable: there is none, or it cannot be used.
    """
    try:
        return parse(document).find(name)
    except UnknownSource:
        raise Unusable(f"SOURCE must name one of the document's sources, not {name!r}") from None
    except (InvalidSettings, SourceUnavailable) as error:
        raise Unusable(f"the sources cannot be used: {error}") from error


def read(path: Path, variable: str) -> bytes:
    """The bytes of the file that a variable names.

    Raises:
        Unusable: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unusable(f"{variable} must name a file that can be read: {error}") from error


@dataclass(frozen=True)
class Delivery:
    """What goes over the wire beside the address."""

    headers: Mapping[str, str]
    body: bytes
    query: Mapping[str, str] = field(default_factory=dict)


def sign(source: Source, body: bytes, media_type: str, *, delivery_id: str, now: float) -> Delivery:
    """A delivery of `body` that the source accepts at `now` (Unix seconds), by the first of its secrets.

    Raises:
        Unusable: the source has no secret, or wants its token in a field of a body that is no form.
    """
    if not source.keys:
        raise Unusable(f"the source {source.name} has no secret: its deliveries come through AWS alone")
    headers = {"Content-Type": media_type}
    auth, key = source.auth, source.keys[0]
    if isinstance(auth, Hmac):
        return Delivery(headers | _hmac_headers(auth, key, body, delivery_id, str(int(now))), body)
    if isinstance(auth, SharedSecret):
        return _with_token(auth, key.decode(), headers, body, media_type)
    raise TypeError(f"a scheme without a signer: {type(auth).__name__}")


def _hmac_headers(auth: Hmac, key: bytes, body: bytes, delivery_id: str, timestamp: str) -> dict[str, str]:
    signature = auth.prefix + auth.signature(key, body, timestamp, delivery_id)
    if auth.timestamp_prefix:
        signature = f"{auth.timestamp_prefix}{timestamp}{auth.separator}{signature}"
    beside = ((auth.timestamp_header, timestamp), (auth.id_header, delivery_id))
    return {auth.header[0]: signature} | {names[0]: value for names, value in beside if names}


def _with_token(auth: SharedSecret, token: str, headers: dict[str, str], body: bytes, media_type: str) -> Delivery:
    if auth.query:
        return Delivery(headers, body, {auth.query: token})
    if auth.header:
        return Delivery(headers | {auth.header: auth.prefix + token}, body)
    if media_type != FORM:
        raise Unusable(f"the token belongs in the field {auth.field}: send a form")
    return Delivery(headers, b"&".join(part for part in (body, urlencode({auth.field: token}).encode()) if part))
