"""How far a JMESPath leads into a body that it does not fit: where it stops, and what is there instead.

Source: jmespath.org, "JMESPath Specification"; the nodes are those of `jmespath.ast`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from activate.paths import Search

if TYPE_CHECKING:
    from jmespath.parser import ParsedResult

_MOST_KEYS: Final = 12
_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CHAINS: Final = frozenset({"subexpression", "index_expression", "pipe"})
_PROJECTIONS: Final = frozenset({"projection", "filter_projection", "value_projection"})


@dataclass(frozen=True)
class Stop:
    """Where a path ends before its end."""

    reached: str
    """The path so far; `""` is the top of the body."""
    missing: str
    """The key that is not there."""
    there: tuple[str, ...]
    """The keys that are, those most like it first; none, where there is no object."""

    def sentence(self) -> str:
        """The same as a sentence."""
        where = f"at `{self.reached}`" if self.reached else "at the top"
        if not self.there:
            return f"there is no `{self.missing}`, and {where} there is no object that could have it"
        return f"there is no `{self.missing}`; {where} there are {', '.join(f'`{key}`' for key in self.there)}"


def stops(expression: ParsedResult, body: Any) -> tuple[Stop, ...]:
    """Where each path of an expression stops in a body; none, if all of them lead somewhere.

    Raises:
        ValueError, TypeError, ArithmeticError, RecursionError: as `activate.paths.Search.find`.
    """
    return tuple(dict.fromkeys(_stops(expression.parsed, body, "", Search())))


def _stops(node: Any, value: Any, path: str, search: Search) -> Iterator[Stop]:
    kind, children = node["type"], node["children"]
    if kind == "field":
        if not isinstance(value, dict):
            yield Stop(path, node["value"], ())
        elif value.get(node["value"]) is None:
            yield Stop(path, node["value"], _nearest(node["value"], value))
    elif kind in _CHAINS:
        for child in children:
            found = search.visit(child, value)
            if found is None or found == []:
                yield from _stops(child, value, path, search)
                return
            value, path = found, path + _written(child, path)
    elif kind in _PROJECTIONS:
        yield from _in_projection(node, value, path, search)
    else:
        for child in children:
            yield from _stops(child, value, path, search)


def _in_projection(node: Any, value: Any, path: str, search: Search) -> Iterator[Stop]:
    """Where a projection stops: before its list, or in the first of the items that it takes."""
    source, wanted, *conditions = node["children"]
    found = search.visit(source, value)
    items = list(found.values()) if isinstance(found, dict) else found
    taken = (
        [item for item in items if all(search.visit(condition, item) for condition in conditions)]
        if isinstance(items, list)
        else []
    )
    # A list that the expression itself makes up, such as [a.b][?@], has nothing in it where its paths lead nowhere.
    if not isinstance(items, list) or (not taken and source["type"] == "multi_select_list"):
        yield from _stops(source, value, path, search)
        return
    path += _written(source, path)
    path += "" if path.endswith("[]") else "[]"
    if taken:
        if all(search.visit(wanted, item) is None for item in taken):
            yield from _stops(wanted, taken[0], path, search)
    elif items:
        for condition in conditions:
            yield from _stops(condition, items[0], path, search)


def _written(node: Any, path: str) -> str:
    """A step as it is written after a path."""
    match node["type"]:
        case "field":
            name = node["value"] if _PLAIN_NAME.fullmatch(node["value"]) else f'"{node["value"]}"'
            return f".{name}" if path else name
        case "index":
            return f"[{node['value']}]"
        case "subexpression" | "index_expression" | "pipe":
            written = ""
            for child in node["children"]:
                written += _written(child, path + written)
            return written
        case "identity" | "current":
            return ""
        case "flatten":
            return _written(node["children"][0], path) + "[]"
    return "[]"


def _nearest(key: str, value: dict[str, Any]) -> tuple[str, ...]:
    alike = get_close_matches(key, value, n=_MOST_KEYS, cutoff=0.5)
    return (*alike, *(other for other in value if other not in alike))[:_MOST_KEYS]
