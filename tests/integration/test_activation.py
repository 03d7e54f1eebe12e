"""Activations end to end below the doors: a real table over HTTP, an Altcraft over HTTP, in both wire formats."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from botocore.exceptions import ClientError

from activate.activation import MAX_TEXT, Activator, Outcome, Redemption, Result, TryAgain
from activate.redemptions import Redemptions
from altcraft.client import Client, Timeouts
from altcraft.token import Token
from altcraft.wire import Wire
from local.aws import Aws
from local.emulator import Emulator
from local.emulator.faults import Drop, Page, Refuse
from local.emulator.settings import Refusal, Settings

TOKEN = "local-altcraft-token"


@dataclass
class Secret:
    """A secret in memory."""

    value: str = TOKEN

    def text(self) -> str:
        return self.value

    def refresh(self) -> str:
        return self.value


@dataclass
class Context:
    """What Powertools needs of Lambda's context: how long the invocation may still last."""

    remaining_ms: int = 60_000

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_ms


@pytest.fixture(params=get_args(Wire))
def activator(request: pytest.FixtureRequest, emulator: Emulator, aws: Aws, table: str) -> Activator:
    emulator.programs.add(5, "good", "second", attached=True)
    emulator.programs.add(5, "loose")
    emulator.programs.add(5, "used", attached=True, activated=True)
    emulator.programs.add(5, "old", attached=True, expire_date=datetime(2024, 4, 1, tzinfo=UTC))
    return make_activator(emulator, aws, table, request.param)


def make_activator(
    emulator: Emulator,
    aws: Aws,
    table: str,
    wire: Wire = "json",
    *,
    remaining_ms: int = 60_000,
    secret: Secret | None = None,
) -> Activator:
    redemptions = Redemptions(table, aws.client("dynamodb"))
    context: Any = Context(remaining_ms)
    redemptions.invocation(context)
    client = Client(emulator.url, Token(secret or Secret()), wire, Timeouts(connect=1, read=1, total=2))
    return Activator(client, redemptions)


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
def test_each_outcome_is_named_by_what_is_true(
    activator: Activator, emulator: Emulator, code: str, outcome: Outcome, order_id: str | None
) -> None:
    result = activator.activate(Redemption(code, 5, order_id))
    assert result.outcome is outcome
    assert (result.refusal is None) == (outcome is Outcome.ACTIVATED)
    assert emulator.programs.activations[5, "good"] == (code == "good")


def test_outcomes_do_not_depend_on_the_codes_that_altcraft_does_not_document(
    activator: Activator, emulator: Emulator
) -> None:
    emulator.settings = Settings(
        error_status=400,
        wrong_token=Refusal(999, "?"),
        no_code=Refusal(440, "?"),
        not_attached=Refusal(400, "?"),
        already_activated=Refusal(500, "?"),
        expired=Refusal(-1, ""),
    )
    outcomes = {
        code: activator.activate(Redemption(code, 5, "1")).outcome for code in ("used", "loose", "old", "unknown")
    }
    assert outcomes == {
        "used": Outcome.ALREADY_ACTIVATED,
        "loose": Outcome.NOT_ATTACHED,
        "old": Outcome.EXPIRED,
        "unknown": Outcome.NOT_FOUND,
    }


def test_a_refusal_that_get_does_not_explain_is_rejected_with_altcrafts_words(
    activator: Activator, emulator: Emulator
) -> None:
    emulator.faults.set([Refuse(endpoints=frozenset({"activate"}), error=402, error_text="Tariff limit reached")])
    result = activator.activate(Redemption("good", 5, "1"))
    assert result.outcome is Outcome.REJECTED
    assert result.refusal is not None
    assert result.refusal.error_text == "Tariff limit reached"


def test_the_same_order_gets_its_first_answer_again(activator: Activator, emulator: Emulator) -> None:
    first = activator.activate(Redemption("good", 5, "1001"))
    again = activator.activate(Redemption("good", 5, "1001"))
    assert first == again == Result(Outcome.ACTIVATED)
    assert emulator.journal.calls["activate"] == 1


def test_another_order_with_the_same_code_is_a_double_redemption(activator: Activator, emulator: Emulator) -> None:
    activator.activate(Redemption("good", 5, "1001"))
    result = activator.activate(Redemption("good", 5, "1002"))
    assert result == Result(Outcome.ALREADY_ACTIVATED, first_order="1001")
    assert emulator.journal.calls["activate"] == 1


def test_the_same_code_of_another_program_is_another_code(activator: Activator, emulator: Emulator) -> None:
    emulator.programs.add(6, "good", attached=True)
    assert activator.activate(Redemption("good", 5, "1001")).outcome is Outcome.ACTIVATED
    assert activator.activate(Redemption("good", 6, "1002")).outcome is Outcome.ACTIVATED


def test_a_request_without_an_order_is_always_a_new_one(activator: Activator) -> None:
    assert activator.activate(Redemption("good", 5)).outcome is Outcome.ACTIVATED
    assert activator.activate(Redemption("good", 5)).outcome is Outcome.ALREADY_ACTIVATED


def test_only_activated_is_remembered(activator: Activator, emulator: Emulator) -> None:
    assert activator.activate(Redemption("late", 5, "1001")).outcome is Outcome.NOT_FOUND
    emulator.programs.add(5, "late", attached=True)
    assert activator.activate(Redemption("late", 5, "1001")).outcome is Outcome.ACTIVATED


@pytest.mark.parametrize("order_id", [None, "1001"])
def test_a_lost_reply_is_settled_by_get(activator: Activator, emulator: Emulator, order_id: str | None) -> None:
    emulator.faults.set([Drop(endpoints=frozenset({"activate"}), applied=True)])
    assert activator.activate(Redemption("good", 5, order_id)).outcome is Outcome.ACTIVATED
    assert emulator.programs.activations[5, "good"] == 1


def test_a_lost_reply_about_a_code_used_long_ago_is_no_activation(aws: Aws, table: str) -> None:
    moments = [datetime(2024, 4, 1, tzinfo=UTC)]
    with Emulator(clock=lambda: moments[-1]) as emulator:
        emulator.programs.add(5, "used", attached=True, activated=True)
        moments.append(datetime.now(UTC))
        emulator.faults.set([Drop(endpoints=frozenset({"activate"}))])
        result = make_activator(emulator, aws, table).activate(Redemption("used", 5, "1001"))
    assert result.outcome is Outcome.ALREADY_ACTIVATED


def test_a_lost_request_has_no_outcome_yet(activator: Activator, emulator: Emulator) -> None:
    emulator.faults.set([Drop(endpoints=frozenset({"activate"}))])
    with pytest.raises(TryAgain) as failed:
        activator.activate(Redemption("good", 5, "1001"))
    assert failed.value.reason == "unsettled"
    assert activator.activate(Redemption("good", 5, "1001")).outcome is Outcome.ACTIVATED


def test_a_reply_lost_together_with_gets_is_settled_by_the_next_try(activator: Activator, emulator: Emulator) -> None:
    emulator.faults.set([Drop(applied=True), Page(endpoints=frozenset({"get"}))])
    with pytest.raises(TryAgain) as failed:
        activator.activate(Redemption("good", 5, "1001"))
    assert failed.value.altcraft_down
    assert activator.activate(Redemption("good", 5, "1001")).outcome is Outcome.ACTIVATED
    assert activator.activate(Redemption("good", 5, "1002")).first_order == "1001"
    assert emulator.programs.activations[5, "good"] == 1


def test_another_order_does_not_take_the_credit_for_an_unsettled_one(activator: Activator, emulator: Emulator) -> None:
    emulator.faults.set([Drop(applied=True), Page(endpoints=frozenset({"get"}))])
    with pytest.raises(TryAgain):
        activator.activate(Redemption("good", 5, "1001"))
    assert activator.activate(Redemption("good", 5, "1002")).outcome is Outcome.ALREADY_ACTIVATED
    assert activator.activate(Redemption("good", 5, "1001")).outcome is Outcome.ACTIVATED


def test_altcrafts_clock_may_be_wrong(emulator: Emulator, aws: Aws, table: str) -> None:
    behind = Emulator(clock=lambda: datetime.now(UTC) - timedelta(hours=5))
    with behind:
        behind.programs.add(5, "good", attached=True)
        behind.faults.set([Drop(endpoints=frozenset({"activate"}), applied=True)])
        result = make_activator(behind, aws, table).activate(Redemption("good", 5, "1001"))
    assert result.outcome is Outcome.ACTIVATED


@pytest.mark.parametrize("error", [401, 403, 777])
def test_a_refused_token_loses_no_code(emulator: Emulator, aws: Aws, table: str, error: int) -> None:
    emulator.settings = Settings(wrong_token=Refusal(error, "No ..."))
    emulator.programs.add(5, "good", attached=True)
    secret = Secret("stale")
    activator = make_activator(emulator, aws, table, secret=secret)
    with pytest.raises(TryAgain) as failed:
        activator.activate(Redemption("good", 5, "1001"))
    assert failed.value.reason == "token_refused"
    secret.value = TOKEN
    assert activator.activate(Redemption("good", 5, "1001")).outcome is Outcome.ACTIVATED


def test_an_order_whose_tries_cannot_have_been_applied_takes_no_credit(
    emulator: Emulator, aws: Aws, table: str
) -> None:
    emulator.programs.add(5, "good", attached=True)
    secret = Secret("stale")
    activator = make_activator(emulator, aws, table, secret=secret)
    with pytest.raises(TryAgain):
        activator.activate(Redemption("good", 5, "1001"))
    secret.value = TOKEN
    assert activator.activate(Redemption("good", 5)).outcome is Outcome.ACTIVATED
    assert activator.activate(Redemption("good", 5, "1001")).outcome is Outcome.ALREADY_ACTIVATED


class RotatedSecret(Secret):
    """Holds another token by the time it is read again."""

    def refresh(self) -> str:
        self.value = "rotated"
        return self.value


def test_a_reply_lost_just_before_the_token_was_rotated_is_settled(emulator: Emulator, aws: Aws, table: str) -> None:
    emulator.settings = Settings(tokens=frozenset({TOKEN, "rotated"}))
    emulator.programs.add(5, "good", attached=True)
    emulator.faults.set(
        [
            Drop(endpoints=frozenset({"activate"}), applied=True),
            Refuse(endpoints=frozenset({"get"}), error=777, error_text="?"),
        ]
    )
    activator = make_activator(emulator, aws, table, secret=RotatedSecret())
    assert activator.activate(Redemption("good", 5, "1001")).outcome is Outcome.ACTIVATED


def test_a_lost_reply_is_not_settled_by_a_get_that_the_tariff_refuses(activator: Activator, emulator: Emulator) -> None:
    emulator.faults.set(
        [
            Drop(endpoints=frozenset({"activate"}), applied=True),
            Refuse(endpoints=frozenset({"get"}), error=402, error_text="Tariff limit reached"),
        ]
    )
    with pytest.raises(TryAgain) as failed:
        activator.activate(Redemption("good", 5, "1001"))
    assert failed.value.reason == "unsettled"
    assert activator.activate(Redemption("good", 5, "1001")).outcome is Outcome.ACTIVATED


def test_the_longest_code_and_order_fit_into_the_tables_keys(activator: Activator, emulator: Emulator) -> None:
    longest = "\U0001f600" * MAX_TEXT
    emulator.programs.add(5, longest, attached=True)
    assert activator.activate(Redemption(longest, 5, longest)).outcome is Outcome.ACTIVATED


def test_an_attempt_belongs_to_one_code_and_order_whatever_is_in_them(activator: Activator, emulator: Emulator) -> None:
    emulator.programs.add(5, "a", "a#b", attached=True)
    emulator.faults.set([Drop(endpoints=frozenset({"activate"}))])
    with pytest.raises(TryAgain):
        activator.activate(Redemption("a#b", 5, "c"))
    assert activator.activate(Redemption("a", 5)).outcome is Outcome.ACTIVATED
    assert activator.activate(Redemption("a", 5, "b#c")).outcome is Outcome.ALREADY_ACTIVATED


def test_an_unusable_secret_loses_no_code(emulator: Emulator, aws: Aws, table: str) -> None:
    with pytest.raises(TryAgain, match="plain text") as failed:
        make_activator(emulator, aws, table, secret=Secret("{}")).activate(Redemption("good", 5, "1001"))
    assert failed.value.reason == "token_unreadable"


class Killed(BaseException):
    """Ends a run as SIGKILL does: no handler of ours takes part."""


class DyingClient(Client):
    """Ends the run once Altcraft has applied the activation."""

    def activate(self, code: str, loyalty_id: int) -> None:
        super().activate(code, loyalty_id)
        raise Killed


def killed_run(emulator: Emulator, aws: Aws, table: str, *, remaining_ms: int) -> None:
    """A run of order 1001 that might have lasted so long and was killed."""
    redemptions = Redemptions(table, aws.client("dynamodb"))
    context: Any = Context(remaining_ms)
    redemptions.invocation(context)
    with pytest.raises(Killed):
        Activator(DyingClient(emulator.url, Token(Secret())), redemptions).activate(Redemption("good", 5, "1001"))


def test_a_killed_run_bars_every_order_until_its_time_is_over(emulator: Emulator, aws: Aws, table: str) -> None:
    emulator.programs.add(5, "good", attached=True)
    killed_run(emulator, aws, table, remaining_ms=60_000)
    for order_id in ("1001", "1002"):
        with pytest.raises(TryAgain) as failed:
            make_activator(emulator, aws, table).activate(Redemption("good", 5, order_id))
        assert failed.value.reason == "in_progress"


def test_a_killed_runs_activation_is_its_own_orders(emulator: Emulator, aws: Aws, table: str) -> None:
    emulator.programs.add(5, "good", attached=True)
    killed_run(emulator, aws, table, remaining_ms=-1)
    assert make_activator(emulator, aws, table).activate(Redemption("good", 5, "1001")).outcome is Outcome.ACTIVATED
    assert emulator.programs.activations[5, "good"] == 1


def test_a_table_that_does_not_answer_loses_no_code(emulator: Emulator, aws: Aws) -> None:
    emulator.programs.add(5, "good", attached=True)
    with pytest.raises(TryAgain) as failed:
        make_activator(emulator, aws, "no-such-table").activate(Redemption("good", 5, "1001"))
    assert failed.value.reason == "table_unavailable"
    assert "ResourceNotFoundException" in str(failed.value)
    assert emulator.journal.calls["activate"] == 0


class Throttled:
    """A DynamoDB that does not take the finished answer of a redemption; it does everything else."""

    def __init__(self, dynamodb: Any) -> None:
        self._dynamodb = dynamodb

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dynamodb, name)

    def update_item(self, **request: Any) -> Any:
        if request["Key"]["id"]["S"].startswith("redemption#"):
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "UpdateItem")
        return self._dynamodb.update_item(**request)


def test_an_activation_that_could_not_be_remembered_is_still_its_own_orders(
    emulator: Emulator, aws: Aws, table: str
) -> None:
    emulator.programs.add(5, "good", attached=True)
    redemptions = Redemptions(table, Throttled(aws.client("dynamodb")))
    context: Any = Context(remaining_ms=-1)
    redemptions.invocation(context)
    with pytest.raises(TryAgain, match="ThrottlingException") as failed:
        Activator(Client(emulator.url, Token(Secret())), redemptions).activate(Redemption("good", 5, "1001"))
    assert failed.value.reason == "table_unavailable"
    activator = make_activator(emulator, aws, table)
    assert activator.activate(Redemption("good", 5, "1002")).outcome is Outcome.ALREADY_ACTIVATED
    assert activator.activate(Redemption("good", 5, "1001")).outcome is Outcome.ACTIVATED
    assert emulator.programs.activations[5, "good"] == 1
