"""The queue between a shop's webhook and Altcraft: one message is one code of one order, or one call to a shop's API."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from activate.action import Action

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

    from activate.orders import Calls, Order

_BATCH: Final = 10
"""The most messages that SQS accepts in one call. Ten of these messages are far below its 256 KB."""

_ATTEMPTS: Final = 3
"""How often a message is sent within one delivery; after that the shop has to deliver again."""


_IDENTIFYING_FIELDS: Final = ({"code", "loyalty_id"}, {"fetch", "source", "received_at"})
"""Fields that every `Message` and every `FetchMessage` has, and no platform's webhook."""


class Unqueued(Exception):
    """At least one code is not in the queue. Delivering the order again is safe: a code is activated once for it."""


@dataclass(frozen=True)
class Message:
    """One code of one order: for the worker to activate, or to give back."""

    code: str
    loyalty_id: int
    order_id: str
    """The shop's order id prefixed by the source's name, `eu-shop/1001`, so that the ids of two shops cannot collide."""
    source: str
    received_at: str
    """When the order was received, ISO 8601 in UTC."""
    action: Action = Action.ACTIVATE
    """`DEACTIVATE` for a reversed order."""


@dataclass(frozen=True)
class FetchMessage:
    """A call to a shop's API for the worker to make, where the shop's webhook holds only an id."""

    fetch: str
    """The path of the call, at the host that the source names."""
    order_id: str
    """The shop's order id, if the webhook has it; `""` if the answer has."""
    source: str
    received_at: str
    action: Action = Action.ACTIVATE
    """`DEACTIVATE` where the webhook says that the order is reversed; where it does not, the answer decides."""


def messages_of(orders: Iterable[Order], source: str, received_at: str) -> list[Message]:
    """A message for each code of these orders of a source."""
    return [
        Message(code, loyalty_id, f"{source}/{order.id}", source, received_at, action_of(order))
        for order in orders
        for code, loyalty_id in order.codes
    ]


def action_of(order: Order | Calls) -> Action:
    """What is requested for the codes of an order."""
    return Action.DEACTIVATE if order.reversed else Action.ACTIVATE


def text_of(message: Message | FetchMessage) -> str:
    """A message as SQS holds it. It names only the action `deactivate`, as messages had none before there was that one."""
    fields = asdict(message)
    if message.action is Action.ACTIVATE:
        del fields["action"]
    return json.dumps(fields)


def is_message(body: str) -> bool:
    """Whether an SQS message was sent by the intake, and is not a webhook that a platform puts into a queue itself."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(fields, dict) and any(needed <= fields.keys() for needed in _IDENTIFYING_FIELDS)


def fetch_message(body: str) -> FetchMessage | None:
    """Parse a message of the activation queue that requests a call; None for any other message."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict) or fields.keys() - {"action"} != {"fetch", "order_id", "source", "received_at"}:
        return None
    if not all(isinstance(value, str) for value in fields.values()):
        return None
    try:
        return FetchMessage(**{**fields, "action": Action(fields.get("action", Action.ACTIVATE))})
    except ValueError:
        return None


class ActivationQueue:
    """Sends messages. SQS can accept a part of a batch; the rest is sent again."""

    def __init__(self, sqs: SQSClient, url: str) -> None:
        self._sqs = sqs
        self._url = url

    def send(self, messages: Sequence[Message | FetchMessage]) -> None:
        """Queue every message durably.

        Raises:
            Unqueued: SQS did not confirm all of them. Some may be in the queue.
        """
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(index), "MessageBody": text_of(message)} for index, message in enumerate(messages)
        ]
        for start in range(0, len(entries), _BATCH):
            pending = entries[start : start + _BATCH]
            for _ in range(_ATTEMPTS):
                pending, reasons = self._send_batch(pending)
                if not pending:
                    break
            else:
                raise Unqueued(f"SQS refused {len(pending)} of {len(entries)} messages: {', '.join(sorted(reasons))}")

    def _send_batch(
        self, entries: list[SendMessageBatchRequestEntryTypeDef]
    ) -> tuple[list[SendMessageBatchRequestEntryTypeDef], set[str]]:
        """Send a batch; return the entries that SQS did not accept, and its error codes."""
        try:
            answer = self._sqs.send_message_batch(QueueUrl=self._url, Entries=entries)
        except (ClientError, BotoCoreError) as error:
            # botocore has retried already, where that could help.
            raise Unqueued(f"SQS did not accept the messages: {type(error).__name__}: {error}") from error
        # Without a message id, nothing confirms that the message is in the queue.
        accepted = {entry["Id"] for entry in answer.get("Successful", ()) if entry.get("MessageId")}
        reasons = {entry["Code"] for entry in answer.get("Failed", ())} or {"not confirmed"}
        return [entry for entry in entries if entry["Id"] not in accepted], reasons
