"""docs/openapi.yaml as tests hold answers against it: what it describes, and whether an answer is one of that."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, reduce
from operator import getitem
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import xmltodict
import yaml
from jsonschema_rs import Draft202012Validator

if TYPE_CHECKING:
    import requests

Json = dict[str, Any]

DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "openapi.yaml"
DESCRIPTION: Final[Json] = yaml.safe_load(DOCUMENT.read_text())
COMPONENTS: Final[Mapping[str, Json]] = DESCRIPTION["components"]

PROBLEM: Final = "application/problem+json"
TYPE: Final = "urn:altcraft-promocodes:problem:"


def shared(part: Json) -> Json:
    """A part of the document, or the shared part that it refers to."""
    while "$ref" in part:
        part = reduce(getitem, part["$ref"].removeprefix("#/").split("/"), DESCRIPTION)
    return part


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    definition: Json

    @property
    def route(self) -> str:
        """Its method and path, such as `POST /promocodes/activate`."""
        return f"{self.method} {self.path}"

    @property
    def request(self) -> Json:
        """The body it takes; empty where it takes none."""
        return shared(self.definition.get("requestBody", {}))

    @property
    def responses(self) -> Mapping[int, Json]:
        """Its answers by status."""
        return {int(status): shared(response) for status, response in self.definition["responses"].items()}


OPERATIONS: Final = [
    Operation(method.upper(), path, definition)
    for path, methods in DESCRIPTION["paths"].items()
    for method, definition in methods.items()
    if method != "parameters"
]

NO_OPERATION: Final[Mapping[int, Json]] = {404: COMPONENTS["responses"]["NoSuchRoute"]}
"""What is answered to a request for no operation, by status."""


def kinds(response: Json) -> set[str]:
    """The names of the problems that an answer can be; none for a success."""
    schema = response["content"].get(PROBLEM, {}).get("schema", {"allOf": []})
    return {kind.removeprefix(TYPE) for part in schema["allOf"] for kind in _types(part)}


def _types(part: Json) -> list[str]:
    enum: list[str] = part.get("properties", {}).get("type", {}).get("enum", [])
    return enum


def examples(media_type: Json) -> Iterator[Any]:
    """The examples of a body."""
    if "example" in media_type:
        yield media_type["example"]
    for example in media_type.get("examples", {}).values():
        yield shared(example)["value"]


def faults(value: object, schema: Json) -> list[str]:
    """What of a value does not fit a schema of the document; a member that the schema does not name is a fault too."""
    described: Json = {"allOf": [schema], "components": COMPONENTS}
    return _errors(value, described) or _errors(value, described | {"unevaluatedProperties": False})


def _errors(value: object, schema: Json) -> list[str]:
    return [error.message for error in Draft202012Validator(schema, validate_formats=True).iter_errors(value)]


def assert_described(response: requests.Response, path: str) -> None:
    """Hold an answer against the document: its status, media type, headers and body.

    Args:
        response: the answer.
        path: what was asked for, as it was sent, without the address of the API and the query.

    Raises:
        AssertionError: says what of the answer is not described.
    """
    if undescribed := [*_undescribed(response, path)]:
        answer = f"{response.request.method} {path}: {response.status_code} {response.headers}\n{response.text[:2000]}"
        raise AssertionError("\n".join([answer, *undescribed, "If it is right, describe it in docs/openapi.yaml."]))


def _undescribed(response: requests.Response, path: str) -> Iterator[str]:
    operation = next(
        (one for one in OPERATIONS if one.method == response.request.method and _fits(one.path, path)), None
    )
    described = (operation.responses if operation else NO_OPERATION).get(response.status_code)
    if described is None:
        yield "The status is not described."
        return
    yield from _strange_headers(response, described)
    media_type = response.headers.get("Content-Type", "").partition(";")[0]
    if media_type not in described["content"]:
        yield "The media type is not described."
        return
    # A message has the same members in both formats.
    schema = described["content"][media_type.replace("xml", "json")]["schema"]
    body = message(response.content, media_type, schema)
    if misfits := faults(body, schema):
        yield from misfits
    elif kinds(described) and body["status"] != response.status_code:
        yield "The problem names another status."


@cache
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)))


def _fits(template: str, path: str) -> bool:
    return _pattern(template).fullmatch(path) is not None


def _strange_headers(response: requests.Response, described: Json) -> Iterator[str]:
    """The headers, of those that the document knows, which the answer has and should not, or should have and has not."""
    named = described.get("headers", {})
    for name, header in COMPONENTS["headers"].items():
        value = response.headers.get(name)
        if (value is not None) != (name in named):
            yield f"{name} is {value!r}, and {'is' if name in named else 'is not'} described."
        elif value is not None and faults(_typed(value, header["schema"]), header["schema"]):
            yield f"{name} is {value!r}, which is not as described."


def message(body: bytes, media_type: str, schema: Json) -> Any:
    """What a body says; the texts of one in XML have the types that the schema gives them.

    Raises:
        AssertionError: the root element is not the schema's.
    """
    if media_type == "text/plain":
        return body.decode()
    if not media_type.endswith("xml"):
        return json.loads(body)
    ((root, members),) = xmltodict.parse(body).items()
    element = _flat(schema)["xml"]
    namespace = members.pop("@xmlns", None)
    assert (root, namespace) == (element["name"], element.get("namespace")), (
        f"The root element is <{root}> of {namespace}."
    )
    return _typed(members, schema)


def _typed(value: Any, schema: Json) -> Any:
    flat = _flat(schema)
    if isinstance(value, Mapping):
        return {name: _typed(member, flat["properties"].get(name, {})) for name, member in value.items()}
    if value is None:  # an empty element
        return None if "null" in flat["types"] else ""
    if "integer" in flat["types"] and re.fullmatch("-?[0-9]+", value):
        return int(value)
    return {"true": True, "false": False}.get(value, value) if "boolean" in flat["types"] else value


def _flat(schema: Json) -> Json:
    """The types, the members and the XML element of a schema, with those of the schemas that it is composed of."""
    schema = shared(schema)
    parts = [_flat(part) for word in ("allOf", "anyOf") for part in schema.get(word, [])]
    types = schema.get("type", [])
    return {
        "types": {*([types] if isinstance(types, str) else types)}.union(*(part["types"] for part in parts)),
        "properties": {name: one for part in [*parts, schema] for name, one in part.get("properties", {}).items()},
        "xml": schema.get("xml") or next((part["xml"] for part in parts if part["xml"]), None),
    }
