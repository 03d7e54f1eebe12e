"""The queue between a shop's webhook and Altcraft: one message is one code of one paid order, or one call to a shop's API."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

_BATCH: Final = 10
"""The most messages that SQS takes at once. Ten of ours are far below its 256 KB."""

_ATTEMPTS: Final = 3
"""How often a message is offered within one delivery; beyond that the shop delivers again."""


_NEEDED: Final = ({"code", "loyalty_id"}, {"fetch", "source", "received_at"})
"""The fields that a message of ours has, and a platform's webhook has not."""


class Unqueued(Exception):
    """At least one code is not in the queue. Delivering the order again is safe: a code is activated once for it."""


@dataclass(frozen=True)
class Message:
    """What the worker is told."""

    code: str
    loyalty_id: int
    order_id: str
    """The shop's order id after the source's name, `eu-shop/1001`, so that two shops' ids do not meet."""
    source: str
    received_at: str
    """When the order came in, ISO 8601 in UTC."""


@dataclass(frozen=True)
class FetchMessage:
    """What the worker is to ask of a shop's API, where the shop's webhook holds only an id."""

    fetch: str
    """The path of the call, at the host that the source names."""
    order_id: str
    """The shop's own id of the order, where the webhook says it; `""` where the answer does."""
    source: str
    received_at: str


def is_message(body: str) -> bool:
    """Whether the body of an SQS message is one of ours, rather than a webhook that a platform puts into a queue itself."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(fields, dict) and any(needed <= fields.keys() for needed in _NEEDED)


def fetch_message(body: str) -> FetchMessage | None:
    """A message of the activation queue that asks for a call; None, where it is another."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict) or set(fields) != {"fetch", "order_id", "source", "received_at"}:
        return None
    return FetchMessage(**fields) if all(isinstance(value, str) for value in fields.values()) else None


class ActivationQueue:
    """Sends messages, and knows that SQS can take a part of a batch."""

    def __init__(self, sqs: SQSClient, url: str) -> None:
        self._sqs = sqs
        self._url = url

    def send(self, messages: Sequence[Message | FetchMessage]) -> None:
        """Put every message into the queue, durably.

        Raises:
            Unqueued: SQS did not confirm all of them. Some may be in the queue.
        """
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(index), "MessageBody": json.dumps(asdict(message))} for index, message in enumerate(messages)
        ]
        for start in range(0, len(entries), _BATCH):
            pending = entries[start : start + _BATCH]
            for _ in range(_ATTEMPTS):
                pending, reasons = self._offer(pending)
                if not pending:
                    break
            else:
                raise Unqueued(f"SQS refused {len(pending)} of {len(entries)} messages: {', '.join(sorted(reasons))}")

    def _offer(
        self, entries: list[SendMessageBatchRequestEntryTypeDef]
    ) -> tuple[list[SendMessageBatchRequestEntryTypeDef], set[str]]:
        """Those that SQS did not take, and why."""
        try:
            answer = self._sqs.send_message_batch(QueueUrl=self._url, Entries=entries)
        except (ClientError, BotoCoreError) as error:
            # botocore has tried again by itself, where that could help.
            raise Unqueued(f"SQS did not take the messages: {type(error).__name__}: {error}") from error
        # Without the id that SQS gives a message, nothing says that it is in the queue.
        taken = {entry["Id"] for entry in answer.get("Successful", ()) if entry.get("MessageId")}
        reasons = {entry["Code"] for entry in answer.get("Failed", ())} or {"not confirmed"}
        return [entry for entry in entries if entry["Id"] not in taken], reasons
