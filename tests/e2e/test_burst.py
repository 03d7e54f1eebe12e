"""A flash sale through the whole stack: every order twice, Altcraft failing for half of it, a worker killed in the middle."""

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from activate.sources import parse
from local.emulator.faults import Drop, Page
from local.stack import Options, Stack
from local.waiting import wait_until
from ops.signing import sign
from tests.e2e.conftest import EVENTS
from tests.e2e.processes import sandboxes

ORDERS = 1_000
SOURCES = (EVENTS / "sources.json").read_text()
SOURCE = parse(SOURCES).sources["eu-shop"]

# Of the functions' 60 s: a message of a killed worker is locked until its run would have ended.
LONGEST_LOCK_SECONDS = 60


@pytest.fixture
def stack() -> Iterator[Stack]:
    """A stack of its own, whose queue gives a killed worker's messages back soon."""
    with Stack(Options(sources=SOURCES)) as running:
        running.aws.client("sqs").set_queue_attributes(
            QueueUrl=running.ready.activation_queue_url, Attributes={"VisibilityTimeout": "5"}
        )
        yield running


def deliver(stack: Stack, shop: requests.Session, number: int) -> None:
    """Deliver an order as Shopify does: until the answer is 200."""
    order = {
        "id": number,
        "financial_status": "paid",
        "cancelled_at": None,
        "discount_applications": [{"type": "discount_code", "code": f"SALE-{number}"}],
    }
    delivery = sign(SOURCE, json.dumps(order).encode(), "application/json", delivery_id=str(number), now=time.time())
    url = f"{stack.ready.api_url}/webhooks/eu-shop"
    while (answer := shop.post(url, data=delivery.body, headers=dict(delivery.headers), timeout=30)).status_code != 200:
        assert answer.status_code in {502, 503}, answer.text
    assert answer.json() == {"accepted": 1}


def messages_in(sqs: Any, queue_url: str) -> int:
    """Messages in a queue: those that wait, those a worker holds, those that pause."""
    names = (
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
    )
    attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=list(names))
    return sum(int(attributes["Attributes"][name]) for name in names)


@pytest.mark.long
def test_every_code_of_a_burst_is_activated_exactly_once(stack: Stack) -> None:
    # Given an Altcraft that fails half of its calls: down, or with the reply lost after it was applied
    altcraft = stack.emulator
    assert altcraft is not None
    altcraft.programs.add(5, *(f"SALE-{number}" for number in range(ORDERS)), attached=True)
    altcraft.faults.set([Page(status=503, calls=None, fraction=0.3), Drop(calls=None, fraction=0.3, applied=True)])

    # When every order is delivered twice, and every sandbox is killed while there is work left
    with ThreadPoolExecutor(4) as shops, requests.Session() as shop:
        for _ in shops.map(lambda number: deliver(stack, shop, number), [*range(ORDERS), *range(ORDERS)]):
            pass
    for sandbox in sandboxes(stack):
        os.kill(sandbox, signal.SIGKILL)
    assert sum(altcraft.programs.activations.values()) < ORDERS
    altcraft.faults.set([])

    # Then every code is activated once, and both queues are empty
    sqs = stack.aws.client("sqs")
    altcraft.programs.wait_for_activations(lambda activations: len(activations) == ORDERS, LONGEST_LOCK_SECONDS + 120)
    wait_until(lambda: messages_in(sqs, stack.ready.activation_queue_url) == 0, seconds=LONGEST_LOCK_SECONDS + 120)
    assert set(altcraft.programs.activations.values()) == {1}
    assert len(altcraft.programs.activations) == ORDERS
    assert messages_in(sqs, stack.ready.dead_letter_queue_url) == 0
