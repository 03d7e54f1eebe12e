"""A shop's body as data: JSON, an HTML form or XML, by its media type; JSON where none of them is named.

What calls itself a form and begins with `{` or `[` is JSON: that is the default type of curl and of PHP, whatever they send.

A form is an object of its fields, a field that comes twice being a list. XML is what is inside its root element: elements by
name, a repeated one being a list, attributes dropped, values as text.
"""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import parse_qsl

from altcraft.wire import MalformedMessage, decode

_FORM: Final = "application/x-www-form-urlencoded"

_MOST_FORM_FIELDS: Final = 2000
"""More than the largest order form has; a bound, because each costs memory."""


class UnreadableBody(ValueError):
    """The body is not what its media type says. The message quotes nothing of it."""


def read(body: bytes, media_type: str) -> Any:
    """The body as mappings, lists, texts, numbers, booleans and None.

    Raises:
        UnreadableBody: it is not well formed.
    """
    try:
        if media_type == _FORM and not body.lstrip().startswith((b"{", b"[")):
            return _form(body)
        if media_type.endswith(("/xml", "+xml")):
            return decode(body, "xml", root=None)
        return json.loads(body)
    except MalformedMessage as error:
        raise UnreadableBody(str(error)) from error
    except RecursionError as error:
        raise UnreadableBody("nested too deeply") from error
    # json's own error, bytes that are no Unicode, a number of thousands of digits, a form of thousands of fields
    except ValueError as error:
        raise UnreadableBody(f"not well formed ({type(error).__name__})") from error


def field(body: bytes, media_type: str, name: str) -> str:
    """A text at the top of the body; `""` where there is none, or the body cannot be read."""
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
