"""Operators' regular expressions, matched against untrusted text in time linear in the text, by RE2.

Python's own `re` backtracks, so that `^(VIP-?|[A-Z]+)+[0-9]{4}$` takes half a minute over 28 letters, and other
deliveries time out. RE2 is loaded only if a source has an expression.

Source: the syntax of RE2, github.com/google/re2/wiki/Syntax.
"""

from __future__ import annotations

import re
from typing import Final, Protocol


class Match(Protocol):
    """The match of an expression: `found[0]` is the whole match, `found[1]` its first group."""

    def __getitem__(self, group: int, /) -> str | None: ...


class Pattern(Protocol):
    """A compiled expression: of RE2, or, for a preset's fixed one, of `re`."""

    @property
    def groups(self) -> int: ...

    def search(self, text: str, /) -> Match | None: ...

    def fullmatch(self, text: str, /) -> Match | None: ...


ANYTHING: Final[Pattern] = re.compile("")
"""The pattern of the empty expression."""


class InvalidPattern(ValueError):
    """Not a valid RE2 expression. The message is for the operator."""


def compiled(expression: str) -> Pattern:
    """Compile an operator's expression by RE2.

    Raises:
        InvalidPattern: it is invalid, or uses look-around or back references, which linear time rules out.
    """
    if not expression:
        return ANYTHING
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        pattern: Pattern = re2.compile(expression, options)
    except re2.error as error:
        message = error.args[0].decode(errors="replace") if error.args else ""
        raise InvalidPattern(f"{message} (RE2 has no look-around and no back references: write it without)") from error
    except UnicodeEncodeError as error:
        raise InvalidPattern("it holds half of a surrogate pair") from error
    return pattern
