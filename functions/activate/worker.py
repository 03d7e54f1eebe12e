"""The queue's worker: one message is one code of one paid order, and no message is lost.

A message that fails for a transient reason goes back with a growing backoff, for a day; then it goes to the
dead-letter queue with its reason. One that can never succeed ends at once. While Altcraft is down, a circuit breaker sends
messages back without a call.
"""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from botocore.exceptions import BotoCoreError, ClientError

from activate.action import Action
from activate.activation_queue import FetchMessage, fetch_message
from activate.redemption import Act, Redemption, TryAgain
from activate.telemetry import NOT_YET, record, record_failure
from lambda_support.fields import InvalidField
from lambda_support.telemetry import Metric, count, logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from activate.ledger import Ledger
    from activate.redemption import Result

T = TypeVar("T")

MAX_AGE_SECONDS: Final = 24 * 3600
"""The age from which a message that fails again goes to the dead-letter queue."""

MIN_BACKOFF_SECONDS: Final = 5
MAX_BACKOFF_SECONDS: Final = 900

BREAKER_OPEN_SECONDS: Final = 15
"""How long the circuit breaker stays open: Altcraft is not called after several calls in a row have failed."""

_FAILURES_TO_OPEN: Final = 3
"""Fewer failures in a row may be chance."""

_CALL_BUDGET: Final = timedelta(seconds=45)
"""Enough for a message while Altcraft is slow: none is begun with less time than that. If it takes longer nevertheless,
Lambda kills the run and SQS delivers the batch again; the ledger then knows what may have been applied."""


def backoff(age: float) -> int:
    """Seconds until a message that was first tried `age` seconds ago is tried again: half of that, from 5 s to 15 min.

    By age and not by receives, because a receive counts even if Altcraft was not called. Up to a tenth less at random, so that
    a burst spreads out.
    """
    growing = min(max(age / 2, MIN_BACKOFF_SECONDS), MAX_BACKOFF_SECONDS)
    return round(growing * random.uniform(0.9, 1.0))  # noqa: S311 - spreads load, guards nothing


def _seconds_since(message: SQSRecord, attribute: str) -> float:
    """Seconds since a time that SQS gives as an attribute, in milliseconds; 0 where a hand-made event leaves it out."""
    milliseconds = message.attributes.get(attribute)
    return max(time.time() - int(milliseconds) / 1000, 0.0) if milliseconds else 0.0


def _require_time(until: datetime) -> None:
    if until - datetime.now(UTC) < _CALL_BUDGET:
        raise TryAgain("out_of_time", "the batch took so long that this message could not be begun")


class Worker:
    """Processes batches of the activation queue, for the life of a sandbox."""

    def __init__(
        self,
        acts: Mapping[Action, Act],
        ledger: Ledger,
        sqs: Any,
        queue_url: str,
        dead_letter_queue_url: str,
        fetch: Callable[[FetchMessage], None] | None = None,
    ) -> None:
        """`fetch`: handles the messages that request a call to a shop's API."""
        self._acts = acts
        self._ledger = ledger
        self._fetch = fetch
        self._sqs = sqs
        self._queue_url = queue_url
        self._dead_letter_queue_url = dead_letter_queue_url
        self._processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
        self._failures = 0
        self._breaker_open_until = 0.0

    def work(self, event: Mapping[str, Any], context: LambdaContext, until: datetime) -> dict[str, Any]:
        """Process one batch; the answer names the messages to be delivered again (`batchItemFailures`).

        Args:
            until: when Lambda ends this run.
        """

        def process(record: SQSRecord) -> None:
            try:
                self._process(record, until)
            except TryAgain:
                raise
            except (
                Exception
            ):  # a defect, or an unavailable queue: the message stays in the queue, and the log has the cause
                logger.exception("A message could not be processed", message_id=record.message_id)
                raise

        answer = process_partial_response(dict(event), process, self._processor, context)
        return dict(answer)

    def _process(self, message: SQSRecord, until: datetime) -> None:
        # Not since it was sent: if no worker reads the queue for a day, its messages are still retried for a day.
        age = _seconds_since(message, "ApproximateFirstReceiveTimestamp")
        if self._fetch and (call := fetch_message(message.body)):
            with logger.append_context_keys(source=call.source):
                self._attempt(message, age, until, partial(self._fetch, call))
            return
        try:
            order = json.loads(message.body)
            action = Action(order.get("action", Action.ACTIVATE))
            order_id = order.get("order_id") or None
            if order_id is None and action is Action.ACTIVATE:
                # A redelivered message must be the same request: without an order id, the message's id serves as one.
                order_id = f"message/{message.message_id}"
            fields = {"code": order.get("code"), "loyalty_id": order.get("loyalty_id"), "order_id": order_id}
            source = order.get("source")
            redemption = replace(
                Redemption.from_fields(fields, action), source=source if isinstance(source, str) else None
            )
        except (ValueError, AttributeError, RecursionError) as error:
            detail = str(error) if isinstance(error, InvalidField) else "the message was not sent by the intake"
            self._give_up(message, "unreadable", detail)
            return
        with logger.append_context_keys(source=order.get("source"), order_id=redemption.order_id):
            # At each try, because SQS's own metric of age ignores a message that was received more than three times.
            count(Metric.MESSAGE_AGE, _seconds_since(message, "SentTimestamp"))
            act = partial(self._act, action, redemption, until)
            if result := self._attempt(message, age, until, act, action, redemption):
                record(action, redemption, result)

    def _attempt(
        self,
        message: SQSRecord,
        age: float,
        until: datetime,
        work: Callable[[], T],
        action: Action = Action.ACTIVATE,
        redemption: Redemption | None = None,
    ) -> T | None:
        """Do a message's work. Without an outcome, the message is put back with a backoff, or after a day given up: then None.

        Raises:
            TryAgain: there is no outcome yet, and the message was put back.
        """
        try:
            _require_time(until)
            return work()
        except TryAgain as failure:
            # A message is not given up by a try in which Altcraft was not called.
            if age < MAX_AGE_SECONDS or failure.reason in {"out_of_time", "altcraft_down", "in_progress"}:
                self._put_back(message, age, action, failure)
                raise
            self._give_up(message, failure.reason, str(failure))
            if redemption:
                self._ledger.note("given_up", redemption, message.message_id, failure.reason)
        return None

    def _act(self, action: Action, redemption: Redemption, until: datetime) -> Result:
        if time.monotonic() < self._breaker_open_until:
            raise TryAgain("altcraft_down", "Altcraft failed several times in a row: not called", altcraft_down=True)
        try:
            result = self._acts[action](redemption, until)
        except TryAgain as failure:
            if failure.altcraft_down:
                self._failures += 1
                if self._failures >= _FAILURES_TO_OPEN:
                    self._breaker_open_until = time.monotonic() + BREAKER_OPEN_SECONDS
            raise
        self._failures = 0
        return result

    def _put_back(self, message: SQSRecord, age: float, action: Action, failure: TryAgain) -> None:
        seconds = backoff(age)
        record_failure(failure, NOT_YET[action])
        try:
            self._sqs.change_message_visibility(
                QueueUrl=self._queue_url, ReceiptHandle=message.receipt_handle, VisibilityTimeout=seconds
            )
        except (ClientError, BotoCoreError) as error:
            # SQS delivers the message again anyway, when the queue's own visibility timeout ends.
            logger.warning("The backoff of a message could not be set", detail=type(error).__name__)

    def _give_up(self, message: SQSRecord, reason: str, detail: str) -> None:
        """Send a message to the dead-letter queue with its reason; if that fails, the message stays in the activation queue."""
        sent = self._sqs.send_message(
            QueueUrl=self._dead_letter_queue_url,
            MessageBody=message.body,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": text}
                for name, text in {
                    "reason": reason,
                    "detail": detail,
                    "waited_seconds": f"{_seconds_since(message, 'SentTimestamp'):.0f}",
                    "message_id": message.message_id,
                }.items()
            },
        )
        # Without an id the dead letter is not certainly stored: the KeyError leaves the message in the activation queue.
        sent["MessageId"]
        count(Metric.DEAD_LETTERED, reason=reason)
        logger.error("Given up to the dead-letter queue", reason=reason, detail=detail, message_id=message.message_id)
