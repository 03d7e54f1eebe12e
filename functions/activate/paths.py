"""Evaluating operators' JMESPath expressions over untrusted bodies: in bounded time, distinguishing "nothing found" from "no".

Sources: jmespath.org, "JMESPath Specification"; `jmespath.visitor`, whose interpreter this one extends.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from jmespath.visitor import TreeInterpreter

if TYPE_CHECKING:
    from jmespath.parser import ParsedResult

BUDGET_SECONDS: Final = 1.0
"""For all expressions over one delivery. An order takes a thousandth of it; a shop waits five seconds."""

_NO_TEXTS: Final = frozenset({"", "0", "false", "no", "n", "off"})
"""Forms and XML have only texts, and PHP shops send texts in JSON too."""

_LOGIC: Final = frozenset(
    {"or_expression", "and_expression", "not_expression", "comparator", "function_expression", "multi_select_list"}
)
_FROM_THE_FIRST: Final = frozenset({"pipe", "projection", "filter_projection", "value_projection", "flatten"})


EXPRESSION_ERRORS: Final = (ValueError, TypeError, ArithmeticError, RecursionError)
"""What an expression raises that does not fit a body. jmespath does not catch Python's own errors, as in contains('text', `5`)
or [::0]; its own are ValueErrors, and so is `OutOfTime`."""


class Means(StrEnum):
    """What the values that `paid` and `reversed` find mean."""

    PAID = "paid"
    NOT_PAID = "not_paid"
    UNRECOGNISED = "unrecognised"
    """`paid` found nothing: the body is not of the shape that the source expects."""
    REVERSED = "reversed"
    """Not paid, and `reversed` gave a definite yes."""


class OutOfTime(ValueError):
    """Reading one delivery took longer than its budget."""


class Search(TreeInterpreter):
    """Evaluates expressions over one body, within one time budget."""

    def __init__(self, seconds: float = BUDGET_SECONDS) -> None:
        super().__init__()
        self._deadline = time.monotonic() + seconds

    def check(self) -> None:
        """Called at each step of an evaluation, and by other work within the budget.

        Raises:
            OutOfTime: the budget is used up.
        """
        if time.monotonic() > self._deadline:
            raise OutOfTime

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        self.check()
        return super().visit(node, *args, **kwargs)

    def find(self, expression: ParsedResult, body: Any) -> Any:
        """What the expression finds in the body; None for nothing.

        Raises:
            EXPRESSION_ERRORS: the expression does not fit the body.
        """
        return self.visit(expression.parsed, body)

    def means(self, expression: ParsedResult, body: Any) -> tuple[Any, Means]:
        """The value that `paid` finds, and its meaning; never `Means.REVERSED`.

        Raises:
            EXPRESSION_ERRORS: the expression does not fit the body.
        """
        value = self.find(expression, body)
        if value is None:
            return value, Means.UNRECOGNISED
        if not is_no(value):
            return value, Means.PAID
        return value, Means.NOT_PAID if self.reaches(expression, body) else Means.UNRECOGNISED

    def affirms(self, expression: ParsedResult, body: Any) -> bool:
        """Whether `reversed` gives a definite yes: something other than a no, from a path that exists in the body.

        `state != 'open'` is true even if there is no `state` at all; that is no yes.

        Raises:
            EXPRESSION_ERRORS: the expression does not fit the body.
        """
        value = self.find(expression, body)
        return value is not None and not is_no(value) and self.reaches(expression, body)

    def reaches(self, expression: ParsedResult, body: Any) -> bool:
        """Whether any of the paths that the expression compares exists in the body.

        `state == 'paid'` is false even if there is no `state` at all; then nothing was found, which is not a "no".
        """
        return any(self.visit(operand, body) is not None for operand in _operands(expression.parsed))


def is_constant(expression: ParsedResult) -> bool:
    """Whether an expression gives the same for every body, as `true` does, because no path is in it."""
    return next(_operands(expression.parsed), None) is None


def is_no(value: object) -> bool:
    """Whether a value that was found is a definite no: false, 0, anything empty, or one of `_NO_TEXTS`."""
    return value.strip().lower() in _NO_TEXTS if isinstance(value, str) else not value


def _operands(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The paths from the body's top level that decide an expression's value; for a projection, its list."""
    if node["type"] in _LOGIC:
        for child in node["children"]:
            yield from _operands(child)
    elif node["type"] in _FROM_THE_FIRST:
        yield from _operands(node["children"][0])
    elif node["type"] != "literal":
        yield node
