"""Parsing a shop's body: JSON, an HTML form or XML, by its media type; JSON for any other type.

A "form" that begins with `{` or `[` is JSON: a form is the default type of curl and of PHP, whatever they send.

A form becomes an object of its fields, a repeated field a list. XML becomes the content of its root element: elements by
name, a repeated one as a list, attributes dropped, values as text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

from altcraft.wire import MalformedMessage, decode

FORM: Final = "application/x-www-form-urlencoded"

Kind = Literal["json", "form", "xml"]

_MOST_FORM_FIELDS: Final = 2000
_LONGEST: Final[Mapping[Kind, int]] = {"json": 6_000_000, "form": 1_000_000, "xml": 2_000_000}
_MOST_DELIMITERS: Final[Mapping[Kind, tuple[bytes, int]]] = {
    "json": (b"{[", 200_000),
    "form": (b"&", _MOST_FORM_FIELDS),
    "xml": (b"<", 100_000),
}
"""The most bytes of a body, and the most bytes in it that begin an object, a list, a field or an element. Far above those of
the largest order, they bound the time that parsing a body within Lambda's 4.7 MB can take."""


class UnreadableBody(ValueError):
    """The body is not of its media type. The message quotes nothing of it."""


def read(body: bytes, media_type: str) -> Any:
    """Parse a body into mappings, lists, texts, numbers, booleans and None.

    Raises:
        UnreadableBody: it is not well formed.
    """
    kind = kind_of(body, media_type)
    delimiters, most = _MOST_DELIMITERS[kind]
    if len(body) > _LONGEST[kind] or sum(body.count(delimiter) for delimiter in delimiters) > most:
        raise UnreadableBody(f"larger than any order in {kind}")
    try:
        return _READERS[kind](body)
    except MalformedMessage as error:
        raise UnreadableBody(str(error)) from error
    except RecursionError as error:
        raise UnreadableBody("nested too deeply") from error
    # json's own error, invalid UTF-8, a number of thousands of digits, a form of thousands of fields
    except ValueError as error:
        raise UnreadableBody(f"not well formed ({type(error).__name__})") from error


def kind_of(body: bytes, media_type: str) -> Kind:
    """The format of a body, by its media type and its first character."""
    if media_type == FORM:
        return "json" if body[:64].lstrip()[:1] in (b"{", b"[") else "form"
    return "xml" if media_type.endswith(("/xml", "+xml")) else "json"


def field(body: bytes, media_type: str, name: str) -> str:
    """A text field at the body's top level; `""` if there is none, or the body cannot be parsed."""
    try:
        fields = read(body, media_type)
    except UnreadableBody:
        return ""
    value = fields.get(name) if isinstance(fields, dict) else None
    return value if isinstance(value, str) else ""


def _form(body: bytes) -> dict[str, str | list[str]]:
    values: dict[str, list[str]] = {}
    pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FORM_FIELDS)
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: found[0] if len(found) == 1 else found for name, found in values.items()}


def _xml(body: bytes) -> dict[str, Any]:
    return decode(body, "xml", root=None)


_READERS: Final[Mapping[Kind, Callable[[bytes], Any]]] = {"json": json.loads, "form": _form, "xml": _xml}
