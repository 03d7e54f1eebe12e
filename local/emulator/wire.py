"""Altcraft's two spellings of a message, written apart from the client's own so that each checks the other.

XML (altcraft-api.md): root `<xml>`, keys sorted, a list is repeated siblings, null and "" are empty elements.
"""

import json
from collections.abc import Mapping
from typing import Any
from xml.parsers.expat import ExpatError

import xmltodict

from local.emulator.settings import Wire

CONTENT_TYPES: dict[Wire, str] = {"json": "application/json; charset=utf-8", "xml": "application/xml; charset=utf-8"}


def wire_of(content_type: str | None) -> Wire:
    """Name the wire format of a request by its Content-Type; JSON where it says neither."""
    return "xml" if "xml" in (content_type or "") else "json"


def parse(body: bytes, wire: Wire) -> dict[str, Any]:
    """Read a request into its fields. Raises ValueError for anything but an object (JSON) or an `<xml>` root (XML)."""
    if wire == "json":
        fields = json.loads(body)
    else:
        try:
            fields = xmltodict.parse(body, force_list=("codes",)).get("xml")
        except ExpatError as error:
            raise ValueError(str(error)) from error
    if not isinstance(fields, dict):
        raise ValueError("the request is not an object of fields")  # noqa: TRY004 - a malformed value, not a wrong call
    return fields


def envelope(fields: Mapping[str, object], wire: Wire) -> bytes:
    """Write one whole reply."""
    return to_json(fields) if wire == "json" else to_xml("xml", fields)


def to_json(value: object) -> bytes:
    """Write compact JSON, keys in the order they came."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def to_xml(tag: str, fields: Mapping[str, object]) -> bytes:
    """Write `fields` as one element named `tag`."""
    text = xmltodict.unparse({tag: _sorted(fields)}, full_document=False, short_empty_elements=True)
    return text.encode()


def _sorted(value: object) -> Any:
    """Sort keys at every level, and spell booleans and numbers as Altcraft's untyped text."""
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_sorted(item) for item in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return value
