"""One call to a shop's API, safe from server-side request forgery: public addresses only, no redirect, a bounded answer.

The connection goes to the address that was checked, and TLS verifies the host name: a name that resolves to another address a
moment later (DNS rebinding) has no effect.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import certifi
import urllib3
from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from activate.redemption import FetchReason

MOST_BYTES: Final = 1_000_000
"""Of one answer. An order is a few KB."""
CONNECT_SECONDS: Final = 3.0
READ_SECONDS: Final = 8.0
TOTAL_SECONDS: Final = 15.0


_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64: Final = ipaddress.IPv6Network("64:ff9b:1::/48")
"""Networks whose IPv6 addresses embed an IPv4 address. Sources: RFC 6052, RFC 8215."""


class Unanswered(Exception):
    """The shop's API gave no usable answer. The message quotes no secret."""

    def __init__(self, reason: FetchReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Pool(Protocol):
    """urllib3's pool of connections to one host, as far as it is used here."""

    def urlopen(self, method: str, url: str, **options: Any) -> urllib3.BaseHTTPResponse: ...

    def close(self) -> None: ...


def public_address(host: str, resolve: Callable[..., Any] = socket.getaddrinfo) -> str:
    """Resolve a host name to the address to connect to.

    Raises:
        Unanswered: the name does not resolve, or one of its addresses is not public: private, loopback, link-local and so on.
    """
    try:
        found = resolve(host, 443, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unanswered("shop_unreachable", f"{host} does not resolve: {error}") from error
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses:
        raise Unanswered("shop_unreachable", f"{host} does not resolve")
    for address in addresses:
        if not _is_public(ipaddress.ip_address(address.partition("%")[0])):
            raise Unanswered("shop_refused", f"{host} resolves to an address that is not public")
    return next((address for address in addresses if ":" not in address), addresses[0])


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        if address in _LOCAL_NAT64:
            return False
        nat64 = ipaddress.IPv4Address(address.packed[12:]) if address in _NAT64 else None
        inner = address.ipv4_mapped or address.sixtofour or nat64
        if inner and not _is_public(inner):
            return False
        return (nat64 is not None or address.is_global) and not address.is_multicast
    return address.is_global and not address.is_multicast


def connect(host: str) -> Pool:
    """Make a pool of TLS connections to a public host.

    Raises:
        Unanswered: the name does not resolve, or not to public addresses only.
    """
    return pinned(host, public_address(host))


def pinned(host: str, address: str, port: int = 443, authorities: str | None = None) -> Pool:
    """Make a pool of TLS connections to an address, with a certificate for the host; `authorities`: file of trusted CAs."""
    return urllib3.HTTPSConnectionPool(
        address,
        port,
        maxsize=1,
        server_hostname=host,
        assert_hostname=host,
        cert_reqs="CERT_REQUIRED",
        ca_certs=authorities or certifi.where(),
    )


def call(pool: Pool, host: str, method: str, path: str, headers: Mapping[str, str]) -> Any:
    """Make one call and parse the JSON of its answer; None for 204, no content.

    Raises:
        Unanswered: `shop_unreachable` (no answer, 429, 5xx), `shop_refused` (any other status), `shop_incoherent` (not JSON, or
            too large).
    """
    until = time.monotonic() + TOTAL_SECONDS
    try:
        response = pool.urlopen(
            method,
            path,
            headers={"Accept": "application/json", "User-Agent": "altcraft-promocodes-aws", **headers, "Host": host},
            redirect=False,
            retries=False,
            preload_content=False,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
        )
        try:
            status, body = response.status, _read(response, until)
        finally:
            response.close()
    except (HTTPError, OSError) as error:
        raise Unanswered("shop_unreachable", f"{host} does not answer: {type(error).__name__}") from error
    if status in {408, 425, 429} or status >= 500:
        raise Unanswered("shop_unreachable", f"{host} answers {status}")
    if status == 204:
        return None
    if status != 200:
        hint = ": a redirect, which is not followed" if 300 <= status < 400 else ""
        raise Unanswered("shop_refused", f"{host} answers {status}{hint}")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Unanswered("shop_incoherent", f"{host} answers something that is not JSON") from error


def _read(response: urllib3.BaseHTTPResponse, until: float) -> bytes:
    body = bytearray()
    for block in response.stream(65_536, decode_content=True):
        body += block
        if len(body) > MOST_BYTES:
            raise Unanswered("shop_incoherent", f"the answer is larger than {MOST_BYTES} bytes")
        if time.monotonic() > until:
            raise Unanswered("shop_unreachable", f"the answer took longer than {TOTAL_SECONDS:.0f} s")
    return bytes(body)
