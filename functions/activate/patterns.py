"""Regular expressions that an operator writes and that meet a shopper's text: in time linear in the text, by RE2.

Python's own `re` tries every way in which an expression may match, so that `^(VIP-?|[A-Z]+)+[0-9]{4}$` takes half a minute
over 28 letters, and a neighbour's deliveries time out. RE2 is loaded only where a source has an expression of its own.

Source: the syntax of RE2, github.com/google/re2/wiki/Syntax.
"""

from __future__ import annotations

import re
from typing import Final, Protocol


class Match(Protocol):
    """Where an expression was found: `found[0]` is all of it, `found[1]` its first group."""

    def __getitem__(self, group: int, /) -> str | None: ...


class Pattern(Protocol):
    """A compiled expression, of RE2 or, where it is a fixed one of ours, of `re`."""

    @property
    def groups(self) -> int: ...

    def search(self, text: str, /) -> Match | None: ...

    def fullmatch(self, text: str, /) -> Match | None: ...


ANYTHING: Final[Pattern] = re.compile("")
"""What the empty expression stands for."""


class InvalidPattern(ValueError):
    """Not an expression that RE2 knows. The message is for whoever wrote it."""


def compiled(expression: str) -> Pattern:
    """An operator's expression, compiled by RE2.

    Raises:
        InvalidPattern: it is not one, or it needs what has no linear time: look-around or back references.
    """
    if not expression:
        return ANYTHING
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        pattern: Pattern = re2.compile(expression, options)
    except re2.error as error:
        told = error.args[0].decode(errors="replace") if error.args else ""
        raise InvalidPattern(f"{told} (RE2 has no look-around and no back references: write it without)") from error
    except UnicodeEncodeError as error:
        raise InvalidPattern("it holds half of a surrogate pair") from error
    return pattern
