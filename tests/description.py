"""The committed description of the API, as tests hold others against it."""

from collections.abc import Iterator
from typing import Any

import yaml
from jsonschema_rs import Draft202012Validator

from local.openapi import DOCUMENT

COMMITTED: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text())
SCHEMAS: dict[str, Any] = COMMITTED["components"]["schemas"]


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every operation by its id."""
    for methods in COMMITTED["paths"].values():
        for operation in methods.values():
            yield operation["operationId"], operation


def conforms(value: object, schema: dict[str, Any]) -> bool:
    """Whether a value fits a schema of the description. Raises where the schema is none."""
    return Draft202012Validator({**schema, "components": COMMITTED["components"]}).is_valid(value)
