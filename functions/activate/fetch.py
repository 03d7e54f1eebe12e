"""The setting `fetch`, as data: the call to a shop's API, for shops whose webhook holds only an id.

The intake builds the calls' paths and queues them; the worker makes the calls (`activate.fetcher`). A call goes only to the
host that the document of sources names: a value from a webhook can only become a quoted part of the path.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final
from urllib.parse import quote

from jmespath.parser import ParsedResult

from activate import checks
from activate.checks import Check, InvalidSettings, invalid
from activate.orders import Calls, Reader, Reading, UnreadableOrder
from activate.paths import EXPRESSION_ERRORS, Means, Search

MOST_CALLS: Final = 20
"""For one delivery: an order has a few coupons."""

_LONGEST_VALUE: Final = 190
_PLACEHOLDER: Final = re.compile(r"\{([^{}]+)\}")
_SECRETS: Final = ("{secret}", "{secret_base64}")
_HOST: Final = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]")
_PRIVATE: Final = (".localhost", ".local", ".internal", ".intranet", ".lan", ".home.arpa")
_PATH: Final = re.compile(r"/[!$&'()*+,;=:@A-Za-z0-9._~%/?-]*")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_OURS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection"})


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """The call to a shop's API."""

    host: str
    path: str
    """Relative to `base`, with JMESPath over the webhook's body in braces. A list of values makes a call for each."""
    base: str = ""
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """`{secret}` in a value is replaced by the secret, `{secret_base64}` by its base64."""
    secret: str = field(default="", repr=False)
    answers: str = "order"
    """What the answer holds: the `order`, or only its `codes`; then `paid` and `reversed` are read from the webhook's body."""
    order: ParsedResult | None = None
    """Where in the answer the order or the codes' object is; None: the whole answer."""
    when: ParsedResult | None = None
    """Whether to make a call for a webhook; only where the answer is the order."""

    def __post_init__(self) -> None:
        unfilled = any(placeholder in value for value in self.headers.values() for placeholder in _SECRETS)
        if unfilled and not self.secret:
            raise InvalidSettings(("secret", "is missing, and a header needs it: the key of the shop's API"))
        if self.when and self.answers == "codes":
            raise InvalidSettings(("when", "is only for answers order; with codes, paid is read from the webhook"))

    def read(self, reader: Reader, body: Any) -> list[Reading]:
        """Build the calls for each order of a webhook's body.

        Raises:
            UnreadableOrder: the body holds more than a delivery may.
        """
        search = Search()
        readings = [self._read(reader, order, search) for order in reader.orders(body, search)]
        if sum(len(calls.paths) for calls in readings if isinstance(calls, Calls)) > MOST_CALLS:
            raise UnreadableOrder(f"fetch: one delivery would need more than {MOST_CALLS} calls")
        return readings

    def means(self, reader: Reader, body: Any, search: Search) -> tuple[Any, Means]:
        """The value that decides by the webhook's own body whether an order is paid or to be fetched, and its meaning.

        Raises:
            UnreadableOrder: the expression does not fit the body.
        """
        if self.answers == "codes":
            return reader.means(body, search)
        if self.when is None:
            return None, Means.PAID
        try:
            return search.means(self.when, body)
        except EXPRESSION_ERRORS as error:
            raise UnreadableOrder(
                f"fetch.when: the expression does not fit the body ({type(error).__name__})"
            ) from error

    def _read(self, reader: Reader, body: Any, search: Search) -> Reading:
        try:
            if self.answers == "codes":
                state = reader.state(body, search)
            else:
                _, state = self.means(reader, body, search)
            is_reversed = state is Means.REVERSED
            if state is not Means.PAID and not (is_reversed and reader.gives_back):
                return state
            paths = self._paths(body, search)
            if paths is None:
                return Means.UNRECOGNISED
            return Calls(paths, reader.id_of(body, search) if self.answers == "codes" and paths else "", is_reversed)
        except UnreadableOrder as error:
            return error

    def _paths(self, body: Any, search: Search) -> tuple[str, ...] | None:
        """The path of each call; None where a placeholder finds nothing."""
        texts = _PLACEHOLDER.split(self.base + self.path)
        choices: list[list[str]] = []
        for expression in texts[1::2]:
            try:
                found = search.find(checks.expression(expression), body)
            except EXPRESSION_ERRORS as error:
                raise UnreadableOrder(
                    f"fetch.path: {{{expression}}} does not fit the body ({type(error).__name__})"
                ) from error
            if found is None:
                return None
            values = found if isinstance(found, list) else [found]
            if len(values) > MOST_CALLS:
                raise UnreadableOrder(f"fetch.path: {{{expression}}} finds more than {MOST_CALLS} values")
            choices.append(list(dict.fromkeys(_quoted(value, expression) for value in values)))
        if sum(len(choice) > 1 for choice in choices) > 1:
            raise UnreadableOrder("fetch.path: more than one placeholder finds several values")
        return tuple("".join(_interleaved(texts[::2], values)) for values in product(*choices))

    def placeholders(self) -> list[ParsedResult]:
        """The expressions in the path."""
        return [checks.expression(found) for found in _PLACEHOLDER.findall(self.base + self.path)]

    def filled_headers(self) -> dict[str, str]:
        """The headers with the secret filled in."""
        encoded = base64.b64encode(self.secret.encode()).decode()
        return {
            name: value.replace("{secret}", self.secret).replace("{secret_base64}", encoded)
            for name, value in self.headers.items()
        }


def _interleaved(texts: list[str], values: tuple[str, ...]) -> list[str]:
    return [part for pair in zip(texts, (*values, ""), strict=True) for part in pair]


def _quoted(value: object, expression: str) -> str:
    """Quote a value from the webhook as one part of a path."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UnreadableOrder(f"fetch.path: {{{expression}}} finds neither a text nor a whole number")
    text = str(value).strip()
    if not text or len(text) > _LONGEST_VALUE or not text.isprintable() or set(text) <= {"."}:
        raise UnreadableOrder(f"fetch.path: what {{{expression}}} finds cannot be a part of a path")
    return quote(text, safe="")


def _host(value: object) -> str:
    text = checks.text(value).lower()
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        if _HOST.fullmatch(text) and not text.endswith(_PRIVATE):
            return text
    raise invalid("write the public name of one host, such as api.example.com: no scheme, port, address or placeholder")


def _path(value: object) -> str:
    text = checks.text(value)
    if not _PATH.fullmatch(_PLACEHOLDER.sub("x", text)) or ".." in text or "//" in text:
        raise invalid("write a path that begins with /, with a JMESPath in braces where the webhook's values go")
    for expression in _PLACEHOLDER.findall(text):
        checks.expression(expression)
    return text


def _headers(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise invalid("write an object, header → value")
    faults = []
    for name, text in value.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _OURS:
            faults.append((name, "is not a header that a source can set"))
        elif not isinstance(text, str) or not text.isascii() or not text.isprintable():
            faults.append((name, "write a text of printable ASCII"))
    if faults:
        raise InvalidSettings(*faults)
    return dict(value)


def _secret(value: object) -> str:
    text = checks.secret(value)
    if not text.isascii():
        raise invalid("holds a non-ASCII character, which no header can hold")
    return text


_SETTINGS: Final[Mapping[str, Check]] = {
    "host": _host,
    "base": _path,
    "path": _path,
    "method": checks.one_of(("GET", "POST")),
    "headers": _headers,
    "secret": _secret,
    "answers": checks.one_of(("order", "codes")),
    "order": checks.expression,
    "when": checks.expression,
}


def fetch(settings: object) -> Fetch:
    """Check the setting `fetch`, completed by its platform's preset.

    Raises:
        InvalidSettings: with every fault found.
    """
    values = checks.table(settings, _SETTINGS)
    if missing := [(name, "is missing, and no preset has it") for name in ("host", "path") if name not in values]:
        raise InvalidSettings(*missing)
    return Fetch(**values)
