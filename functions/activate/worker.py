"""The queue's worker: one message is one code of one paid order, and no message is lost.

A message that fails for a passing reason goes back with a pause that grows, for a day of tries; then it goes to the
dead-letter queue with its reason. One that can never succeed ends at once. While Altcraft is down, messages go back unasked.
"""

from __future__ import annotations

import json
import random
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from botocore.exceptions import BotoCoreError, ClientError

from activate.activation_queue import FetchMessage, fetch_message
from activate.redemption import Redemption, TryAgain
from activate.telemetry import record, record_failure
from lambda_support.fields import InvalidField
from lambda_support.telemetry import Metric, count, logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from activate.activation import Activator
    from activate.redemption import Result

T = TypeVar("T")

PATIENCE_SECONDS: Final = 24 * 3600
"""How long a message is tried before it is given up to the dead-letter queue."""

SHORTEST_PAUSE_SECONDS: Final = 5
LONGEST_PAUSE_SECONDS: Final = 900

QUIET_SECONDS: Final = 15
"""How long the circuit breaker stays open: Altcraft is not asked after several calls in a row have failed."""

_FAILURES_IN_A_ROW: Final = 3
"""So many say that Altcraft is down; fewer may be chance."""

_CALL_BUDGET: Final = timedelta(seconds=45)
"""Enough for a message while Altcraft is slow: it is not begun with less time than that. If it takes longer all the same,
Lambda kills the run and SQS brings the batch back; the ledger then knows what may have been applied."""


class NotKept(Exception):
    """A message that was to be given up is not in the dead-letter queue for certain."""


def pause(age: float) -> int:
    """Seconds until a message that was first tried `age` seconds ago is tried again: half of that, from 5 s to 15 min.

    By time, because a receive counts also when Altcraft was not asked. A tenth at random, so that a burst spreads out.
    """
    growing = min(max(age / 2, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
    return round(growing * random.uniform(0.9, 1.0))  # noqa: S311 - spreads load, guards nothing


def _seconds_since(message: SQSRecord, moment: str) -> float:
    """Seconds since a moment of the queue's, which is in milliseconds; 0 where a hand-made event leaves it out."""
    milliseconds = message.attributes.get(moment)
    return max(time.time() - int(milliseconds) / 1000, 0.0) if milliseconds else 0.0


def _want_time(until: datetime) -> None:
    if until - datetime.now(UTC) < _CALL_BUDGET:
        raise TryAgain("out_of_time", "the batch took so long that this message could not be begun")


class Worker:
    """Takes batches of the activation queue, for the life of a sandbox."""

    def __init__(
        self,
        activator: Activator,
        sqs: Any,
        queue_url: str,
        dead_letter_queue_url: str,
        fetch: Callable[[FetchMessage], None] | None = None,
    ) -> None:
        """`fetch`: takes the messages that ask for a call to a shop's API."""
        self._activator = activator
        self._fetch = fetch
        self._sqs = sqs
        self._queue_url = queue_url
        self._dead_letter_queue_url = dead_letter_queue_url
        self._processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
        self._failures = 0
        self._quiet_until = 0.0

    def work(self, event: Mapping[str, Any], context: LambdaContext, until: datetime) -> dict[str, Any]:
        """Take one batch; the answer names the messages that are to come back (`batchItemFailures`).

        Args:
            until: when Lambda ends this run at the latest.
        """

        def take(record: SQSRecord) -> None:
            try:
                self._take(record, until)
            except TryAgain:
                raise
            except Exception:  # a defect of ours, or a queue that is gone: the message stays, and the log says why
                logger.exception("A message could not be taken", message_id=record.message_id)
                raise

        answer = process_partial_response(dict(event), take, self._processor, context)
        return dict(answer)

    def _take(self, message: SQSRecord, until: datetime) -> None:
        # Not since it was sent: a queue that nobody read for a day must not cost its messages their day of tries.
        age = _seconds_since(message, "ApproximateFirstReceiveTimestamp")
        if self._fetch and (call := fetch_message(message.body)):
            with logger.append_context_keys(source=call.source):
                self._with_patience(message, age, until, partial(self._fetch, call))
            return
        try:
            order = json.loads(message.body)
            # A message that is delivered again is the same request: without an order, its own id stands for one.
            order_id = order.get("order_id") or f"message/{message.message_id}"
            fields = {"code": order.get("code"), "loyalty_id": order.get("loyalty_id"), "order_id": order_id}
            redemption = Redemption.from_fields(fields)
        except (ValueError, AttributeError, RecursionError) as error:
            detail = str(error) if isinstance(error, InvalidField) else "the message is not one of ours"
            self._give_up(message, "unreadable", detail)
            return
        with logger.append_context_keys(source=order.get("source"), order_id=redemption.order_id):
            # At each try: SQS's own metric of age leaves out a message that has been received more than thrice.
            count(Metric.MESSAGE_AGE, _seconds_since(message, "SentTimestamp"))
            if result := self._with_patience(message, age, until, partial(self._activate, redemption, until)):
                record(redemption, result)

    def _with_patience(self, message: SQSRecord, age: float, until: datetime, work: Callable[[], T]) -> T | None:
        """Do what a message asks for; what has no outcome comes back with a pause, or after a day is given up: then None.

        Raises:
            TryAgain: there is no outcome yet.
        """
        try:
            _want_time(until)
            return work()
        except TryAgain as failure:
            # One that was not even asked for now is not given up for that.
            if age < PATIENCE_SECONDS or failure.reason in {"out_of_time", "altcraft_down", "in_progress"}:
                self._put_back(message, age, failure)
                raise
            self._give_up(message, failure.reason, str(failure))
        return None

    def _activate(self, redemption: Redemption, until: datetime) -> Result:
        if time.monotonic() < self._quiet_until:
            raise TryAgain("altcraft_down", "Altcraft failed several times in a row: not asked", altcraft_down=True)
        try:
            result = self._activator.activate(redemption, until)
        except TryAgain as failure:
            if failure.altcraft_down:
                self._failures += 1
                if self._failures >= _FAILURES_IN_A_ROW:
                    self._quiet_until = time.monotonic() + QUIET_SECONDS
            raise
        self._failures = 0
        return result

    def _put_back(self, message: SQSRecord, age: float, failure: TryAgain) -> None:
        seconds = pause(age)
        record_failure(failure)
        try:
            self._sqs.change_message_visibility(
                QueueUrl=self._queue_url, ReceiptHandle=message.receipt_handle, VisibilityTimeout=seconds
            )
        except (ClientError, BotoCoreError) as error:
            # It comes back all the same, when the queue's own visibility timeout ends.
            logger.warning("The pause of a message could not be set", detail=type(error).__name__)

    def _give_up(self, message: SQSRecord, reason: str, detail: str) -> None:
        """Hand a message to the dead-letter queue with its reason; if that fails, it stays where it is."""
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
        sent[
            "MessageId"
        ]  # an answer without one is not SQS's, and the letter is not kept: the KeyError keeps the message
        count(Metric.DEAD_LETTERED, reason=reason)
        logger.error("Given up to the dead-letter queue", reason=reason, detail=detail, message_id=message.message_id)
