"""`make redrive`, against real queues over HTTP."""

import json
import uuid
from typing import Any

import pytest
from click.testing import CliRunner, Result

from local.emulator.http import Request, Response, Server
from local.engine import REGION, Aws
from ops.commands import main
from ops.commands.redrive import Queues, redrive


def run(local: str) -> Result:
    return CliRunner().invoke(main, ["redrive", "--local", local])


def letter(number: int) -> str:
    return json.dumps({"code": f"c{number}", "loyalty_id": 5, "order_id": f"shop/{number}"})


@pytest.fixture
def queues(aws: Aws) -> Queues:
    sqs = aws.client("sqs")
    dead, activation = (
        sqs.create_queue(QueueName=f"{name}-{uuid.uuid4()}")["QueueUrl"] for name in ("dead", "activation")
    )
    return Queues(sqs, dead, activation)


def bury(queues: Queues, body: str, reason: str = "altcraft_unreachable") -> None:
    queues.sqs.send_message(
        QueueUrl=queues.dead_letter_queue_url,
        MessageBody=body,
        MessageAttributes={"reason": {"DataType": "String", "StringValue": reason}},
    )


def bodies(queues: Queues, queue_url: str) -> list[str]:
    found: list[str] = []
    while messages := queues.sqs.receive_message(
        QueueUrl=queue_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    ).get("Messages"):
        assert not any("MessageAttributes" in message for message in messages), "a reason of before is not one of now"
        found += [message["Body"] for message in messages]
    return sorted(found)


def waiting(queues: Queues) -> int:
    """The messages in the dead-letter queue, hidden or not."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = queues.sqs.get_queue_attributes(QueueUrl=queues.dead_letter_queue_url, AttributeNames=names)[
        "Attributes"
    ]
    return sum(int(attributes[name]) for name in names)


def test_given_more_dead_letters_than_one_batch_then_every_code_goes_back(queues: Queues) -> None:
    for number in range(23):
        bury(queues, letter(number))

    moved = redrive(queues)

    assert (moved.back, moved.left) == (23, 0)
    assert bodies(queues, queues.activation_queue_url) == sorted(letter(number) for number in range(23))
    assert waiting(queues) == 0


def test_given_an_unreadable_dead_letter_then_it_stays_for_a_person(queues: Queues) -> None:
    bury(queues, "hello", reason="unreadable")
    bury(queues, letter(1))

    moved = redrive(queues)

    assert (moved.back, moved.left) == (1, 1)
    assert bodies(queues, queues.activation_queue_url) == [letter(1)]
    assert waiting(queues) == 1


def test_given_a_queue_that_accepts_only_some_then_the_others_stay(queues: Queues) -> None:
    for number in range(3):
        bury(queues, letter(number))

    class Choosy:
        """SQS, except that it refuses one entry of each batch."""

        def __getattr__(self, name: str) -> Any:
            return getattr(queues.sqs, name)

        def send_message_batch(self, QueueUrl: str, Entries: list[Any]) -> Any:  # noqa: N803 - SQS's own names
            answer = queues.sqs.send_message_batch(QueueUrl=QueueUrl, Entries=Entries[1:])
            return {**answer, "Failed": [{"Id": Entries[0]["Id"], "Code": "InternalError", "SenderFault": False}]}

    moved = redrive(Queues(Choosy(), queues.dead_letter_queue_url, queues.activation_queue_url))

    assert moved.left >= 1
    assert moved.back + waiting(queues) == 3
    assert len(bodies(queues, queues.activation_queue_url)) == moved.back


def test_given_a_queue_that_confirms_none_then_they_stay(queues: Queues) -> None:
    bury(queues, letter(1))

    class Silent:
        """SQS, except that it returns no ids of the messages that it accepts."""

        def __getattr__(self, name: str) -> Any:
            return getattr(queues.sqs, name)

        def send_message_batch(self, QueueUrl: str, Entries: list[Any]) -> Any:  # noqa: N803 - SQS's own names
            return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}

    moved = redrive(Queues(Silent(), queues.dead_letter_queue_url, queues.activation_queue_url))

    assert (moved.back, waiting(queues)) == (0, 1)


def test_given_no_dead_letters_then_it_says_so_and_ends(queues: Queues) -> None:
    ready = {
        "aws_endpoint_url": queues.sqs.meta.endpoint_url,
        "aws_region": REGION,
        "dead_letter_queue_url": queues.dead_letter_queue_url,
        "activation_queue_url": queues.activation_queue_url,
    }

    def running(_request: Request) -> Response:
        return Response(200, json.dumps(ready).encode(), [("Content-Type", "application/json")])

    bury(queues, letter(1))
    with Server(running) as server:
        answers = [run(server.url), run(server.url)]

    assert [(answer.exit_code, answer.stdout) for answer in answers] == [
        (0, "Codes in the activation queue again: 1.\n"),
        (0, "Codes in the activation queue again: 0.\n"),
    ]


def test_given_no_stack_then_the_remedy_is_shown() -> None:
    answer = run("http://127.0.0.1:9")
    assert answer.exit_code == 1
    assert "make local" in answer.stderr
