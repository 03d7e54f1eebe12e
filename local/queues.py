"""The event source mapping of a queue: receives batches, invokes a function, deletes what it has done.

What failed stays in the queue until its visibility timeout ends; redrive is the queue's own work.
Source: AWS Lambda Developer Guide, "Using Lambda with Amazon SQS" and "Handling errors for an SQS event source".
"""

import base64
import json
import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from local.application import QueueSource
from local.aws import REGION, Aws
from local.functions import Pool

log = logging.getLogger(__name__)

WAIT_SECONDS = 1  # of one long poll: a stop waits no longer


class Poller:
    """Polls one queue for one function, from `start` to `stop`.

    At most `concurrency` batches are in the function's hands at a time.
    """

    def __init__(self, source: QueueSource, aws: Aws, pool: Pool, concurrency: int) -> None:
        self._source = source
        self._pool = pool
        self._sqs = aws.client("sqs", max_pool_connections=concurrency + 1, retries={"max_attempts": 1})
        self._queue_url: str = self._sqs.get_queue_url(QueueName=source.queue_arn.rpartition(":")[2])["QueueUrl"]
        self._free = threading.Semaphore(concurrency)
        self._batches = ThreadPoolExecutor(concurrency, thread_name_prefix="queue")
        self._stopping = threading.Event()
        # One thread receives: moto may hand the same message to two that ask at once.
        self._thread = threading.Thread(target=self._poll, name="poller")

    def start(self) -> Self:
        """Begin to poll."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop receiving and wait for the batches that are with the function."""
        self._stopping.set()
        self._thread.join()
        self._batches.shutdown()
        self._sqs.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _poll(self) -> None:
        while not self._stopping.is_set():
            if not self._free.acquire(timeout=WAIT_SECONDS):
                continue
            try:
                messages = self._receive()
            except (BotoCoreError, ClientError):
                log.exception("the queue %s cannot be polled", self._queue_url)
                self._stopping.wait(WAIT_SECONDS)
                messages = []
            if messages:
                self._batches.submit(self._work, messages).add_done_callback(_report)
            else:
                self._free.release()

    def _receive(self) -> list[dict[str, Any]]:
        reply = self._sqs.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=min(self._source.batch_size, 10),
            WaitTimeSeconds=WAIT_SECONDS,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )
        messages: list[dict[str, Any]] = reply.get("Messages", [])
        return messages

    def _work(self, messages: list[dict[str, Any]]) -> None:
        try:
            event = {"Records": [record(message, self._source.queue_arn) for message in messages]}
            result = self._pool.submit(json.dumps(event).encode()).result()
            failures = None if result.failed else self._failures(result.payload)
            done = [
                {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
                for index, message in enumerate(messages)
                if failures is not None and message["MessageId"] not in failures
            ]
            if done:
                self._sqs.delete_message_batch(QueueUrl=self._queue_url, Entries=done)
        finally:
            self._free.release()

    def _failures(self, answer: bytes) -> set[str] | None:
        """Return the ids of the messages that failed; None where the answer makes the whole batch fail."""
        return item_failures(json.loads(answer)) if self._source.reports_item_failures else set()


def _report(batch: Future[None]) -> None:
    if error := batch.exception():
        log.error("a batch failed here rather than in its function, and will come again", exc_info=error)


def item_failures(answer: Any) -> set[str] | None:
    """Read `batchItemFailures`: the ids in it, none where it is left out or empty, None where it is malformed."""
    if answer is None or answer == {}:
        return set()
    if not isinstance(answer, dict) or "batchItemFailures" not in answer:
        return None
    failed: set[str] = set()
    for item in answer["batchItemFailures"] or []:
        identifier = item.get("itemIdentifier") if isinstance(item, dict) else None
        if not isinstance(identifier, str) or not identifier:
            return None
        failed.add(identifier)
    return failed


def record(message: dict[str, Any], queue_arn: str) -> dict[str, Any]:
    """Turn a received message into the record that Lambda makes of it."""
    attributes = message.get("MessageAttributes", {})
    made: dict[str, Any] = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {name: _attribute(value) for name, value in attributes.items()},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": REGION,
    }
    if "MD5OfMessageAttributes" in message:
        made["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
    return made


def _attribute(value: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    if "StringValue" in value:
        made["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        made["binaryValue"] = base64.b64encode(value["BinaryValue"]).decode()
    return made
