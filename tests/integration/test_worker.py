"""The queue's worker against a real queue, table and Altcraft, all over HTTP."""

import json
import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activate.worker import MAX_AGE_SECONDS, MAX_BACKOFF_SECONDS, MIN_BACKOFF_SECONDS, Worker, backoff
from local.emulator import Emulator
from local.emulator.faults import Drop, Page
from local.emulator.settings import Refusal, Settings
from local.engine import Aws
from tests.integration.activators import deadline, make_orders

DAY_MS = 24 * 3600 * 1000
CONTEXT: Any = None  # Powertools only passes it on


@dataclass
class Bench:
    """A worker with its queues."""

    worker: Worker
    sqs: Any
    queue_url: str
    dead_letter_queue_url: str
    until: datetime
    dynamodb: Any
    table: str

    def send(self, *orders: object) -> None:
        for order in orders:
            body = order if isinstance(order, str) else json.dumps(order)
            self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=body)

    def receive(self, *, sent_ms_ago: int = 0, first_received_ms_ago: int = 0) -> dict[str, Any]:
        """Receive one batch, in the form in which Lambda's event source mapping passes it."""
        shifts = {"SentTimestamp": sent_ms_ago, "ApproximateFirstReceiveTimestamp": first_received_ms_ago}
        received = self.sqs.receive_message(
            QueueUrl=self.queue_url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        )
        return {
            "Records": [
                {
                    "messageId": message["MessageId"],
                    "receiptHandle": message["ReceiptHandle"],
                    "body": message["Body"],
                    "attributes": {
                        **message["Attributes"],
                        **{name: str(int(message["Attributes"][name]) - ago) for name, ago in shifts.items()},
                    },
                    "messageAttributes": {},
                    "eventSource": "aws:sqs",
                    "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:activations",
                    "awsRegion": "eu-central-1",
                }
                for message in received.get("Messages", [])
            ]
        }

    def work(self, event: dict[str, Any]) -> list[str | None]:
        """Return the orders whose messages come back."""
        failed = {
            failure["itemIdentifier"] for failure in self.worker.work(event, CONTEXT, self.until)["batchItemFailures"]
        }
        return [json.loads(record["body"])["order_id"] for record in event["Records"] if record["messageId"] in failed]

    def item(self, code: str) -> dict[str, Any]:
        """The ledger's item of a code."""
        key = {"loyalty_id": {"N": "5"}, "code": {"S": code}}
        item: dict[str, Any] = self.dynamodb.get_item(TableName=self.table, Key=key)["Item"]
        return item

    def dead_letters(self) -> list[dict[str, Any]]:
        received: list[dict[str, Any]] = self.sqs.receive_message(
            QueueUrl=self.dead_letter_queue_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages", [])
        return received


def order(code: str, order_id: str = "shop/1001") -> dict[str, object]:
    return {
        "code": code,
        "loyalty_id": 5,
        "order_id": order_id,
        "source": "shop",
        "received_at": "2026-11-22T06:00:00Z",
    }


@pytest.fixture
def bench(emulator: Emulator, aws: Aws, table: str) -> Bench:
    sqs = aws.client("sqs")
    queue_url, dead_letter_queue_url = (
        sqs.create_queue(QueueName=f"{name}-{uuid.uuid4()}", Attributes={"VisibilityTimeout": "30"})["QueueUrl"]
        for name in ("activations", "dead")
    )
    orders = make_orders(emulator.url, aws, table)
    worker = Worker(orders.acts, orders.ledger, sqs, queue_url, dead_letter_queue_url)
    emulator.programs.add(5, *(f"c{number}" for number in range(10)), attached=True)
    return Bench(worker, sqs, queue_url, dead_letter_queue_url, deadline(), aws.client("dynamodb"), table)


def test_a_batch_is_activated_and_none_comes_back(bench: Bench, emulator: Emulator) -> None:
    bench.send(*(order(f"c{number}", f"shop/{number}") for number in range(10)))
    assert bench.work(bench.receive()) == []
    assert all(emulator.programs.activations[5, f"c{number}"] == 1 for number in range(10))


@pytest.mark.parametrize("down", [True, False])
def test_each_try_records_how_long_the_order_has_been_waiting(
    bench: Bench, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], down: bool
) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "test")
    emulator.faults.set([Page(status=503, calls=None)] if down else [])
    bench.send(order("c1"))

    assert bench.work(bench.receive(sent_ms_ago=3_600_000)) == (["shop/1001"] if down else [])

    recorded = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"MessageAge"' in line]
    assert [3600 <= age < 3700 for metric in recorded for age in metric["MessageAge"]] == [True]


def test_the_same_message_twice_activates_once(bench: Bench, emulator: Emulator) -> None:
    bench.send(order("c1"), order("c1"))
    assert bench.work(bench.receive()) == []
    assert emulator.programs.activations[5, "c1"] == 1


def test_a_message_that_can_never_succeed_ends_at_once(bench: Bench, emulator: Emulator) -> None:
    emulator.programs.add(5, "loose")
    bench.send(order("c1", "shop/1"), order("c1", "shop/2"), order("loose"), order("unknown"))
    assert bench.work(bench.receive()) == []
    assert bench.dead_letters() == []


def test_only_the_messages_that_failed_come_back_each_after_a_backoff(bench: Bench, emulator: Emulator) -> None:
    emulator.faults.set([Drop(endpoints=frozenset({"activate"}))])
    bench.send(order("c1", "shop/1"), order("c2", "shop/2"))
    event = bench.receive()
    assert bench.work(event) == [json.loads(event["Records"][0]["body"])["order_id"]]
    assert emulator.journal.calls["activate"] == 2


def test_the_circuit_breaker_opens_while_altcraft_is_down(bench: Bench, emulator: Emulator) -> None:
    emulator.faults.set([Page(status=503, calls=None)])
    bench.send(*(order(f"c{number}", f"shop/{number}") for number in range(10)))
    assert len(bench.work(bench.receive())) == 10
    assert emulator.journal.calls["activate"] == 3
    bench.send(order("c9", "shop/9"))
    assert bench.work(bench.receive()) == ["shop/9"]
    assert emulator.journal.calls["activate"] == 3


def test_a_message_that_was_tried_for_a_day_becomes_a_dead_letter_with_its_reason(
    bench: Bench, emulator: Emulator
) -> None:
    emulator.settings = Settings(wrong_token=Refusal(401, "API token required"), tokens=frozenset({"another"}))
    bench.send(order("c1"))
    assert bench.work(bench.receive(sent_ms_ago=DAY_MS, first_received_ms_ago=DAY_MS)) == []
    (letter,) = bench.dead_letters()
    assert json.loads(letter["Body"]) == order("c1")
    reasons = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert reasons["reason"] == "token_refused"
    assert "401" in reasons["detail"]


def test_a_reversal_that_was_tried_for_a_day_becomes_a_dead_letter_and_still_is_one_of_a_reversal(
    bench: Bench, emulator: Emulator
) -> None:
    reversal = order("c1") | {"action": "deactivate"}
    bench.send(order("c1"))
    assert bench.work(bench.receive()) == []
    emulator.faults.set([Page(status=503, endpoints=frozenset({"update"}), calls=None)])
    bench.send(reversal)
    assert bench.work(bench.receive(sent_ms_ago=DAY_MS, first_received_ms_ago=DAY_MS)) == []
    (letter,) = bench.dead_letters()
    assert json.loads(letter["Body"]) == reversal

    emulator.faults.set([])
    bench.send(letter["Body"])
    assert bench.work(bench.receive()) == []
    assert bench.item("c1")["last_outcome"] == {"S": "deactivated"}
    assert emulator.programs.get(5, "c1").activated is None


def test_a_message_that_nobody_received_for_a_day_is_still_retried_for_a_day(bench: Bench, emulator: Emulator) -> None:
    emulator.faults.set([Page(status=503, calls=None)])
    bench.send(order("c1"))
    assert bench.work(bench.receive(sent_ms_ago=2 * DAY_MS)) == ["shop/1001"]
    assert bench.dead_letters() == []


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not json",
        "[" * 100_000,
        "[]",
        "null",
        '"text"',
        '{"code": 5}',
        '{"code": "x", "loyalty_id": 0}',
        json.dumps(order("c1") | {"action": "refund"}),
        json.dumps(order("c1") | {"action": None}),
        json.dumps(order("c1") | {"action": ["deactivate"]}),
        json.dumps(order("c1") | {"action": "deactivate", "order_id": None}),
    ],
)
def test_an_unreadable_message_is_kept_for_a_person(bench: Bench, body: str) -> None:
    bench.send(body or " ")
    assert bench.worker.work(bench.receive(), CONTEXT, bench.until) == {"batchItemFailures": []}
    (letter,) = bench.dead_letters()
    assert letter["MessageAttributes"]["reason"]["StringValue"] == "unreadable"


def test_a_message_to_give_a_code_back_that_names_no_order_is_kept_for_a_person(bench: Bench) -> None:
    bench.send({"code": "c1", "loyalty_id": 5, "action": "deactivate"})
    assert bench.work(bench.receive()) == []
    (letter,) = bench.dead_letters()
    assert letter["MessageAttributes"]["reason"]["StringValue"] == "unreadable"
    assert letter["MessageAttributes"]["detail"]["StringValue"].startswith("order_id: is required")


def test_a_message_that_cannot_be_sent_to_the_dead_letter_queue_comes_back(bench: Bench) -> None:
    bench.send("not json")
    event = bench.receive()
    ledger: Any = None
    worker = Worker({}, ledger, bench.sqs, bench.queue_url, bench.queue_url + "-gone")
    failures = worker.work(event, CONTEXT, bench.until)["batchItemFailures"]
    assert [failure["itemIdentifier"] for failure in failures] == [event["Records"][0]["messageId"]]


def test_a_message_is_not_begun_without_enough_time(bench: Bench, emulator: Emulator) -> None:
    bench.send(order("c1"))
    hurried = replace(bench, until=deadline(10))
    assert hurried.work(hurried.receive()) == ["shop/1001"]
    assert emulator.journal.calls["activate"] == 0


def test_a_message_is_not_given_up_by_a_try_without_a_call(bench: Bench, emulator: Emulator) -> None:
    bench.send(order("c1"))
    hurried = replace(bench, until=deadline(10))
    assert hurried.work(hurried.receive(first_received_ms_ago=2 * DAY_MS)) == ["shop/1001"]
    assert bench.dead_letters() == []


def test_a_message_without_an_order_is_the_same_request_when_it_comes_again(bench: Bench, emulator: Emulator) -> None:
    emulator.faults.set([Drop(endpoints=frozenset({"activate"}), applied=True), Page(endpoints=frozenset({"get"}))])
    bench.send(order("c1") | {"order_id": None})
    event = bench.receive()
    assert bench.work(event) == [None]
    assert bench.work(event) == []
    assert bench.work(event) == []
    item = bench.item("c1")
    assert item["state"]["S"] == "redeemed"
    assert item["order_id"]["S"] == f"message/{event['Records'][0]['messageId']}"


def test_a_message_whose_backoff_cannot_be_set_comes_back_anyway(bench: Bench, emulator: Emulator) -> None:
    emulator.faults.set([Drop(endpoints=frozenset({"activate"}))])
    bench.send(order("c1"))
    event = bench.receive()
    event["Records"][0]["receiptHandle"] = "stale"
    assert bench.work(event) == ["shop/1001"]


@given(st.floats(0, 2 * MAX_AGE_SECONDS))
def test_backoffs_stay_within_their_bounds(age: float) -> None:
    assert MIN_BACKOFF_SECONDS * 0.9 - 1 <= backoff(age) <= MAX_BACKOFF_SECONDS


def test_backoffs_grow_and_a_day_of_them_fits_into_the_queues_receives() -> None:
    age, receives = 0.0, 0
    while age < MAX_AGE_SECONDS:
        age += backoff(age)
        receives += 1
    assert backoff(3600) > backoff(60) > backoff(10)
    # template.yaml's maxReceiveCount is only a safeguard: it must not end a message before the worker does.
    assert receives < 150


def test_a_queue_whose_clock_is_ahead_of_ours_does_no_harm(bench: Bench) -> None:
    bench.send(order("c1"))
    ahead = -3_600_000
    assert bench.work(bench.receive(sent_ms_ago=ahead, first_received_ms_ago=ahead)) == []


def test_a_hand_made_event_may_omit_the_timestamps(bench: Bench, emulator: Emulator) -> None:
    bench.send(order("c1"))
    event = bench.receive()
    event["Records"][0]["attributes"] = {"ApproximateReceiveCount": "1"}
    assert bench.work(event) == []
    assert emulator.programs.activations[5, "c1"] == 1
