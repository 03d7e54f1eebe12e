"""Reading orders: whether each is paid or reversed, its id, its promo codes, and the loyalty program of each code.

JMESPath finds the values. The texts are then processed in this order: undo HTML's escapes, split, capture a part, trim, change
case, normalise (Unicode's NFC), drop duplicates. Then each code is matched with a program.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from jmespath.parser import ParsedResult

from activate.paths import EXPRESSION_ERRORS, Means, OutOfTime, Search
from activate.patterns import Pattern
from altcraft import LONGEST_CODE

T = TypeVar("T")

LONGEST_TEXTS: Final = 65_536
"""Characters of all the texts that `codes` finds: 200 of the longest codes, with their separators."""
MOST_VALUES: Final = 10_000
"""Values that `codes` may find, valid codes or not."""
MOST_CODES: Final = 200
"""Of all the orders of one delivery: twenty calls to SQS, for which the shop waits. More is a mistake, or an attack."""
MOST_ORDERS: Final = 200
"""In one delivery."""
LONGEST_ORDER_ID: Final = 190
"""Prefixed by the longest name of a source and a slash, an order's id has the 255 characters that the worker accepts."""

CASES: Final[Mapping[str, Callable[[str], str]]] = {"keep": str, "upper": str.upper, "lower": str.lower}
"""The values of the setting `case`. Whether Altcraft's codes are case-sensitive is not documented, so the merchant chooses."""

ESCAPES: Final = ("html",)
"""The values of the setting `unescape`."""

ON_REVERSAL: Final = ("ignore", "deactivate")
"""The values of the setting `on_reversal`: only count a reversed order, or give its codes back."""


class UnreadableOrder(ValueError):
    """An order in which a setting does not find what it should. The message names the setting, and quotes no value."""


@dataclass(frozen=True)
class Program:
    """A loyalty program, to which every code belongs in which `pattern` is found."""

    pattern: Pattern
    loyalty_id: int


@dataclass(frozen=True)
class Order:
    """A paid order, or a reversed one whose codes are to be given back."""

    id: str
    """The shop's own id, as text; `""` if the order has no code at all."""
    codes: tuple[tuple[str, int], ...] = ()
    """Each code with the id of its loyalty program, in the order's own sequence, none twice."""
    foreign: tuple[str, ...] = ()
    """The codes that belong to none of the programs."""
    unusable: tuple[object, ...] = ()
    """The values that cannot be codes: too long, with control characters in them, or not texts."""
    reversed: bool = False


@dataclass(frozen=True)
class Calls:
    """A paid or reversed order that, or whose codes, have to be requested from the shop's API."""

    paths: tuple[str, ...]
    """One for each call."""
    order_id: str
    """The shop's own id, if the webhook has it; `""` if the answer has."""
    reversed: bool = False
    """Whether the webhook says that the order is reversed; where the answer is the order, the answer says it."""


Reading = Order | Calls | Means | UnreadableOrder
"""The result of reading one order of a delivery; never `Means.PAID`. `Means.REVERSED`: reversed, and nothing is to be done."""


@dataclass(frozen=True)
class Reader:
    """How the orders of one source are read."""

    paid: ParsedResult
    order_id: ParsedResult
    codes: ParsedResult
    programs: tuple[Program, ...]
    split: str = ""
    capture: Pattern | None = None
    case: str = "keep"
    unescape: str = ""
    json_fields: tuple[str, ...] = ()
    """The fields at an order's top level that may hold JSON as text."""
    reversed: ParsedResult | None = None
    on_reversal: str = "ignore"

    @property
    def gives_back(self) -> bool:
        """Whether the codes of a reversed order are given back."""
        return self.on_reversal == "deactivate"

    def read(self, body: Any) -> list[Reading]:
        """Read every order in a body separately, all within one time budget.

        Raises:
            UnreadableOrder: the body holds more orders, or more codes, than a delivery may.
        """
        search = Search()
        readings = [self._read_order(order, search) for order in self.orders(body, search)]
        if sum(len(order.codes) for order in readings if isinstance(order, Order)) > MOST_CODES:
            raise UnreadableOrder(f"codes: there are more than {MOST_CODES} in one delivery")
        return readings

    def orders(self, body: Any, search: Search) -> list[Any]:
        """Split a body into orders: the body itself, or the items of a list of orders.

        A list in which `order_id` finds something is one order: the source's paths lead into the list.

        Raises:
            UnreadableOrder: there are more than a delivery may hold.
        """
        if not isinstance(body, list) or not body or search.reaches(self.order_id, body):
            return [self._unpacked(body)]
        if len(body) > MOST_ORDERS:
            raise UnreadableOrder(f"there are more than {MOST_ORDERS} orders in one delivery")
        return [self._unpacked(order) for order in body]

    def _unpacked(self, order: Any) -> Any:
        """Parse the fields that hold JSON as text; a text that is not JSON stays a text."""
        if not self.json_fields or not isinstance(order, dict):
            return order
        unpacked = dict(order)
        for name in self.json_fields:
            if isinstance(text := order.get(name), str):
                with suppress(ValueError, RecursionError):
                    unpacked[name] = json.loads(text)
        return unpacked

    def means(self, body: Any, search: Search) -> tuple[Any, Means]:
        """The value that `paid` finds in an order, and its meaning.

        Raises:
            UnreadableOrder: the expression does not fit the body.
        """
        return self._evaluate("paid", lambda: search.means(self.paid, body))

    def state(self, body: Any, search: Search) -> Means:
        """What `paid` and `reversed` say together of an order.

        `reversed` is asked only of what `paid` recognises as an order. Where reversed orders are only counted, a paid order is
        paid whatever `reversed` would say.

        Raises:
            UnreadableOrder: an expression does not fit the body, or both say yes.
        """
        _, means = self.means(body, search)
        expression = self.reversed
        asked = means is Means.NOT_PAID or (means is Means.PAID and self.gives_back)
        if expression is None or not asked:
            return means
        if not self._evaluate("reversed", lambda: search.affirms(expression, body)):
            return means
        if means is Means.PAID:
            raise UnreadableOrder("reversed: it says yes, and so does paid: change one of them, so that only one can")
        return Means.REVERSED

    def _read_order(self, body: Any, search: Search) -> Reading:
        try:
            state = self.state(body, search)
            is_reversed = state is Means.REVERSED
            acts = state is Means.PAID or (is_reversed and self.gives_back)
            return self.read_codes(body, search, is_reversed=is_reversed) if acts else state
        except UnreadableOrder as error:
            return error

    def read_codes(self, body: Any, search: Search, order_id: str = "", *, is_reversed: bool = False) -> Order:
        """Read the codes of an order of which it is known what is to be done with them.

        `order_id`: the order's id; `""` to find it in the body.

        Raises:
            UnreadableOrder: they, or the id, cannot be read.
        """
        texts, unusable = _texts(self._find(search, "codes", body))
        try:
            candidates = self._candidates(texts, search)
            programs = {code: self._program_of(code, search) for code in candidates if _is_code(code)}
        except OutOfTime as error:
            raise UnreadableOrder("codes: matching them takes too long") from error
        unusable += [code for code in candidates if code not in programs]
        if not candidates and not unusable:
            return Order("", reversed=is_reversed)
        return Order(
            order_id or self.id_of(body, search),
            tuple((code, program.loyalty_id) for code, program in programs.items() if program),
            tuple(code for code, program in programs.items() if not program),
            tuple(unusable),
            is_reversed,
        )

    def _candidates(self, texts: Sequence[str], search: Search) -> list[str]:
        """The texts that may be codes, in the order's own sequence, none twice."""
        candidates: dict[str, None] = {}
        for text in map(self._unescaped, texts):
            for piece in text.split(self.split) if self.split else [text]:
                search.check()
                if code := self._code_in(piece.strip()):
                    candidates[code] = None
                if len(candidates) > MOST_CODES:
                    raise UnreadableOrder(f"codes: there are more than {MOST_CODES} in one order")
        return list(candidates)

    def _code_in(self, text: str) -> str:
        """The code in a piece of text; `""` where there is none."""
        if self.capture:
            try:
                found = self.capture.search(text)
            except UnicodeEncodeError:
                return text  # half of a surrogate pair: not a code, as `_is_code` finds
            text = (found[1 if self.capture.groups else 0] or "").strip() if found else ""
        return _normalised(CASES[self.case](text))

    def _unescaped(self, text: str) -> str:
        if not self.unescape or "&" not in text:
            return text
        import html  # its table of names is large, and rarely needed

        return html.unescape(text)

    def _program_of(self, code: str, search: Search) -> Program | None:
        for program in self.programs:
            search.check()
            if program.pattern.search(code):
                return program
        return None

    def id_of(self, body: Any, search: Search) -> str:
        """Find an order's id, as text.

        Raises:
            UnreadableOrder: there is none, or the value cannot be an id.
        """
        value = self._find(search, "order_id", body)
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise UnreadableOrder("order_id: neither a text nor a whole number was found there")
        text = str(value).strip()
        if not text or len(text) > LONGEST_ORDER_ID or not text.isprintable():
            raise UnreadableOrder(f"order_id: what was found is not 1 to {LONGEST_ORDER_ID} printable characters")
        return text

    def _find(self, search: Search, setting: str, body: Any) -> Any:
        expression: ParsedResult = getattr(self, setting)
        return self._evaluate(setting, lambda: search.find(expression, body))

    @staticmethod
    def _evaluate(setting: str, evaluate: Callable[[], T]) -> T:
        """Evaluate a setting's expression; its errors become `UnreadableOrder`, with the setting's name."""
        try:
            return evaluate()
        except OutOfTime as error:
            raise UnreadableOrder(f"{setting}: the expression takes too long over this body") from error
        except EXPRESSION_ERRORS as error:
            raise UnreadableOrder(
                f"{setting}: the expression does not fit the body ({type(error).__name__})"
            ) from error


def _texts(found: Any) -> tuple[list[str], list[object]]:
    """Split the values that `codes` found into texts and values that cannot be codes.

    Raises:
        UnreadableOrder: neither a text nor a list was found, or more than an order can have.
    """
    if isinstance(found, dict | float | bool):
        raise UnreadableOrder("codes: neither a text nor a list of texts was found there")
    values = found if isinstance(found, list) else [found]
    if len(values) > MOST_VALUES:
        raise UnreadableOrder(f"codes: more than {MOST_VALUES} values were found there")
    texts: list[str] = []
    unusable: list[object] = []
    for value in values:
        if isinstance(value, str | int) and not isinstance(value, bool):
            texts.append(str(value))
        elif value is not None:
            unusable.append(value)
    if sum(map(len, texts)) > LONGEST_TEXTS:
        raise UnreadableOrder(f"codes: more than {LONGEST_TEXTS} characters were found there")
    return texts, unusable


def _normalised(text: str) -> str:
    """Normalise to NFC, so that an accented letter gives the same code whether it was typed as one character or as two."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _is_code(text: str) -> bool:
    return len(text) <= LONGEST_CODE and text.isprintable()
