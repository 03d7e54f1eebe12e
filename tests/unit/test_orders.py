"""Reading orders: each platform's preset with a body of the platform, and the steps after JMESPath."""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activate import bodies
from activate.orders import MOST_CODES, MOST_ORDERS, Calls, Order, Reader, Reading, UnreadableOrder
from activate.paths import Means
from activate.presets import PRESETS
from activate.sources import source
from docs.generate.sample_events import DELIVERIES, EVENTS, REVERSALS, SOURCES
from ops.signing import MEDIA_TYPES
from tests.unit.strategies import json_values

SAMPLES = {name: EVENTS / "bodies" / body for name, body in DELIVERIES.values()}
REVERSED = {name: EVENTS / "bodies" / body for name, body in REVERSALS.values()}
WITHOUT_A_CALL = sorted(set(REVERSED) - {"ecwid", "bigcommerce"})


def sample(name: str, samples: Mapping[str, Path] = SAMPLES) -> Any:
    path = samples[name]
    return bodies.read(path.read_bytes(), MEDIA_TYPES[path.suffix])


def one(reader: Reader, body: Any) -> Reading:
    """The result for a body with one order."""
    [reading] = reader.read(body)
    return reading


def of(name: str, **changes: str) -> Reader:
    """The reader of one of the samples' sources; `changes` override its settings."""
    return source(name, json.loads(SOURCES.read_text())[name] | changes).reader


def plain(**settings_: Any) -> Reader:
    """A reader with plain paths; `settings_` override them, and None removes one."""
    plain_ = {
        "platform": "generic",
        "auth": {"scheme": "token", "query": "token"},
        "secrets": ["s"],
        "loyalty_id": 5,
        "order_id": "id",
        "codes": "codes",
        "paid": "paid",
    }
    changed = {name: value for name, value in (plain_ | settings_).items() if value is not None}
    return source("shop", changed).reader


def read(body: Any, **settings_: Any) -> Order | Means:
    reading = one(plain(**settings_), body)
    if isinstance(reading, UnreadableOrder):
        raise reading
    assert not isinstance(reading, Calls)
    return reading


def codes(found: Any, **settings_: Any) -> list[str]:
    order = read({"id": 1, "paid": True, "codes": found}, **settings_)
    assert isinstance(order, Order)
    return [code for code, _ in order.codes]


def test_given_the_samples_then_every_preset_has_one() -> None:
    sources = json.loads(SOURCES.read_text())
    assert {sources[name]["platform"] for name in SAMPLES} == set(PRESETS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("eu-shop", Order("5678901234567", (("Code-1", 5),))),
        ("blog", Order("727", (("CODE-2", 5), ("VIP-7", 7)))),
        ("bitrix", Order("B-1001", (("Code-3", 5),))),
        ("shopware", Order("2f3c8a5be0a94a1c9b3d4f6e7a8b9c0d", (("Code-4", 5),))),
        ("saleor", Order("T3JkZXI6MTAwMQ==", (("Code-5", 5),))),
        ("tilda", Order("1846390277", (("Code-6", 5),))),
        ("retailcrm", Order("1001A", (("Code-7", 5), ("Code-8", 5)))),
        ("insales", Order("73012345", (("Code-9", 5),))),
        ("stripe", Order("pi_1Demo", (("Code-10", 5),))),
        ("custom", Order("1001", (("Code-11", 5),))),
    ],
)
def test_given_a_platforms_paid_order_then_its_id_and_codes_are_read(name: str, expected: Order) -> None:
    assert one(of(name), sample(name)) == expected


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("eu-shop", {"financial_status": "pending"}),
        ("blog", {"status": "pending"}),
        ("bitrix", {"status": "placed"}),
        ("shopware", {"data": {"event": "state_enter.order_transaction.state.open", "payload": {}}}),
        ("saleor", {"order": {"id": "x", "isPaid": False, "voucherCode": "C"}}),
        ("tilda", {"payment[orderid]": ""}),
        ("insales", {"financial_status": "pending"}),
        ("stripe", {"type": "checkout.session.expired"}),
        ("custom", {"state": "new"}),
    ],
)
def test_given_a_platforms_order_that_is_not_paid_then_it_is_a_definite_no(name: str, changes: dict[str, Any]) -> None:
    assert one(of(name), {**sample(name), **changes}) is Means.NOT_PAID


@pytest.mark.parametrize("body", [{}, [], "text", 7, None, {"id": 5, "number": 1}, {"data": {}}])
@pytest.mark.parametrize("name", sorted(set(SAMPLES) - {"retailcrm"}))
def test_given_a_body_that_is_no_order_of_the_platform_then_it_is_unrecognised(name: str, body: Any) -> None:
    assert one(of(name), body) is Means.UNRECOGNISED


class TestReversed:
    """Which orders are cancelled or refunded in full, and what becomes of their codes."""

    @pytest.mark.parametrize("name", WITHOUT_A_CALL)
    def test_given_a_platforms_reversed_order_then_it_has_the_id_and_the_codes_of_the_paid_one(self, name: str) -> None:
        paid = one(of(name), sample(name))
        assert isinstance(paid, Order)
        assert paid.codes
        assert one(of(name), sample(name, REVERSED)) == replace(paid, reversed=True)

    @pytest.mark.parametrize("name", sorted(set(WITHOUT_A_CALL) - {"insales"}))
    def test_given_that_it_is_ignored_then_it_is_reversed_and_its_codes_are_not_read(self, name: str) -> None:
        assert one(of(name, on_reversal="ignore"), sample(name, REVERSED)) is Means.REVERSED
        broken = of(name, on_reversal="ignore", order_id="length(`5`)", codes="length(`5`)")
        assert one(broken, sample(name, REVERSED)) is Means.REVERSED

    def test_given_that_it_is_ignored_then_a_paid_order_stays_paid_whatever_else_it_is(self) -> None:
        # InSales' order can be paid and cancelled at once.
        assert isinstance(one(of("insales", on_reversal="ignore"), sample("insales", REVERSED)), Order)
        body = {"id": 1, "paid": True, "reversed": True, "codes": "A"}
        assert read(body, reversed="reversed") == Order("1", (("A", 5),))
        assert read(body, reversed="length(paid)") == Order("1", (("A", 5),))  # it would fail if it were asked

    @pytest.mark.parametrize(
        ("name", "changes"),
        [
            # Shopify's "send test notification" is voided and cancelled, and has no codes.
            ("eu-shop", {"financial_status": "voided", "cancelled_at": "2026-11-22T09:30:00+01:00"}),
            ("eu-shop", {"financial_status": "refunded"}),
            ("eu-shop", {"cancelled_at": "2026-11-22T09:30:00+01:00"}),
            ("blog", {"status": "cancelled"}),
            ("bitrix", {"status": "cancelled"}),
            ("shopware", {"data": {"event": "state_enter.order.state.cancelled", "payload": {"order": {}}}}),
            ("saleor", {"order": {"id": "x", "isPaid": True, "status": "CANCELED", "voucherCode": None}}),
            ("saleor", {"order": {"id": "x", "isPaid": True, "paymentStatus": "FULLY_REFUNDED", "voucherCode": None}}),
            ("insales", {"financial_status": "pending", "fulfillment_status": "declined"}),
        ],
    )
    def test_given_another_kind_of_reversal_then_it_is_one(self, name: str, changes: dict[str, Any]) -> None:
        order = one(of(name), {**sample(name), **changes})
        assert isinstance(order, Order)
        assert order.reversed

    @pytest.mark.parametrize(
        ("name", "changes"),
        [
            ("eu-shop", {"financial_status": "partially_refunded"}),
            ("eu-shop", {"financial_status": "partially_refunded", "cancelled_at": "2026-11-22T09:30:00+01:00"}),
            ("eu-shop", {"financial_status": "voided"}),
            ("blog", {"refunds": [{"id": 1, "reason": "", "total": "-3.00"}]}),
            ("blog", {"status": "failed"}),
            ("bitrix", {"status": "partially_refunded"}),
            ("shopware", {"data": {"event": "state_enter.order_transaction.state.refunded_partially"}}),
            ("shopware", {"data": {"event": "state_enter.order_transaction.state.cancelled"}}),
            ("shopware", {"data": {"event": "state_enter.order_delivery.state.cancelled"}}),
            ("saleor", {"order": {"id": "x", "isPaid": False, "status": "FULFILLED", "paymentStatus": "REFUSED"}}),
            ("saleor", {"order": {"id": "x", "isPaid": True, "paymentStatus": "PARTIALLY_REFUNDED"}}),
            ("insales", {"financial_status": "pending", "fulfillment_status": "returned"}),
            ("stripe", {"type": "charge.refunded", "data": {"object": {"id": "ch_1", "refunded": False}}}),
            ("stripe", {"type": "checkout.session.expired"}),
        ],
    )
    def test_given_a_partial_refund_or_a_failed_payment_then_it_is_none(
        self, name: str, changes: dict[str, Any]
    ) -> None:
        order = one(of(name), {**sample(name), **changes})
        assert order is Means.NOT_PAID or (isinstance(order, Order) and not order.reversed)

    @pytest.mark.parametrize(
        ("name", "body"),
        [
            ("eu-shop", {"id": 509562969, "order_id": 5678901234567, "refund_line_items": [], "transactions": []}),
            ("stripe", {"type": "refund.created", "data": {"object": {"id": "re_1", "status": "succeeded"}}}),
            ("stripe", {"type": "charge.refund.updated", "data": {"object": {"id": "re_1", "charge": "ch_1"}}}),
        ],
    )
    def test_given_a_refund_without_the_order_then_it_is_no_reversal(self, name: str, body: Any) -> None:
        assert one(of(name), body) in {Means.NOT_PAID, Means.UNRECOGNISED}

    @settings(deadline=None)
    @given(
        st.recursive(
            json_values,
            lambda inner: st.dictionaries(
                st.sampled_from(
                    [
                        *(
                            "financial_status",
                            "fulfillment_status",
                            "cancelled_at",
                            "status",
                            "paymentStatus",
                            "isPaid",
                        ),
                        *("type", "event", "data", "object", "refunded", "order", "new_status_id", "id", "codes"),
                    ]
                ),
                inner,
                max_size=6,
            ),
            max_leaves=12,
        )
    )
    def test_given_any_body_without_a_platforms_own_words_then_it_is_no_reversal(self, body: Any) -> None:
        for name in REVERSED:
            for reading in of(name).read(body):
                assert reading is not Means.REVERSED
                assert not (isinstance(reading, Order) and reading.reversed)

    @pytest.mark.parametrize("no", [None, False, 0, "", "0", "no", "off", [], {}])
    @pytest.mark.parametrize("on_reversal", ["ignore", "deactivate"])
    def test_given_a_no_or_nothing_then_it_never_acts(self, no: Any, on_reversal: str) -> None:
        for paid, expected in ((False, Means.NOT_PAID), (None, Means.UNRECOGNISED)):
            body = {"id": 1, "paid": paid, "back": no, "codes": "A"}
            assert read(body, reversed="back", on_reversal=on_reversal) is expected

    @pytest.mark.parametrize("expression", ["state != 'open'", "!open", "`true`", "state != 'open' && !open", "'yes'"])
    def test_given_a_yes_that_comes_from_nothing_in_the_body_then_it_never_acts(self, expression: str) -> None:
        body = {"id": 1, "paid": False, "codes": "A"}
        assert read(body, reversed=expression, on_reversal="deactivate") is Means.NOT_PAID

    @pytest.mark.parametrize(
        ("expression", "body"),
        [
            ("back", {"back": "2026-11-22"}),
            ("state != 'open'", {"state": "closed"}),
            ("contains(['cancelled'], state)", {"state": "cancelled"}),
            ("payments[?state == 'refunded'] | [0]", {"payments": [{"state": "refunded"}]}),
        ],
    )
    def test_given_a_yes_then_the_codes_are_read_as_a_paid_orders_are(
        self, expression: str, body: dict[str, Any]
    ) -> None:
        order = {"id": 1, "paid": False, "codes": "A; VIP-2 ;x​;b", **body}
        programs = [{"pattern": "^VIP-", "loyalty_id": 7}, {"pattern": "^[A-Z]", "loyalty_id": 5}]
        found = read(
            order, reversed=expression, on_reversal="deactivate", split=";", loyalty_id=None, programs=programs
        )
        assert found == Order("1", (("A", 5), ("VIP-2", 7)), ("b",), ("x​",), reversed=True)

    @pytest.mark.parametrize("on_reversal", ["ignore", "deactivate"])
    def test_given_a_yes_of_a_body_that_paid_does_not_recognise_then_it_never_acts(self, on_reversal: str) -> None:
        assert (
            read({"id": 1, "back": True, "codes": "A"}, reversed="back", on_reversal=on_reversal) is Means.UNRECOGNISED
        )

    def test_given_that_it_is_paid_too_then_it_is_unreadable_and_both_settings_are_named(self) -> None:
        with pytest.raises(UnreadableOrder, match=r"^reversed: .* paid: "):
            read({"id": 1, "paid": True, "back": True, "codes": "A"}, reversed="back", on_reversal="deactivate")

    @pytest.mark.parametrize("on_reversal", ["ignore", "deactivate"])
    def test_given_an_expression_that_does_not_fit_then_the_setting_is_named(self, on_reversal: str) -> None:
        with pytest.raises(UnreadableOrder, match=r"^reversed: the expression does not fit"):
            read({"id": 1, "paid": False}, reversed="length(paid)", on_reversal=on_reversal)

    @pytest.mark.parametrize(
        ("changes", "setting"),
        [({"id": None}, "order_id"), ({"codes": 1.5}, "codes"), ({"codes": ["A"] * 10_001}, "codes")],
    )
    def test_given_codes_or_an_id_that_cannot_be_read_then_the_setting_is_named(
        self, changes: dict[str, Any], setting: str
    ) -> None:
        body = {"id": 1, "paid": False, "back": True, "codes": "A", **changes}
        with pytest.raises(UnreadableOrder, match=f"^{setting}: "):
            read(body, reversed="back", on_reversal="deactivate")

    def test_given_a_list_of_orders_then_each_is_read_separately_and_all_codes_are_counted(self) -> None:
        reader = plain(reversed="back", on_reversal="deactivate")
        orders: list[dict[str, Any]] = [
            {"id": 1, "paid": True, "codes": "A"},
            {"id": 1, "paid": False, "back": True, "codes": "A"},
            {"id": 2, "paid": False, "back": False, "codes": "B"},
            {"id": 3, "paid": True, "back": True, "codes": "C"},
        ]
        paid, given_back, neither, both = reader.read(orders)
        assert (paid, given_back) == (Order("1", (("A", 5),)), Order("1", (("A", 5),), reversed=True))
        assert neither is Means.NOT_PAID
        assert isinstance(both, UnreadableOrder)
        many = [f"C-{number}" for number in range(MOST_CODES)]
        with pytest.raises(UnreadableOrder, match="more than 200 in one delivery"):
            reader.read([orders[0], {**orders[1], "codes": many}])


class TestPaid:
    """What `paid` finds: something, a definite no, or nothing."""

    @pytest.mark.parametrize(
        "no", [False, 0, 0.0, "", "0", "false", "no", "n", "off", "FALSE", "No", "oFF", " no ", [], {}]
    )
    def test_given_a_value_that_means_no_then_the_order_is_not_paid(self, no: Any) -> None:
        assert read({"paid": no}) is Means.NOT_PAID

    @pytest.mark.parametrize("yes", [True, 1, "1", "true", "yes", "paid", "none", "nope", [0], {"a": None}])
    def test_given_anything_else_then_it_is_paid(self, yes: Any) -> None:
        assert read({"paid": yes}) == Order("")

    @pytest.mark.parametrize(
        ("paid", "body"),
        [
            ("paid", {}),
            ("paid", {"paid": None}),
            ("state == 'paid'", {"status": "paid"}),
            ("state == 'paid' && !cancelled_at", {"status": "paid"}),
            ("contains(['paid'], state)", {"status": "paid"}),
            ("order.state == 'paid'", {"order": {"status": "paid"}}),
            ("payments[?state == 'paid'] | [0]", {}),
            ("length(payments[?state == 'paid'] || `[]`) > `0`", {}),
        ],
    )
    def test_given_paths_that_find_nothing_then_the_order_is_unrecognised_and_not_unpaid(
        self, paid: str, body: Any
    ) -> None:
        assert read(body, paid=paid) is Means.UNRECOGNISED

    @pytest.mark.parametrize(
        ("paid", "body"),
        [
            ("state == 'paid'", {"state": "new"}),
            ("state == 'paid' && !cancelled_at", {"state": "paid", "cancelled_at": "2026-11-22"}),
            ("contains(['paid'], state)", {"state": "new"}),
            ("payments[?state == 'paid']", {"payments": []}),
            ("length(payments[?state == 'paid'] || `[]`) > `0`", {"payments": [{"state": "new"}]}),
            ("`false`  && state", {"state": "paid"}),
        ],
    )
    def test_given_paths_that_find_something_then_false_means_not_paid(self, paid: str, body: Any) -> None:
        assert read(body, paid=paid) is Means.NOT_PAID


class TestSeveralOrders:
    def test_given_a_list_of_orders_then_each_is_read_separately(self) -> None:
        readings = plain().read(
            [
                {"id": 1, "paid": True, "codes": "A"},
                {"id": 2, "paid": False, "codes": "B"},
                {"id": None, "paid": True, "codes": "C"},
                {"total": 3},
                "text",
            ]
        )
        assert readings[:2] == [Order("1", (("A", 5),)), Means.NOT_PAID]
        assert isinstance(readings[2], UnreadableOrder)
        assert readings[3:] == [Means.UNRECOGNISED, Means.UNRECOGNISED]

    def test_given_a_source_with_paths_into_a_list_then_the_list_is_one_order(self) -> None:
        reader = plain(paid="[0].paid", order_id="[0].id", codes="[].code")
        assert one(reader, [{"id": 1, "paid": True, "code": "A"}, {"code": "B"}]) == Order("1", (("A", 5), ("B", 5)))

    def test_given_an_id_that_is_computed_then_a_list_is_still_one_of_orders(self) -> None:
        reader = plain(order_id="to_string(id)")
        assert reader.read([{"id": 1, "paid": True, "codes": "A"}]) == [Order("1", (("A", 5),))]

    def test_given_saleors_shapes_then_the_order_is_found_in_each(self) -> None:
        order = {"id": "T3JkZXI6MTAwMQ==", "isPaid": True, "voucherCode": "Code-5"}
        expected = Order("T3JkZXI6MTAwMQ==", (("Code-5", 5),))
        for body in ({"order": order}, {"data": {"orderFullyPaid": {"order": order}}}, [{"order": order}]):
            assert one(of("saleor"), body) == expected
        # The legacy payload, without a subscription query, names its fields otherwise.
        assert one(of("saleor"), [{"id": "T3JkZXI6MTAwMQ==", "type": "Order"}]) is Means.UNRECOGNISED

    def test_given_too_many_orders_or_codes_then_none_is_read(self) -> None:
        orders = [{"id": number, "paid": True, "codes": str(number)} for number in range(MOST_ORDERS + 1)]
        with pytest.raises(UnreadableOrder, match="more than 200 orders"):
            plain().read(orders)
        most = [f"C-{number}" for number in range(MOST_CODES)]
        assert len(codes(most)) == MOST_CODES
        with pytest.raises(UnreadableOrder, match="codes: there are more than 200 in one order"):
            read({"id": 1, "paid": True, "codes": [*most, "C-more"]})
        with pytest.raises(UnreadableOrder, match="codes: there are more than 200 in one delivery"):
            plain().read([{"id": 1, "paid": True, "codes": most}, {"id": 2, "paid": True, "codes": "C-more"}])

    @pytest.mark.parametrize(
        "found", ["x" * 65_537, ["x" * 250] * 263, [None] * 10_001, ";".join(map(str, range(9000)))]
    )
    def test_given_more_text_than_an_order_can_hold_then_it_is_not_split(self, found: Any) -> None:
        with pytest.raises(UnreadableOrder, match=r"codes: .*more than"):
            read({"id": 1, "paid": True, "codes": found}, split=";")


class TestBounds:
    """No shopper's text can stall the function, whatever pattern an operator wrote."""

    @pytest.mark.parametrize(
        ("pattern", "text"),
        [
            (r"^(VIP-?|[A-Z]+)+[0-9]{4}$", "A" * 250),
            (r"(\S+)$", "a" * 60_000 + " "),
            (r"(a*)*b", "a" * 60_000),
            (r"(.*.*.*)=", "x" * 60_000),
        ],
    )
    def test_given_a_hostile_text_for_a_pattern_then_it_is_matched_at_once(self, pattern: str, text: str) -> None:
        began = time.process_time()
        read({"id": 1, "paid": True, "codes": text}, capture=pattern)
        read({"id": 1, "paid": True, "codes": text}, loyalty_id=None, programs=[{"pattern": pattern, "loyalty_id": 5}])
        assert time.process_time() - began < 1

    @pytest.mark.parametrize("text", ["A\ud800", "\ud800"])
    def test_given_an_invalid_unicode_text_then_it_is_no_code(self, text: str) -> None:
        order = read({"id": 1, "paid": True, "codes": ["A-1", text]}, capture="(.+)")
        assert order == Order("1", (("A-1", 5),), unusable=(text,))

    def test_given_an_expression_that_takes_too_long_then_it_is_stopped_and_the_setting_named(self) -> None:
        body = {"id": 1, "paid": True, "items": [{"id": 1}] * 2_000_000}
        began = time.monotonic()
        with pytest.raises(UnreadableOrder, match="codes: the expression takes too long"):
            read(body, codes="sort_by(items[?id == `1`], &id)[].code")
        assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("eu-shop", {"discount_applications": []}),
        ("eu-shop", {"discount_applications": None}),
        ("eu-shop", {"discount_applications": [{"type": "manual", "title": "Goodwill"}]}),
        ("blog", {"coupon_lines": []}),
        ("saleor", {"order": {"id": "x", "isPaid": True, "voucherCode": None}}),
        ("tilda", {"payment[promocode]": ""}),
        ("retailcrm", {"codes": " ; "}),
    ],
)
def test_given_a_paid_order_without_codes_then_there_are_none(name: str, changes: dict[str, Any]) -> None:
    order = one(of(name), {**sample(name), **changes})
    assert order == Order("", ())


def test_given_a_partially_refunded_shopify_order_then_it_was_paid() -> None:
    reader = of("eu-shop")
    assert isinstance(one(reader, {**sample("eu-shop"), "financial_status": "partially_refunded"}), Order)


@pytest.mark.parametrize("body", ["tilda.form", "tilda-json-field.form", "tilda.json"])
def test_given_any_of_tildas_shapes_then_the_order_is_the_same(body: str) -> None:
    path = EVENTS / "bodies" / body
    order = bodies.read(path.read_bytes(), MEDIA_TYPES[path.suffix])
    assert one(of("tilda"), order) == Order("1846390277", (("Code-6", 5),))


@pytest.mark.parametrize("payment", ["", "{", "null", "[]", "7", '"text"', "[" * 10_000])
def test_given_a_field_that_holds_no_order_then_it_is_unrecognised(payment: str) -> None:
    assert one(of("tilda"), {"payment": payment, "Name": "Anna"}) is Means.UNRECOGNISED


def test_given_insales_sends_xml_then_its_codes_are_read_by_other_paths() -> None:
    body = bodies.read((EVENTS / "bodies" / "insales.xml").read_bytes(), "application/xml")
    reader = source(
        "insales",
        {
            "platform": "insales",
            "secrets": ["s"],
            "loyalty_id": 5,
            "paid": "\"financial-status\" == 'paid'",
            "codes": "discounts.[discount][].description",
            "capture": r"(\S+)$",
        },
    ).reader
    assert one(reader, body) == Order("73012345", (("Code-9", 5),))


class TestSteps:
    @pytest.mark.parametrize("found", ["A", ["A"], ["A", None], [" A\u00a0"], ["A", "A"], ["A", "", "  "]])
    def test_given_a_code_however_wrapped_then_it_is_read_once(self, found: Any) -> None:
        assert codes(found) == ["A"]

    def test_given_numbers_then_they_are_codes_too(self) -> None:
        assert codes([12345, 0]) == ["12345", "0"]

    def test_given_a_joined_text_then_it_is_split_and_trimmed(self) -> None:
        assert codes("A; B ;;A", split=";") == ["A", "B"]

    def test_given_a_capture_then_its_group_or_the_whole_match_is_the_code(self) -> None:
        assert codes(["coupon: A-1 (10 %)", "none"], capture=r"coupon: (\S+)") == ["A-1"]
        assert codes(["coupon: A-1 (10 %)"], capture=r"[A-Z]-\d") == ["A-1"]
        assert codes(["x"], capture=r"x(y)?") == []

    def test_given_html_then_its_escapes_are_undone_before_the_text_is_split(self) -> None:
        assert codes("A&amp;B;C&#38;D;E&F", unescape="html", split=";") == ["A&B", "C&D", "E&F"]
        assert codes("A&amp;B") == ["A&amp;B"]
        assert codes(["A&amp;amp;B"], unescape="html") == ["A&amp;B"]

    def test_given_woocommerce_then_a_code_with_an_ampersand_is_what_the_merchant_typed(self) -> None:
        order = {"id": 1, "status": "processing", "coupon_lines": [{"code": "tom&amp;jerry"}]}
        assert one(of("blog"), order) == Order("1", (("TOM&JERRY", 5),))

    def test_given_an_accent_typed_in_two_ways_then_it_is_one_code(self) -> None:
        assert codes(["CAFE\u0301", "CAF\u00c9", "Й-1", "И\u0306-1"]) == ["CAF\u00c9", "Й-1"]

    def test_given_full_width_forms_or_invisible_characters_then_they_are_not_normalised(self) -> None:
        order = read({"id": 1, "paid": True, "codes": ["\uff21-1", "A-1", "A\u200b-1"]})
        assert order == Order("1", (("\uff21-1", 5), ("A-1", 5)), unusable=("A\u200b-1",))

    @pytest.mark.parametrize(("case", "expected"), [("keep", ["aB", "AB"]), ("upper", ["AB"]), ("lower", ["ab"])])
    def test_given_a_case_then_codes_are_changed_before_doubles_are_dropped(
        self, case: str, expected: list[str]
    ) -> None:
        assert codes(["aB", "AB"], case=case) == expected

    def test_given_all_steps_then_they_are_done_in_order(self) -> None:
        found = "[a-1] , [ b-2 ],[A-1], c"
        assert codes(found, split=",", capture=r"\[(.*)\]", case="upper") == ["A-1", "B-2"]

    @pytest.mark.parametrize(
        "bad", ["x" * 256, "A\x00B", "A\nB", "A\ud800", "A\u202eB", True, 1.5, {"code": "A"}, ["A"]]
    )
    def test_given_a_value_that_cannot_be_a_code_then_it_is_counted_and_the_others_are_read(self, bad: Any) -> None:
        order = read({"id": 1, "paid": True, "codes": ["before", bad, "after"]})
        assert order == Order("1", (("before", 5), ("after", 5)), unusable=(bad,))

    def test_given_the_longest_code_then_it_is_read(self) -> None:
        assert codes("я" * 255) == ["я" * 255]

    @settings(deadline=None)
    @given(st.lists(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), max_size=20))
    def test_given_any_values_then_what_is_read_is_clean(self, found: list[Any]) -> None:
        order = read({"id": 1, "paid": True, "codes": found}, split=",")
        assert isinstance(order, Order)
        read_codes = [code for code, _ in order.codes]
        assert len(set(read_codes)) == len(read_codes)
        assert all(0 < len(code) <= 255 and code == code.strip() and code.isprintable() for code in read_codes)
        assert len(order.unusable) >= sum(isinstance(value, bool | float) for value in found)


def test_given_several_programs_then_the_first_match_wins_and_no_match_is_foreign() -> None:
    reader = source(
        "shop",
        {
            "platform": "standard-webhooks",
            "secrets": ["whsec_c2VjcmV0"],
            "programs": [{"pattern": "^VIP-", "loyalty_id": 7}, {"pattern": "-", "loyalty_id": 5}],
        },
    ).reader
    order = one(reader, {"order_id": "o", "status": "paid", "codes": ["VIP-1", "A-1", "plain"]})
    assert order == Order("o", (("VIP-1", 7), ("A-1", 5)), foreign=("plain",))


class TestUnreadable:
    @pytest.mark.parametrize("order_id", [None, "", "  ", True, 1.5, [], {}, "x" * 191, "a\nb"])
    def test_given_a_paid_order_without_a_usable_id_then_the_setting_is_named(self, order_id: Any) -> None:
        with pytest.raises(UnreadableOrder, match=r"^order_id: "):
            read({"id": order_id, "paid": True, "codes": ["A"]})

    @pytest.mark.parametrize("found", [{"code": "A"}, True, 1.5])
    def test_given_codes_of_another_shape_then_the_setting_is_named(self, found: Any) -> None:
        with pytest.raises(UnreadableOrder, match=r"^codes: "):
            read({"id": 1, "paid": True, "codes": found})

    def test_given_an_expression_that_does_not_fit_then_the_setting_is_named_and_no_value_quoted(self) -> None:
        with pytest.raises(UnreadableOrder, match=r"^paid: [^7]*$"):
            read({"id": 1, "paid": 7}, paid="starts_with(paid, 'p')")

    @pytest.mark.parametrize("expression", ["contains(id, codes)", "codes[::0]", "max_by(codes, &@)", "ceil(big)"])
    def test_given_an_expression_on_which_jmespath_itself_fails_then_the_setting_is_named(
        self, expression: str
    ) -> None:
        body = json.loads('{"id": "1", "codes": [1, "x"], "big": 1e999}')
        with pytest.raises(UnreadableOrder, match="paid: "):
            read(body, paid=expression)

    def test_given_an_unpaid_order_then_the_rest_is_not_read(self) -> None:
        assert read({"id": None, "paid": False, "codes": 1.5}) is Means.NOT_PAID
