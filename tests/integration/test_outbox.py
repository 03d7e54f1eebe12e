"""The outbox over what the ledger really writes: its table, the table's stream, and a bus, all over HTTP."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activate.ledger import Ledger
from activate.outbox import Outbox
from activate.redemption import Outcome, Redemption
from local.engine import Aws
from tests.buses import Entry, FakeBus, fake_bus
from tests.event_schemas import faults

PAID = Redemption("Code-1", 5, "eu-shop/1001", "eu-shop")
LATER = Redemption("Code-1", 5, "blog/7", "blog")


@dataclass
class Stream:
    """A ledger, and its table's stream as Lambda reads it."""

    ledger: Ledger
    dynamodb: Any
    streams: Any
    table: str

    def records(self) -> list[dict[str, Any]]:
        """Every record so far."""
        arn = self.dynamodb.describe_table(TableName=self.table)["Table"]["LatestStreamArn"]
        (shard,) = self.streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        iterator = self.streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        records = self.streams.get_records(ShardIterator=iterator)["Records"]
        # As JSON, for which both Lambda and the AWS CLI write the time in their own way.
        read: list[dict[str, Any]] = json.loads(json.dumps(records, default=datetime.isoformat))
        return read

    def until(self) -> datetime:
        return datetime.now(UTC) + timedelta(minutes=1)

    def redeem(self, redemption: Redemption = PAID) -> None:
        self.ledger.redeem(self.ledger.claim(redemption, self.until()), ())

    def release(self, ending: str, redemption: Redemption = PAID) -> None:
        self.ledger.release(self.ledger.claim(redemption, self.until()), ending, (), exists=True)

    def give_back(self, redemption: Redemption = PAID) -> None:
        self.ledger.close(self.ledger.claim_return(redemption, self.until()), Outcome.DEACTIVATED, lost=False)


@pytest.fixture
def stream(aws: Aws, table: str) -> Stream:
    dynamodb = aws.client("dynamodb")
    dynamodb.update_table(
        TableName=table, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    )
    return Stream(Ledger(table, dynamodb, has_events=True), dynamodb, aws.client("dynamodbstreams"), table)


@pytest.fixture
def fake() -> Iterator[FakeBus]:
    with fake_bus() as serving:
        yield serving


def published(fake: FakeBus) -> list[tuple[str, dict[str, Any]]]:
    """The detail-type and the detail of every accepted event, without its id and time; each as its schema says."""
    found = []
    for entry in fake.accepted:
        detail = json.loads(entry["Detail"])
        assert faults(entry["DetailType"], detail) == []
        own = {name: value for name, value in detail.items() if name not in {"event_id", "occurred_at", "loyalty_id"}}
        found.append((entry["DetailType"], own))
    return found


OF_PAID = {"code": "Code-1", "order_id": "eu-shop/1001", "source": "eu-shop"}
OF_LATER = {"code": "Code-1", "order_id": "blog/7", "source": "blog"}


def test_given_the_life_of_a_code_then_each_step_that_matters_is_published(stream: Stream, fake: FakeBus) -> None:
    stream.release("not_attached")
    stream.release("unsettled")
    stream.redeem()
    stream.ledger.note("double_redemption", LATER, "first")
    stream.give_back()
    stream.redeem(LATER)
    stream.ledger.note("given_up", PAID, "message", "unsettled")

    assert Outbox(fake.bus()).publish(stream.records()) == {"batchItemFailures": []}

    assert published(fake) == [
        ("Promo Code Not Activated", OF_PAID | {"outcome": "not_attached"}),
        ("Promo Code Activated", OF_PAID),
        ("Promo Code Double Redemption", OF_LATER | {"first_order_id": "eu-shop/1001"}),
        ("Promo Code Deactivated", OF_PAID),
        ("Promo Code Activated", OF_LATER),
        ("Promo Code Given Up", OF_PAID | {"reason": "unsettled"}),
    ]


def test_given_a_run_that_is_repeated_then_its_events_have_the_same_ids(stream: Stream, fake: FakeBus) -> None:
    for _ in range(2):
        stream.release("not_attached")
    stream.redeem(LATER)
    for _ in range(2):
        stream.ledger.note("double_redemption", PAID, "the first order's time")
    stream.ledger.note("double_redemption", PAID, "another order's time")

    Outbox(fake.bus()).publish(stream.records())

    ids = [json.loads(entry["Detail"])["event_id"] for entry in fake.accepted]
    assert ids[0] == ids[1]
    assert len(set(ids)) == len(ids) - 1 == 4


def test_given_a_caller_without_an_order_then_neither_order_nor_source_is_published(
    stream: Stream, fake: FakeBus
) -> None:
    stream.redeem(Redemption("Code-1", 5))

    Outbox(fake.bus()).publish(stream.records())

    assert published(fake) == [("Promo Code Activated", {"code": "Code-1", "order_id": None, "source": None})]


def test_given_a_reversal_that_only_finds_out_who_holds_the_code_then_that_is_published_once(
    stream: Stream, fake: FakeBus
) -> None:
    # An order whose reply was lost.
    claim = stream.ledger.claim(PAID, datetime.now(UTC) - timedelta(hours=1))
    stream.ledger.release(claim, "unsettled", claim.unsettled, exists=True)
    late = Ledger(stream.table, stream.dynamodb, lambda: datetime.now(UTC) + timedelta(hours=1), has_events=True)
    held = late.hold(late.claim_return(PAID, datetime.now(UTC) + timedelta(hours=2)))
    late.keep(held, "unsettled", begun=True)

    Outbox(fake.bus()).publish(stream.records())

    assert published(fake) == [("Promo Code Activated", OF_PAID)]


def test_given_a_reversal_that_finds_nothing_to_give_back_then_nothing_is_published(
    stream: Stream, fake: FakeBus
) -> None:
    stream.release("unsettled")
    claim = stream.ledger.claim_return(PAID, stream.until())
    assert claim.closure(PAID.order_id)
    stream.redeem(LATER)
    stream.ledger.close(stream.ledger.claim_return(LATER, stream.until()), Outcome.NOT_FOUND, lost=False)

    Outbox(fake.bus()).publish(stream.records())

    assert published(fake) == [("Promo Code Activated", OF_LATER)]


def test_given_an_item_that_is_deleted_then_that_is_no_event(stream: Stream, fake: FakeBus) -> None:
    stream.redeem()
    key = {"loyalty_id": {"N": "5"}, "code": {"S": "Code-1"}}
    stream.dynamodb.delete_item(TableName=stream.table, Key=key)

    Outbox(fake.bus()).publish(stream.records())

    assert len(fake.accepted) == 1


def counted(capsys: pytest.CaptureFixture[str], metric: str) -> list[float]:
    """The values of a metric that was written."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [value for line in lines for value in line.get(metric, [])]


def redeemed(stream: Stream, count: int) -> list[dict[str, Any]]:
    """The records of as many activations."""
    for number in range(count):
        stream.redeem(Redemption(f"Code-{number}", 5, "1001"))
    return stream.records()


def sequence(records: list[dict[str, Any]], code: str) -> str:
    """The sequence number of the record by which a code became an event."""
    numbers: list[str] = [
        one["dynamodb"]["SequenceNumber"]
        for one in records
        if one["dynamodb"]["Keys"]["code"]["S"] == code and "redeemed_at" in one["dynamodb"]["NewImage"]
    ]
    return numbers[0]


def test_given_a_batch_that_is_delivered_again_then_the_events_have_the_same_ids(stream: Stream, fake: FakeBus) -> None:
    records = redeemed(stream, 3)

    for _ in range(2):
        Outbox(fake.bus()).publish(records)

    assert fake.codes == ["Code-0", "Code-1", "Code-2"] * 2
    assert fake.ids[:3] == fake.ids[3:]
    assert len(set(fake.ids)) == 3


def test_given_a_part_that_is_refused_then_the_first_record_of_it_is_named_and_nothing_after_it_is_skipped(
    stream: Stream,
) -> None:
    records, ill = redeemed(stream, 15), {"Code-11"}

    def refuse(entry: Entry) -> str | None:
        return "InternalFailure" if json.loads(entry["Detail"])["code"] in ill else None

    with fake_bus(refuse=refuse) as fake:
        outbox = Outbox(fake.bus())
        (failure,) = outbox.publish(records)["batchItemFailures"]
        ill.clear()
        rest = [one for one in records if one["dynamodb"]["SequenceNumber"] >= failure["itemIdentifier"]]
        assert outbox.publish(rest) == {"batchItemFailures": []}

    assert failure["itemIdentifier"] == sequence(records, "Code-11")
    assert set(fake.codes) == {f"Code-{number}" for number in range(15)}


@pytest.mark.parametrize("settings", [{"denied": "AccessDeniedException"}, {"silent": True}], ids=["denied", "silent"])
def test_given_a_bus_that_takes_nothing_then_the_whole_batch_comes_again(
    stream: Stream, settings: dict[str, object], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    records = redeemed(stream, 2)

    with fake_bus(**settings) as fake:
        answer = Outbox(fake.bus()).publish(records)

    assert answer == {"batchItemFailures": [{"itemIdentifier": sequence(records, "Code-0")}]}
    assert counted(capsys, "EventsNotSent") == [2]
    (error,) = caplog.records
    assert vars(error)["detail_type"] == "Promo Code Activated"
    assert vars(error)["reason"]


def test_given_an_item_that_a_person_edited_then_it_is_counted_and_does_not_hold_up_the_others(
    stream: Stream, fake: FakeBus, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    stream.redeem()
    stream.dynamodb.update_item(
        TableName=stream.table,
        Key={"loyalty_id": {"N": "5"}, "code": {"S": "Code-1"}},
        UpdateExpression="SET redeemed_at = :nonsense",
        ExpressionAttributeValues={":nonsense": {"S": "last Tuesday"}},
    )
    stream.redeem(Redemption("Code-2", 5, "1002"))

    assert Outbox(fake.bus()).publish(stream.records()) == {"batchItemFailures": []}

    assert fake.codes == ["Code-1", "Code-2"]
    assert counted(capsys, "UnreadableChanges") == [1]
    (error,) = caplog.records
    assert "redeemed_at" in vars(error)["detail"]
    assert '"Code-1"' in vars(error)["key"]
