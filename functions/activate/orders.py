"""Reading orders: is each paid, what is its id, which promo codes does it carry, and to which loyalty program do they belong.

JMESPath finds the values. What it cannot do, and in this order: split a text, capture a part, trim, change case, drop
duplicates. Then each code is matched with a program.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from jmespath.parser import ParsedResult

from activate.paths import OutOfTime, Search, says_no

LONGEST_CODE: Final = 255
MOST_CODES: Final = 200
"""Of all the orders of one delivery: twenty calls of SQS, which a shop waits for. Beyond it is a mistake, or an attack."""
MOST_ORDERS: Final = 200
"""In one delivery."""
LONGEST_ORDER_ID: Final = 190
"""With the longest name of a source and a slash before it, an order's id has the 255 characters that the worker takes."""

CASES: Final[Mapping[str, Callable[[str], str]]] = {"keep": str, "upper": str.upper, "lower": str.lower}
"""What the setting `case` does to a code: whether Altcraft tells cases apart is not documented, so the merchant says."""


class UnreadableOrder(ValueError):
    """A paid order in which something is not where its source says. The message names the setting, and quotes no value."""


class Means(StrEnum):
    """What the value that `paid` found says."""

    PAID = "paid"
    NOT_PAID = "not_paid"
    UNRECOGNISED = "unrecognised"
    """Nothing: the body is not of the shape that the source expects."""


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
    codes: tuple[tuple[str, int], ...] = ()
    """Each code with the id of its loyalty program, in the order's own sequence, none twice."""
    foreign: tuple[str, ...] = ()
    """The codes that belong to none of the programs."""
    unusable: tuple[object, ...] = ()
    """The values that cannot be codes: too long, with control characters in them, or not texts."""


Reading = Order | Means | UnreadableOrder
"""What one order of a delivery came to; of `Means`, one that is not `PAID`."""


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

    def read(self, body: Any) -> list[Reading]:
        """Every order in a body, each for itself, within one budget of time.

        Raises:
            UnreadableOrder: the body holds more orders, or more codes, than a delivery may.
        """
        search = Search()
        readings = [self._read_or_say(order, search) for order in self.orders(body, search)]
        if sum(len(order.codes) for order in readings if isinstance(order, Order)) > MOST_CODES:
            raise UnreadableOrder(f"codes: there are more than {MOST_CODES} in one delivery")
        return readings

    def orders(self, body: Any, search: Search) -> list[Any]:
        """The orders in a body: the body itself, or the items of a list of orders.

        A list in which `order_id` leads somewhere is one order: its source has paths into it.

        Raises:
            UnreadableOrder: there are more than a delivery may hold.
        """
        if not isinstance(body, list) or not body or search.reaches(self.order_id, body):
            return [body]
        if len(body) > MOST_ORDERS:
            raise UnreadableOrder(f"there are more than {MOST_ORDERS} orders in one delivery")
        return body

    def means(self, body: Any, search: Search) -> tuple[Any, Means]:
        """The value that `paid` finds in an order, and what it says.

        Raises:
            UnreadableOrder: the expression does not fit the body.
        """
        value = self._find(search, "paid", body)
        if value is None:
            return value, Means.UNRECOGNISED
        if not says_no(value):
            return value, Means.PAID
        return value, Means.NOT_PAID if search.reaches(self.paid, body) else Means.UNRECOGNISED

    def _read_or_say(self, body: Any, search: Search) -> Reading:
        try:
            _, means = self.means(body, search)
            return self._read_paid(body, search) if means is Means.PAID else means
        except UnreadableOrder as error:
            return error

    def _read_paid(self, body: Any, search: Search) -> Order:
        found = self._find(search, "codes", body)
        if isinstance(found, dict | float | bool):
            raise UnreadableOrder("codes: neither a text nor a list of texts was found there")
        values = [value for value in (found if isinstance(found, list) else [found]) if value is not None]
        texts: list[str] = []
        unusable: list[object] = []
        for value in values:
            if isinstance(value, str | int) and not isinstance(value, bool):
                texts.append(str(value))
            else:
                unusable.append(value)
        candidates = dict.fromkeys(code for text in texts for code in self._codes_in(text))
        matched: list[tuple[str, int]] = []
        foreign: list[str] = []
        for code in candidates:
            if len(code) > LONGEST_CODE or not code.isprintable():
                unusable.append(code)
            elif program := self._program_of(code):
                matched.append((code, program.loyalty_id))
            else:
                foreign.append(code)
        if not candidates and not unusable:
            return Order("")
        return Order(self._id_of(body, search), tuple(matched), tuple(foreign), tuple(unusable))

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

    def _id_of(self, body: Any, search: Search) -> str:
        value = self._find(search, "order_id", body)
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise UnreadableOrder("order_id: neither a text nor a whole number was found there")
        text = str(value).strip()
        if not text or len(text) > LONGEST_ORDER_ID or not text.isprintable():
            raise UnreadableOrder(f"order_id: what was found is not 1 to {LONGEST_ORDER_ID} printable characters")
        return text

    def _find(self, search: Search, setting: str, body: Any) -> Any:
        expression: ParsedResult = getattr(self, setting)
        try:
            return search.find(expression, body)
        except OutOfTime as error:
            raise UnreadableOrder(f"{setting}: the expression takes too long over this body") from error
        except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
            raise UnreadableOrder(
                f"{setting}: the expression does not fit the body ({type(error).__name__})"
            ) from error
