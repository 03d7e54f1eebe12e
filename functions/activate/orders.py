"""Reading an order: is it paid, what is its id, which promo codes does it carry, and to which loyalty program does each belong.

JMESPath finds the values. What it cannot do, and in this order: split a text, capture a part, trim, change case, drop
duplicates. Then each code is matched with a program.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jmespath.parser import ParsedResult

LONGEST_CODE: Final = 255
LONGEST_ORDER_ID: Final = 190
"""With the longest name of a source and a slash before it, an order's id has the 255 characters that the worker takes."""

CASES: Final[Mapping[str, Callable[[str], str]]] = {"keep": str, "upper": str.upper, "lower": str.lower}
"""What the setting `case` does to a code: whether Altcraft tells cases apart is not documented, so the merchant says."""


class UnreadableOrder(ValueError):
    """A paid order in which something is not where its source says. The message names the setting, and quotes no value."""


@dataclass(frozen=True)
class Program:
    """The codes that `pattern` is found in belong to a loyalty program."""

    pattern: re.Pattern[str]
    loyalty_id: int


@dataclass(frozen=True)
class Order:
    """A paid order."""

    id: str
    """The shop's own id, as text; `""` if the order carries no code at all."""
    codes: tuple[tuple[str, int], ...]
    """Each code with the id of its loyalty program, in the order's own sequence, none twice."""
    foreign: int
    """How many codes belong to none of the programs."""
    unusable: int
    """How many values cannot be codes: too long, with control characters in them, or not texts."""


@dataclass(frozen=True)
class Reader:
    """How the orders of one source are read."""

    paid: ParsedResult
    order_id: ParsedResult
    codes: ParsedResult
    programs: tuple[Program, ...]
    split: str = ""
    capture: re.Pattern[str] | None = None
    case: str = "keep"

    def read(self, body: Any) -> Order | None:
        """The paid order in a body; None where it tells of something else.

        Raises:
            UnreadableOrder: it is paid, and its codes or its id cannot be read.
        """
        if not _search(self.paid, "paid", body):
            return None
        found = _search(self.codes, "codes", body)
        if isinstance(found, dict | float | bool):
            raise UnreadableOrder("codes: neither a text nor a list of texts was found there")
        values = [value for value in (found if isinstance(found, list) else [found]) if value is not None]
        texts = [str(value) for value in values if isinstance(value, str | int) and not isinstance(value, bool)]
        candidates = dict.fromkeys(code for text in texts for code in self._codes_in(text))
        codes = [code for code in candidates if len(code) <= LONGEST_CODE and code.isprintable()]
        unusable = len(values) - len(texts) + len(candidates) - len(codes)
        if not codes and not unusable:
            return Order("", (), 0, 0)
        matched = [(code, program.loyalty_id) for code in codes if (program := self._program_of(code))]
        return Order(self._id_of(body), tuple(matched), len(codes) - len(matched), unusable)

    def _codes_in(self, text: str) -> Iterator[str]:
        for piece in text.split(self.split) if self.split else [text]:
            code = piece.strip()
            if self.capture:
                found = self.capture.search(code)
                code = (found[1 if self.capture.groups else 0] or "").strip() if found else ""
            if code:
                yield CASES[self.case](code)

    def _program_of(self, code: str) -> Program | None:
        return next((program for program in self.programs if program.pattern.search(code)), None)

    def _id_of(self, body: Any) -> str:
        value = _search(self.order_id, "order_id", body)
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise UnreadableOrder("order_id: neither a text nor a whole number was found there")
        text = str(value).strip()
        if not text or len(text) > LONGEST_ORDER_ID or not text.isprintable():
            raise UnreadableOrder(f"order_id: what was found is not 1 to {LONGEST_ORDER_ID} printable characters")
        return text


def _search(expression: ParsedResult, setting: str, body: Any) -> Any:
    try:
        return expression.search(body)
    # jmespath lets Python's own errors through, as in contains('text', `5`) or [::0]; its own are ValueErrors.
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise UnreadableOrder(f"{setting}: the expression does not fit the body ({type(error).__name__})") from error
