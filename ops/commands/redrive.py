"""`make redrive`: queue the dead letters again, once their cause has been fixed.

SQS's own redrive knows where SQS moved a message from; ours were put there by the worker, with its reason, and one that never
was a code is better left. A code that is moved twice is activated once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from ops.errors import refused_by_aws
from ops.target import Target, with_target

_HIDDEN_SECONDS: Final = 300


@dataclass(frozen=True)
class Queues:
    """The two queues of a stack, and an SQS client that reaches them."""

    sqs: Any
    dead_letter_queue_url: str
    activation_queue_url: str


@dataclass
class Moved:
    """How many messages went back, and how many were left: unreadable, or not taken by the queue."""

    back: int = 0
    left: int = 0


def redrive(queues: Queues) -> Moved:
    """Move every dead letter that can be activated. A new message, it has a new day of tries.

    Raises:
        ClientError, BotoCoreError: SQS cannot be reached; what was moved before is moved.
    """
    moved = Moved()
    while batch := _receive(queues):
        readable = [message for message in batch if _reason(message) != "unreadable"]
        gone = _send(queues, readable) if readable else []
        if gone:
            queues.sqs.delete_message_batch(
                QueueUrl=queues.dead_letter_queue_url,
                Entries=[{"Id": str(at), "ReceiptHandle": message["ReceiptHandle"]} for at, message in enumerate(gone)],
            )
        moved.back += len(gone)
        moved.left += len(batch) - len(gone)
    return moved


def _receive(queues: Queues) -> list[dict[str, Any]]:
    received: list[dict[str, Any]] = queues.sqs.receive_message(
        QueueUrl=queues.dead_letter_queue_url,
        MaxNumberOfMessages=10,
        MessageAttributeNames=["reason"],
        VisibilityTimeout=_HIDDEN_SECONDS,
        WaitTimeSeconds=2,  # long polling asks every server, so that nothing means that there is nothing
    ).get("Messages", [])
    return received


def _send(queues: Queues, messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages that the queue has taken."""
    answer = queues.sqs.send_message_batch(
        QueueUrl=queues.activation_queue_url,
        Entries=[{"Id": str(at), "MessageBody": message["Body"]} for at, message in enumerate(messages)],
    )
    return [messages[int(taken["Id"])] for taken in answer.get("Successful", []) if taken.get("MessageId")]


def _reason(message: dict[str, Any]) -> str:
    """Why the worker gave it up; `unreadable` is no message of the intake's."""
    reason: str = message.get("MessageAttributes", {}).get("reason", {}).get("StringValue", "")
    return reason


@click.command("redrive")
@with_target()
def command(target: Target) -> None:
    """Queue the dead letters again, once their cause has been fixed."""
    queues = Queues(target.client("sqs"), *target.names("dead_letter_queue_url", "activation_queue_url"))
    with refused_by_aws("not every dead letter could be looked at"):
        moved = redrive(queues)
    click.echo(f"Codes in the activation queue again: {moved.back}.")
    if moved.left:
        click.echo(f"Messages left, unreadable or not taken by the queue: {moved.left}.")
