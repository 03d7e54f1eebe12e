"""The usual shape of an export's records, as regular expressions for RE2.

A block that one of them matches completely needs no decoder: it consists of complete records, each with one `code` and with
every other documented field at most once. RE2 needs a third of a decoder's time, and its time is linear in the block, whatever
its content. Records of any other shape are not wrong: the decoders read them.

Source: Altcraft documentation, "Promo codes: export_all": the fields, and their order in its samples of JSON and of XML.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final, Protocol

from altcraft.export_batch import FIELDS, SHORTEST_TIMESTAMP

_ORDERS: Final = (FIELDS, tuple(sorted(FIELDS)))

_JSON_TEXT: Final = r"[ !#-\[\]-~]"
"""A character of a text without escapes. ASCII only: other texts would have to be checked as UTF-8."""

_XML_TEXT: Final = r"(?:[^\x00-\x1f<&\]\x{fffe}\x{ffff}]|&(?:lt|gt|amp|apos|quot);)*"
"""A text between two tags. Without `]`, because `]]>` is not allowed there."""

_WHITE: Final = r"[ \t\r\n]*"


class Shape(Protocol):
    """A compiled expression."""

    def fullmatch(self, block: bytes, /) -> object | None: ...


@cache
def json_rows() -> Shape:
    """Records of a JSON reply without white space, separated by commas; timestamps are set."""
    return _compiled(_joined(_json_row(order)) for order in _ORDERS)


@cache
def xml_rows() -> Shape:
    """`<data>` elements with documented fields, in any order and number, with any white space between the tags."""
    fields = "|".join(f"<{name}>{_XML_TEXT}</{name}>|<{name}/>" for name in FIELDS)
    return _compiled([f"{_WHITE}(?:<data>{_WHITE}(?:(?:{fields}){_WHITE})*</data>{_WHITE})*"])


def _json_row(order: Sequence[str]) -> str:
    """The pattern of one record with its fields in this order."""
    code = order.index("code")
    before = "".join(f"(?:{_json_timestamp(name)},)?" for name in order[:code])
    after = "".join(f"(?:,{_json_timestamp(name)})?" for name in order[code + 1 :])
    return rf'\{{{before}"code":"{_JSON_TEXT}*"{after}\}}'


def _json_timestamp(name: str) -> str:
    return f'"{name}":"{_JSON_TEXT}{{{SHORTEST_TIMESTAMP},}}"'


def _joined(row: str) -> str:
    return f"{row}(?:,{row})*"


def _compiled(alternatives: Iterable[str]) -> Shape:
    import re2  # needed only by a run of an export: other cold starts are faster without it

    shape: Shape = re2.compile("|".join(alternatives).encode())
    return shape
