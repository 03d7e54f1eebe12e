"""The intake's decisions: the answer to each delivery, and what is queued, kept and counted. AWS is a fake in memory."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from activate.activation_queue import ActivationQueue, Unqueued
from activate.intake import Intake
from activate.quarantine import Quarantine
from activate.redemption import Redemption
from activate.sources import Sources, SourceUnavailable, UnknownSource
from lambda_support.http import Problem, Request
from tests.secret import Secret

NOW = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
FORM = "application/x-www-form-urlencoded"
DOCUMENT: dict[str, Any] = {
    "eu-shop": {"platform": "shopify", "secrets": ["current", "previous"], "loyalty_id": 5},
    "blog": {"platform": "woocommerce", "secrets": ["s"], "loyalty_id": 5},
    "tilda": {"platform": "tilda", "secrets": ["hush-hush"], "loyalty_id": 5},
    "saleor": {"platform": "saleor", "secrets": ["s"], "loyalty_id": 5},
    "vip": {"platform": "shopify", "secrets": ["s"], "programs": [{"pattern": "^VIP-", "loyalty_id": 7}]},
    "pay": {"platform": "stripe", "secrets": ["s"], "loyalty_id": 5},
    "nop": {"platform": "shopify", "secrets": ["s"], "loyalty_id": 5, "challenge": "echo"},
    "broken": {"platform": "shopify", "secrets": ["s"], "loyalty_id": "five"},
}
ORDER: dict[str, Any] = {
    "id": 1001,
    "financial_status": "paid",
    "cancelled_at": None,
    "discount_applications": [{"type": "discount_code", "code": "A-1"}, {"type": "discount_code", "code": "A-2"}],
}


def refusal(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, operation)


@dataclass
class Aws:
    """SQS and S3, with the calls that the intake makes."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    sqs_error: Exception | None = None
    s3_error: Exception | None = None

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
        if self.sqs_error:
            raise self.sqs_error
        assert len({entry["Id"] for entry in Entries}) == len(Entries) <= 10
        self.bodies += [entry["MessageBody"] for entry in Entries]
        self.messages += [json.loads(entry["MessageBody"]) for entry in Entries]
        return {"Successful": [{"Id": entry["Id"], "MessageId": f"message-{entry['Id']}"} for entry in Entries]}

    def put_object(self, **put: Any) -> None:
        if self.s3_error:
            raise self.s3_error
        self.objects[put["Key"]] = put


class Stage:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.secret = Secret(json.dumps(DOCUMENT))
        self.aws = Aws()
        self._capsys = capsys
        self.headers: dict[str, str] = {}
        self.now = NOW
        aws: Any = self.aws
        self.intake = Intake(
            Sources(self.secret),
            ActivationQueue(aws, "queue"),
            Quarantine(lambda: aws, "bucket", "p/"),
            lambda: self.now,
        )

    def deliver(
        self,
        source: str,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        media_type: str = "application/json",
        method: str = "POST",
    ) -> tuple[int, Any]:
        lowered = {name.lower(): value for name, value in (headers or {}).items()}
        request = Request(
            method, "/webhooks/{source}", {"source": source}, {"content-type": media_type} | lowered, query or {}, body
        )
        try:
            reply = self.intake.receive(source, request)
        except Problem as problem:
            reply = problem.reply(request)
        self.headers = reply["headers"]
        is_json = "json" in reply["headers"]["Content-Type"]
        return reply["statusCode"], json.loads(reply["body"]) if is_json else reply["body"]

    def shopify(self, body: object, secret: str = "current", source: str = "eu-shop") -> tuple[int, Any]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        signature = base64.b64encode(hmac.new(secret.encode(), raw, hashlib.sha256).digest()).decode()
        return self.deliver(source, raw, {"X-Shopify-Hmac-Sha256": signature})

    def counted(self) -> list[tuple[str, float, dict[str, str]]]:
        """The metrics recorded since the last call: metric, value, dimensions."""
        lines = [json.loads(line) for line in self._capsys.readouterr().out.splitlines() if '"_aws"' in line]
        counts = []
        for line in lines:
            directive = line["_aws"]["CloudWatchMetrics"][0]
            name = directive["Metrics"][0]["Name"]
            dimensions = {key: line[key] for key in directive["Dimensions"][0] if key != "service"}
            counts.append((name, line[name][0], dimensions))
        return counts


@pytest.fixture
def stage(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "tests")
    return Stage(capsys)


def intake(source: str, result: str) -> list[tuple[str, float, dict[str, str]]]:
    return [("Intake", 1.0, {"source": source, "result": result})]


NOT_UNDERSTOOD: tuple[str, float, dict[str, str]] = ("NotUnderstood", 1.0, {})


class TestPaidOrders:
    @pytest.mark.parametrize("secret", ["current", "previous"])
    def test_given_a_signed_paid_order_then_each_code_is_queued(self, stage: Stage, secret: str) -> None:
        assert stage.shopify(ORDER, secret) == (200, {"accepted": 2})
        assert stage.aws.messages == [
            {
                "code": code,
                "loyalty_id": 5,
                "order_id": "eu-shop/1001",
                "source": "eu-shop",
                "received_at": "2026-11-22T08:30:00+00:00",
            }
            for code in ("A-1", "A-2")
        ]
        assert not stage.aws.objects
        assert stage.counted() == intake("eu-shop", "accepted")

    def test_given_an_order_that_is_not_paid_then_nothing_is_queued(self, stage: Stage) -> None:
        assert stage.shopify({**ORDER, "financial_status": "voided"}) == (200, {"accepted": 0})
        assert not stage.aws.messages
        assert stage.counted() == intake("eu-shop", "not_paid")

    def test_given_an_order_without_codes_then_nothing_is_queued(self, stage: Stage) -> None:
        assert stage.shopify({**ORDER, "discount_applications": []}) == (200, {"accepted": 0})
        assert not stage.aws.messages
        assert stage.counted() == intake("eu-shop", "no_codes")

    def test_given_codes_of_no_program_then_they_are_dropped_and_counted(self, stage: Stage) -> None:
        assert stage.shopify(ORDER, "s", "vip") == (200, {"accepted": 0})
        dropped = ("DroppedCodes", 2.0, {"source": "vip", "reason": "no_program"})
        assert stage.counted() == [dropped, *intake("vip", "no_codes")]

    def test_given_sixty_codes_then_all_are_queued_in_tens(self, stage: Stage) -> None:
        codes = [{"type": "discount_code", "code": f"C-{number}"} for number in range(60)]
        assert stage.shopify({**ORDER, "discount_applications": codes}) == (200, {"accepted": 60})
        assert [message["code"] for message in stage.aws.messages] == [f"C-{number}" for number in range(60)]


@settings(deadline=None)
@given(
    st.text("abcXYZ019._-", min_size=1, max_size=64),
    st.one_of(st.integers(), st.text(min_size=1, max_size=190)),
    st.lists(st.text(min_size=1, max_size=255), min_size=1, max_size=5),
    st.integers(1, 2**63 - 1),
)
@example("n" * 64, "9" * 190, ["Ж" * 255], 2**63 - 1)
def test_given_any_message_that_the_intake_queues_then_the_worker_can_read_it(
    name: str, order_id: str | int, codes: list[str], loyalty_id: int
) -> None:
    aws: Any = Aws()
    document = {
        name: {**DOCUMENT["saleor"], "loyalty_id": loyalty_id, "codes": "codes", "paid": "`true`", "order_id": "id"}
    }
    sources = Sources(Secret(json.dumps(document)))
    intake_ = Intake(sources, ActivationQueue(aws, "queue"), Quarantine(lambda: aws, "bucket", ""), lambda: NOW)
    record = {"messageId": "m", "eventSourceARN": name, "body": json.dumps({"id": order_id, "codes": codes})}
    assert intake_.receive_messages({"Records": [record]}) == {"batchItemFailures": []}
    for message in aws.messages:
        redemption = Redemption.from_fields({field_: message[field_] for field_ in ("code", "loyalty_id", "order_id")})
        assert redemption == Redemption(message["code"], loyalty_id, message["order_id"])


class TestReversals:
    cancelled: Mapping[str, Any] = {
        **ORDER,
        "financial_status": "refunded",
        "cancelled_at": "2026-11-24T10:05:00+01:00",
    }

    @staticmethod
    def give_back(stage: Stage, **changes: Any) -> None:
        """Let the source of the orders give codes back; `changes` override its settings, and None removes one."""
        settings_ = {**DOCUMENT["eu-shop"], "on_reversal": "deactivate", **changes}
        set_ = {name: value for name, value in settings_.items() if value is not None}
        stage.secret.stored = json.dumps({**DOCUMENT, "eu-shop": set_})

    def test_given_a_reversed_order_then_each_of_its_codes_is_queued_to_be_given_back(self, stage: Stage) -> None:
        self.give_back(stage)
        assert stage.shopify(self.cancelled) == (200, {"accepted": 2})
        assert stage.aws.messages == [
            {
                "code": code,
                "loyalty_id": 5,
                "order_id": "eu-shop/1001",
                "source": "eu-shop",
                "received_at": "2026-11-22T08:30:00+00:00",
                "action": "deactivate",
            }
            for code in ("A-1", "A-2")
        ]
        assert stage.counted() == intake("eu-shop", "reversed")
        assert not stage.aws.objects

    def test_given_that_it_is_ignored_then_it_is_only_counted(self, stage: Stage) -> None:
        assert stage.shopify(self.cancelled) == (200, {"accepted": 0})
        assert not stage.aws.messages
        assert not stage.aws.objects
        assert stage.counted() == intake("eu-shop", "reversed")

    def test_given_a_paid_order_of_the_same_source_then_its_message_is_byte_for_byte_as_without(
        self, stage: Stage
    ) -> None:
        self.give_back(stage)
        assert stage.shopify({**ORDER, "financial_status": "partially_refunded"}) == (200, {"accepted": 2})
        assert stage.aws.bodies[0] == (
            '{"code": "A-1", "loyalty_id": 5, "order_id": "eu-shop/1001", "source": "eu-shop",'
            ' "received_at": "2026-11-22T08:30:00+00:00"}'
        )
        assert stage.counted() == intake("eu-shop", "accepted")

    def test_given_codes_of_no_program_or_unusable_ones_then_they_are_counted_as_of_a_paid_order(
        self, stage: Stage
    ) -> None:
        self.give_back(stage, programs=[{"pattern": "1$", "loyalty_id": 7}], loyalty_id=None)
        codes = [{"type": "discount_code", "code": code} for code in ("A-1", "A-2", "x" * 256)]
        assert stage.shopify({**self.cancelled, "discount_applications": codes}) == (200, {"accepted": 1})
        assert [(message["code"], message["loyalty_id"]) for message in stage.aws.messages] == [("A-1", 7)]
        assert stage.counted() == [
            ("DroppedCodes", 1.0, {"source": "eu-shop", "reason": "unusable"}),
            ("DroppedCodes", 1.0, {"source": "eu-shop", "reason": "no_program"}),
            *intake("eu-shop", "reversed"),
        ]
        assert len(stage.aws.objects) == 1

    def test_given_a_reversed_order_without_codes_then_it_is_reversed_and_no_sample_is_kept(self, stage: Stage) -> None:
        self.give_back(stage)
        assert stage.shopify({**self.cancelled, "discount_applications": []}) == (200, {"accepted": 0})
        assert stage.counted() == intake("eu-shop", "reversed")
        assert not stage.aws.objects

    def test_given_that_it_is_paid_too_then_nothing_is_queued_and_it_is_in_quarantine(self, stage: Stage) -> None:
        self.give_back(stage, paid="financial_status")
        assert stage.shopify(self.cancelled) == (200, {"accepted": 0})
        assert not stage.aws.messages
        [put] = stage.aws.objects.values()
        assert put["Metadata"]["reason"].startswith("reversed: it says yes, and so does paid")
        assert stage.counted() == [NOT_UNDERSTOOD, *intake("eu-shop", "unreadable")]

    def test_given_that_it_is_paid_too_and_ignored_then_it_stays_paid(self, stage: Stage) -> None:
        self.give_back(stage, paid="financial_status", on_reversal="ignore")
        assert stage.shopify(self.cancelled) == (200, {"accepted": 2})
        assert all("action" not in message for message in stage.aws.messages)

    def test_given_the_queue_accepts_nothing_then_the_shop_has_to_deliver_again(self, stage: Stage) -> None:
        self.give_back(stage)
        stage.aws.sqs_error = refusal("SendMessageBatch")
        assert stage.shopify(self.cancelled)[0] == 503

    def test_given_a_list_then_paid_and_reversed_orders_are_each_queued_for_what_they_are(self, stage: Stage) -> None:
        self.give_back(stage)
        assert stage.shopify([ORDER, {**self.cancelled, "id": 1002}]) == (200, {"accepted": 4})
        actions = [(message["order_id"], message.get("action")) for message in stage.aws.messages]
        assert actions == [("eu-shop/1001", None)] * 2 + [("eu-shop/1002", "deactivate")] * 2

    def test_given_the_first_delivery_is_a_reversal_then_the_source_is_understood(self, stage: Stage) -> None:
        stage.shopify(self.cancelled)
        stage.shopify({"number": 1})
        assert stage.counted() == [*intake("eu-shop", "reversed"), *intake("eu-shop", "unrecognised")]

    def test_given_a_partner_event_then_it_is_read_like_a_webhook(self, stage: Stage) -> None:
        self.give_back(stage)
        event = {"source": "aws.partner/shopify.com/1/eu-shop", "detail": {"payload": dict(self.cancelled)}}
        assert stage.intake.receive_event(event) == {"accepted": 2}
        assert {message["action"] for message in stage.aws.messages} == {"deactivate"}

    def test_given_a_message_of_a_shops_queue_then_it_is_read_like_a_webhook(self, stage: Stage) -> None:
        settings_ = {**DOCUMENT["saleor"], "on_reversal": "deactivate"}
        stage.secret.stored = json.dumps({**DOCUMENT, "saleor": settings_})
        order = {"id": "x", "isPaid": True, "status": "CANCELED", "voucherCode": "V-1"}
        record = TestOtherEventSources.record("m", json.dumps({"data": {"orderCancelled": {"order": order}}}))
        assert stage.intake.receive_messages({"Records": [record]}) == {"batchItemFailures": []}
        assert [(message["code"], message["action"]) for message in stage.aws.messages] == [("V-1", "deactivate")]


class TestUnreadable:
    @pytest.mark.parametrize("body", [b"{", b"\xff", b"", {**ORDER, "id": None}])
    def test_given_an_authentic_body_that_cannot_be_read_then_it_is_accepted_and_kept(
        self, stage: Stage, body: object
    ) -> None:
        assert stage.shopify(body) == (200, {"accepted": 0})
        [(key, put)] = stage.aws.objects.items()
        assert key.startswith("p/quarantine/eu-shop/2026-11-22/")
        assert put["Bucket"] == "bucket"
        assert put["Body"] == (body if isinstance(body, bytes) else json.dumps(body).encode())
        assert put["ContentType"] == "application/json"
        assert put["Metadata"]["reason"]
        assert not stage.aws.messages
        assert stage.counted() == [NOT_UNDERSTOOD, *intake("eu-shop", "unreadable")]

    def test_given_it_is_delivered_again_then_it_is_kept_once(self, stage: Stage) -> None:
        stage.shopify(b"{")
        stage.shopify(b"{")
        assert len(stage.aws.objects) == 1

    def test_given_some_unusable_codes_then_the_others_are_queued_and_the_order_is_kept(self, stage: Stage) -> None:
        codes = [{"type": "discount_code", "code": code} for code in ("A-1", "x" * 256, "B\x07", "A-2")]
        assert stage.shopify({**ORDER, "discount_applications": codes}) == (200, {"accepted": 2})
        assert [message["code"] for message in stage.aws.messages] == ["A-1", "A-2"]
        assert len(stage.aws.objects) == 1
        dropped = ("DroppedCodes", 2.0, {"source": "eu-shop", "reason": "unusable"})
        assert stage.counted() == [dropped, *intake("eu-shop", "accepted")]

    def test_given_the_token_is_a_field_of_the_body_then_it_is_not_kept(self, stage: Stage) -> None:
        body = b"payment%5Borderid%5D=%07&payment%5Bpromocode%5D=A&token=hush-hush"
        assert stage.deliver("tilda", body, media_type=FORM) == (200, {"accepted": 0})
        [put] = stage.aws.objects.values()
        assert b"hush" not in put["Body"]
        assert b"promocode" in put["Body"]

    def test_given_it_cannot_be_stored_then_the_shop_has_to_deliver_again(self, stage: Stage) -> None:
        stage.aws.s3_error = refusal("PutObject")
        assert stage.shopify(b"{")[0] == 503


class TestUnrecognised:
    @pytest.mark.parametrize("body", [b"null", b"{}", b"[]", b'{"financial_staus": "paid"}', b'["text"]'])
    def test_given_a_body_that_is_no_order_of_the_platform_then_it_is_counted_and_a_sample_kept(
        self, stage: Stage, body: bytes
    ) -> None:
        assert stage.shopify(body) == (200, {"accepted": 0})
        assert stage.counted() == [NOT_UNDERSTOOD, *intake("eu-shop", "unrecognised")]
        [(key, put)] = stage.aws.objects.items()
        assert key == "p/quarantine/eu-shop/2026-11-22/unrecognised-08"
        assert put["Body"] == body
        assert put["Metadata"]["reason"].startswith("paid: ")

    def test_given_many_of_them_then_one_an_hour_is_kept(self, stage: Stage) -> None:
        for number in range(50):
            stage.shopify({"number": number})
        assert len(stage.aws.objects) == 1
        stage.now += timedelta(hours=1)
        stage.shopify({"number": 51})
        assert sorted(stage.aws.objects)[1:] == ["p/quarantine/eu-shop/2026-11-22/unrecognised-09"]

    def test_given_a_source_that_was_understood_before_then_it_raises_no_alarm(self, stage: Stage) -> None:
        stage.shopify({**ORDER, "financial_status": "pending"})
        stage.shopify({"number": 1})
        assert stage.counted() == [*intake("eu-shop", "not_paid"), *intake("eu-shop", "unrecognised")]
        # Another source was not understood.
        stage.shopify({"number": 1}, "s", "vip")
        assert stage.counted() == [NOT_UNDERSTOOD, *intake("vip", "unrecognised")]

    def test_given_the_sample_cannot_be_stored_then_the_delivery_is_answered_anyway(self, stage: Stage) -> None:
        stage.aws.s3_error = refusal("PutObject")
        assert stage.shopify({"number": 1}) == (200, {"accepted": 0})

    def test_given_a_source_without_a_code_so_far_then_one_order_a_day_is_kept(self, stage: Stage) -> None:
        for number in range(3):
            stage.shopify({**ORDER, "id": number, "discount_applications": []})
        assert list(stage.aws.objects) == ["p/quarantine/eu-shop/2026-11-22/no_codes"]

    def test_given_a_source_that_brought_codes_then_an_order_without_codes_is_not_kept(self, stage: Stage) -> None:
        stage.shopify(ORDER)
        stage.shopify({**ORDER, "discount_applications": []})
        assert not stage.aws.objects

    def test_given_the_token_is_a_field_of_a_sample_then_it_is_not_kept(self, stage: Stage) -> None:
        assert stage.deliver("tilda", b"Name=Anna&token=hush-hush", media_type=FORM)[0] == 200
        [put] = stage.aws.objects.values()
        assert put["Body"] == b"Name=Anna&token=***"


class TestShapes:
    def test_given_json_with_the_media_type_of_a_form_then_it_is_read(self, stage: Stage) -> None:
        raw = json.dumps(ORDER).encode()
        signature = base64.b64encode(hmac.new(b"current", raw, hashlib.sha256).digest()).decode()
        headers = {"X-Shopify-Hmac-Sha256": signature}
        assert stage.deliver("eu-shop", raw, headers, media_type=FORM) == (200, {"accepted": 2})

    def test_given_a_list_of_orders_then_each_is_queued_and_counted(self, stage: Stage) -> None:
        orders = [ORDER, {**ORDER, "id": 1002}, {**ORDER, "financial_status": "pending"}, {**ORDER, "id": None}]
        assert stage.shopify(orders) == (200, {"accepted": 4})
        assert {message["order_id"] for message in stage.aws.messages} == {"eu-shop/1001", "eu-shop/1002"}
        assert [counted[2]["result"] for counted in stage.counted()] == [
            *("accepted", "accepted", "not_paid", "unreadable")
        ]
        assert len(stage.aws.objects) == 1

    def test_given_more_codes_than_can_be_queued_in_time_then_none_is_queued_and_the_order_is_kept(
        self, stage: Stage
    ) -> None:
        codes = [{"type": "discount_code", "code": f"C-{number}"} for number in range(201)]
        assert stage.shopify({**ORDER, "discount_applications": codes}) == (200, {"accepted": 0})
        assert not stage.aws.messages
        [put] = stage.aws.objects.values()
        assert "more than 200" in put["Metadata"]["reason"]
        assert stage.shopify({**ORDER, "discount_applications": codes[1:]}) == (200, {"accepted": 200})


class TestRefusals:
    @pytest.mark.parametrize("headers", [{}, {"X-Shopify-Hmac-Sha256": ""}, {"X-Shopify-Hmac-Sha256": "AAAA"}])
    def test_given_a_bad_signature_then_401_and_nothing_else(self, stage: Stage, headers: dict[str, str]) -> None:
        status, problem = stage.deliver("eu-shop", json.dumps(ORDER).encode(), headers)
        assert (status, problem["retryable"]) == (401, False)
        assert not stage.aws.messages
        assert not stage.aws.objects
        assert stage.counted() == intake("eu-shop", "bad_signature")

    def test_given_a_secret_of_another_source_then_401(self, stage: Stage) -> None:
        assert stage.shopify(ORDER, "s")[0] == 401

    @pytest.mark.parametrize("name", ["nobody", "../eu-shop", "EU-SHOP"])
    def test_given_an_unknown_source_then_404_and_its_name_is_no_dimension(self, stage: Stage, name: str) -> None:
        assert stage.shopify(ORDER, source=name)[0] == 404
        assert stage.counted() == intake("unknown", "unknown_source")

    def test_given_a_source_with_invalid_settings_then_503_for_it_alone(self, stage: Stage) -> None:
        status, problem = stage.shopify(ORDER, "s", "broken")
        assert (status, problem["retryable"]) == (503, True)
        assert "five" not in json.dumps(problem)
        assert stage.counted() == intake("broken", "misconfigured")
        assert stage.shopify(ORDER)[0] == 200

    def test_given_the_secret_cannot_be_read_then_503_and_the_name_is_no_dimension(self, stage: Stage) -> None:
        stage.secret.readable = False
        status, problem = stage.shopify(ORDER, source="whatever")
        assert status == 503
        assert "name-of-the-secret" not in json.dumps(problem)
        assert stage.counted() == intake("unknown", "misconfigured")

    @pytest.mark.parametrize(
        "error", [refusal("SendMessageBatch"), ConnectTimeoutError(endpoint_url="http://sqs.example.com")]
    )
    def test_given_the_queue_accepts_nothing_then_503(self, stage: Stage, error: Exception) -> None:
        stage.aws.sqs_error = error
        status, problem = stage.shopify(ORDER)
        assert (status, problem["retryable"]) == (503, True)
        assert int(stage.headers["Retry-After"]) > 0
        assert stage.counted() == intake("eu-shop", "unqueued")


class TestRotation:
    def test_given_a_secret_rotated_a_moment_ago_then_its_first_delivery_is_accepted(self, stage: Stage) -> None:
        assert stage.shopify(ORDER)[0] == 200
        stage.secret.stored = json.dumps({**DOCUMENT, "eu-shop": {**DOCUMENT["eu-shop"], "secrets": ["next"]}})
        assert stage.shopify(ORDER, "next")[0] == 200
        assert stage.shopify(ORDER, "current")[0] == 401

    def test_given_the_secret_cannot_be_read_again_then_the_shop_has_to_deliver_again(self, stage: Stage) -> None:
        assert stage.shopify(ORDER)[0] == 200
        stage.secret.readable = False
        assert stage.shopify(ORDER, "next")[0] == 503


class TestHandshakes:
    @pytest.mark.parametrize(
        ("source", "body"), [("blog", b"webhook_id=17"), ("tilda", b"test=test"), ("tilda", b"test=test&token=x")]
    )
    def test_given_a_platforms_unsigned_ping_then_200_and_nothing_is_queued(
        self, stage: Stage, source: str, body: bytes
    ) -> None:
        assert stage.deliver(source, body, media_type=FORM) == (200, {"accepted": 0})
        assert not stage.aws.messages
        assert stage.counted() == intake(source, "handshake")

    @pytest.mark.parametrize(
        ("source", "body"), [("blog", b"webhook_id=17&id=1"), ("blog", b"test=test"), ("eu-shop", b"webhook_id=17")]
    )
    def test_given_anything_else_unsigned_then_401(self, stage: Stage, source: str, body: bytes) -> None:
        assert stage.deliver(source, body, media_type=FORM)[0] == 401

    def test_given_a_challenge_under_another_name_then_it_is_echoed(self, stage: Stage) -> None:
        assert stage.deliver("nop", b"", query={"echo": "8ec8d794"}, method="GET") == (200, "8ec8d794")
        assert stage.deliver("nop", b"", query={"challenge": "8ec8d794"}, method="GET")[0] == 405

    def test_given_a_delivery_by_put_then_it_is_accepted_as_by_post(self, stage: Stage) -> None:
        body = b"payment%5Borderid%5D=7&payment%5Bpromocode%5D=A-1"
        answer = stage.deliver("tilda", body, query={"token": "hush-hush"}, media_type=FORM, method="PUT")
        assert answer == (200, {"accepted": 1})

    def test_given_a_huge_body_then_it_is_no_handshake_and_quickly_refused(self, stage: Stage) -> None:
        assert stage.deliver("blog", b"webhook_id=" + b"1" * 4_700_000, media_type=FORM)[0] == 401

    def test_given_a_challenge_then_it_is_echoed_as_plain_text(self, stage: Stage) -> None:
        challenge = "8ec8d794-e0ab-42df-9017-e3dada8e84f7"
        assert stage.deliver("eu-shop", b"", query={"challenge": challenge}, method="GET") == (200, challenge)
        assert stage.counted() == intake("eu-shop", "handshake")

    @pytest.mark.parametrize("query", [{}, {"challenge": ""}, {"challenge": "<script>"}, {"challenge": "x" * 513}])
    def test_given_a_get_that_is_no_challenge_then_405(self, stage: Stage, query: dict[str, str]) -> None:
        assert stage.deliver("eu-shop", b"", query=query, method="GET")[0] == 405

    def test_given_a_challenge_to_an_unknown_source_then_404(self, stage: Stage) -> None:
        assert stage.deliver("nobody", b"", query={"challenge": "x"}, method="GET")[0] == 404


class TestOtherEventSources:
    saleor = "arn:aws:sqs:eu-central-1:123456789012:saleor"

    @staticmethod
    def record(message_id: str, body: str, arn: str = saleor) -> dict[str, str]:
        return {"messageId": message_id, "eventSourceARN": arn, "body": body}

    def test_given_a_partner_event_then_its_order_is_queued(self, stage: Stage) -> None:
        event = {"source": "aws.partner/shopify.com/1/eu-shop", "detail": {"payload": ORDER, "metadata": {}}}
        assert stage.intake.receive_event(event) == {"accepted": 2}
        assert {message["order_id"] for message in stage.aws.messages} == {"eu-shop/1001"}
        assert stage.counted() == intake("eu-shop", "accepted")

    def test_given_stripes_event_then_the_detail_is_the_event_itself(self, stage: Stage) -> None:
        session = {"id": "cs_1", "payment_status": "paid", "metadata": {"promo_code": "A-1"}}
        detail = {"id": "evt_1", "type": "checkout.session.completed", "data": {"object": session}}
        assert stage.intake.receive_event({"source": "aws.partner/stripe.com/pay", "detail": detail}) == {"accepted": 1}
        assert [message["order_id"] for message in stage.aws.messages] == ["pay/cs_1"]

    @pytest.mark.parametrize("detail", [None, {}, {"payload": None}, "text"])
    def test_given_a_partner_event_without_an_order_then_it_is_kept(self, stage: Stage, detail: Any) -> None:
        event = {"source": "aws.partner/shopify.com/1/eu-shop", "detail": detail}
        assert stage.intake.receive_event(event) == {"accepted": 0}
        assert len(stage.aws.objects) == 1

    def test_given_a_partner_event_of_no_source_then_it_fails_so_that_lambda_retries_it(self, stage: Stage) -> None:
        with pytest.raises(UnknownSource):
            stage.intake.receive_event({"source": "aws.partner/shopify.com/1/other", "detail": {"payload": ORDER}})
        assert stage.counted() == intake("unknown", "unknown_source")

    def test_given_a_broken_source_or_queue_then_a_partner_event_fails(self, stage: Stage) -> None:
        with pytest.raises(SourceUnavailable):
            stage.intake.receive_event({"source": "aws.partner/shopify.com/1/broken", "detail": {"payload": ORDER}})
        stage.aws.sqs_error = refusal("SendMessageBatch")
        with pytest.raises(Unqueued):
            stage.intake.receive_event({"source": "aws.partner/shopify.com/1/eu-shop", "detail": {"payload": ORDER}})

    def test_given_messages_of_a_shops_queue_then_only_those_that_failed_come_back(self, stage: Stage) -> None:
        order = json.dumps({"order": {"id": "x", "isPaid": True, "voucherCode": "V-1"}})
        records = [
            self.record("good", order),
            self.record("unreadable", "{"),
            self.record("stranger", order, "arn:aws:sqs:eu-central-1:123456789012:other"),
        ]
        answer = stage.intake.receive_messages({"Records": records})
        assert answer == {"batchItemFailures": [{"itemIdentifier": "stranger"}]}
        assert [message["code"] for message in stage.aws.messages] == ["V-1"]
        assert len(stage.aws.objects) == 1
