"""Lookups without the entry points: a real table over HTTP, an Altcraft over HTTP, in both wire formats."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest

from activate.ledger import MEMORY, Ledger
from activate.lookup import Facts, Lookup
from activate.redemption import Redemption, TryAgain
from activate.reversal import Reverser
from altcraft.client import Client
from altcraft.token import Token
from altcraft.wire import Wire
from local.emulator import Emulator
from local.emulator.faults import AnyFault, Cut, Drop, Page, Refuse
from local.emulator.settings import Refusal, Settings
from local.engine import Aws
from tests.integration.activators import Orders, deadline, make_orders
from tests.secret import Secret

OLD = datetime(2024, 4, 1, 10, 30, tzinfo=UTC)


@dataclass
class Desk:
    """Looks codes up, and activates them for orders, with the same table and the same Altcraft."""

    client: Client
    lookup: Lookup
    orders: Orders
    dynamodb: Any
    table: str
    secret: Secret

    def ask(self, code: str, loyalty_id: int = 5) -> Facts | None:
        return self.lookup.facts(Redemption(code, loyalty_id))

    def facts(self, code: str, loyalty_id: int = 5) -> Facts:
        found = self.ask(code, loyalty_id)
        assert found is not None
        return found

    def reason(self, code: str) -> str:
        """Why the facts are not known; fails if they are."""
        with pytest.raises(TryAgain) as failed:
            self.ask(code)
        return failed.value.reason

    def items(self) -> list[Any]:
        items: list[Any] = self.dynamodb.scan(TableName=self.table, ConsistentRead=True)["Items"]
        return items


@pytest.fixture(params=get_args(Wire))
def desk(request: pytest.FixtureRequest, emulator: Emulator, aws: Aws, table: str) -> Desk:
    emulator.programs.add(5, "good", "control", attached=True)
    emulator.programs.add(5, "loose")
    emulator.programs.add(5, "used", attached=True, activated=True)
    emulator.programs.add(5, "old", attached=True, expire_date=OLD)
    secret = Secret()
    dynamodb = aws.client("dynamodb")
    client = Client(emulator.url, Token(secret), request.param)
    lookup = Lookup(client, Ledger(table, dynamodb))
    return Desk(client, lookup, make_orders(emulator.url, aws, table, request.param), dynamodb, table, secret)


def test_an_attached_code_that_nobody_has_used_is_redeemable(desk: Desk) -> None:
    found = desk.facts("good")

    assert found.attached_at is not None
    assert abs(datetime.fromisoformat(found.attached_at) - datetime.now(UTC)) < timedelta(seconds=60)
    assert replace(found, attached_at=None) == Facts(
        code="good",
        loyalty_id=5,
        attached=True,
        activated=False,
        expired=False,
        attached_at=None,
        activated_at=None,
        expires_at=None,
        redeemable=True,
        order_id=None,
    )


@pytest.mark.parametrize(
    ("code", "attached", "activated", "expired"),
    [("loose", False, False, False), ("used", True, True, False), ("old", True, False, True)],
)
def test_a_code_in_another_state_is_not_redeemable(
    desk: Desk, code: str, attached: bool, activated: bool, expired: bool
) -> None:
    found = desk.facts(code)

    assert (found.attached, found.activated, found.expired) == (attached, activated, expired)
    assert (found.attached_at is not None, found.activated_at is not None) == (attached, activated)
    assert found.expires_at == ("2024-04-01T10:30:00Z" if expired else None)
    assert not found.redeemable


def test_a_lookup_changes_nothing(desk: Desk, emulator: Emulator) -> None:
    desk.orders.activate("control")
    before, calls = desk.items(), emulator.journal.calls.copy()

    for code in ("good", "loose", "used", "old", "control", "nobody's"):
        desk.ask(code)

    assert desk.items() == before
    changes = emulator.journal.calls - calls
    assert changes.keys() == {"get"}
    # And a code that was looked up is as free as before
    assert desk.orders.activate("good", "1002").outcome == "activated"


def test_the_order_that_holds_the_code_is_the_ledgers(desk: Desk, emulator: Emulator) -> None:
    desk.orders.activate("good", "eu-shop/1001")

    assert desk.facts("good").order_id == "eu-shop/1001"
    assert not desk.facts("good").redeemable
    # Also where somebody has reset it by hand, so that Altcraft would take it
    emulator.programs.update(5, "good", activated=False, expire_date=None)
    assert (desk.facts("good").order_id, desk.facts("good").redeemable) == ("eu-shop/1001", True)


def test_a_caller_without_an_order_has_no_order(desk: Desk) -> None:
    desk.orders.activate("good", None)

    assert (desk.facts("good").activated, desk.facts("good").order_id) == (True, None)


def test_a_code_that_is_being_activated_has_no_holder_yet(desk: Desk) -> None:
    desk.orders.ledger.claim(Redemption("good", 5, "1001"), deadline())

    assert (desk.facts("good").order_id, desk.facts("good").redeemable) == (None, True)


def test_an_order_that_was_refused_holds_nothing(desk: Desk) -> None:
    desk.orders.activate("loose", "1001")

    assert desk.facts("loose").order_id is None


def test_an_entry_that_is_out_of_date_is_ignored(desk: Desk, emulator: Emulator) -> None:
    long_ago = Ledger(desk.table, desk.dynamodb, lambda: datetime.now(UTC) - MEMORY - timedelta(days=1))
    until = datetime.now(UTC) - MEMORY
    long_ago.redeem(long_ago.claim(Redemption("good", 5, "1001"), until), ())

    assert desk.facts("good").order_id is None


def test_an_item_that_cannot_be_read_leaves_the_holder_unknown(desk: Desk) -> None:
    desk.orders.activate("good")
    (item,) = desk.items()
    desk.dynamodb.put_item(TableName=desk.table, Item=item | {"redeemed_at": {"S": "yesterday"}})

    assert desk.reason("good") == "table_unavailable"


def test_a_table_that_does_not_answer_leaves_the_holder_unknown(desk: Desk, emulator: Emulator) -> None:
    desk.dynamodb.delete_table(TableName=desk.table)

    assert desk.reason("good") == "table_unavailable"
    assert not emulator.journal.calls


def test_an_unknown_code_is_not_found_once_another_code_is_known(desk: Desk) -> None:
    assert desk.reason("nobody's") == "unconfirmed"
    desk.orders.activate("control")
    assert desk.ask("nobody's") is None


def test_what_is_not_found_does_not_depend_on_undocumented_error_numbers(desk: Desk, emulator: Emulator) -> None:
    emulator.settings = Settings(no_code=Refusal(-7, ""), error_status=404)
    desk.orders.activate("control")

    assert desk.ask("nobody's") is None


GET: dict[str, Any] = {"endpoints": frozenset({"get"}), "calls": None}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Page(status=503, **GET), "altcraft_unreachable"),
        (Page(status=429, **GET), "altcraft_unreachable"),
        (Drop(**GET), "altcraft_unreachable"),
        (Page(status=200, **GET), "altcraft_incoherent"),
        (Cut(**GET), "altcraft_unreachable"),
        (Refuse(error=500, error_text="Internal error", **GET), "altcraft_failing"),
        (Refuse(error=402, error_text="Tariff limit reached", **GET), "altcraft_failing"),
        (Refuse(error=777, error_text="?", **GET), "altcraft_failing"),
        (Refuse(error=401, error_text="API token required", **GET), "token_refused"),
    ],
    ids=str,
)
def test_a_failure_of_altcraft_is_no_answer_about_the_code(
    desk: Desk, emulator: Emulator, fault: AnyFault, reason: str
) -> None:
    desk.orders.activate("control")
    emulator.faults.set([fault])

    assert desk.reason("good") == reason
    assert desk.reason("nobody's") == reason


def test_a_token_that_was_changed_is_read_again(desk: Desk, emulator: Emulator) -> None:
    assert desk.facts("good").redeemable
    emulator.settings = Settings(tokens=frozenset({"new"}), wrong_token=Refusal(999, "?"))
    desk.secret.stored = "new"

    assert desk.facts("good").redeemable


def test_a_token_that_cannot_be_read_is_no_answer(desk: Desk) -> None:
    desk.secret.readable = False

    assert desk.reason("good") == "token_unreadable"


@pytest.mark.parametrize(
    ("times", "readable"),
    [("utc", True), ("offset", True), ("fractions", True), ("epoch", True), ("no_zone", False), ("empty", False)],
)
def test_times_are_given_only_where_they_are_certain(
    desk: Desk, emulator: Emulator, times: Any, readable: bool
) -> None:
    emulator.settings = Settings(times=times)

    assert desk.facts("old").expires_at == ("2024-04-01T10:30:00Z" if readable else None)
    assert desk.facts("old").expired


@pytest.mark.parametrize(("code", "loyalty_id"), [("GOOD", 5), ("good", 6), ("goo", 5)])
def test_the_holder_of_another_code_is_not_this_ones(
    desk: Desk, emulator: Emulator, code: str, loyalty_id: int
) -> None:
    desk.orders.activate("good", "1001")
    emulator.programs.add(loyalty_id, code, attached=True)

    assert (desk.facts(code, loyalty_id).order_id, desk.facts(code, loyalty_id).redeemable) == (None, True)


def test_an_order_that_gave_the_code_back_does_not_hold_it(desk: Desk) -> None:
    desk.orders.activate("good", "1001")
    reverser = Reverser(desk.client, desk.orders.ledger)

    reverser.deactivate(Redemption("good", 5, "1001"), deadline())

    assert (desk.facts("good").order_id, desk.facts("good").redeemable) == (None, True)


def test_an_order_holds_the_code_until_it_is_certain_that_it_gave_it_back(desk: Desk, emulator: Emulator) -> None:
    desk.orders.activate("good", "1001")
    reverser = Reverser(desk.client, desk.orders.ledger)
    emulator.faults.set([Drop(endpoints=frozenset({"update"}), applied=True), Page(status=503, **GET)])

    with pytest.raises(TryAgain):
        reverser.deactivate(Redemption("good", 5, "1001"), deadline())

    emulator.faults.set([])
    assert desk.facts("good").order_id == "1001"
    reverser.deactivate(Redemption("good", 5, "1001"), deadline())
    assert desk.facts("good").order_id is None


def test_an_item_that_holds_nothing_but_a_note_has_no_holder(desk: Desk) -> None:
    ledger = Ledger(desk.table, desk.dynamodb, has_events=True)
    ledger.note("given_up", Redemption("good", 5, "1001"), "message", "altcraft_unreachable")

    assert len(desk.items()) == 1
    assert desk.facts("good").order_id is None
