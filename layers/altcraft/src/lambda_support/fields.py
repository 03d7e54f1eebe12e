"""Strict validation of a request's fields: an error names the field and the remedy."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

MAX_LOYALTY_ID: Final = 2**63 - 1


class InvalidField(ValueError):
    """A field of a request is missing or wrong. The message names the field and the remedy."""

    def __init__(self, field: str, remedy: str) -> None:
        super().__init__(f"{field}: {remedy}")
        self.field = field


def refuse_unknown(fields: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse unknown fields: a misspelt one would be ignored silently.

    Raises:
        InvalidField: names it.
    """
    if unknown := sorted(fields.keys() - set(known)):
        raise InvalidField(unknown[0][:40], f"is not a field here; there are {', '.join(sorted(known))}")


def whole(value: object) -> object:
    """Convert a whole float to int, and leave other values: JSON has one number type, and PHP writes a whole number as 5.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def loyalty_id(field: str, value: object) -> int:
    """Read the number of a loyalty program; it may be text, as in XML.

    Raises:
        InvalidField: it is missing or anything else.
    """
    number = whole(value)
    if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) < 20:
        number = int(number)
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number <= MAX_LOYALTY_ID:
        raise InvalidField(field, "is required, as the positive whole number of a loyalty program, such as 5")
    return number
