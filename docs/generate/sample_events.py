"""The sample events of shops' deliveries: `python -m docs.generate.sample_events` writes them anew from `events/bodies/`.

Their signatures fit the secrets of `events/sources.json`, which guard nothing: they are there for samples and demos. That
document lets timestamps be old, because a sample's is; no real source should.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from activate.activation_queue import Message, text_of
from activate.sources import parse
from ops.signing import MEDIA_TYPES, sign

EVENTS: Final = Path(__file__).parents[2] / "events"
SOURCES: Final = EVENTS / "sources.json"

DELIVERIES: Final = {
    "webhook-shopify.json": ("eu-shop", "shopify.json"),
    "webhook-woocommerce.json": ("blog", "woocommerce.json"),
    "webhook-standard-webhooks.json": ("bitrix", "standard-webhooks.json"),
    "webhook-shopware.json": ("shopware", "shopware.json"),
    "webhook-saleor.json": ("saleor", "saleor.json"),
    "webhook-tilda-json.json": ("tilda", "tilda.json"),
    "webhook-tilda-json-field.json": ("tilda", "tilda-json-field.form"),
    "webhook-tilda.json": ("tilda", "tilda.form"),
    "webhook-retailcrm.json": ("retailcrm", "retailcrm.form"),
    "webhook-insales.json": ("insales", "insales.json"),
    "webhook-stripe.json": ("stripe", "stripe.json"),
    "webhook-ecwid.json": ("ecwid", "ecwid.json"),
    "webhook-bigcommerce.json": ("bigcommerce", "bigcommerce.json"),
    "webhook-insales-coupons.json": ("insales-coupons", "insales.json"),
    "webhook-stripe-promotions.json": ("stripe-promotions", "stripe-promotion.json"),
    "webhook-generic.json": ("custom", "generic.json"),
}
"""Each event's file: the source it is for, and the body it delivers."""

REVERSALS: Final = {
    "webhook-shopify-reversed.json": ("eu-shop", "shopify-reversed.json"),
    "webhook-woocommerce-reversed.json": ("blog", "woocommerce-reversed.json"),
    "webhook-standard-webhooks-reversed.json": ("bitrix", "standard-webhooks-reversed.json"),
    "webhook-shopware-reversed.json": ("shopware", "shopware-reversed.json"),
    "webhook-saleor-reversed.json": ("saleor", "saleor-reversed.json"),
    "webhook-insales-reversed.json": ("insales", "insales-reversed.json"),
    "webhook-stripe-reversed.json": ("stripe", "stripe-reversed.json"),
    "webhook-ecwid-reversed.json": ("ecwid", "ecwid-reversed.json"),
    "webhook-bigcommerce-reversed.json": ("bigcommerce", "bigcommerce-reversed.json"),
}
"""The same for orders that were cancelled or refunded in full: those of `DELIVERIES`, by the sources of the same names."""

_AT: Final = 1795336200
"""When the samples were delivered: 2026-11-22 08:30 UTC."""


def events() -> dict[str, dict[str, Any]]:
    """Every sample event of a delivery, by its file's name."""
    sources = parse(SOURCES.read_text()).sources
    delivered = {}
    for file, (name, body) in (DELIVERIES | REVERSALS).items():
        media_type = MEDIA_TYPES[Path(body).suffix]
        delivery = sign(sources[name], _body(body), media_type, delivery_id=f"msg_{name}", now=_AT)
        delivered[file] = _proxy_event(name, delivery.headers, delivery.query, delivery.body)
    return delivered | {
        "eventbridge-shopify.json": _partner_event(
            "shopifyWebhook", "aws.partner/shopify.com/1234567/eu-shop", _shopify_detail()
        ),
        # Stripe's detail is the event itself.
        "eventbridge-stripe.json": _partner_event(
            "checkout.session.completed", "aws.partner/stripe.com/stripe", json.loads(_body("stripe.json"))
        ),
        # Saleor puts its webhook into a queue itself; the queue's name is our source's.
        "saleor-sqs.json": _records("saleor", _body("saleor.json").decode()),
        "stream-batch.json": _changes(
            (_item("claimed"), _item("redeemed")), (_item("redeemed"), _item("redeemed") | {"note": _note()})
        ),
        "queue-batch.json": _records("activation", _queued("Code-1", "eu-shop/1001"), _queued("Code-2", "blog/727")),
    }


def _body(file: str) -> bytes:
    return (EVENTS / "bodies" / file).read_bytes()


def _proxy_event(source: str, headers: Mapping[str, str], query: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """What a REST API with binary media types `*/*` hands to a function.

    Source: AWS documentation, "Lambda proxy integrations in API Gateway", input format.
    """
    path = f"/webhooks/{source}"
    return {
        "resource": "/webhooks/{source}",
        "path": path,
        "httpMethod": "POST",
        "headers": dict(headers),
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": dict(query) or None,
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()} or None,
        "pathParameters": {"source": source},
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "local",
            "domainName": "api.example.com",
            "httpMethod": "POST",
            "identity": {"sourceIp": "192.0.2.1"},
            "path": f"/v1{path}",
            "protocol": "HTTP/1.1",
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "requestTimeEpoch": _AT * 1000,
            "resourcePath": "/webhooks/{source}",
            "stage": "v1",
        },
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


def _partner_event(detail_type: str, sender: str, detail: Mapping[str, Any]) -> dict[str, Any]:
    """A platform's webhook as an EventBridge partner event; the last part of `sender` names our source."""
    return {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": detail_type,
        "source": sender,
        "account": "123456789012",
        "time": "2026-11-22T08:30:00Z",
        "region": "eu-central-1",
        "resources": [],
        "detail": dict(detail),
    }


def _shopify_detail() -> dict[str, Any]:
    return {
        "payload": json.loads(_body("shopify.json")),
        "metadata": {
            "Content-Type": "application/json",
            "X-Shopify-Topic": "orders/paid",
            "X-Shopify-Shop-Domain": "example.myshopify.com",
            "X-Shopify-Webhook-Id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
        },
    }


def _records(queue: str, *bodies: str) -> dict[str, Any]:
    """What Lambda's poller hands over from an SQS queue.

    Source: AWS documentation, "Using Lambda with Amazon SQS", example event.
    """
    return {
        "Records": [
            {
                "messageId": f"059f36b4-87a3-44ab-83d2-{number:012d}",
                "receiptHandle": f"AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a-{number}",
                "body": body,
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": str(_AT * 1000),
                    "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                    "ApproximateFirstReceiveTimestamp": str(_AT * 1000),
                },
                "messageAttributes": {},
                "md5OfBody": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:eu-central-1:123456789012:{queue}",
                "awsRegion": "eu-central-1",
            }
            for number, body in enumerate(bodies, start=1)
        ]
    }


def _queued(code: str, order_id: str) -> str:
    source = order_id.partition("/")[0]
    return text_of(Message(code, 5, order_id, source, "2026-11-22T08:30:00+00:00"))


def _item(state: str) -> dict[str, Any]:
    """An item of the ledger's table as an activation leaves it, in DynamoDB's own JSON."""
    texts = {
        "code": "Code-1",
        "state": state,
        "order_id": "eu-shop/1001",
        "source": "eu-shop",
        "claim_id": "0f8e1f6c5b0a4c7f9a3d2e1b0c9d8e7f",
        "claimed_at": "2026-11-22T08:30:00.100000+00:00",
        "claimed_until": "2026-11-22T08:31:03.100000+00:00",
    }
    if state == "redeemed":
        at = "2026-11-22T08:30:00.230000+00:00"
        texts |= {"redeemed_at": at, "known_at": at, "last_outcome": "activated"}
    return {
        "loyalty_id": {"N": "5"},
        **{name: {"S": text} for name, text in texts.items()},
        "expiration": {"N": str(_AT + 400 * 24 * 3600)},
    }


def _note() -> dict[str, Any]:
    texts = {
        "kind": "double_redemption",
        "id": "7d1c4b0e9f5a4d3c8b2a1f0e9d8c7b6a",
        "at": "2026-11-22T09:00:00.500000+00:00",
        "order_id": "blog/727",
        "source": "blog",
    }
    return {"M": {name: {"S": text} for name, text in texts.items()}}


def _changes(*changes: tuple[Mapping[str, Any], Mapping[str, Any]]) -> dict[str, Any]:
    """What Lambda's poller hands over from a table's stream, for each change the old image and the new one.

    Source: AWS documentation, "Using AWS Lambda with Amazon DynamoDB", example event.
    """
    return {
        "Records": [
            {
                "eventID": f"c4ca4238a0b923820dcc509a6f75849{number}",
                "eventName": "MODIFY",
                "eventVersion": "1.1",
                "eventSource": "aws:dynamodb",
                "awsRegion": "eu-central-1",
                "dynamodb": {
                    "ApproximateCreationDateTime": float(_AT),
                    "Keys": {name: new[name] for name in ("loyalty_id", "code")},
                    "OldImage": dict(old),
                    "NewImage": dict(new),
                    "SequenceNumber": f"4421584500000000017450439{number}",
                    "SizeBytes": 700,
                    "StreamViewType": "NEW_AND_OLD_IMAGES",
                },
                "eventSourceARN": "arn:aws:dynamodb:eu-central-1:123456789012:table/redemptions/stream/2026-11-22T00:00:00.000",
            }
            for number, (old, new) in enumerate(changes, start=1)
        ]
    }


def spelled(event: Mapping[str, Any]) -> str:
    """An event as its file holds it."""
    return json.dumps(event, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the files."""
    for file, event in events().items():
        (EVENTS / file).write_text(spelled(event))


if __name__ == "__main__":
    main()
