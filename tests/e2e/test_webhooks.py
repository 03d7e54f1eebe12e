"""Shops' deliveries through the gateway, the queue and the worker, to Altcraft."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Mapping

import pytest
import requests

from activate.sources import parse
from docs.generate.sample_events import DELIVERIES, EVENTS, REVERSALS, SOURCES
from local.emulator import Emulator
from local.stack import Stack
from local.waiting import wait_until
from ops.signing import MEDIA_TYPES, sign
from tests.e2e.api import Api, problem

FORM = "application/x-www-form-urlencoded"
SECONDS = 30.0


def activated(altcraft: Emulator, loyalty_id: int, *codes: str) -> bool:
    """Wait until each code has been activated."""
    wanted = {(loyalty_id, code) for code in codes}
    return altcraft.programs.wait_for_activations(lambda done: wanted <= done.keys(), SECONDS)


def is_empty(stack: Stack) -> bool:
    """Whether the activation queue holds nothing, neither waiting nor in work."""
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    sqs = stack.aws.client("sqs")
    counts = sqs.get_queue_attributes(QueueUrl=stack.ready.activation_queue_url, AttributeNames=names)["Attributes"]
    return not any(int(counts[name]) for name in names)


def deliver(
    api: Api, source: str, body: bytes, headers: Mapping[str, str], query: Mapping[str, str] | None = None
) -> requests.Response:
    return api.send("POST", f"/webhooks/{source}", body, headers, query)


def shopify(api: Api, body: bytes, secret: str = "demo-shopify-secret", source: str = "eu-shop") -> requests.Response:
    signature = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()
    headers = {"Content-Type": "application/json", "X-Shopify-Hmac-Sha256": signature}
    return deliver(api, source, body, headers)


def order(*codes: str, order_id: int | None = None) -> bytes:
    applications = [{"type": "discount_code", "code": code} for code in codes]
    fields = {
        "id": order_id or uuid.uuid4().int >> 70,
        "financial_status": "paid",
        "discount_applications": applications,
    }
    return json.dumps(fields).encode()


def fresh(count: int = 1) -> list[str]:
    return [f"Code-{uuid.uuid4()}" for _ in range(count)]


def test_given_a_paid_order_delivered_twice_then_each_code_is_activated_once(
    api: Api, stack: Stack, altcraft: Emulator
) -> None:
    codes = fresh(12)
    altcraft.programs.add(5, *codes, attached=True)
    body = order(*codes)
    for secret in ("demo-shopify-secret", "demo-shopify-secret-before"):
        response = shopify(api, body, secret)
        assert (response.status_code, response.json()) == (200, {"accepted": 12})
    assert activated(altcraft, 5, *codes)
    wait_until(lambda: is_empty(stack))
    assert {altcraft.programs.activations[5, code] for code in codes} == {1}


BODIES = [b"\x00\xff\xfe\r\n {", b"x" * 100_000, b'{"id": 1,\r\n']


@pytest.mark.parametrize("body", [*BODIES, '{"Ключ": "🎁"} '.encode(), b"{}", b"null\n"])
def test_given_signed_bytes_of_any_kind_then_they_survive_the_gateway_exactly(api: Api, body: bytes) -> None:
    assert shopify(api, body).status_code == 200


def test_given_signed_bytes_that_cannot_be_read_then_they_are_kept_exactly(api: Api, stack: Stack) -> None:
    for body in BODIES:
        assert shopify(api, body).json() == {"accepted": 0}
    s3 = stack.aws.client("s3")
    listed = s3.list_objects_v2(Bucket=stack.ready.export_bucket, Prefix="quarantine/eu-shop/")["Contents"]
    kept = [s3.get_object(Bucket=stack.ready.export_bucket, Key=found["Key"])["Body"].read() for found in listed]
    assert set(BODIES) <= set(kept)


def test_given_a_forged_delivery_then_401(api: Api) -> None:
    members = problem(shopify(api, order("A"), "forged"), 401)
    assert members["retryable"] is False


def test_given_an_unknown_source_then_404(api: Api) -> None:
    problem(shopify(api, order("A"), source="nobody"), 404)


def test_given_woocommerces_and_tildas_pings_then_exactly_200(api: Api) -> None:
    for source, body in (("blog", b"webhook_id=17"), ("tilda", b"test=test")):
        response = deliver(api, source, body, {"Content-Type": FORM})
        assert (response.status_code, response.json()) == (200, {"accepted": 0})


def test_given_a_challenge_then_it_comes_back_as_plain_text(api: Api) -> None:
    response = api.send("GET", "/webhooks/eu-shop", query={"challenge": "8ec8d794-e0ab"})
    assert (response.status_code, response.text) == (200, "8ec8d794-e0ab")
    assert response.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(("name", "file"), sorted({*DELIVERIES.values(), *REVERSALS.values()}))
def test_given_each_platforms_body_signed_now_then_it_is_accepted(api: Api, name: str, file: str) -> None:
    body, media_type = (EVENTS / "bodies" / file).read_bytes(), MEDIA_TYPES["." + file.rpartition(".")[2]]
    delivery = sign(parse(SOURCES.read_text()).sources[name], body, media_type, delivery_id="d-1", now=time.time())
    response = deliver(api, name, delivery.body, delivery.headers, delivery.query)
    assert response.status_code == 200
    assert response.json()["accepted"] >= 1
