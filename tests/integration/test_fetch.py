"""The worker's calls to the APIs of shops: a fake of each platform over HTTP, a real queue, and TLS with host names."""

import datetime
import json
import ssl
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from activate.activation_queue import ActivationQueue, FetchMessage
from activate.fetcher import Fetcher
from activate.intake import Intake
from activate.quarantine import Quarantine
from activate.redemption import TryAgain
from activate.shop_api import MOST_BYTES, Unanswered, call, connect, pinned
from activate.sources import Sources
from activate.worker import MAX_AGE_SECONDS, Worker
from docs.generate.sample_events import EVENTS, SOURCES
from local.emulator.http import HangUp, Request, Response, Server
from local.engine import Aws
from tests.integration.activators import deadline
from tests.secret import Secret

DOCUMENT: dict[str, Any] = json.loads(SOURCES.read_text())
DOCUMENT["insales-coupons"]["on_reversal"] = "deactivate"


class Shops:
    """The answers of the shops' APIs: one fake for all of them."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.answer: Callable[[Request], Response] = self.documented

    def __call__(self, request: Request) -> Response:
        self.asked.append(request)
        return self.answer(request)

    @staticmethod
    def documented(request: Request) -> Response:
        """Answer as the platforms document, if the request has their keys.

        Sources: Ecwid REST API, "Get order"; BigCommerce, "List order coupons"; InSales API, "Discount code"; Stripe API,
        "Retrieve a promotion code".
        """
        answers: dict[tuple[str, str, str], object] = {
            ("authorization", "Bearer demo-ecwid-api-token", "/api/v3/1003/orders/XJ12H"): {
                "id": "XJ12H",
                "paymentStatus": "PAID",
                "discountCoupon": {"name": "Autumn", "code": "Code-21", "discountType": "ABS"},
            },
            ("x-auth-token", "demo-bigcommerce-api-token", "/stores/abc123/v2/orders/250/coupons"): [
                {"id": 1, "coupon_id": 4, "order_id": 250, "code": "Code-22", "amount": "5.0000"}
            ],
            ("authorization", "Basic ZGVtby1hcGkta2V5OmRlbW8tYXBpLXBhc3N3b3Jk", "/admin/discount_codes/55.json"): {
                "id": 55,
                "code": "Code-23",
            },
            ("authorization", "Bearer rk_test_demo", "/v1/promotion_codes/promo_1Demo"): {
                "id": "promo_1Demo",
                "object": "promotion_code",
                "code": "Code-24",
            },
        }
        for (header, key, path), answer in answers.items():
            if request.path == path:
                return Response(200, json.dumps(answer).encode()) if request.headers[header] == key else Response(401)
        return Response(404)


class Bench:
    """An intake, a queue and a worker, whose calls to shops go to the fake."""

    def __init__(self, aws: Aws, shops: Server, document: dict[str, Any]) -> None:
        self.sqs = aws.client("sqs")
        self.queue_url, self.dead_letters_url = (
            self.sqs.create_queue(QueueName=f"{name}-{uuid.uuid4()}")["QueueUrl"] for name in ("activations", "dead")
        )
        sources, queue = Sources(Secret(json.dumps(document))), ActivationQueue(self.sqs, self.queue_url)
        self.intake = Intake(sources, queue, Quarantine(lambda: aws.client("s3"), "none", ""))
        at = urlsplit(shops.url)
        self.hosts: list[str] = []

        def connect_to(host: str) -> urllib3.HTTPConnectionPool:
            self.hosts.append(host)
            return urllib3.HTTPConnectionPool(str(at.hostname), at.port)

        self.fetcher = Fetcher(sources, queue, connect_to)

    def deliver(self, name: str, body: bytes) -> None:
        """Deliver a webhook through AWS."""
        record = {"messageId": "m", "eventSourceARN": name, "body": body.decode()}
        assert self.intake.receive_messages({"Records": [record]}) == {"batchItemFailures": []}

    def received(self, url: str = "") -> list[dict[str, Any]]:
        received: list[dict[str, Any]] = self.sqs.receive_message(
            QueueUrl=url or self.queue_url,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        ).get("Messages", [])
        return received

    def work(self, received: list[dict[str, Any]], *, first_received_ms_ago: int = 0) -> list[str]:
        """The messages that come back from the worker."""
        ledger: Any = None  # no message here is a code
        context: Any = None  # Powertools only passes it on
        worker = Worker({}, ledger, self.sqs, self.queue_url, self.dead_letters_url, self.fetcher.take)
        first = "ApproximateFirstReceiveTimestamp"
        records = [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"]
                | {first: str(int(message["Attributes"][first]) - first_received_ms_ago)},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:activations",
                "awsRegion": "eu-central-1",
            }
            for message in received
        ]
        answer = worker.work({"Records": records}, context, deadline())
        return [failed["itemIdentifier"] for failed in answer["batchItemFailures"]]


@pytest.fixture
def shops() -> Shops:
    return Shops()


@pytest.fixture
def bench(aws: Aws, shops: Shops, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "tests")
    with Server(shops) as server:
        yield Bench(aws, server, DOCUMENT)


@pytest.mark.parametrize(
    ("name", "body", "host", "order_id", "code"),
    [
        ("ecwid", "ecwid.json", "app.ecwid.example", "ecwid/XJ12H", "Code-21"),
        ("bigcommerce", "bigcommerce.json", "api.bigcommerce.example", "bigcommerce/250", "Code-22"),
        ("insales-coupons", "insales.json", "shop.insales.example", "insales-coupons/73012345", "Code-23"),
        (
            *("stripe-promotions", "stripe-promotion.json"),
            *("api.stripe.example", "stripe-promotions/cs_test_a2Demo", "Code-24"),
        ),
    ],
)
def test_given_a_webhook_with_an_id_then_the_shops_api_is_called_and_its_codes_are_queued(
    bench: Bench, shops: Shops, name: str, body: str, host: str, order_id: str, code: str
) -> None:
    bench.deliver(name, (EVENTS / "bodies" / body).read_bytes())
    assert not shops.asked
    assert bench.work(bench.received()) == []
    assert bench.hosts == [host]
    assert shops.asked[0].headers["host"] == host
    queued = [json.loads(message["Body"]) for message in bench.received()]
    assert [(message["code"], message["loyalty_id"], message["order_id"]) for message in queued] == [
        (code, 5, order_id)
    ]


REFUNDED: dict[str, Any] = {"id": "XJ12H", "paymentStatus": "REFUNDED", "discountCoupon": {"code": "Code-21"}}


class TestReversals:
    @pytest.mark.parametrize(
        ("name", "body", "order_id", "code"),
        [
            ("ecwid", "ecwid-reversed.json", "ecwid/XJ12H", "Code-21"),
            ("bigcommerce", "bigcommerce-reversed.json", "bigcommerce/250", "Code-22"),
            ("insales-coupons", "insales-reversed.json", "insales-coupons/73012345", "Code-23"),
        ],
    )
    def test_given_a_reversed_order_then_its_codes_are_fetched_and_queued_to_be_given_back(
        self, bench: Bench, shops: Shops, name: str, body: str, order_id: str, code: str
    ) -> None:
        if name == "ecwid":
            shops.answer = answering(REFUNDED)
        bench.deliver(name, (EVENTS / "bodies" / body).read_bytes())
        assert bench.work(bench.received()) == []
        [queued] = [json.loads(message["Body"]) for message in bench.received()]
        assert queued.pop("received_at")
        assert queued == {
            "code": code,
            "loyalty_id": 5,
            "order_id": order_id,
            "source": name,
            "action": "deactivate",
        }

    @pytest.mark.parametrize("status", ["PARTIALLY_REFUNDED", "AWAITING_PAYMENT"])
    def test_given_an_order_that_is_refunded_in_part_by_now_then_nothing_is_queued(
        self, bench: Bench, shops: Shops, status: str
    ) -> None:
        shops.answer = answering({**REFUNDED, "paymentStatus": status})
        bench.fetcher.take(order())
        assert not bench.received()

    def test_given_an_order_that_was_refunded_since_its_webhook_then_its_codes_are_given_back(
        self, bench: Bench, shops: Shops
    ) -> None:
        shops.answer = answering(REFUNDED)
        bench.fetcher.take(order())
        [queued] = [json.loads(message["Body"]) for message in bench.received()]
        assert (queued["order_id"], queued["action"]) == ("ecwid/XJ12H", "deactivate")

    def test_given_an_answer_that_is_paid_and_reversed_then_it_is_tried_again(
        self, aws: Aws, shops: Shops, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "tests")
        shops.answer = answering(REFUNDED)
        with Server(shops) as server:
            bench = Bench(aws, server, {"ecwid": {**DOCUMENT["ecwid"], "paid": "paymentStatus"}})
            with pytest.raises(TryAgain, match="reversed: it says yes, and so does paid") as raised:
                bench.fetcher.take(order())
            assert raised.value.reason == "shop_incoherent"
            assert not bench.received()


def order(name: str = "ecwid") -> FetchMessage:
    return FetchMessage("/api/v3/1003/orders/XJ12H", "", name, "2026-11-22T08:30:00+00:00")


def answering(body: object, status: int = 200, **headers: str) -> Callable[[Request], Response]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda _: Response(status, raw, list(headers.items()))


def hanging_up(_: Request) -> Response:
    raise HangUp


class TestAnswers:
    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (answering(b"", 500), "shop_unreachable"),
            (answering(b"", 503), "shop_unreachable"),
            (answering(b"", 429), "shop_unreachable"),
            (hanging_up, "shop_unreachable"),
            (answering(b"", 401), "shop_refused"),
            (answering(b"", 403), "shop_refused"),
            (answering(b"", 404), "shop_refused"),
            (answering(b"", 302, Location="http://169.254.169.254/latest/meta-data"), "shop_refused"),
            (answering(b"<html>"), "shop_incoherent"),
            (answering(b"[" * 100_000), "shop_incoherent"),
            (answering(b'"' + b"x" * MOST_BYTES + b'"'), "shop_incoherent"),
            (answering({"error": "no"}), "shop_incoherent"),
            (answering([]), "shop_incoherent"),
            (answering({"paymentStatus": "PAID", "discountCoupon": {"code": "A"}}), "shop_incoherent"),
            (answering({"paymentStatus": "PAID", "id": "X", "discountCoupon": {"code": 1.5}}), None),
        ],
    )
    def test_given_an_answer_that_is_not_understood_then_the_call_is_retried_and_nothing_queued(
        self, bench: Bench, shops: Shops, answer: Callable[[Request], Response], reason: str | None
    ) -> None:
        shops.answer = answer
        if reason is None:
            bench.fetcher.take(order())
        else:
            with pytest.raises(TryAgain) as raised:
                bench.fetcher.take(order())
            assert raised.value.reason == reason
            assert "demo-ecwid-api-token" not in str(raised.value)
        assert len(shops.asked) == 1
        assert bench.received() == []

    @pytest.mark.parametrize(
        "answer",
        [
            answering({"id": "X", "paymentStatus": "AWAITING_PAYMENT", "discountCoupon": {"code": "A"}}),
            answering({"id": "X", "paymentStatus": "PAID"}),
            answering(b"", 204),
        ],
    )
    def test_given_a_definite_no_then_it_is_final(
        self, bench: Bench, shops: Shops, answer: Callable[[Request], Response]
    ) -> None:
        shops.answer = answer
        bench.fetcher.take(order())
        assert bench.received() == []

    @pytest.mark.parametrize("name", ["gone", "eu-shop"])
    def test_given_a_source_that_was_removed_or_has_no_fetch_any_more_then_the_message_waits(
        self, bench: Bench, name: str
    ) -> None:
        with pytest.raises(TryAgain) as raised:
            bench.fetcher.take(order(name))
        assert str(raised.value.reason) == "source_unavailable"


class TestWorker:
    def test_given_the_api_is_down_then_the_message_comes_back_and_succeeds_once_it_is_up(
        self, bench: Bench, shops: Shops
    ) -> None:
        bench.deliver("ecwid", (EVENTS / "bodies" / "ecwid.json").read_bytes())
        received = bench.received()
        shops.answer = answering(b"", 503)
        assert bench.work(received) == [received[0]["MessageId"]]
        assert bench.received(bench.dead_letters_url) == []
        shops.answer = shops.documented
        assert bench.work(received) == []
        assert [json.loads(message["Body"])["code"] for message in bench.received()] == ["Code-21"]

    def test_given_it_stays_down_for_a_day_then_it_is_a_dead_letter_with_its_reason(
        self, bench: Bench, shops: Shops
    ) -> None:
        bench.deliver("ecwid", (EVENTS / "bodies" / "ecwid.json").read_bytes())
        shops.answer = answering(b"", 503)
        assert bench.work(bench.received(), first_received_ms_ago=MAX_AGE_SECONDS * 1000) == []
        [letter] = bench.received(bench.dead_letters_url)
        assert letter["MessageAttributes"]["reason"]["StringValue"] == "shop_unreachable"
        assert json.loads(letter["Body"])["fetch"] == "/api/v3/1003/orders/XJ12H"


def test_given_a_host_name_of_this_machine_then_no_connection_is_made() -> None:
    with pytest.raises(Unanswered) as raised:
        connect("localhost")
    assert raised.value.reason == "shop_refused"


@pytest.fixture(scope="module")
def tls_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str]]:
    """A shop at 127.0.0.1 with a certificate for shop.example.com: its port, and the file of its CA."""
    folder: Path = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.example.com")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("shop.example.com")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )

    def answer(request: Request) -> Response:
        return Response(200, json.dumps({"host": request.headers["Host"], "path": request.path}).encode())

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    with Server(answer) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        yield server.port, str(folder / "certificate.pem")


class TestTls:
    """TLS has to verify that the checked address is the host."""

    def test_given_a_valid_certificate_then_the_host_is_called_at_the_pinned_address(
        self, tls_shop: tuple[int, str]
    ) -> None:
        port, authorities = tls_shop
        pool = pinned("shop.example.com", "127.0.0.1", port, authorities)
        answer = call(pool, "shop.example.com", "GET", "/orders/1", {})
        pool.close()
        assert answer == {"host": "shop.example.com", "path": "/orders/1"}

    @pytest.mark.parametrize(("host", "trusted"), [("other.example.com", True), ("shop.example.com", False)])
    def test_given_an_invalid_certificate_then_the_host_is_not_called(
        self, tls_shop: tuple[int, str], host: str, trusted: bool
    ) -> None:
        port, authorities = tls_shop
        pool = pinned(host, "127.0.0.1", port, authorities if trusted else None)
        with pytest.raises(Unanswered) as raised:
            call(pool, host, "GET", "/orders/1", {"Authorization": "hush"})
        pool.close()
        assert raised.value.reason == "shop_unreachable"
        assert "hush" not in str(raised.value)
