"""Webhooks that hold only an id: the calls that the intake builds, and that nothing in a webhook can redirect them."""

import json
import socket
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activate.action import Action
from activate.activation_queue import FetchMessage, fetch_message, is_message, text_of
from activate.fetch import MOST_CALLS
from activate.orders import Calls, Reading, UnreadableOrder
from activate.paths import Means
from activate.shop_api import Unanswered, public_address
from activate.sources import parse, source
from docs.generate.sample_events import EVENTS, SOURCES

FETCH: dict[str, Any] = {"host": "api.example.com", "path": "/orders/{id}"}


def read(body: Any, reversed: str = "", **fetch: Any) -> list[Reading]:  # noqa: A002 - as in the document of sources
    """Read a webhook by a source with plain paths; `reversed`: so that codes are given back."""
    settings_: dict[str, Any] = {
        "platform": "generic",
        "auth": {"scheme": "token", "query": "token"},
        "secrets": ["s"],
        "loyalty_id": 5,
        "paid": "paid",
        "order_id": "id",
        "codes": "codes",
        "fetch": {**FETCH, **fetch},
    }
    if reversed:
        settings_ |= {"reversed": reversed, "on_reversal": "deactivate"}
    return source("shop", settings_).read(body)


def paths(body: Any, **fetch: Any) -> tuple[str, ...]:
    [calls] = read(body, **fetch)
    if isinstance(calls, UnreadableOrder):
        raise calls
    assert isinstance(calls, Calls)
    return calls.paths


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("ecwid", "ecwid.json", Calls(("/api/v3/1003/orders/XJ12H",), "")),
        ("bigcommerce", "bigcommerce.json", Calls(("/stores/abc123/v2/orders/250/coupons",), "250")),
        ("insales-coupons", "insales.json", Calls(("/admin/discount_codes/55.json",), "73012345")),
        ("stripe-promotions", "stripe-promotion.json", Calls(("/v1/promotion_codes/promo_1Demo",), "cs_test_a2Demo")),
    ],
)
def test_given_a_platforms_webhook_then_the_calls_to_its_api_are_built(name: str, body: str, expected: Calls) -> None:
    document = parse(SOURCES.read_text())
    assert document.find(name).read(json.loads((EVENTS / "bodies" / body).read_bytes())) == [expected]


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("ecwid", {"storeId": 1, "data": {"orderId": "A", "newPaymentStatus": "AWAITING_PAYMENT"}}, Means.NOT_PAID),
        ("ecwid", {"eventType": "product.updated", "storeId": 1}, Means.UNRECOGNISED),
        ("bigcommerce", {"data": {"id": 1, "status": {"new_status_id": 7}}}, Means.NOT_PAID),
        ("bigcommerce", {"data": {"id": 1, "status": {"new_status_id": 0}}}, Means.NOT_PAID),
        ("bigcommerce", {"data": {"type": "product", "id": 1}}, Means.UNRECOGNISED),
        ("insales-coupons", {"id": 1, "financial_status": "pending"}, Means.NOT_PAID),
        ("insales-coupons", {"id": 1, "financial_status": "paid", "discounts": []}, Calls((), "")),
        ("stripe-promotions", {"type": "checkout.session.expired"}, Means.NOT_PAID),
        ("stripe-promotions", {"object": "charge"}, Means.UNRECOGNISED),
    ],
)
def test_given_a_webhook_that_needs_no_call_then_none_is_built(name: str, body: Any, expected: Reading) -> None:
    assert parse(SOURCES.read_text()).find(name).read(body) == [expected]


class TestReversals:
    @pytest.mark.parametrize(
        ("name", "changes", "body", "expected"),
        [
            # The answer says whether the order is reversed.
            ("ecwid", {}, "ecwid-reversed.json", Calls(("/api/v3/1003/orders/XJ12H",), "")),
            ("ecwid", {"on_reversal": "ignore"}, "ecwid-reversed.json", Means.NOT_PAID),
            (
                *("bigcommerce", {}, "bigcommerce-reversed.json"),
                Calls(("/stores/abc123/v2/orders/250/coupons",), "250", reversed=True),
            ),
            ("bigcommerce", {"on_reversal": "ignore"}, "bigcommerce-reversed.json", Means.REVERSED),
            (
                *("insales-coupons", {"on_reversal": "deactivate"}, "insales-reversed.json"),
                Calls(("/admin/discount_codes/55.json",), "73012345", reversed=True),
            ),
            # A refunded charge does not name the promotion codes.
            ("stripe-promotions", {}, "stripe-reversed.json", Means.NOT_PAID),
        ],
    )
    def test_given_a_reversed_order_then_what_the_webhook_says_of_it_goes_with_the_calls(
        self, name: str, changes: dict[str, str], body: str, expected: Reading
    ) -> None:
        settings_ = json.loads(SOURCES.read_text())[name] | changes
        assert source(name, settings_).read(json.loads((EVENTS / "bodies" / body).read_bytes())) == [expected]

    def test_given_bigcommerces_partial_refund_then_the_order_is_still_paid(self) -> None:
        body = {"data": {"id": 250, "status": {"previous_status_id": 10, "new_status_id": 14}}}
        calls = Calls(("/stores/abc123/v2/orders/250/coupons",), "250")
        assert parse(SOURCES.read_text()).find("bigcommerce").read(body) == [calls]

    def test_given_a_webhook_that_is_paid_and_reversed_then_no_call_is_made(self) -> None:
        [found] = read({"id": 7, "paid": True, "back": True}, answers="codes", reversed="back")
        assert isinstance(found, UnreadableOrder)
        assert str(found).startswith("reversed: it says yes, and so does paid")


class TestPaths:
    def test_given_placeholders_then_each_is_filled_in(self) -> None:
        body = {"shop": {"id": "s 1"}, "id": 7}
        assert paths(body, path="/{shop.id}/orders/{id}.json?full=1", base="/v2") == ("/v2/s%201/orders/7.json?full=1",)

    def test_given_a_list_then_each_of_its_values_is_one_call(self) -> None:
        assert paths({"ids": [1, 2, 1]}, path="/coupons/{ids}") == ("/coupons/1", "/coupons/2")
        assert paths({"ids": []}, path="/coupons/{ids}") == ()

    def test_given_no_value_then_the_webhook_is_of_another_shape(self) -> None:
        assert read({"number": 7}) == [Means.UNRECOGNISED]

    def test_given_more_calls_than_an_order_needs_then_none_is_made(self) -> None:
        assert len(paths({"ids": list(range(MOST_CALLS))}, path="/{ids}")) == MOST_CALLS
        with pytest.raises(UnreadableOrder, match="finds more than"):
            paths({"ids": list(range(MOST_CALLS + 1))}, path="/{ids}")
        with pytest.raises(UnreadableOrder, match="more than 20 calls"):
            read([{"id": number} for number in range(21)])
        with pytest.raises(UnreadableOrder, match="more than one placeholder"):
            paths({"a": [1, 2], "b": [3, 4]}, path="/{a}/{b}")

    @pytest.mark.parametrize("value", ["", " ", ".", "..", "a\nb", "x" * 191, True, 1.5, {}, ["..", "a"], "\ud800"])
    def test_given_a_value_that_cannot_be_a_part_of_a_path_then_the_order_is_kept(self, value: Any) -> None:
        with pytest.raises(UnreadableOrder, match=r"fetch\.path"):
            paths({"id": value})

    @settings(deadline=None)
    @given(st.text(min_size=1))
    def test_given_any_value_then_it_stays_within_its_part_of_the_path(self, value: str) -> None:
        try:
            [path] = paths({"id": value})
        except UnreadableOrder:
            return
        head, _, part = path.rpartition("/")
        assert head == "/orders"
        assert not set(part) & set("/?#@:\\ ")
        assert part not in {"", ".", ".."}
        assert unquote(part) == value.strip()


class TestMessages:
    def test_given_a_call_then_its_message_is_distinguished_from_a_webhook_and_from_a_code(self) -> None:
        body = json.dumps({"fetch": "/orders/1", "order_id": "", "source": "shop", "received_at": "2026-11-22"})
        assert is_message(body)
        assert fetch_message(body) == FetchMessage("/orders/1", "", "shop", "2026-11-22")

    @pytest.mark.parametrize(
        "message", [FetchMessage("/1", "", "shop", "now"), FetchMessage("/1", "", "s", "now", Action.DEACTIVATE)]
    )
    def test_given_a_message_then_it_is_parsed_as_it_was_sent(self, message: FetchMessage) -> None:
        assert fetch_message(text_of(message)) == message
        assert ("action" in json.loads(text_of(message))) == (message.action is Action.DEACTIVATE)

    @pytest.mark.parametrize("action", ["get", "", 1, None])
    def test_given_an_unknown_action_then_it_is_not_a_fetch_message(self, action: object) -> None:
        fields = {"fetch": "/1", "order_id": "", "source": "shop", "received_at": "now", "action": action}
        assert fetch_message(json.dumps(fields)) is None

    @pytest.mark.parametrize("body", ["", "{", "[]", "{}", '{"code": "A", "loyalty_id": 5}', '{"fetch": "/"}'])
    def test_given_another_message_then_it_is_not_a_fetch_message(self, body: str) -> None:
        assert fetch_message(body) is None


class TestAddresses:
    """A shop's host name must not resolve to an address inside the network."""

    @staticmethod
    def resolving(*addresses: str) -> Any:
        return lambda host, port, **_: [(0, 0, 0, "", (address, port)) for address in addresses]

    @pytest.mark.parametrize(
        "address",
        [
            *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),  # noqa: S104
            *(
                "::1",
                "fe80::1%eth0",
                "fd00:ec2::254",
                "::ffff:10.0.0.1",
                "224.0.0.1",
                "255.255.255.255",
                "2002:a00:1::",
            ),
            *("192.0.2.1", "64:ff9b:1::1", "64:ff9b::a00:1", "::"),
        ],
    )
    def test_given_a_private_address_then_it_is_refused_even_if_there_is_a_public_one(self, address: str) -> None:
        for addresses in ((address,), ("93.184.215.14", address)):
            with pytest.raises(Unanswered) as raised:
                public_address("shop.example.com", self.resolving(*addresses))
            assert raised.value.reason == "shop_refused"

    def test_given_public_addresses_then_one_is_connected_to(self) -> None:
        found = public_address("shop.example.com", self.resolving("2606:2800:21f:cb07::1", "93.184.215.14"))
        assert found == "93.184.215.14"

    def test_given_a_name_that_does_not_resolve_then_it_is_unreachable(self) -> None:
        def unknown(*_: object, **__: object) -> None:
            raise socket.gaierror(-2, "Name or service not known")

        for resolve in (unknown, self.resolving()):
            with pytest.raises(Unanswered) as raised:
                public_address("shop.example.com", resolve)
            assert raised.value.reason == "shop_unreachable"
