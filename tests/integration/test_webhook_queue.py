"""The intake with real AWS clients: SQS, S3 and Secrets Manager over HTTP, and an SQS that takes parts of batches."""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config

from activate.activation_queue import ActivationQueue, Message, Unqueued
from activate.intake import Intake
from activate.quarantine import Quarantine
from activate.sources import Sources
from lambda_support.http import Problem, Request
from lambda_support.secrets import Secret
from local.emulator.http import Request as HttpRequest
from local.emulator.http import Response, Server
from local.engine import REGION, Aws

SOURCES = {"eu-shop": {"platform": "shopify", "secrets": ["current"], "loyalty_id": 5, "case": "keep"}}


def shopify(order_id: int, codes: list[str], secret: str = "current", **changes: str) -> Request:
    """A signed delivery of a paid order; `changes` override the order's fields."""
    applications = [{"type": "discount_code", "code": code} for code in codes]
    order = {"id": order_id, "financial_status": "paid", "discount_applications": applications, **changes}
    body = json.dumps(order, ensure_ascii=False).encode()
    signature = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()
    headers = {"content-type": "application/json", "x-shopify-hmac-sha256": signature}
    return Request("POST", "/webhooks/{source}", {"source": "eu-shop"}, headers, {}, body)


class Stack:
    """An intake with its own queue, bucket and secret."""

    def __init__(self, aws: Aws) -> None:
        self.sqs, self.s3, self.secrets = (aws.client(name) for name in ("sqs", "s3", "secretsmanager"))
        self.queue_url: str = self.sqs.create_queue(QueueName=str(uuid.uuid4()))["QueueUrl"]
        self.bucket = str(uuid.uuid4())
        self.s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.secret = f"sources-{uuid.uuid4()}"
        self.secrets.create_secret(Name=self.secret, SecretString=json.dumps(SOURCES))
        self.intake = Intake(
            Sources(Secret(self.secret)),
            ActivationQueue(self.sqs, self.queue_url),
            Quarantine(lambda: self.s3, self.bucket, "shop/"),
        )

    def give_back(self) -> None:
        """Let the shop's reversed orders give their codes back, in the document of sources."""
        document = {"eu-shop": {**SOURCES["eu-shop"], "on_reversal": "deactivate"}}
        self.secrets.put_secret_value(SecretId=self.secret, SecretString=json.dumps(document))

    def queued(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while messages := self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get("Messages"):
            found += [json.loads(message["Body"]) for message in messages]
        return found


@pytest.fixture
def stack(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Stack:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "tests")
    return Stack(aws)


def test_given_an_order_with_codes_of_any_script_then_each_is_in_the_queue(stack: Stack) -> None:
    codes = [f'Скидка-{number} 🎁 "&<>' for number in range(23)]
    reply = stack.intake.receive("eu-shop", shopify(1001, codes))
    assert json.loads(reply["body"]) == {"accepted": 23}
    queued = stack.queued()
    assert sorted(message["code"] for message in queued) == sorted(codes)
    assert {(message["order_id"], message["loyalty_id"], message["source"]) for message in queued} == {
        ("eu-shop/1001", 5, "eu-shop")
    }


def test_given_reversed_orders_then_their_codes_are_in_the_queue_to_be_given_back(stack: Stack) -> None:
    stack.give_back()
    codes = [f"C-{number}" for number in range(12)]
    answers = [
        stack.intake.receive("eu-shop", request)
        for request in (
            shopify(1001, codes),
            shopify(1001, codes, financial_status="partially_refunded"),
            shopify(1001, codes, financial_status="refunded"),
            shopify(1002, codes[:1], cancelled_at="2026-11-24T10:05:00+01:00"),
        )
    ]
    assert [json.loads(answer["body"])["accepted"] for answer in answers] == [12, 12, 12, 1]
    queued = stack.queued()
    given_back = [message for message in queued if message.get("action") == "deactivate"]
    activated = [message for message in queued if "action" not in message]
    assert len(activated) == 24
    assert {message["order_id"] for message in activated} == {"eu-shop/1001"}
    assert sorted((message["order_id"], message["code"]) for message in given_back) == sorted(
        [("eu-shop/1001", code) for code in codes] + [("eu-shop/1002", "C-0")]
    )
    assert {frozenset(message) for message in given_back} == {
        frozenset({"code", "loyalty_id", "order_id", "source", "received_at", "action"})
    }


def test_given_reversed_orders_that_are_ignored_then_nothing_is_queued(stack: Stack) -> None:
    answer = stack.intake.receive("eu-shop", shopify(1001, ["C-1"], financial_status="refunded"))
    assert json.loads(answer["body"]) == {"accepted": 0}
    assert not stack.queued()
    assert "Contents" not in stack.s3.list_objects_v2(Bucket=stack.bucket)


def test_given_codes_of_the_greatest_length_then_a_batch_still_fits(stack: Stack) -> None:
    codes = [chr(0x1F600 + number) * 255 for number in range(10)]
    assert json.loads(stack.intake.receive("eu-shop", shopify(1, codes))["body"]) == {"accepted": 10}
    assert len(stack.queued()) == 10


def test_given_a_body_that_cannot_be_read_then_its_exact_bytes_are_in_the_bucket(stack: Stack) -> None:
    request = shopify(1002, ["A"])
    body = request.body[:-1]
    signature = base64.b64encode(hmac.new(b"current", body, hashlib.sha256).digest()).decode()
    headers = {**request.headers, "x-shopify-hmac-sha256": signature}
    reply = stack.intake.receive("eu-shop", Request("POST", "", {}, headers, {}, body))
    assert json.loads(reply["body"]) == {"accepted": 0}
    [found] = stack.s3.list_objects_v2(Bucket=stack.bucket, Prefix="shop/quarantine/eu-shop/")["Contents"]
    kept = stack.s3.get_object(Bucket=stack.bucket, Key=found["Key"])
    assert kept["Body"].read() == body
    assert kept["Metadata"]["reason"]
    assert not stack.queued()


def test_given_the_secret_is_rotated_then_the_first_delivery_with_the_new_one_is_accepted(stack: Stack) -> None:
    stack.intake.receive("eu-shop", shopify(1, ["A"]))
    rotated = {"eu-shop": {**SOURCES["eu-shop"], "secrets": ["next", "current"]}}
    stack.secrets.put_secret_value(SecretId=stack.secret, SecretString=json.dumps(rotated))
    stack.intake.receive("eu-shop", shopify(2, ["B"], "next"))
    stack.intake.receive("eu-shop", shopify(3, ["C"], "current"))
    assert {message["code"] for message in stack.queued()} == {"A", "B", "C"}


@pytest.mark.parametrize("missing", ["queue", "bucket", "secret"])
def test_given_a_part_of_the_stack_is_missing_then_503(stack: Stack, missing: str) -> None:
    request = shopify(1, ["A", "x" * 256])
    if missing == "queue":
        stack.sqs.delete_queue(QueueUrl=stack.queue_url)
    elif missing == "bucket":
        stack.s3.delete_bucket(Bucket=stack.bucket)
    else:
        stack.secrets.delete_secret(SecretId=stack.secret, ForceDeleteWithoutRecovery=True)
    with pytest.raises(Problem) as raised:
        stack.intake.receive("eu-shop", request)
    assert raised.value.status == 503


class PartialSqs:
    """Speaks SQS's JSON protocol, and takes of each batch only what `takes` says: partial failures, as they come from SQS.

    Source: Amazon SQS API Reference, SendMessageBatch.
    """

    def __init__(self, takes: Callable[[int, str], bool], confirms: bool = True) -> None:
        """`takes`: whether the nth call (from 1) accepts the message with this code. `confirms`: by a message's id."""
        self.takes = takes
        self.confirms = confirms
        self.calls: list[list[str]] = []
        self.taken: list[str] = []

    def __call__(self, request: HttpRequest) -> Response:
        entries = json.loads(request.body)["Entries"]
        codes = {entry["Id"]: json.loads(entry["MessageBody"])["code"] for entry in entries}
        self.calls.append(list(codes.values()))
        bodies = {entry["Id"]: entry["MessageBody"] for entry in entries}
        good = [key for key, code in codes.items() if self.takes(len(self.calls), code)]
        self.taken += [codes[key] for key in good]
        answer = {
            "Successful": [
                {
                    "Id": key,
                    "MD5OfMessageBody": hashlib.md5(bodies[key].encode()).hexdigest(),  # noqa: S324
                    **({"MessageId": key} if self.confirms else {}),
                }
                for key in good
            ],
            "Failed": [
                {"Id": key, "SenderFault": False, "Code": "InternalError", "Message": "try again"}
                for key in codes
                if key not in good
            ],
        }
        return Response(200, json.dumps(answer).encode(), [("Content-Type", "application/x-amz-json-1.0")])

    def send(self, codes: list[str]) -> None:
        messages = [Message(code, 5, "eu-shop/1", "eu-shop", "2026-11-22T08:30:00+00:00") for code in codes]
        with Server(self) as server:
            client = boto3.client(
                "sqs",
                endpoint_url=server.url,
                region_name=REGION,
                aws_access_key_id="x",
                aws_secret_access_key="x",
                config=Config(retries={"max_attempts": 0}),
            )
            try:
                ActivationQueue(client, f"{server.url}/123456789012/queue").send(messages)
            finally:
                client.close()


CODES = [f"C-{number}" for number in range(12)]


class TestPartialFailures:
    def test_given_a_part_of_a_batch_fails_once_then_only_that_part_is_sent_again(self) -> None:
        sqs = PartialSqs(lambda call, code: call > 1 or code in {"C-0", "C-1"})
        sqs.send(CODES)
        assert sorted(sqs.taken) == sorted(CODES)
        assert sqs.calls == [CODES[:10], CODES[2:10], CODES[10:]]

    def test_given_one_message_is_never_accepted_then_unqueued_is_raised_after_some_attempts(self) -> None:
        sqs = PartialSqs(lambda _, code: code != "C-7")
        with pytest.raises(Unqueued, match="InternalError"):
            sqs.send(CODES)
        assert sqs.calls[1:] == [["C-7"], ["C-7"]]

    def test_given_a_success_without_a_message_id_then_unqueued_is_raised(self) -> None:
        sqs = PartialSqs(lambda _call, _code: True, confirms=False)
        with pytest.raises(Unqueued, match="refused 1 of 1 messages: not confirmed"):
            sqs.send(["C-1"])
        assert sqs.calls == [["C-1"]] * 3

    def test_given_nothing_to_send_then_sqs_is_not_called(self) -> None:
        sqs = PartialSqs(lambda _call, _code: True)
        sqs.send([])
        assert not sqs.calls
