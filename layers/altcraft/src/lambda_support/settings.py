"""A function's settings, read once from its environment into one typed, frozen dataclass."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    S = TypeVar("S", bound=DataclassInstance)


class SettingsError(Exception):
    """A setting is missing or unusable. The message names the variable and the remedy, and quotes no secret."""


def read(kind: type[S], environ: Mapping[str, str] = os.environ) -> S:
    """Fill `kind`: the field `export_bucket` is read from `EXPORT_BUCKET`.

    A field is a `str`, an `int`, or a `Literal` of texts. One with a default is optional; an empty variable counts as missing.

    Raises:
        SettingsError: names every variable that is missing, or the one that is invalid.
    """
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    missing = []
    for field in dataclasses.fields(kind):
        variable = field.name.upper()
        text = environ.get(variable, "").strip()
        if text:
            values[field.name] = _value(variable, text, hints[field.name])
        elif field.default is dataclasses.MISSING:
            missing.append(variable)
    if missing:
        raise SettingsError(
            f"set the environment variable {' and '.join(missing)}: template.yaml declares what each is for"
        )
    return kind(**values)


def _value(variable: str, text: str, hint: Any) -> str | int:
    if hint is int:
        try:
            return int(text)
        except ValueError as error:
            raise SettingsError(f"the environment variable {variable} must be a whole number") from error
    if (choices := get_args(hint)) and text not in choices:
        raise SettingsError(f"the environment variable {variable} must be one of: {', '.join(choices)}")
    return text
