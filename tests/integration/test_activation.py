"""Activations without the entry points: a real table over HTTP, an Altcraft over HTTP, in both wire formats."""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from botocore.exceptions import ClientError

from activate.activation import Activator
from activate.ledger import MAX_TRIES, Ledger, State
from activate.redemption import MAX_TEXT, Outcome, Redemption, Result, TryAgain
from altcraft.client import Client
from altcraft.token import Token
from altcraft.wire import Wire
from local.emulator import Emulator
from local.emulator.faults import Drop, Page, Refuse
from local.emulator.settings import Refusal, Settings
from local.engine import Aws
from tests.integration.activators import Orders, deadline, make_orders
from tests.secret import TOKEN, Secret

ACTIVATE = frozenset({"activate"})
GET = frozenset({"get"})


@pytest.fixture(params=get_args(Wire))
def orders(request: pytest.FixtureRequest, emulator: Emulator, aws: Aws, table: str) -> Orders:
    emulator.programs.add(5, "good", "second", "control", attached=True)
    emulator.programs.add(5, "loose")
    emulator.programs.add(5, "used", attached=True, activated=True)
    emulator.programs.add(5, "old", attached=True, expire_date=datetime(2024, 4, 1, tzinfo=UTC))
    return make_orders(emulator.url, aws, table, request.param)


def no_outcome(orders: Orders, code: str = "good", order_id: str | None = "1001") -> TryAgain:
    """The reason why an activation has no outcome yet; fails if it has one."""
    with pytest.raises(TryAgain) as failed:
        orders.activate(code, order_id)
    return failed.value


@pytest.mark.parametrize("order_id", [None, "1001"])
@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("good", Outcome.ACTIVATED),
        ("used", Outcome.ALREADY_ACTIVATED),
        ("loose", Outcome.NOT_ATTACHED),
        ("old", Outcome.EXPIRED),
        ("unknown", Outcome.NOT_FOUND),
    ],
)
def test_each_outcome_follows_from_the_codes_state(
    orders: Orders, emulator: Emulator, code: str, outcome: Outcome, order_id: str | None
) -> None:
    orders.activate("control")
    result = orders.activate(code, order_id)
    assert result.outcome is outcome
    assert (result.refusal is None) == (outcome is Outcome.ACTIVATED)
    assert emulator.programs.activations[5, "good"] == (code == "good")


def test_outcomes_do_not_depend_on_undocumented_error_numbers(orders: Orders, emulator: Emulator) -> None:
    emulator.settings = Settings(
        error_status=400,
        wrong_token=Refusal(999, "?"),
        no_code=Refusal(404, "?"),
        not_attached=Refusal(400, "?"),
        already_activated=Refusal(1, "?"),
        expired=Refusal(-1, ""),
    )
    outcomes = {code: orders.activate(code).outcome for code in ("used", "loose", "old", "unknown")}
    assert outcomes == {
        "used": Outcome.ALREADY_ACTIVATED,
        "loose": Outcome.NOT_ATTACHED,
        "old": Outcome.EXPIRED,
        "unknown": Outcome.NOT_FOUND,
    }


def test_the_same_order_gets_its_first_answer_again(orders: Orders, emulator: Emulator) -> None:
    first, again = orders.activate("good"), orders.activate("good")
    assert first == again == Result(Outcome.ACTIVATED)
    assert emulator.journal.calls["activate"] == 1


def test_another_order_with_the_same_code_is_a_double_redemption(orders: Orders, emulator: Emulator) -> None:
    orders.activate("good", "1001")
    result = orders.activate("good", "1002")
    assert result == Result(Outcome.ALREADY_ACTIVATED, double_redemption=True, first_order="1001")
    assert emulator.journal.calls["activate"] == 1


def test_the_same_code_of_another_program_is_another_code(orders: Orders, emulator: Emulator) -> None:
    emulator.programs.add(6, "good", attached=True)
    assert orders.activate("good", "1001", 5).outcome is Outcome.ACTIVATED
    assert orders.activate("good", "1002", 6).outcome is Outcome.ACTIVATED


def test_a_request_without_an_order_is_always_a_new_one(orders: Orders) -> None:
    assert orders.activate("good", None).outcome is Outcome.ACTIVATED
    again = orders.activate("good", None)
    assert again == Result(Outcome.ALREADY_ACTIVATED, double_redemption=True, first_order=None)


def test_only_activated_is_remembered(orders: Orders, emulator: Emulator) -> None:
    orders.activate("control")
    assert orders.activate("late").outcome is Outcome.NOT_FOUND
    emulator.programs.add(5, "late", attached=True)
    assert orders.activate("late").outcome is Outcome.ACTIVATED


# --- an unknown code, and the control ---------------------------------------------------------------------------------


def test_an_unknown_code_is_not_confirmed_before_another_code_is_known(orders: Orders, emulator: Emulator) -> None:
    failure = no_outcome(orders, "unknown")
    assert (failure.reason, failure.altcraft_down) == ("unconfirmed", False)
    assert failure.refusal is not None
    orders.activate("control")
    assert orders.activate("unknown").outcome is Outcome.NOT_FOUND


@pytest.mark.parametrize("code", ["used", "loose", "old"])
def test_any_code_that_get_has_returned_can_be_the_control(orders: Orders, code: str) -> None:
    orders.activate(code)
    assert orders.activate("unknown").outcome is Outcome.NOT_FOUND


def test_a_code_of_another_program_is_no_control(orders: Orders, emulator: Emulator) -> None:
    emulator.programs.add(6, "elsewhere", attached=True)
    orders.activate("elsewhere", loyalty_id=6)
    assert no_outcome(orders, "unknown").reason == "unconfirmed"


def test_a_code_cannot_be_its_own_control(orders: Orders, emulator: Emulator) -> None:
    orders.activate("loose")
    del emulator.programs._programs[5].codes["loose"]  # noqa: SLF001 - as deleted manually in Altcraft
    assert no_outcome(orders, "loose").reason == "unconfirmed"


def test_a_control_that_was_deleted_is_replaced_by_another(orders: Orders, emulator: Emulator) -> None:
    for code in ("good", "control"):
        orders.activate(code)
    del emulator.programs._programs[5].codes["control"]  # noqa: SLF001 - as deleted manually in Altcraft
    assert orders.activate("unknown").outcome is Outcome.NOT_FOUND
    del emulator.programs._programs[5].codes["good"]  # noqa: SLF001
    assert no_outcome(orders, "unknown").reason == "altcraft_failing"


def test_a_control_is_found_among_many_unknown_codes(emulator: Emulator, aws: Aws, table: str) -> None:
    emulator.programs.add(5, "a-control", attached=True)
    orders = make_orders(emulator.url, aws, table)
    orders.activate("a-control")
    claims = [orders.ledger.claim(Redemption(f"b{number:03}", 5), deadline()) for number in range(120)]
    for claim in claims:
        orders.ledger.release(claim, Outcome.NOT_FOUND, (), exists=False)
    assert orders.activate("b000").outcome is Outcome.NOT_FOUND
    assert orders.activate("c").outcome is Outcome.NOT_FOUND


def test_if_altcraft_recovers_between_refusal_and_control_the_code_is_looked_up_again(
    orders: Orders, emulator: Emulator
) -> None:
    orders.activate("control")
    emulator.settings = Settings(no_code=Refusal(9, "?"))
    emulator.faults.set(
        [Refuse(endpoints=ACTIVATE, error=9, error_text="?"), Refuse(endpoints=GET, error=9, error_text="?")]
    )
    assert no_outcome(orders).reason == "refused"
    assert orders.activate("good").outcome is Outcome.ACTIVATED


@pytest.mark.parametrize("refused", [{"good"}, {"good", "control"}])
def test_a_refusal_by_another_error_than_for_an_impossible_code_is_no_outcome(
    orders: Orders, emulator: Emulator, refused: set[str]
) -> None:
    orders.activate("control")
    calls = 2 if refused == {"good"} else 3
    emulator.faults.set([Refuse(error=9, error_text="?", calls=calls)])
    assert no_outcome(orders).reason == "altcraft_failing"
    assert orders.activate("good").outcome is Outcome.ACTIVATED


def test_no_code_is_lost_if_altcraft_refuses_everything_with_an_unknown_error(
    orders: Orders, emulator: Emulator
) -> None:
    orders.activate("control")
    emulator.faults.set([Refuse(error=9, error_text="?", calls=None)])
    failure = no_outcome(orders)
    assert (failure.reason, failure.altcraft_down) == ("altcraft_failing", True)
    emulator.faults.set([])
    assert orders.activate("good").outcome is Outcome.ACTIVATED


@pytest.mark.parametrize(
    "data",
    ['{"is_attached":true,"is_activated":true,"is_expired":false,"code":"other"}',
     '{"is_attached":true,"is_activated":true,"is_expired":false,"code":"good","loyalty_id":6}'],
)  # fmt: skip
def test_an_answer_about_another_code_gives_no_outcome(orders: Orders, emulator: Emulator, data: str) -> None:
    body = f'{{"data":{data},"error":0,"error_text":""}}'
    emulator.faults.set([Refuse(endpoints=ACTIVATE, error=9, error_text="?"), Page(status=200, body=body)])
    assert no_outcome(orders).reason == "altcraft_incoherent"
    assert orders.activate("good").outcome is Outcome.ACTIVATED


# --- lost replies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order_id", [None, "1001"])
def test_a_lost_reply_is_settled_by_get(orders: Orders, emulator: Emulator, order_id: str | None) -> None:
    emulator.faults.set([Drop(endpoints=ACTIVATE, applied=True)])
    assert orders.activate("good", order_id).outcome is Outcome.ACTIVATED
    assert emulator.programs.activations[5, "good"] == 1


def test_a_lost_request_has_no_outcome_yet(orders: Orders, emulator: Emulator) -> None:
    emulator.faults.set([Drop(endpoints=ACTIVATE)])
    assert no_outcome(orders).reason == "unsettled"
    assert orders.activate("good").outcome is Outcome.ACTIVATED


def test_a_code_that_may_be_activated_is_looked_up_before_it_is_requested_again(
    orders: Orders, emulator: Emulator
) -> None:
    # Otherwise an Altcraft that accepts the activation of a used code would activate it twice.
    emulator.settings = Settings(already_activated=None)
    emulator.faults.set([Drop(endpoints=ACTIVATE, applied=True), Page(endpoints=GET)])
    assert no_outcome(orders).reason == "altcraft_unreachable"
    assert orders.activate("good", "1002").outcome is Outcome.ALREADY_ACTIVATED
    assert orders.activate("good", "1001").outcome is Outcome.ACTIVATED
    assert emulator.programs.activations[5, "good"] == 1


def test_a_reply_lost_together_with_gets_is_settled_by_the_next_try(orders: Orders, emulator: Emulator) -> None:
    emulator.faults.set([Drop(applied=True), Page(endpoints=GET)])
    assert no_outcome(orders).altcraft_down
    assert orders.activate("good", "1001").outcome is Outcome.ACTIVATED
    assert orders.activate("good", "1002").first_order == "1001"
    assert emulator.programs.activations[5, "good"] == 1


def test_a_lost_reply_about_an_unknown_code_is_never_not_found(orders: Orders, emulator: Emulator) -> None:
    orders.activate("control")
    emulator.faults.set([Drop(endpoints=ACTIVATE)])
    assert no_outcome(orders, "unknown").reason == "unsettled"
    assert no_outcome(orders, "unknown").reason == "unsettled"
    assert orders.activate("unknown", "1002").outcome is Outcome.NOT_FOUND
    emulator.programs.add(5, "unknown", attached=True)
    assert orders.activate("unknown").outcome is Outcome.ACTIVATED


def test_a_delayed_request_belongs_to_its_order_whatever_was_answered_before(
    orders: Orders, emulator: Emulator
) -> None:
    emulator.faults.set([Drop(endpoints=ACTIVATE)])
    assert orders.activate("loose").outcome is Outcome.NOT_ATTACHED
    emulator.programs.add(5, "loose", attached=True)
    emulator.programs.activate(5, "loose")  # the request that seemed lost arrives
    assert orders.activate("loose").outcome is Outcome.ACTIVATED


def test_the_number_of_unsettled_orders_of_one_code_is_bounded_and_more_orders_wait(
    emulator: Emulator, aws: Aws, table: str
) -> None:
    emulator.programs.add(5, "universal", attached=True)
    orders = make_orders(emulator.url, aws, table)
    emulator.faults.set([Drop(endpoints=ACTIVATE, calls=None)])
    for number in range(MAX_TRIES):
        assert no_outcome(orders, "universal", str(number)).reason == "unsettled"
    assert emulator.journal.calls["activate"] == MAX_TRIES
    assert no_outcome(orders, "universal", "one more").reason == "unsettled"
    assert emulator.journal.calls["activate"] == MAX_TRIES
    emulator.faults.set([])
    assert orders.activate("universal", "7").outcome is Outcome.ACTIVATED
    assert orders.activate("universal", "one more").outcome is Outcome.ALREADY_ACTIVATED


# --- the time of an activation ----------------------------------------------------------------------------------------

HOUR = timedelta(hours=1)
LONG_AGO = datetime(2024, 4, 1, 10, 20, 30, tzinfo=UTC)


@pytest.fixture
def clocks() -> list[timedelta]:
    """How far Altcraft's clock is ahead of ours."""
    return [timedelta()]


@pytest.fixture
def skewed(clocks: list[timedelta]) -> Iterator[Emulator]:
    def clock() -> datetime:
        moment = datetime.now(UTC) + clocks[-1]
        # A whole minute may have been rounded, and so cannot be used to compare clocks.
        return moment.replace(second=moment.second or 1)

    with Emulator(clock=clock) as emulator:
        yield emulator


@pytest.mark.parametrize("times", ["utc", "offset", "fractions", "epoch", "no_zone"])
@pytest.mark.parametrize("date_skew", [-3600, 0, 3600])
def test_a_lost_reply_about_a_code_used_long_ago_is_no_activation(
    skewed: Emulator, clocks: list[timedelta], aws: Aws, table: str, times: Any, date_skew: int
) -> None:
    skewed.settings = Settings(times=times, date_skew_seconds=date_skew)
    clocks.append(LONG_AGO - datetime.now(UTC))
    skewed.programs.add(5, "used", attached=True, activated=True)
    clocks.append(timedelta())
    skewed.faults.set([Drop(endpoints=ACTIVATE)])
    assert make_orders(skewed.url, aws, table).activate("used").outcome is Outcome.ALREADY_ACTIVATED


@pytest.mark.parametrize("times", ["utc", "offset", "fractions", "epoch"])
@pytest.mark.parametrize("date_skew", [-3600, 0, 3600])
def test_an_activation_time_after_the_try_makes_it_this_orders(
    emulator: Emulator, aws: Aws, table: str, times: Any, date_skew: int
) -> None:
    emulator.settings = Settings(times=times, date_skew_seconds=date_skew)
    emulator.programs.add(5, "good", attached=True)
    emulator.faults.set([Drop(endpoints=ACTIVATE, applied=True)])
    assert make_orders(emulator.url, aws, table).activate("good").outcome is Outcome.ACTIVATED


@pytest.mark.parametrize("used_by_another", [True, False])
@pytest.mark.parametrize(
    ("times", "clock"), [("no_zone", timedelta()), ("utc", -HOUR), ("utc", HOUR), ("epoch", -5 * HOUR)]
)
def test_a_different_clock_settles_nothing_until_known_codes_show_the_difference(
    skewed: Emulator,
    clocks: list[timedelta],
    aws: Aws,
    table: str,
    times: Any,
    clock: timedelta,
    used_by_another: bool,
) -> None:
    skewed.settings = Settings(times=times)
    orders = make_orders(skewed.url, aws, table)
    clocks.append(clock - timedelta(minutes=20))
    skewed.programs.add(5, "good", attached=True, activated=used_by_another)
    clocks.append(clock)
    skewed.programs.add(5, "control", "second", attached=True)
    skewed.faults.set([Drop(endpoints=ACTIVATE, applied=not used_by_another)])
    assert no_outcome(orders).reason == "unsettled"

    orders.activate("control", "1002")
    assert no_outcome(orders).reason == "unsettled"
    orders.activate("second", "1003")

    outcome = Outcome.ALREADY_ACTIVATED if used_by_another else Outcome.ACTIVATED
    assert orders.activate("good").outcome is outcome


@pytest.mark.parametrize("times", ["minute", "day"])
def test_a_rounded_time_never_takes_a_code_from_its_order(orders: Orders, emulator: Emulator, times: Any) -> None:
    emulator.settings = Settings(times=times)
    for order_id, code in enumerate(("control", "second")):
        orders.activate(code, str(order_id))
    emulator.faults.set([Drop(endpoints=ACTIVATE, applied=True)])
    outcome = None
    with suppress(TryAgain):
        outcome = orders.activate("good").outcome
    assert outcome in {None, Outcome.ACTIVATED}  # the latter if the minute or the day has just begun
    assert emulator.programs.activations[5, "good"] == 1


@pytest.mark.parametrize("activated", [True, False])
def test_no_time_at_all_settles_nothing(orders: Orders, emulator: Emulator, activated: bool) -> None:
    emulator.settings = Settings(times="empty")
    orders.activate("control")
    emulator.faults.set([Drop(endpoints=ACTIVATE, applied=not activated)])
    assert no_outcome(orders, "used" if activated else "second").reason == "unsettled"


# --- the token --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "reason"), [(401, "token_refused"), (403, "token_refused"), (777, "altcraft_failing")]
)
def test_a_refused_token_loses_no_code(emulator: Emulator, aws: Aws, table: str, error: int, reason: str) -> None:
    emulator.settings = Settings(wrong_token=Refusal(error, "No ..."))
    emulator.programs.add(5, "good", "control", attached=True)
    secret = Secret()
    orders = make_orders(emulator.url, aws, table, secret=secret)
    orders.activate("control")
    secret.cached = secret.stored = "stale"
    failure = no_outcome(orders)
    assert (failure.reason, failure.altcraft_down) == (reason, True)
    secret.stored = TOKEN
    assert orders.activate("good").outcome is Outcome.ACTIVATED


def test_an_order_whose_tries_cannot_have_been_applied_is_not_answered_activated(
    emulator: Emulator, aws: Aws, table: str
) -> None:
    emulator.programs.add(5, "good", attached=True)
    secret = Secret("stale")
    orders = make_orders(emulator.url, aws, table, secret=secret)
    no_outcome(orders)
    secret.cached = TOKEN
    assert orders.activate("good", None).outcome is Outcome.ACTIVATED
    assert orders.activate("good").outcome is Outcome.ALREADY_ACTIVATED


def test_a_reply_lost_just_before_the_token_was_rotated_is_settled(emulator: Emulator, aws: Aws, table: str) -> None:
    emulator.settings = Settings(tokens=frozenset({TOKEN, "rotated"}), already_activated=None)
    emulator.programs.add(5, "good", attached=True)
    emulator.faults.set([Drop(endpoints=ACTIVATE, applied=True), Refuse(endpoints=GET, error=777, error_text="?")])
    orders = make_orders(emulator.url, aws, table, secret=Secret("rotated", cached=TOKEN))
    assert orders.activate("good").outcome is Outcome.ACTIVATED
    assert emulator.programs.activations[5, "good"] == 1


def test_an_unusable_secret_loses_no_code(emulator: Emulator, aws: Aws, table: str) -> None:
    failure = no_outcome(make_orders(emulator.url, aws, table, secret=Secret("{}")))
    assert failure.reason == "token_unreadable"
    assert "plain text" in str(failure)


# --- the ledger -------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Ends a run as SIGKILL does: no `except Exception` of the code runs."""


class DyingClient(Client):
    """Ends the run once Altcraft has applied the activation."""

    def activate(self, code: str, loyalty_id: int) -> None:
        super().activate(code, loyalty_id)
        raise Killed


def killed_run(emulator: Emulator, orders: Orders, *, seconds_left: float) -> None:
    """A run of order 1001 that was killed, and whose claim lasts this long."""
    activator = Activator(DyingClient(emulator.url, Token(Secret())), orders.ledger)
    with pytest.raises(Killed):
        activator.activate(Redemption("good", 5, "1001"), deadline(seconds_left))


def test_a_killed_run_blocks_every_order_until_its_claim_expires(orders: Orders, emulator: Emulator) -> None:
    killed_run(emulator, orders, seconds_left=60)
    for order_id in ("1001", "1002", None):
        assert no_outcome(orders, order_id=order_id).reason == "in_progress"


def test_a_killed_runs_activation_is_its_own_orders(orders: Orders, emulator: Emulator) -> None:
    killed_run(emulator, orders, seconds_left=-10)
    assert orders.activate("good", "1002").outcome is Outcome.ALREADY_ACTIVATED
    assert orders.activate("good", "1001").outcome is Outcome.ACTIVATED
    assert emulator.programs.activations[5, "good"] == 1


def test_an_operator_finds_in_one_item_which_order_used_the_code(orders: Orders, aws: Aws, table: str) -> None:
    before = datetime.now(UTC)
    orders.activate("good", "eu-shop/1001")
    key = {"loyalty_id": {"N": "5"}, "code": {"S": "good"}}
    item = aws.client("dynamodb").get_item(TableName=table, Key=key)["Item"]
    shown = {name: item[name]["S"] for name in ("code", "state", "order_id", "last_outcome")}
    assert shown == {"code": "good", "state": "redeemed", "order_id": "eu-shop/1001", "last_outcome": "activated"}
    assert before <= datetime.fromisoformat(item["redeemed_at"]["S"]) <= datetime.now(UTC)


class Counting:
    """A DynamoDB that counts its calls."""

    def __init__(self, dynamodb: Any) -> None:
        self._dynamodb = dynamodb
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.calls.append(name)
        return getattr(self._dynamodb, name)


@pytest.mark.parametrize("code", ["good", "loose"])
def test_an_activation_costs_two_writes(emulator: Emulator, aws: Aws, table: str, code: str) -> None:
    emulator.programs.add(5, "good", attached=True)
    emulator.programs.add(5, "loose")
    dynamodb = Counting(aws.client("dynamodb"))
    activator = Activator(Client(emulator.url, Token(Secret())), Ledger(table, dynamodb))
    activator.activate(Redemption(code, 5, "1001"), deadline())
    assert dynamodb.calls == ["put_item", "put_item"]


def test_an_expired_item_is_ignored_although_it_is_still_there(emulator: Emulator, aws: Aws, table: str) -> None:
    emulator.programs.add(5, "good", attached=True)
    days = [401]
    client = Client(emulator.url, Token(Secret()))

    def now() -> datetime:
        return datetime.now(UTC) - timedelta(days=days[-1])

    activator = Activator(client, Ledger(table, aws.client("dynamodb"), now), now)
    first = activator.activate(Redemption("good", 5, "1001"), now() + timedelta(minutes=1))
    assert first.outcome is Outcome.ACTIVATED
    days.append(0)
    emulator.programs.update(5, "good", activated=False, expire_date=None)
    again = activator.activate(Redemption("good", 5, "1002"), now() + timedelta(minutes=1))
    assert again.outcome is Outcome.ACTIVATED


def test_the_longest_code_and_order_fit_into_the_tables_keys(orders: Orders, emulator: Emulator) -> None:
    longest = "\U0001f600" * MAX_TEXT
    emulator.programs.add(5, longest, attached=True)
    assert orders.activate(longest, longest).outcome is Outcome.ACTIVATED
    assert orders.activate(longest, longest).outcome is Outcome.ACTIVATED


@pytest.mark.parametrize("code", ["null", "true", "123", "0123", "a#b"])
def test_codes_and_orders_that_look_like_something_else_are_texts(
    orders: Orders, emulator: Emulator, code: str
) -> None:
    emulator.programs.add(5, code, attached=True)
    emulator.faults.set([Drop(endpoints=ACTIVATE)])
    assert no_outcome(orders, code, code).reason == "unsettled"
    assert orders.activate(code, code).outcome is Outcome.ACTIVATED
    assert orders.activate(code, "1002").first_order == code


def test_a_table_that_does_not_answer_loses_no_code(emulator: Emulator, aws: Aws) -> None:
    emulator.programs.add(5, "good", attached=True)
    failure = no_outcome(make_orders(emulator.url, aws, "no-such-table"))
    assert failure.reason == "table_unavailable"
    assert "ResourceNotFoundException" in str(failure)
    assert emulator.journal.calls["activate"] == 0


class Throttled:
    """A DynamoDB that accepts claims, and no results."""

    def __init__(self, dynamodb: Any) -> None:
        self._dynamodb = dynamodb

    def put_item(self, **request: Any) -> Any:
        if request["Item"]["state"]["S"] != State.CLAIMED:
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "PutItem")
        return self._dynamodb.put_item(**request)


def test_an_activation_that_could_not_be_remembered_is_still_its_own_orders(
    orders: Orders, emulator: Emulator, aws: Aws, table: str
) -> None:
    ledger = Ledger(table, Throttled(aws.client("dynamodb")))
    with pytest.raises(TryAgain, match="ThrottlingException") as failed:
        Activator(Client(emulator.url, Token(Secret())), ledger).activate(Redemption("good", 5, "1001"), deadline(-10))
    assert failed.value.reason == "table_unavailable"
    assert orders.activate("good", "1002").outcome is Outcome.ALREADY_ACTIVATED
    assert orders.activate("good", "1001").outcome is Outcome.ACTIVATED
    assert emulator.programs.activations[5, "good"] == 1


def test_if_the_tables_reply_is_lost_the_repeated_write_is_recognised(
    orders: Orders, emulator: Emulator, aws: Aws, table: str
) -> None:
    class Repeating:
        """A DynamoDB whose replies are lost: botocore sends each write twice."""

        def put_item(self, **request: Any) -> Any:
            aws.client("dynamodb").put_item(**request)
            return aws.client("dynamodb").put_item(**request)

    activator = Activator(Client(emulator.url, Token(Secret())), Ledger(table, Repeating()))
    assert activator.activate(Redemption("good", 5, "1001"), deadline()).outcome is Outcome.ACTIVATED
    assert orders.activate("good", "1001").outcome is Outcome.ACTIVATED


def test_an_unreadable_item_is_named_and_blocks_no_other_code(
    orders: Orders, emulator: Emulator, aws: Aws, table: str
) -> None:
    orders.activate("control")
    key = {"loyalty_id": {"N": "5"}, "code": {"S": "good"}}
    damage: Any = {**key, "state": {"S": "used"}, "claim_id": {"N": "1.5"}, "known_at": {"S": "yesterday"}}
    aws.client("dynamodb").put_item(TableName=table, Item=damage)
    failure = no_outcome(orders)
    assert failure.reason == "table_unavailable"
    assert json.dumps(key) in str(failure)
    assert "(state: " in str(failure)
    assert orders.activate("second").outcome is Outcome.ACTIVATED
    assert orders.activate("unknown").outcome is Outcome.NOT_FOUND
    aws.client("dynamodb").delete_item(TableName=table, Key=key)
    assert orders.activate("good").outcome is Outcome.ACTIVATED


def test_a_run_that_outlives_its_claim_gives_no_answer_and_its_order_gets_it_later(
    orders: Orders, emulator: Emulator, aws: Aws, table: str
) -> None:
    class Slow(Client):
        def activate(self, code: str, loyalty_id: int) -> None:
            super().activate(code, loyalty_id)
            assert orders.activate("good", "1002").outcome is Outcome.ALREADY_ACTIVATED

    activator = Activator(Slow(emulator.url, Token(Secret())), Ledger(table, aws.client("dynamodb")))
    with pytest.raises(TryAgain) as failed:
        activator.activate(Redemption("good", 5, "1001"), deadline(-10))
    assert failed.value.reason == "in_progress"
    assert orders.activate("good", "1001").outcome is Outcome.ACTIVATED
