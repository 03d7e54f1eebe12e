"""A state machine over the ledger, activations and reversals in which everything may fail: orders, callers without one,
concurrent runs, kills between any two calls, delayed requests, lost replies, refusals before and after the request was carried
out, manual changes, wrong clocks, and jumps of 401 days.

`MODEL_EXAMPLES` sets the number of histories; `make model` runs 20,000.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, get_args

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from activate.activation import Activator
from activate.ledger import LATE_ARRIVAL, Ledger
from activate.redemption import Outcome, Redemption, Result, TryAgain
from activate.reversal import Reverser
from altcraft.errors import AltcraftError, IncoherentReply, Unreachable, error_reply
from tests.model.runs import Fate, Killed, Run
from tests.model.world import PROGRAM, Altcraft, Code, DynamoDB, Table, Times, World

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "1000"))

LAMBDA_SECONDS = 60
A_PERSON = "a person"

CODES = ("x", "y")
ORDERS = ("A", "B", "C", "D", None)

NOISE = timedelta(seconds=8)
"""The most by which whole seconds and the tolerances between clocks can shift a time."""

Carry = Callable[[], Any]


def well(carry_out: Carry) -> Any:
    return carry_out()


def lost(error: Callable[[], Exception], *, applied: bool) -> Fate:
    """The run gets an error, whether or not the call was carried out."""

    def fate(carry_out: Carry) -> Any:
        if applied:
            with suppress(AltcraftError, ClientError):
                carry_out()
        raise error()

    return fate


def written_twice(carry_out: Carry) -> Any:
    """The reply is lost, and botocore sends the request again."""
    with suppress(ClientError):
        carry_out()
    return carry_out()


def throttled() -> Exception:
    return ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "PutItem")


ALTCRAFT_FATES: dict[str, Fate] = {
    "lost": lost(lambda: Unreachable("lost"), applied=False),
    "lost after": lost(lambda: Unreachable("lost"), applied=True),
    "never sent": lost(lambda: Unreachable("never sent", sent=False), applied=False),
    "failing": lost(lambda: error_reply(500, "?"), applied=False),
    "failing after": lost(lambda: error_reply(503, "?"), applied=True),
    "tariff": lost(lambda: error_reply(402, "?"), applied=False),
    "incoherent": lost(lambda: IncoherentReply("?"), applied=False),
    "incoherent after": lost(lambda: IncoherentReply("?"), applied=True),
}
TABLE_FATES: dict[str, Fate] = {
    "throttled": lost(throttled, applied=False),
    "lost after": lost(lambda: ReadTimeoutError(endpoint_url="table"), applied=True),
    "written twice": written_twice,
}
FAILURES = sorted(
    {"killed", "killed after", "killed, late", "lost, late", "confirmed, late", *ALTCRAFT_FATES, *TABLE_FATES}
)
FATES = st.lists(st.sampled_from(["well"] * len(FAILURES) + FAILURES), max_size=6)


@dataclass
class Late:
    """A request that is carried out after its run has ended, or has given up waiting for the reply."""

    code: str
    carry_out: Carry
    until: datetime
    """Altcraft carries it out no later. It is held to that only for a code that an order gives back."""


@dataclass
class Request:
    """The request of one run, by an order or by a caller without one, and how it ended."""

    order_id: str | None
    code: str
    label: object
    begun: datetime
    until: datetime
    is_reversal: bool = False
    ended: Result | TryAgain | None = None


class Shop(RuleBasedStateMachine):
    """Orders that use two codes, while everything fails."""

    @initialize(
        skew=st.sampled_from([0, 0, 0, 3600, -3600, 1800]),
        times=st.sampled_from(get_args(Times)),
        idempotent=st.booleans(),
        refuses_unused=st.booleans(),
    )
    def begin(self, skew: int, times: Times, idempotent: bool, refuses_unused: bool = False) -> None:
        self.world = World(timedelta(seconds=skew), times, idempotent, refuses_unused)
        self.table = Table()
        self.runs: list[tuple[Run, Request]] = []
        self.late: list[Late] = []
        self.holders = self.world.holders
        self.first: dict[tuple[object, str], datetime] = {}
        self.requested: set[tuple[str | None, str]] = set()
        self.reversed: set[tuple[object, str]] = set()
        """Orders whose last word on a code is that they give it back."""
        self.callers = 0
        for code in CODES:
            self.world.change(code)

    # --- events -------------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.runs) < 3)
    @rule(order_id=st.sampled_from(ORDERS), code=st.sampled_from(CODES), fates=FATES, to_its_end=st.booleans())
    def order(self, order_id: str | None, code: str, fates: list[str], to_its_end: bool) -> None:
        run, request = self._start(order_id, code)
        self.runs.append((run, request))
        self._go(run, request, fates + ["well"] * (20 if to_its_end else 0))

    @precondition(lambda self: len(self.runs) < 3)
    @rule(order_id=st.sampled_from(["A", "B"]), code=st.sampled_from(CODES), fates=FATES, to_its_end=st.booleans())
    def reverse(self, order_id: str, code: str, fates: list[str], to_its_end: bool) -> None:
        run, request = self._start(order_id, code, is_reversal=True)
        self.runs.append((run, request))
        self._go(run, request, fates + ["well"] * (20 if to_its_end else 0))

    @precondition(lambda self: len(self.runs) < 3 and self._held())
    @rule(number=st.integers(0, 1), fates=FATES, to_its_end=st.booleans())
    def reverse_a_holder(self, number: int, fates: list[str], to_its_end: bool) -> None:
        held = self._held()
        order_id, code = held[number % len(held)]
        self.reverse(order_id, code, fates, to_its_end)

    def _held(self) -> list[tuple[str, str]]:
        """The orders that hold a code, or process it, and the code."""
        items = [(self._claimed_by(code), code) for code in CODES if code in self.table.items]
        return [(order_id, code) for order_id, code in items if order_id and self._item_state(code) != "released"]

    def _item_state(self, code: str) -> str:
        return str(self.table.items[code]["state"]["S"])

    @precondition(lambda self: self.runs)
    @rule(number=st.integers(0, 2), fates=FATES, to_its_end=st.booleans())
    def go_on(self, number: int, fates: list[str], to_its_end: bool) -> None:
        run, request = self.runs[number % len(self.runs)]
        self._go(run, request, fates + ["well"] * (20 if to_its_end else 0))

    @precondition(lambda self: self.late)
    @rule(number=st.integers(0, 3))
    def arrive_late(self, number: int) -> None:
        late = self.late.pop(number % len(self.late))
        if late.until < self.world.now and any(code == late.code for _, code in self.reversed):
            return
        with suppress(AltcraftError, ClientError):
            late.carry_out()

    @rule(seconds=st.sampled_from([1, 70, 70, 4000]))
    def pass_time(self, seconds: int) -> None:
        self.world.pass_time(seconds)
        for run, request in list(self.runs):
            if request.until <= self.world.now:
                self._go(run, request, ["killed"])

    @rule(
        code=st.sampled_from(CODES),
        change=st.sampled_from(["exists", "attached", "expired", "activated", "deactivated"]),
    )
    def change_by_hand(self, code: str, change: str) -> None:
        if change == "activated":
            if not self.world.codes[code].activated_at:
                self.world.change(code, activated_at=self.world.now, activated_by=A_PERSON)
                self.world.activations.append((self.world.now, code, A_PERSON))
        elif change == "deactivated":
            if all(late.code != code for late in self.late):
                self.world.change(code, activated_at=None, activated_by=None)
        else:
            self.world.change(code, **{change: not getattr(self.world.codes[code], change)})

    @precondition(lambda self: not self.runs)
    @rule(happens=st.sampled_from(["the token changes", "an outage", "401 days"]), calls=st.integers(2, 12))
    def happen(self, happens: str, calls: int) -> None:
        if happens == "the token changes":
            self.world.token_is_good = not self.world.token_is_good
        elif happens == "an outage":  # everything is refused with an error that could have any meaning
            self.world.failing_calls = calls
        else:  # delayed requests have ended, and the ledger has forgotten its items
            self.late.clear()
            self.world.pass_time(timedelta(days=401).total_seconds())
            for memory in (self.holders, self.first, self.requested, self.reversed, self.world.given_back):
                memory.clear()
            for name, code in self.world.codes.items():
                self.world.change(name, activated_by=A_PERSON if code.activated_at else None)

    # --- running them -------------------------------------------------------------------------------------------------

    def _start(self, order_id: str | None, code: str, *, is_reversal: bool = False) -> tuple[Run, Request]:
        self.callers += 1
        label: object = order_id or self.callers
        now = self.world.now
        request = Request(order_id, code, label, now, now + timedelta(seconds=LAMBDA_SECONDS), is_reversal)
        if is_reversal:
            self.reversed.add((order_id, code))
        else:
            self.first.setdefault((label, code), now)
            self.requested.add((order_id, code))

        def work(run: Run) -> None:
            ledger = Ledger("table", DynamoDB(self.table, run.call), self.world.clock)
            altcraft = Altcraft(self.world, run.call, label, self._claimed_by)
            redemption = Redemption(code, PROGRAM, order_id)
            try:
                if is_reversal:
                    request.ended = Reverser(altcraft, ledger, self.world.clock).deactivate(redemption, request.until)
                else:
                    request.ended = Activator(altcraft, ledger, self.world.clock).activate(redemption, request.until)
            except TryAgain as failure:
                request.ended = failure

        run = Run(work)
        run.start()
        return run, request

    def _go(self, run: Run, request: Request, fates: list[str]) -> None:
        for name in fates:
            if run.pending:
                run.step(self._fate(name, run.pending, request))
        if not run.pending:
            self.runs = [one for one in self.runs if one[0] is not run]
            if isinstance(request.ended, Result):
                self._check(request, request.ended)
                request.ended = None

    def _fate(self, name: str, pending: str, request: Request) -> Fate:
        can_be_late = not (self.world.idempotent and pending == "activate")

        def killed(carry_out: Carry) -> Any:
            if name == "killed after":
                with suppress(AltcraftError, ClientError):
                    carry_out()
            elif name == "killed, late" and can_be_late:
                self.late.append(Late(request.code, carry_out, request.until + LATE_ARRIVAL))
            raise Killed

        def lost_late(carry_out: Carry) -> Any:
            if can_be_late:
                self.late.append(Late(request.code, carry_out, self.world.now + LATE_ARRIVAL))
            raise Unreachable("lost")

        def confirmed_late(carry_out: Carry) -> Any:
            self.late.append(Late(request.code, carry_out, self.world.now + LATE_ARRIVAL))

        if name.startswith("killed"):
            return killed
        if name == "confirmed, late" and pending == "deactivate":
            return confirmed_late
        if pending not in {"activate", "deactivate", "get"}:
            return TABLE_FATES.get(name, well)
        return lost_late if name == "lost, late" else ALTCRAFT_FATES.get(name, well)

    def _claimed_by(self, code: str) -> str | None:
        order_id: str | None = self.table.items[code].get("order_id", {}).get("S")
        return order_id

    def _end_all(self) -> None:
        for run, request in list(self.runs):
            self._go(run, request, ["killed"])

    # --- invariants ---------------------------------------------------------------------------------------------------

    def _check(self, request: Request, result: Result) -> None:
        """Check an outcome that was returned to an order."""
        code, label = request.code, request.label
        seen = self.world.seen_since(request.begun, code)
        holder = self.holders.get(code)
        if holder != label and (holder, code) in self.reversed:
            holder = None  # another order's run may have completed that reversal
        assert not self.world.repeated, "a code was activated twice"
        for _, name, told, by in self.world.given_back:
            assert told in (None, by) or (told, name) in self.reversed, "an order gave back the code of another order"
        if request.is_reversal:
            self._check_reversal(request, result)
            return
        if result.outcome is Outcome.ACTIVATED:
            assert holder in (None, label), "two orders got `activated` for one code"
            since = self.first[label, code] - NOISE
            assert holder or any(
                name == code and (by == label or moment >= since) for moment, name, by in self.world.activations
            ), "an order got `activated`, and the code was not activated since its first request"
            self.holders[code] = label
            return
        if result.outcome is Outcome.RELEASED_BY_ORDER:
            assert (label, code) in self.reversed, "an order is closed for a code that it did not give back"
            return
        assert holder != label or request.order_id is None, "an order's final answer changed"
        by_another = result.double_redemption
        for moment, name, _, by in self.world.given_back:
            is_first = by_another and (name, by) == (code, result.first_order)
            assert not is_first or moment >= request.begun, "an order is refused a code that was given back"
        true: dict[Outcome, Callable[[Code], bool]] = {
            Outcome.NOT_FOUND: lambda code: not code.exists,
            Outcome.NOT_ATTACHED: lambda code: not code.attached,
            Outcome.EXPIRED: lambda code: code.expired,
            Outcome.ALREADY_ACTIVATED: lambda code: code.activated_at is not None or by_another,
        }
        assert any(true[result.outcome](one) for one in seen), "an outcome is not true"
        mine = request.order_id is not None and all(one.activated_by == label for one in seen)
        assert not mine or holder not in (None, label) or by_another, "an order is refused the code that it activated"

    def _check_reversal(self, request: Request, result: Result) -> None:
        code, order_id = request.code, request.order_id
        if result.outcome is Outcome.NOT_FOUND:
            seen = self.world.seen_since(request.begun, code)
            assert any(not one.exists for one in seen), "a code that exists is said not to"
            return
        holder = self.holders.get(code)
        gave_back = any((name, by) == (code, order_id) for _, name, _, by in self.world.given_back)
        if result.outcome is Outcome.DEACTIVATED:
            assert holder in (None, order_id) or (holder, code) in self.reversed, "another order holds the code"
        else:
            assert holder != order_id or gave_back or self._was_deleted(code), (
                "an order that holds a code could not give it back"
            )
        if holder == order_id:
            del self.holders[code]

    def teardown(self) -> None:
        """Once everything works again, and after one more order, no order stays unsettled that could be settled."""
        if not hasattr(self, "world"):
            return
        self._end_all()
        while self.late:
            self.arrive_late(0)
        self.world.failing_calls, self.world.token_is_good = 0, True
        self.world.pass_time(LAMBDA_SECONDS * 2 + LATE_ARRIVAL.total_seconds())
        for control in ("control", "another control"):
            self.world.change(control)
            assert isinstance(self._complete("another", control), Result)
        for order_id, code in sorted(self.reversed, key=str):
            self._require_settled(self._complete(order_id, code, is_reversal=True), code)
        self.world.pass_time(LATE_ARRIVAL.total_seconds())
        for order_id, code in sorted(self.requested, key=str):
            self._require_settled(self._complete(order_id, code), code)
        for order_id, code in self.reversed:
            item = self.table.items[code]
            is_holder = self._item_state(code) == "redeemed" and "returning_since" not in item
            assert self._claimed_by(code) != order_id or not is_holder or not self.world.codes[code].exists
            has_it = self.world.codes[code].exists and self.world.codes[code].activated_by == order_id
            is_accounted_for = self._item_state(code) == "redeemed" or "tries" in item or self._was_deleted(code)
            assert not has_it or is_accounted_for, "a code was not given back"

    def _was_deleted(self, code: str) -> bool:
        """Whether Altcraft did not know a code for some time: an order that gave it back then is told so, and closed."""
        return any(name == code and not one.exists for _, name, one in self.world.history)

    def _require_settled(self, ended: Result | TryAgain, code: str) -> None:
        if isinstance(ended, TryAgain):
            tries = "tries" in self.table.items[code]
            # If Altcraft accepts the activation of a used code, the codes' activation times may be earlier ones.
            timeless = self.world.times == "empty" or self.world.idempotent
            unknowable = timeless or not self.world.codes[code].exists
            assert (ended.reason, tries, unknowable) == ("unsettled", True, True), str(ended)

    def _complete(self, order_id: Any, code: str, *, is_reversal: bool = False) -> Result | TryAgain:
        run, request = self._start(order_id, code, is_reversal=is_reversal)
        for _ in range(30):
            if run.pending:
                run.step(well)
        ended = request.ended
        assert ended is not None
        if isinstance(ended, Result):
            self._check(request, ended)
        return ended


@pytest.mark.long
def test_every_history_keeps_the_invariants() -> None:
    run_state_machine_as_test(
        Shop,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_control_code_that_a_person_activates_again_keeps_no_order_waiting() -> None:
    shop = Shop()
    # Given a code that a person has activated long ago, and another one whose time shows Altcraft's clock
    shop.begin(skew=0, times="zoned", idempotent=False)
    shop.change_by_hand(change="activated", code="y")
    shop.order(code="x", fates=[], order_id="A", to_its_end=True)
    shop.world.pass_time(70)
    # When a person activates that one again, and an order's run for the first is killed after its request
    shop.change_by_hand(change="deactivated", code="x")
    shop.change_by_hand(change="activated", code="x")
    shop.order(code="y", fates=["well"], order_id="A", to_its_end=False)
    # Then the order gets the answer that the code was used before
    shop.teardown()


def test_an_activation_that_a_clock_ahead_dates_after_an_order_is_not_that_orders() -> None:
    shop = Shop()
    # Given an Altcraft whose clock is half an hour ahead, and an order that activates a code by a run that is then killed
    shop.begin(skew=1800, times="zoned", idempotent=False, refuses_unused=False)
    shop.order(code="x", fates=["well", "well"], order_id="A", to_its_end=False)
    shop.pass_time(seconds=70)
    for _ in range(3):
        shop.pass_time(seconds=400)
    # When a run of another order is killed before its request, and the order comes again
    shop.order(code="x", fates=["well", "well"], order_id="B", to_its_end=False)
    shop.pass_time(seconds=4000)
    shop.order(code="x", fates=[], order_id="B", to_its_end=True)
    # Then it is not taken for the one that activated the code
    shop.teardown()
