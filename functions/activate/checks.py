"""Validation of settings: every fault at once, each with the path of its setting and the remedy.

A check takes a value as parsed from JSON and returns the value that the code uses, or raises `InvalidSettings`. Checks are
combined into tables, setting name → check, so that the valid settings are data. No message quotes a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import jmespath
from jmespath.exceptions import JMESPathError

from activate import patterns
from activate.patterns import InvalidPattern

if TYPE_CHECKING:
    from jmespath.parser import ParsedResult

    from activate.patterns import Pattern

Check = Callable[[object], Any]
T = TypeVar("T")

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class InvalidSettings(ValueError):
    """Settings that cannot be used. `faults`: each setting's path, such as `programs[0].pattern`, and its fault."""

    def __init__(self, *faults: tuple[str, str]) -> None:
        super().__init__("; ".join(f"{path}: {message}" if path else message for path, message in faults))
        self.faults = faults


def invalid(message: str) -> InvalidSettings:
    """A fault of the value being checked, without a path."""
    return InvalidSettings(("", message))


def table(settings: object, checks: Mapping[str, Check]) -> dict[str, Any]:
    """Check each setting of an object by its own check.

    Raises:
        InvalidSettings: with every fault found, unknown settings included.
    """
    if not isinstance(settings, Mapping):
        raise invalid("write an object, setting → value")
    values: dict[str, Any] = {}
    faults: list[tuple[str, str]] = []
    for name, value in settings.items():
        if name not in checks:
            faults.append((name, f"there is no such setting; there are {', '.join(sorted(checks))}"))
            continue
        try:
            values[name] = checks[name](value)
        except InvalidSettings as error:
            faults.extend(_within(name, error))
    if faults:
        raise InvalidSettings(*faults)
    return values


def list_of(check: Callable[[object], T]) -> Callable[[object], tuple[T, ...]]:
    """Check for a list that is not empty, and each of its items by a check."""

    def checked(value: object) -> tuple[T, ...]:
        if not isinstance(value, list) or not value:
            raise invalid("write a list, even for a single value")
        items: list[T] = []
        faults: list[tuple[str, str]] = []
        for index, item in enumerate(value):
            try:
                items.append(check(item))
            except InvalidSettings as error:
                faults.extend(_within(f"[{index}]", error))
        if faults:
            raise InvalidSettings(*faults)
        return tuple(items)

    return checked


def _within(name: str, error: InvalidSettings) -> list[tuple[str, str]]:
    return [(f"{name}{'.' if path and path[0] != '[' else ''}{path}", message) for path, message in error.faults]


def one_of(choices: Collection[str]) -> Callable[[object], str]:
    """Check for one of several texts."""

    def checked(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise invalid(f"write one of {', '.join(choices)}")
        return value

    return checked


def text(value: object) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise invalid("write a text")
    return value


def name(value: object) -> str:
    """A name that fits a URL's path and a metric's dimension."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise invalid("write a name of 1 to 64 of the characters A-Z a-z 0-9 . _ -")
    return value


def secret(value: object) -> str:
    """A secret; quoted in no message."""
    if not isinstance(value, str) or not value:
        raise invalid("write the secret as a text")
    if value != value.strip() or not value.isprintable():
        raise invalid("holds an invisible character, or begins or ends with white space: copy it again, without these")
    return value


def whole_number(value: object) -> int:
    """A whole number above 0, within 64 bits."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**63:
        raise invalid("write a whole number above 0, without quotation marks")
    return value


def expression(value: object) -> ParsedResult:
    """A JMESPath expression, compiled."""
    try:
        return jmespath.compile(text(value))
    except JMESPathError as error:
        raise invalid(f"not a JMESPath expression: {' '.join(str(error).split())}") from error


def pattern(value: object) -> Pattern:
    """A regular expression, compiled; empty matches everything. Those of presets are compiled already."""
    if isinstance(value, re.Pattern):
        return value
    if not isinstance(value, str):
        raise invalid("write a regular expression as a text")
    try:
        return patterns.compiled(value)
    except InvalidPattern as error:
        raise invalid(f"not a regular expression: {error}") from error
