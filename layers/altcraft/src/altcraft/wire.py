"""Altcraft's two wire formats for one message: JSON, and XML under the root element `<xml>`.

Both are read strictly, because a lenient reader turns a broken message into a wrong decision: repeated keys,
document types, entities and bytes that are not UTF-8 are refused. In XML every value is text, an empty element is `""`, and a
repeated element is a list.

Source: Altcraft documentation, "Working with API: data formats"; the XML rules are inferred from its samples.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, Literal

Wire = Literal["json", "xml"]

MEDIA_TYPES: Final[Mapping[Wire, str]] = {"json": "application/json", "xml": "application/xml"}

_NOT_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""The characters that XML 1.0 forbids. Compiling the complement of the allowed ones would add 9 ms to each cold start."""


class MalformedMessage(ValueError):
    """The bytes are not one well-formed message of the format. The text describes the fault and quotes nothing of them.

    `field` is the repeated key, if that is the fault: for the sender of the message only, not for logs.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


def encode(fields: Mapping[str, object], wire: Wire) -> bytes:
    """Write a message as UTF-8 bytes.

    XML takes text, numbers, booleans, None (an empty element), mappings, and lists of those (repeated siblings).

    Raises:
        MalformedMessage: a text holds a character that the format cannot represent.
    """
    try:
        if wire == "json":
            return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
        import xmltodict

        document: str = xmltodict.unparse({"xml": fields}, full_document=False, short_empty_elements=True)
        if _NOT_XML.search(document):
            raise MalformedMessage("a text holds a control character, which XML cannot represent")
        return document.encode()
    except UnicodeEncodeError as error:
        raise MalformedMessage("a text holds half of a surrogate pair, which UTF-8 cannot represent") from error


def decode(body: bytes, wire: Wire, *, root: str | None = "xml") -> dict[str, Any]:
    """Read a message: the JSON object, or the content of the root element `root`; None accepts any root.

    Raises:
        MalformedMessage: the body is not exactly one message.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedMessage(f"not UTF-8 (at byte {error.start})") from error
    return _decode_json(text) if wire == "json" else _decode_xml(text, root)


def _decode_json(text: str) -> dict[str, Any]:
    try:
        message = json.loads(text, object_pairs_hook=_without_double_keys, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise MalformedMessage(f"not JSON ({error.msg} at line {error.lineno}, column {error.colno})") from error
    except MalformedMessage:
        raise
    except ValueError as error:
        raise MalformedMessage("a number has thousands of digits") from error
    except RecursionError as error:
        raise MalformedMessage("nested too deeply") from error
    if not isinstance(message, dict):
        raise MalformedMessage("not a JSON object")
    return message


def _without_double_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        keys = [key for key, _ in pairs]
        double = next(key for key in keys if keys.count(key) > 1)
        raise MalformedMessage("ambiguous: a key is repeated", double)
    return fields


def _no_constant(name: str) -> None:
    raise MalformedMessage(f"{name} is not JSON")


def _decode_xml(text: str, root: str | None) -> dict[str, Any]:
    from xml.parsers.expat import ExpatError

    import xmltodict

    if "<!DOCTYPE" in text:
        raise MalformedMessage("a document type is not accepted")
    try:
        message = xmltodict.parse(text, strip_whitespace=False, xml_attribs=False)
        fields = _plain(next(iter(message.values())) if root is None else message[root])
    except ExpatError as error:
        raise MalformedMessage(f"not XML ({error})") from error
    except KeyError as error:
        raise MalformedMessage(f"the root element is not <{root}>") from error
    except RecursionError as error:
        raise MalformedMessage("nested too deeply") from error
    if isinstance(fields, str) and not fields.strip():
        return {}
    if not isinstance(fields, dict):
        raise MalformedMessage("the root element holds text instead of elements")
    return fields


def _plain(node: Any) -> Any:
    """xmltodict's tree without the white space between elements, and with `""` for an empty element."""
    if node is None:
        return ""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.pop("#text", "").strip():
        raise MalformedMessage("an element holds both text and elements")
    return {name: _plain(value) for name, value in node.items()}
