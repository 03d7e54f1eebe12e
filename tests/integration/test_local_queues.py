"""The queue's event source mapping, against moto's SQS: batches, partial failures, redrive, and the records of the event."""

import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.application import Function, QueueSource
from local.aws import Aws
from local.functions import Pool
from local.queues import Poller, item_failures, record
from local.waiting import wait_until

ARN = "arn:aws:sqs:eu-central-1:123456789012"


class Queue:
    """A queue with a dead-letter queue, polled for the stand-in handler `queue`."""

    def __init__(self, aws: Aws, name: str, notes: Path, max_receives: int = 3) -> None:
        self.name = name
        self.notes = notes
        self.sent: list[str] = []
        self._sqs = aws.client("sqs")
        self.dead_url = self._sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        redrive = {"deadLetterTargetArn": f"{ARN}:{name}-dead", "maxReceiveCount": max_receives}
        self.url = self._sqs.create_queue(
            QueueName=name, Attributes={"VisibilityTimeout": "2", "RedrivePolicy": json.dumps(redrive)}
        )["QueueUrl"]

    def send(self, order: dict[str, object]) -> None:
        body = json.dumps({"file": str(self.notes), **order})
        self.sent.append(self._sqs.send_message(QueueUrl=self.url, MessageBody=body)["MessageId"])

    def count(self, url: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(value) for value in attributes.values())

    def worked(self) -> list[str]:
        """The ids of the messages the function was given, in order, once for each time."""
        return self.notes.read_text().split() if self.notes.exists() else []


Polled = Callable[..., Queue]


@pytest.fixture
def polled(aws: Aws, tmp_path: Path) -> Iterator[Polled]:
    """Makes a queue with these orders in it, and starts to poll it."""
    log = os.open(tmp_path / "functions.log", os.O_CREAT | os.O_WRONLY)
    pool = Pool(Function("Queue", "queue", "tests.integration.handlers.queue", 30, 128, 0, {}), {}, 1, log)
    # Warm, so that no message comes again because a sandbox was slow to start.
    pool.submit(b'{"Records": []}').result()
    pollers: list[Poller] = []

    def make(*orders: dict[str, object], reports: bool = True, max_receives: int = 3) -> Queue:
        name = f"queue-{uuid.uuid4()}"
        queue = Queue(aws, name, tmp_path / "notes", max_receives)
        for order in orders:
            queue.send(order)
        source = QueueSource(f"{ARN}:{name}", "Queue", 10, 1, reports_item_failures=reports)
        pollers.append(Poller(source, aws, pool, concurrency=1).start())
        return queue

    yield make
    for poller in pollers:
        poller.stop()
    pool.close()
    os.close(log)


def test_what_succeeds_is_deleted(polled: Polled) -> None:
    queue = polled({}, {}, {})
    wait_until(lambda: queue.count(queue.url) == 0)
    assert sorted(queue.worked()) == sorted(queue.sent)


def test_messages_that_wait_come_as_one_batch(polled: Polled) -> None:
    # Given ten messages, one of which fails the whole batch that it is in, when they are polled, then all come again.
    queue = polled({"raise": True}, *[{} for _ in range(9)], max_receives=1)
    wait_until(lambda: queue.count(queue.dead_url) == 10)


def test_only_what_failed_comes_again_and_with_a_higher_receive_count(polled: Polled) -> None:
    queue = polled({}, {"fail_until": 3}, {})
    good, bad, other = queue.sent
    # Its counts are taken one after the other, so that alone they may miss a message which just then comes back.
    wait_until(lambda: queue.worked().count(bad) == 3 and queue.count(queue.url) == 0)
    assert [queue.worked().count(one) for one in (good, bad, other)] == [1, 3, 1]


def test_what_fails_too_often_goes_to_the_dead_letter_queue(polled: Polled) -> None:
    queue = polled({"fail_until": 9}, {})
    wait_until(lambda: queue.count(queue.dead_url) == 1)
    assert queue.count(queue.url) == 0
    assert queue.worked().count(queue.sent[0]) == 3


def test_without_partial_answers_a_batch_that_answers_is_done(polled: Polled) -> None:
    queue = polled({"fail_until": 9}, {}, reports=False)
    wait_until(lambda: queue.count(queue.url) == 0)
    assert sorted(queue.worked()) == sorted(queue.sent)
    assert queue.count(queue.dead_url) == 0


# --- the answer ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (None, set()),
        ({}, set()),
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": None}, set()),
        ({"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "b"}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": ""}]}, None),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, None),
        ({"batchItemFailures": [{"itemId": "a"}]}, None),
        ({"batchItemFailures": ["a"]}, None),
        ({"failures": []}, None),
        ("done", None),
        ([], None),
    ],
)
def test_the_answer_is_read_as_lambda_reads_it(answer: object, failed: set[str] | None) -> None:
    assert item_failures(answer) == failed


@given(st.lists(st.text(min_size=1)))
def test_every_named_failure_is_kept(ids: list[str]) -> None:
    assert item_failures({"batchItemFailures": [{"itemIdentifier": one} for one in ids]}) == set(ids)


# --- the record ------------------------------------------------------------------------------------------------------------


def test_a_record_has_every_field_lambda_gives(aws: Aws) -> None:
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName="records")["QueueUrl"]
    sqs.send_message(
        QueueUrl=url,
        MessageBody="body",
        MessageAttributes={
            "text": {"DataType": "String", "StringValue": "ü"},
            "bytes": {"DataType": "Binary", "BinaryValue": b"\xff"},
        },
    )
    received = sqs.receive_message(
        QueueUrl=url, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"], WaitTimeSeconds=1
    )
    (message,) = received["Messages"]
    made: dict[str, Any] = record(message, f"{ARN}:records")
    attributes = made.pop("attributes")
    assert attributes.keys() >= {
        "ApproximateReceiveCount",
        "SentTimestamp",
        "SenderId",
        "ApproximateFirstReceiveTimestamp",
    }
    assert attributes["ApproximateReceiveCount"] == "1"
    lists: dict[str, list[str]] = {"stringListValues": [], "binaryListValues": []}
    assert made == {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": "body",
        "md5OfBody": "841a2d689ad86bd1611447453c22c6fc",
        "md5OfMessageAttributes": message["MD5OfMessageAttributes"],
        "messageAttributes": {
            "text": {"stringValue": "ü", "dataType": "String", **lists},
            "bytes": {"binaryValue": "/w==", "dataType": "Binary", **lists},
        },
        "eventSource": "aws:sqs",
        "eventSourceARN": f"{ARN}:records",
        "awsRegion": "eu-central-1",
    }
