"""The client of Altcraft's promo code API: `activate`, `update`, `get`, `export_all`, in JSON or XML, over one session.

Source: Altcraft documentation, "Promo codes" (API v1.1): `POST {url}/api/v1.1/promocodes/{name}` with the token in the body
and the reply format in `format`. The outcome is `error` (0 is success), whatever the HTTP status.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.util import Retry

from altcraft import __version__
from altcraft.codes import CodeState
from altcraft.errors import IncoherentReply, TokenRefused, Unreachable, error_reply
from altcraft.wire import MEDIA_TYPES, Wire, decode, encode

if TYPE_CHECKING:
    from altcraft.export import Export
    from altcraft.token import Token

MAX_MESSAGE_BYTES: Final = 1 << 20
"""A reply other than an export is a few hundred bytes; a larger one cannot be Altcraft's."""

_CHUNK_BYTES: Final = 1 << 12
"""Bytes decompressed at a time: gzip compresses at most a thousandfold, so this bounds the memory."""

_IDLE_LIMIT_SECONDS: Final = 50
"""After a longer idle time the connection may be closed unnoticed: a sandbox is frozen, and load balancers close it at 60 s."""

# Only a failed connect is retried here: after the request was sent, a lost reply may hide an applied activation.
_RETRY: Final = Retry(
    total=2,
    connect=2,
    read=0,
    redirect=0,
    status=0,
    other=0,
    backoff_factor=0.2,
    allowed_methods=None,
    respect_retry_after_header=False,  # with it, the reply that has the header is lost
)


@dataclass(frozen=True)
class Timeouts:
    """Seconds that one call may take: to connect, without a byte arriving, and in total.

    `total` is checked as the body arrives: headers that arrive byte by byte are ended only by the function's own timeout.
    """

    connect: float = 3.05
    read: float = 8.0
    total: float = 10.0


class _Session(requests.Session):
    """A session that ignores redirects: requests parses a redirect's address even if it is not to follow it, and leaks the
    connection if that address is invalid."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class Client:
    """Altcraft's promo codes, for one account. Not for use by several threads at once.

    Args:
        url: scheme and host of the account, such as `https://example.altcraft.com`.
        token: the source of the API token; read again once when Altcraft refuses it.
        wire: the format of requests and replies.
    """

    def __init__(self, url: str, token: Token, wire: Wire = "json", timeouts: Timeouts = Timeouts()) -> None:
        self._endpoint = _endpoint(url)
        self._token = token
        self._wire = wire
        self._timeouts = timeouts
        self._last_used = time.monotonic()
        self._session = _Session()
        # Without this, each call reads the environment and .netrc, and REQUESTS_CA_BUNDLE overrides the session.
        self._session.trust_env = False
        self._session.mount(self._endpoint, HTTPAdapter(max_retries=_RETRY))
        self._session.headers.update(
            {
                "User-Agent": f"altcraft-promocodes-aws/{__version__}",
                "Content-Type": f"{MEDIA_TYPES[wire]}; charset=utf-8",
                "Accept": MEDIA_TYPES[wire],
                "Accept-Encoding": "gzip",
            }
        )

    def activate(self, code: str, loyalty_id: int) -> None:
        """Mark a code as used. Altcraft allows it only for a code that is attached to a profile.

        Raises:
            Refused: Altcraft refuses; `get` returns the code's state.
            TokenRefused: also after the secret was read again.
            NotUnderstood, Unreachable, IncoherentReply: if `may_be_applied` is true the code may be activated; call `get`.
        """
        self._call("activate", {"code": code, "loyalty_id": loyalty_id})

    def deactivate(self, code: str, loyalty_id: int) -> None:
        """Mark a code as unused again, by `update`. It stays attached to its profile.

        Raises:
            The same as `activate`: if `may_be_applied` is true the code may be deactivated.
        """
        self._call("update", {"code": code, "loyalty_id": loyalty_id, "activated": False})

    def get(self, code: str, loyalty_id: int) -> CodeState:
        """Get the state of a code.

        Raises:
            Refused: Altcraft has no such code, or refuses for another reason.
            TokenRefused, NotUnderstood, Unreachable: the state is not known.
            IncoherentReply: the same; also if the reply is about another code.
        """
        state = CodeState.from_data(self._call("get", {"code": code, "loyalty_id": loyalty_id}))
        if not state.is_of(code, loyalty_id):
            raise IncoherentReply("Altcraft's reply to get is about another code or program")
        return state

    def export_all(self, loyalty_id: int) -> Export:
        """Every code of a program. The request is sent when the result is iterated; see `Export` for the exceptions."""
        from altcraft.export import Export  # not needed, and not loaded, for an activation

        return Export(
            lambda token: self._open("export_all", {"loyalty_id": loyalty_id}, token, self._timeouts.read),
            self._token,
            read_envelope,
        )

    def renew_token(self) -> bool:
        """Read the token's secret again, because a refusal may be about the token: its error code is not documented.

        Returns:
            Whether the secret holds another token now, so that repeating the request makes sense.
        """
        return self._token.renew()

    def _call(self, name: str, fields: Mapping[str, object]) -> Any:
        """Send a request and return the reply's `data`; once more if the token is refused and the secret has a newer one."""
        try:
            return self._send(name, fields, self._token.value())
        except TokenRefused:
            if not self._token.renew():
                raise
        return self._send(name, fields, self._token.value())

    def _send(self, name: str, fields: Mapping[str, object], token: str) -> Any:
        deadline = time.monotonic() + self._timeouts.total
        with self._open(name, fields, token, self._timeouts.read) as response:
            body = bytearray()
            with _as_unreachable(name):
                for chunk in response.iter_content(_CHUNK_BYTES):
                    body += chunk
                    if len(body) > MAX_MESSAGE_BYTES:
                        raise IncoherentReply(f"Altcraft's reply to {name} is larger than {MAX_MESSAGE_BYTES} bytes")
                    if time.monotonic() > deadline:
                        raise Unreachable(f"Altcraft's reply to {name} took longer than {self._timeouts.total} s")
            return read_envelope(bytes(body), response.status_code, token)

    def _open(self, name: str, fields: Mapping[str, object], token: str, read_timeout: float) -> requests.Response:
        """Send a request and receive the reply's headers; the body is still to be read."""
        idle = time.monotonic() - self._last_used
        if idle > _IDLE_LIMIT_SECONDS:
            self._session.close()
        body = encode({**fields, "token": token, "format": self._wire}, self._wire)
        with _as_unreachable(name):
            response = self._session.post(
                self._endpoint + name,
                data=body,
                timeout=(self._timeouts.connect, read_timeout),
                stream=True,
                allow_redirects=False,  # the body has the token, which must go to the configured host only
            )
        self._last_used = time.monotonic()
        if response.is_redirect:
            response.close()
            raise IncoherentReply("Altcraft answered with a redirect: set ALTCRAFT_URL to the address it really has")
        return response


def read_envelope(body: bytes, status: int, token: str) -> Any:
    """Read the `data` of a complete reply, in its own format: an error may come in another than was requested.

    Args:
        status: the HTTP status; 429 and 5xx mean that Altcraft does not work, whatever the body.
        token: redacted from Altcraft's error text, should it be quoted there.

    Raises:
        Refused, TokenRefused, NotUnderstood: `error` is not 0.
        Unreachable: HTTP 429 or 5xx.
        IncoherentReply: not an envelope.
    """
    try:
        envelope = decode(body, "xml" if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") else "json")
        error = error_number(envelope.get("error"))
    except ValueError as problem:
        if is_outage(status):
            raise Unreachable(f"Altcraft answered HTTP {status} without a reason") from problem
        raise IncoherentReply(f"Altcraft's reply (HTTP {status}) is not its envelope: {problem}") from problem
    raise_for_error(error, envelope.get("error_text"), status, token)
    return envelope.get("data")


def error_number(error: object) -> int:
    """Read the `error` of an envelope: a whole number in JSON, its text in XML.

    Raises:
        ValueError: it is missing or not a whole number.
    """
    if isinstance(error, int) and not isinstance(error, bool):
        return error
    if isinstance(error, str) and error.strip().isascii() and error.strip().lstrip("-").isdigit():
        return int(error)
    raise ValueError("`error` is missing or is not a whole number")


def is_outage(status: int) -> bool:
    """Whether an HTTP status means that Altcraft does not work; the request may still have been carried out."""
    return status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def raise_for_error(error: int, error_text: object, status: int, token: str) -> None:
    """Raise the exception for an envelope's `error`, if it is not success.

    Raises:
        Refused, TokenRefused, NotUnderstood, Unreachable: as `read_envelope`.
    """
    if error == 0 and not is_outage(status):
        return
    text = (error_text if isinstance(error_text, str) else "").replace(token, "[token]")[:500]
    # XML, HTTP and logs, into which the text is written, cannot hold control characters or half of a surrogate pair.
    text = "".join(character if character.isprintable() else " " for character in text)
    reply = error_reply(error, text)
    if is_outage(status):
        raise Unreachable(f"Altcraft answered HTTP {status}: error {error}, {text!r}", refusal=reply)
    raise reply


@contextmanager
def _as_unreachable(name: str) -> Iterator[None]:
    """Raise transport failures as Unreachable. Only their type is named: their texts quote addresses and bodies."""
    try:
        yield
    except (requests.RequestException, HTTPError) as error:
        never_sent = isinstance(error, requests.ConnectTimeout) or _never_connected(error)
        hint = ": its certificate was not accepted" if isinstance(error, requests.exceptions.SSLError) else ""
        raise Unreachable(
            f"Altcraft did not answer {name} ({type(error).__name__}{hint})", sent=not never_sent
        ) from error


def _never_connected(error: Exception) -> bool:
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", cause), NewConnectionError)


def _endpoint(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.netloc or parts.query or parts.fragment:
        raise ValueError("ALTCRAFT_URL must be a scheme and a host, such as https://example.altcraft.com")
    return f"{url.rstrip('/')}/api/v1.1/promocodes/"
