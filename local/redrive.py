"""`make redrive`: queue the dead letters again, whose cause has been mended.

SQS's own redrive knows where SQS moved a message from; ours were put there by the worker, with its reason, and one that never
was a code is better left. A code that is moved twice is activated once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local.deployed import DEFAULT_STACK, NotDeployed, outputs
from local.running import NotRunning, aws_client, find

_UNREADABLE = "unreadable"
"""The worker's reason for what is no message of the intake's."""

_HIDDEN_SECONDS = 300


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
        readable = [message for message in batch if _reason(message) != _UNREADABLE]
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
    reason: str = message.get("MessageAttributes", {}).get("reason", {}).get("StringValue", "")
    return reason


def main(arguments: Sequence[str] | None = None) -> int:
    """Move the dead letters of a stack and say how many; 1 with the reason on standard error if that cannot be."""
    parser = argparse.ArgumentParser(prog="make redrive", description="Queue the dead letters again.")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--stack", default=DEFAULT_STACK, help="the deployed stack")
    where.add_argument("--local", metavar="API_URL", help="the embedded stack at this address instead")
    wanted = parser.parse_args(arguments)
    try:
        moved = redrive(_embedded(wanted.local) if wanted.local else _deployed(wanted.stack))
    except (NotDeployed, NotRunning, ClientError, BotoCoreError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Codes in the activation queue again: {moved.back}.")
    if moved.left:
        print(f"Messages left, unreadable or not taken by the queue: {moved.left}.")
    return 0


def _deployed(stack: str) -> Queues:
    return Queues(boto3.client("sqs"), *outputs(stack, "DeadLetterQueueUrl", "ActivationQueueUrl"))


def _embedded(api_url: str) -> Queues:
    ready = find(api_url)
    return Queues(aws_client(ready, "sqs"), ready["dead_letter_queue_url"], ready["activation_queue_url"])


if __name__ == "__main__":
    sys.exit(main())
