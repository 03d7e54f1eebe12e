"""An Altcraft that answers in good form and means something else: no code is lost, and no order gets a wrong answer.

Each illness meets twenty codes, asked for by the API's way and by the queue's, in both wire formats.
"""

import json
import uuid
from collections.abc import Callable, Sequence
from typing import Any, get_args

import pytest

from activate.redemption import Outcome, TryAgain
from activate.worker import Worker
from altcraft.wire import Wire
from local.emulator import Emulator
from local.emulator.faults import AnyFault, Drop, Page, Refuse
from local.engine import Aws
from tests.integration.activators import Till, deadline, make_till

CODES = [f"Code-{number}" for number in range(20)]
ACTIVATE, GET = frozenset({"activate"}), frozenset({"get"})


def refuse(error: int, status: int = 200, **where: Any) -> Refuse:
    return Refuse(error=error, error_text="?", status=status, **{"calls": None, **where})


ILLNESSES: dict[str, Sequence[AnyFault]] = {
    "503 with an envelope": [refuse(500, 503)],
    "500 with an envelope": [refuse(1, 500)],
    "500 in the envelope": [refuse(500)],
    "404 in the envelope": [refuse(404)],
    "500 in the envelope of activate": [refuse(500, endpoints=ACTIVATE)],
    "404 in the envelope of activate": [refuse(404, endpoints=ACTIVATE)],
    "402, the tariff's limit": [refuse(402, endpoints=ACTIVATE)],
    "429 in the envelope": [refuse(429)],
    "440, whatever that is": [refuse(440)],
    "carried out, then 500 with an envelope": [refuse(500, 500, endpoints=ACTIVATE, applied=True)],
    "carried out, then 504 with an envelope": [refuse(1, 504, endpoints=ACTIVATE, applied=True)],
    "carried out, then 503 in the envelope": [refuse(503, endpoints=ACTIVATE, applied=True)],
    "carried out, then 503 in the envelope, also of get": [refuse(503, applied=True)],
    "carried out, then no answer, and an error of get": [
        Drop(endpoints=ACTIVATE, applied=True, calls=None),
        refuse(500, endpoints=GET),
    ],
    "carried out, then a page, and an unknown error of get": [
        Page(endpoints=ACTIVATE, status=200, applied=True, calls=None),
        refuse(404, endpoints=GET),
    ],
}

Ask = Callable[[Till, str], Outcome | None]
"""Have an order ask for its code; the outcome, or None where it is to be asked for again."""


def by_the_api(till: Till, code: str) -> Outcome | None:
    try:
        return till.activate(code, f"order of {code}").outcome
    except TryAgain:
        return None


class ByTheQueue:
    """A worker of one message at a time, each in a sandbox of its own, so that no circuit breaker spares Altcraft."""

    def __init__(self, sqs: Any) -> None:
        self._sqs = sqs
        self.queue_url, self.dead_letter_queue_url = (
            sqs.create_queue(QueueName=f"{name}-{uuid.uuid4()}")["QueueUrl"] for name in ("activations", "dead")
        )

    def __call__(self, till: Till, code: str) -> Outcome | None:
        worker = Worker(till.activator, self._sqs, self.queue_url, self.dead_letter_queue_url)
        message = {"code": code, "loyalty_id": 5, "order_id": f"order of {code}", "source": "shop"}
        record = {"messageId": code, "receiptHandle": code, "body": json.dumps(message), "attributes": {}}
        context: Any = None
        comes_back = worker.work({"Records": [record]}, context, deadline())["batchItemFailures"]
        return None if comes_back else Outcome.ACTIVATED

    def dead_letters(self) -> int:
        return len(self._sqs.receive_message(QueueUrl=self.dead_letter_queue_url).get("Messages", []))


@pytest.mark.parametrize("wire", get_args(Wire))
@pytest.mark.parametrize("by", ["API", "queue"])
@pytest.mark.parametrize("illness", ILLNESSES.values(), ids=ILLNESSES.keys())
def test_no_code_is_lost_and_no_order_is_answered_wrongly(
    emulator: Emulator, aws: Aws, table: str, illness: Sequence[AnyFault], by: str, wire: Wire
) -> None:
    queue = ByTheQueue(aws.client("sqs"))
    ask: Ask = by_the_api if by == "API" else queue
    emulator.programs.add(5, "control", *CODES, attached=True)
    till = make_till(emulator.url, aws, table, wire)
    till.activate("control")
    journal = emulator.programs.activations

    emulator.faults.set(illness)
    while_ill = {code: ask(till, code) for code in CODES}
    # What has an outcome was activated, and nothing else is an outcome.
    assert {code for code, outcome in while_ill.items() if outcome} <= {code for (_, code) in journal}
    assert set(while_ill.values()) <= {None, Outcome.ACTIVATED}

    emulator.faults.set([])
    assert {code: ask(till, code) for code in CODES} == dict.fromkeys(CODES, Outcome.ACTIVATED)
    assert dict(journal) == {(5, code): 1 for code in ["control", *CODES]}
    assert queue.dead_letters() == 0
    for code in CODES:
        assert till.activate(code, "another order").first_order == f"order of {code}"


@pytest.mark.parametrize(
    ("applied", "answers"),
    [
        (True, [None, "already_activated", "activated", "already_activated"]),
        (False, [None, "activated", "already_activated", "already_activated"]),
    ],
)
def test_a_caller_without_an_order_and_an_order_are_not_both_answered_activated(
    emulator: Emulator, aws: Aws, table: str, applied: bool, answers: list[str | None]
) -> None:
    emulator.programs.add(5, *CODES, attached=True)
    till = make_till(emulator.url, aws, table)
    for code in CODES:
        emulator.faults.set([Drop(endpoints=ACTIVATE, applied=applied), refuse(500, endpoints=GET, calls=1)])
        given: list[Outcome | None] = []
        for order_id in ("1001", None, "1001", None):
            try:
                given.append(till.activate(code, order_id).outcome)
            except TryAgain:
                given.append(None)
        assert given == answers
        assert emulator.programs.activations[5, code] == 1
