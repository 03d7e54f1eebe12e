"""Orders that give their codes back, as a shop's back end and its platform report them."""

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
import xmltodict

from activate.sources import parse
from docs.generate.sample_events import SOURCES
from local.emulator import Emulator
from local.emulator.faults import Drop
from local.stack import Stack
from local.waiting import wait_until
from ops.signing import sign
from tests.e2e.api import Api, problem

ACTIVATE, DEACTIVATE = "/promocodes/activate", "/promocodes/deactivate"


def order_of(altcraft: Emulator) -> dict[str, Any]:
    """An order with a code of its own, which is attached."""
    number = uuid.uuid4()
    altcraft.programs.add(5, f"Code-{number}", attached=True)
    return {"code": f"Code-{number}", "loyalty_id": 5, "order_id": f"order {number}"}


def test_an_order_gives_its_code_back(api: Api, altcraft: Emulator) -> None:
    order = order_of(altcraft)
    assert api.post(ACTIVATE, order).status_code == 200

    for _ in range(2):
        response = api.post(DEACTIVATE, order)
        assert response.status_code == 200
        assert response.json() == {"code": order["code"], "loyalty_id": 5, "outcome": "deactivated"}
    assert altcraft.programs.get(5, order["code"]).activated is None
    assert problem(api.post(ACTIVATE, order), 409)["type"].endswith(":released_by_order")
    assert api.post(ACTIVATE, order | {"order_id": "a new one"}).status_code == 200
    assert problem(api.post(DEACTIVATE, order), 409)["type"].endswith(":not_held_by_order")


def test_xml_is_spoken_both_ways(api: Api, altcraft: Emulator) -> None:
    order = order_of(altcraft)
    body = xmltodict.unparse({"xml": order}, full_document=False)
    xml = {"Content-Type": "application/xml", "Accept": "application/xml"}
    assert api.post(ACTIVATE, body, **xml).status_code == 200

    response = api.post(DEACTIVATE, body, **xml)
    assert response.status_code == 200
    assert xmltodict.parse(response.content)["xml"]["outcome"] == "deactivated"


def test_an_order_id_is_required(api: Api) -> None:
    response = api.post(DEACTIVATE, {"code": "Code-1", "loyalty_id": 5})
    assert problem(response, 400)["detail"].startswith("order_id: is required")


def test_many_at_once_deactivate_once(api: Api, altcraft: Emulator) -> None:
    order = order_of(altcraft)
    api.post(ACTIVATE, order)

    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda _: api.post(DEACTIVATE, order).status_code, range(8)))
    assert set(answers) <= {200, 503}
    assert api.post(DEACTIVATE, order).status_code == 200
    assert altcraft.journal.calls["update"] == 1


def deliver(api: Api, order: dict[str, Any]) -> requests.Response:
    """Deliver an order as Shopify does."""
    body = json.dumps(order).encode()
    signed = sign(
        parse(SOURCES.read_text()).sources["eu-shop"], body, "application/json", delivery_id="1", now=time.time()
    )
    return api.send("POST", "/webhooks/eu-shop", signed.body, signed.headers)


def shopify(altcraft: Emulator) -> tuple[dict[str, Any], str]:
    """A paid order of Shopify, and its code."""
    code = order_of(altcraft)["code"]
    number = int(uuid.uuid4()) % 10**12
    order = {
        "id": number,
        "financial_status": "paid",
        "cancelled_at": None,
        "discount_applications": [{"type": "discount_code", "code": code}],
    }
    return order, code


REFUNDED = {"financial_status": "refunded", "cancelled_at": "2026-11-25T10:00:00+00:00"}


def ledger_item(stack: Stack, code: str) -> dict[str, Any]:
    dynamodb: Any = stack.aws.client("dynamodb")
    key = {"loyalty_id": {"N": "5"}, "code": {"S": code}}
    item: dict[str, Any] = dynamodb.get_item(TableName=stack.ready.redemptions_table, Key=key).get("Item", {})
    return item


def test_a_refunded_order_of_a_shop_gives_its_code_back(api: Api, altcraft: Emulator, stack: Stack) -> None:
    order, code = shopify(altcraft)
    assert deliver(api, order).json() == {"accepted": 1}
    assert altcraft.programs.wait_for_activations(lambda done: done[5, code] == 1, 20)

    assert deliver(api, order | REFUNDED).json() == {"accepted": 1}
    wait_until(lambda: ledger_item(stack, code).get("last_outcome") == {"S": "deactivated"})
    assert altcraft.programs.get(5, code).activated is None
    assert ledger_item(stack, code)["source"] == {"S": "eu-shop"}


def test_a_reversal_before_the_payment_ends_the_payment_quietly(api: Api, altcraft: Emulator, stack: Stack) -> None:
    order, code = shopify(altcraft)
    assert deliver(api, order | REFUNDED).json() == {"accepted": 1}
    wait_until(lambda: "closed" in ledger_item(stack, code))

    assert deliver(api, order).json() == {"accepted": 1}
    other, _ = shopify(altcraft)
    other["discount_applications"] = order["discount_applications"]
    assert deliver(api, other).json() == {"accepted": 1}
    assert altcraft.programs.wait_for_activations(lambda done: done[5, code] == 1, 20)
    wait_until(lambda: ledger_item(stack, code)["state"] == {"S": "redeemed"})
    assert ledger_item(stack, code)["order_id"] == {"S": f"eu-shop/{other['id']}"}


@pytest.mark.parametrize("applied", [True, False])
def test_a_reversal_whose_reply_is_lost_is_settled_by_the_queue(
    api: Api, altcraft: Emulator, stack: Stack, applied: bool
) -> None:
    order, code = shopify(altcraft)
    deliver(api, order)
    assert altcraft.programs.wait_for_activations(lambda done: done[5, code] == 1, 20)
    altcraft.faults.set([Drop(endpoints=frozenset({"update"}), applied=applied)])

    deliver(api, order | REFUNDED)
    wait_until(lambda: ledger_item(stack, code).get("last_outcome") == {"S": "deactivated"}, 40)
    assert altcraft.programs.get(5, code).activated is None


def test_a_partial_refund_gives_nothing_back(api: Api, altcraft: Emulator) -> None:
    order, code = shopify(altcraft)
    deliver(api, order)
    assert altcraft.programs.wait_for_activations(lambda done: done[5, code] == 1, 20)

    response = deliver(api, order | {"financial_status": "partially_refunded"})
    assert response.status_code == 200
    assert altcraft.journal.calls["update"] == 0
