"""An Altcraft whose well-formed answers are wrong: no code is lost, and no order gets a wrong answer.

Each failure is tried with twenty codes, through the API's path and through the queue's, in both wire formats.
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
from tests.integration.activators import Orders, deadline, make_orders

CODES = [f"Code-{number}" for number in range(20)]
ACTIVATE, GET = frozenset({"activate"}), frozenset({"get"})


def refuse(error: int, status: int = 200, **where: Any) -> Refuse:
    return Refuse(error=error, error_text="?", status=status, **{"calls": None, **where})


FAILURES: dict[str, Sequence[AnyFault]] = {
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

Activate = Callable[[Orders, str], Outcome | None]
"""Activate an order's code; returns the outcome, or None if it is to be retried."""


def through_the_api(orders: Orders, code: str) -> Outcome | None:
    try:
        return orders.activate(code, f"order of {code}").outcome
    except TryAgain:
        return None


class ThroughTheQueue:
    """A worker for one message at a time, each in a new sandbox, so that no circuit breaker opens."""

    def __init__(self, sqs: Any) -> None:
        self._sqs = sqs
        self.queue_url, self.dead_letter_queue_url = (
            sqs.create_queue(QueueName=f"{name}-{uuid.uuid4()}")["QueueUrl"] for name in ("activations", "dead")
        )

    def __call__(self, orders: Orders, code: str) -> Outcome | None:
        worker = Worker(orders.acts, orders.ledger, self._sqs, self.queue_url, self.dead_letter_queue_url)
        message = {"code": code, "loyalty_id": 5, "order_id": f"order of {code}", "source": "shop"}
        record = {"messageId": code, "receiptHandle": code, "body": json.dumps(message), "attributes": {}}
        context: Any = None
        comes_back = worker.work({"Records": [record]}, context, deadline())["batchItemFailures"]
        return None if comes_back else Outcome.ACTIVATED

    def dead_letters(self) -> int:
        return len(self._sqs.receive_message(QueueUrl=self.dead_letter_queue_url).get("Messages", []))


@pytest.mark.parametrize("wire", get_args(Wire))
@pytest.mark.parametrize("by", ["API", "queue"])
@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_no_code_is_lost_and_no_order_gets_a_wrong_answer(
    emulator: Emulator, aws: Aws, table: str, failure: Sequence[AnyFault], by: str, wire: Wire
) -> None:
    queue = ThroughTheQueue(aws.client("sqs"))
    activate: Activate = through_the_api if by == "API" else queue
    emulator.programs.add(5, "control", *CODES, attached=True)
    orders = make_orders(emulator.url, aws, table, wire)
    orders.activate("control")
    journal = emulator.programs.activations

    emulator.faults.set(failure)
    while_failing = {code: activate(orders, code) for code in CODES}
    # Every outcome is `activated`, and the codes with an outcome are activated.
    assert {code for code, outcome in while_failing.items() if outcome} <= {code for (_, code) in journal}
    assert set(while_failing.values()) <= {None, Outcome.ACTIVATED}

    emulator.faults.set([])
    assert {code: activate(orders, code) for code in CODES} == dict.fromkeys(CODES, Outcome.ACTIVATED)
    assert dict(journal) == {(5, code): 1 for code in ["control", *CODES]}
    assert queue.dead_letters() == 0
    for code in CODES:
        assert orders.activate(code, "another order").first_order == f"order of {code}"


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
    orders = make_orders(emulator.url, aws, table)
    for code in CODES:
        emulator.faults.set([Drop(endpoints=ACTIVATE, applied=applied), refuse(500, endpoints=GET, calls=1)])
        given: list[Outcome | None] = []
        for order_id in ("1001", None, "1001", None):
            try:
                given.append(orders.activate(code, order_id).outcome)
            except TryAgain:
                given.append(None)
        assert given == answers
        assert emulator.programs.activations[5, code] == 1
