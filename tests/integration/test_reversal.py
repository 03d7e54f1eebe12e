"""Codes that orders give back: a real table and a real Altcraft over HTTP, in both wire formats."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from activate.activation import Activator
from activate.ledger import LATE_ARRIVAL, MAX_CLOSED, Entry, Ledger, State
from activate.redemption import Outcome, Redemption, Result, TryAgain
from activate.reversal import Reverser
from altcraft.client import Client
from altcraft.token import Token
from altcraft.wire import Wire
from local.emulator import Emulator
from local.emulator.faults import AnyFault, Drop, Page, Refuse
from local.engine import Aws
from tests.integration.activators import Orders, deadline, make_orders
from tests.secret import Secret

ACTIVATE, UPDATE, GET = frozenset({"activate"}), frozenset({"update"}), frozenset({"get"})


@pytest.fixture(params=get_args(Wire))
def orders(request: pytest.FixtureRequest, emulator: Emulator, aws: Aws, table: str) -> Orders:
    emulator.programs.add(5, "good", "control", attached=True)
    return make_orders(emulator.url, aws, table, request.param)


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def later(emulator: Emulator, aws: Aws, table: str, clock: Clock) -> Orders:
    """The same table and Altcraft as `orders`, by a clock that is set."""
    client = Client(emulator.url, Token(Secret()))
    ledger = Ledger(table, aws.client("dynamodb"), clock)
    return Orders(Activator(client, ledger, clock), Reverser(client, ledger, clock), ledger)


def is_activated(orders: Orders, code: str = "good") -> bool:
    return Client.get(orders.activator._promo_codes, code, 5).is_activated  # type: ignore[arg-type]  # noqa: SLF001


def entry_of(orders: Orders) -> Entry:
    entry = orders.ledger.find(Redemption("good", 5))
    assert entry
    return entry


def no_outcome(orders: Orders, order_id: str = "1001") -> TryAgain:
    with pytest.raises(TryAgain) as failed:
        orders.deactivate("good", order_id)
    return failed.value


def test_an_order_gives_its_code_back_and_a_new_order_can_use_it(orders: Orders) -> None:
    orders.activate("good", "1001")

    assert orders.deactivate("good", "1001") == Result(Outcome.DEACTIVATED)
    assert not is_activated(orders)
    assert orders.activate("good", "1002") == Result(Outcome.ACTIVATED)


def test_it_takes_two_writes_to_the_ledger(orders: Orders, aws: Aws, table: str) -> None:
    writes = []
    dynamodb = aws.client("dynamodb")
    dynamodb.meta.events.register("before-call.dynamodb.PutItem", lambda **_: writes.append("put"))
    dynamodb.meta.events.register("before-call.dynamodb.UpdateItem", lambda **_: writes.append("update"))
    orders.activate("good", "1001")

    reverser = Reverser(orders.reverser._promo_codes, Ledger(table, dynamodb))  # noqa: SLF001
    assert reverser.deactivate(Redemption("good", 5, "1001"), deadline()).outcome is Outcome.DEACTIVATED
    assert writes == ["put", "put"]


def test_the_same_reversal_again_gets_the_same_answer_and_changes_nothing(orders: Orders, emulator: Emulator) -> None:
    orders.activate("good", "1001")
    orders.deactivate("good", "1001")

    assert orders.deactivate("good", "1001") == Result(Outcome.DEACTIVATED)
    assert emulator.journal.calls["update"] == 1


def test_it_is_another_answer_once_another_order_has_the_code(orders: Orders) -> None:
    orders.activate("good", "1001")
    orders.deactivate("good", "1001")
    orders.activate("good", "1002")

    assert orders.deactivate("good", "1001") == Result(Outcome.NOT_HELD_BY_ORDER)
    assert is_activated(orders)
    assert orders.activate("good", "1002") == Result(Outcome.ACTIVATED)


def test_a_late_paid_does_not_take_the_code_again(orders: Orders) -> None:
    orders.activate("good", "1001")
    orders.deactivate("good", "1001")

    assert orders.activate("good", "1001") == Result(Outcome.RELEASED_BY_ORDER)
    assert not is_activated(orders)


def test_an_order_that_was_reversed_before_it_was_paid_never_takes_the_code(orders: Orders, emulator: Emulator) -> None:
    assert orders.deactivate("good", "1001") == Result(Outcome.NOT_HELD_BY_ORDER)

    assert orders.activate("good", "1001") == Result(Outcome.RELEASED_BY_ORDER)
    assert emulator.journal.calls == {}
    assert orders.activate("good", "1002") == Result(Outcome.ACTIVATED)


@pytest.mark.parametrize("holder", ["1002", None])
def test_only_the_holder_can_give_a_code_back(orders: Orders, holder: str | None) -> None:
    orders.activate("good", holder)

    assert orders.deactivate("good", "1001") == Result(Outcome.NOT_HELD_BY_ORDER)
    assert is_activated(orders)
    entry = orders.ledger.find(Redemption("good", 5))
    assert entry
    assert (entry.state, entry.order_id) == (State.REDEEMED, holder)


def test_a_code_that_was_used_elsewhere_is_not_given_back(orders: Orders, emulator: Emulator) -> None:
    emulator.programs.add(5, "used", attached=True, activated=True)
    assert orders.activate("used", "1001").outcome is Outcome.ALREADY_ACTIVATED

    assert orders.deactivate("used", "1001") == Result(Outcome.NOT_HELD_BY_ORDER)
    assert emulator.journal.calls["update"] == 0


def test_a_code_that_a_person_deactivated_is_given_back(orders: Orders, emulator: Emulator) -> None:
    orders.activate("good", "1001")
    emulator.programs.update(5, "good", activated=False, expire_date=None)

    assert orders.deactivate("good", "1001") == Result(Outcome.DEACTIVATED)


def test_a_code_that_altcraft_does_not_know_any_more_is_not_found(orders: Orders, emulator: Emulator) -> None:
    orders.activate("good", "1001")
    orders.activate("control", "1002")
    emulator.programs.clear()
    emulator.programs.add(5, "control", attached=True, activated=True)

    known_at = entry_of(orders).known_at
    assert orders.deactivate("good", "1001") == Result(Outcome.NOT_FOUND)
    assert entry_of(orders).known_at == known_at
    assert orders.deactivate("good", "1001") == Result(Outcome.NOT_HELD_BY_ORDER)
    assert orders.activate("good", "1002").outcome is Outcome.NOT_FOUND


FAILURES: dict[str, Sequence[AnyFault]] = {
    "no answer, not carried out": [Drop(endpoints=UPDATE)],
    "no answer, carried out": [Drop(endpoints=UPDATE, applied=True)],
    "no answer, carried out, and none of get": [Drop(endpoints=UPDATE, applied=True), Drop(endpoints=GET)],
    "a page": [Page(endpoints=UPDATE, status=200)],
    "503 with an envelope": [Refuse(error=500, error_text="?", status=503)],
    "an error of the server, carried out": [Refuse(error=503, error_text="?", endpoints=UPDATE, applied=True)],
    "the tariff's limit": [Refuse(error=402, error_text="?", endpoints=UPDATE)],
    "an unknown error": [Refuse(error=77, error_text="?", endpoints=UPDATE)],
    "a wrong token": [Refuse(error=401, error_text="?", calls=2)],
}


@pytest.mark.parametrize("failure", FAILURES)
def test_however_altcraft_fails_the_code_is_given_back_in_the_end(
    orders: Orders, emulator: Emulator, failure: str
) -> None:
    orders.activate("good", "1001")
    emulator.faults.set(list(FAILURES[failure]))
    tries = 0
    while True:
        tries += 1
        try:
            result = orders.deactivate("good", "1001")
        except TryAgain:
            assert tries < 4
            continue
        break

    assert result == Result(Outcome.DEACTIVATED)
    assert not is_activated(orders)
    assert orders.activate("good", "1001") == Result(Outcome.RELEASED_BY_ORDER)


def test_while_a_reversal_may_still_arrive_no_other_order_gets_the_code(
    orders: Orders, later: Orders, clock: Clock, emulator: Emulator
) -> None:
    # Given a reversal that was carried out without a reply
    orders.activate("good", "1001")
    emulator.faults.set([Drop(endpoints=UPDATE, applied=True)])
    assert orders.deactivate("good", "1001") == Result(Outcome.DEACTIVATED)

    # When another order uses the code at once, then it has to wait, because the request may be carried out twice
    with pytest.raises(TryAgain) as failed:
        later.activate("good", "1002")
    assert failed.value.reason == "unsettled"

    clock.ahead = LATE_ARRIVAL + timedelta(seconds=5)
    assert later.activate("good", "1002") == Result(Outcome.ACTIVATED)


def test_another_order_completes_a_reversal_whose_run_was_killed(
    orders: Orders, later: Orders, clock: Clock, emulator: Emulator
) -> None:
    # Given a run that was killed between its claim and its request
    orders.activate("good", "1001")
    orders.ledger.claim_return(Redemption("good", 5, "1001"), deadline(1))
    with pytest.raises(TryAgain) as failed:
        later.activate("good", "1002")
    assert failed.value.reason == "in_progress"

    # When another order uses the code once that claim has expired, then the first order's reversal ends before
    clock.ahead = timedelta(seconds=10)
    with pytest.raises(TryAgain) as failed:
        later.activate("good", "1002")
    assert (failed.value.reason, emulator.journal.calls["update"]) == ("unsettled", 1)
    clock.ahead += LATE_ARRIVAL
    assert later.activate("good", "1002") == Result(Outcome.ACTIVATED)
    assert later.activate("good", "1001") == Result(Outcome.RELEASED_BY_ORDER)


def test_a_lost_activation_is_given_back_once_it_can_no_longer_arrive(
    orders: Orders, later: Orders, clock: Clock, emulator: Emulator
) -> None:
    # Given an activation that was carried out without a reply, and an Altcraft that then does not answer
    emulator.faults.set([Drop(endpoints=ACTIVATE, applied=True), Drop(endpoints=GET)])
    with pytest.raises(TryAgain):
        orders.activate("good", "1001")

    assert no_outcome(later).reason == "unsettled"
    assert emulator.journal.calls["update"] == 0

    clock.ahead = LATE_ARRIVAL + timedelta(minutes=2)
    assert later.deactivate("good", "1001") == Result(Outcome.DEACTIVATED)
    assert not is_activated(later)
    assert later.activate("good", "1001") == Result(Outcome.RELEASED_BY_ORDER)


def test_a_code_that_altcraft_confirms_and_still_shows_as_activated_is_not_given_back_yet(
    orders: Orders, emulator: Emulator
) -> None:
    orders.activate("good", "1001")
    confirmed = '{"data": null, "error": 0, "error_text": ""}'
    emulator.faults.set([Page(endpoints=UPDATE, status=200, content_type="application/json", body=confirmed)])

    assert no_outcome(orders).reason == "unsettled"
    with pytest.raises(TryAgain):
        orders.activate("good", "1002")
    assert orders.deactivate("good", "1001") == Result(Outcome.DEACTIVATED)


def test_a_lost_reply_is_settled_without_a_second_request(orders: Orders, emulator: Emulator) -> None:
    orders.activate("good", "1001")
    emulator.faults.set([Drop(endpoints=UPDATE, applied=True), Drop(endpoints=GET)])
    no_outcome(orders)

    assert orders.deactivate("good", "1001") == Result(Outcome.DEACTIVATED)
    assert emulator.journal.calls["update"] == 1


def test_no_order_waits_for_a_reversal_that_altcraft_refuses(
    orders: Orders, later: Orders, clock: Clock, emulator: Emulator
) -> None:
    # Given a reversal that was lost, and an Altcraft that does not deactivate this code, as an expired one perhaps
    orders.activate("good", "1001")
    emulator.faults.set([Drop(endpoints=UPDATE), Refuse(error=77, error_text="?", endpoints=UPDATE, calls=None)])
    assert no_outcome(orders).reason == "unsettled"
    assert no_outcome(orders).reason == "unsettled"

    # When the lost request can no longer be carried out, then the code is the first order's still
    clock.ahead = LATE_ARRIVAL + timedelta(minutes=2)
    assert no_outcome(later).reason == "refused"
    assert later.activate("good", "1002").outcome is Outcome.ALREADY_ACTIVATED
    assert later.activate("good", "1001") == Result(Outcome.ACTIVATED)


def test_a_failed_reversal_makes_no_time_certain_that_was_not(orders: Orders, later: Orders, clock: Clock) -> None:
    # Given an activation whose reply took so long that its time is not certain
    claim = orders.ledger.claim(Redemption("good", 5, "1001"), deadline())
    clock.ahead = timedelta(seconds=9)
    later.ledger.redeem(claim, ())
    assert entry_of(orders).activated_at is None

    clock.ahead += timedelta(minutes=1)
    claim = later.ledger.claim_return(Redemption("good", 5, "1001"), deadline(120))
    later.ledger.keep(claim, "refused", begun=False)
    assert entry_of(orders).state is State.REDEEMED
    assert entry_of(orders).activated_at is None


def test_a_try_of_an_earlier_version_may_be_as_late_as_the_last_run(
    orders: Orders, aws: Aws, table: str, emulator: Emulator
) -> None:
    # Given an order that has been tried for an hour, in an item that tells only when that began
    emulator.faults.set([Drop(endpoints=ACTIVATE), Drop(endpoints=GET)])
    with pytest.raises(TryAgain):
        orders.activate("good", "1001")
    dynamodb = aws.client("dynamodb")
    item = dynamodb.get_item(TableName=table, Key={"loyalty_id": {"N": "5"}, "code": {"S": "good"}})["Item"]
    began = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    tries = {"L": [{"M": {"since": {"S": began}, "order_id": {"S": "1001"}}}]}
    dynamodb.put_item(TableName=table, Item={**item, "tries": tries})

    assert no_outcome(orders).reason == "unsettled"


def test_a_refusal_that_is_not_understood_ends_nothing(orders: Orders, emulator: Emulator) -> None:
    orders.activate("good", "1001")
    emulator.faults.set([Refuse(error=77, error_text="?", endpoints=UPDATE, calls=None)])

    failure = no_outcome(orders)
    assert failure.reason == "refused"
    assert failure.refusal
    assert failure.refusal.error == 77
    assert orders.activate("good", "1001") == Result(Outcome.ACTIVATED)


def test_the_ledger_shows_who_gave_a_code_back(orders: Orders) -> None:
    orders.activate("good", "1001")
    orders.deactivate("good", "1001")

    entry = orders.ledger.find(Redemption("good", 5))
    assert entry
    assert (entry.state, entry.order_id, entry.last_outcome) == (State.RELEASED, "1001", "deactivated")
    assert entry.released_at
    assert [(one.order_id, one.gave_back) for one in entry.closed] == [("1001", True)]


def test_the_number_of_closed_orders_of_one_code_is_bounded(emulator: Emulator, aws: Aws, table: str) -> None:
    orders = make_orders(emulator.url, aws, table)
    longest = "x" * 250
    for number in range(MAX_CLOSED + 5):
        orders.deactivate("good", f"{longest}{number}")

    entry = orders.ledger.find(Redemption("good", 5))
    assert entry
    assert len(entry.closed) == MAX_CLOSED
    assert orders.deactivate("good", f"{longest}{MAX_CLOSED + 4}") == Result(Outcome.NOT_HELD_BY_ORDER)
