"""The dry run of a captured delivery: its output and its exit status. It is run like an operator runs it."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings

from activate.checks import expression
from docs.generate.sample_events import DELIVERIES, EVENTS, REVERSALS, SOURCES
from ops.commands import main
from ops.reach import Stop, stops
from tests.unit.strategies import json_values

BODIES = EVENTS / "bodies"
GENERIC: dict[str, Any] = {
    "platform": "generic",
    "auth": {"scheme": "token", "query": "token"},
    "secrets": ["hush-hush"],
    "paid": "data.paid",
    "order_id": "data.id",
    "codes": "data.coupons[].code",
    "programs": [{"pattern": "^VIP-", "loyalty_id": 7}, {"pattern": "^[A-Z]-", "loyalty_id": 5}],
}
ORDER: dict[str, Any] = {"data": {"paid": "1", "id": 7, "coupons": [{"code": "A-1"}]}}


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["explain", *map(str, arguments)])


class Shop:
    """A source of one shop, and deliveries to it, in files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.settings = GENERIC

    def explain(self, body: object, suffix: str = ".json", *options: str, source: str = "shop") -> tuple[int, Any]:
        sources, file = self._folder / "sources.json", self._folder / f"order{suffix}"
        sources.write_text(json.dumps({"shop": self.settings}))
        file.write_bytes(body if isinstance(body, bytes) else json.dumps(body).encode())
        answer = run(sources, "--source", source, "--file", file, *options)
        assert "hush" not in answer.output
        return answer.exit_code, json.loads(answer.stdout) if answer.stdout else answer.stderr


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.mark.parametrize(("name", "body"), sorted(set(DELIVERIES.values())))
def test_given_a_platforms_sample_then_it_is_read(name: str, body: str) -> None:
    answer = run(SOURCES, "--source", name, "--file", BODIES / body)
    explained = json.loads(answer.stdout)
    assert answer.exit_code == 0
    assert explained["result"] == "accepted"
    assert explained["paid"]["means"] == "paid"
    assert all(code["dropped"] is None for code in explained["codes"])
    assert explained["fault"] is None


def test_given_a_paid_order_then_everything_that_was_found_is_reported(shop: Shop) -> None:
    coupons = [{"code": code} for code in ("VIP-1", "A-1", "other", "B\u200b", 1.5)]
    exit_code, explained = shop.explain({"data": {"paid": "1", "id": 7, "coupons": coupons}})
    assert exit_code == 0
    dropped = [(code["code"], code["loyalty_id"], (code.pop("dropped") or "")[:10]) for code in explained["codes"]]
    assert dropped == [
        ("VIP-1", 7, ""),
        ("A-1", 5, ""),
        ("other", None, "no_program"),
        (1.5, None, "unusable: "),
        ("B\u200b", None, "unusable: "),
    ]
    assert explained | {"codes": []} == {
        "result": "accepted",
        "paid": {"value": "1", "means": "paid"},
        "order_id": "7",
        "codes": [],
        "reversed": False,
        "fault": None,
    }


@pytest.mark.parametrize(
    ("body", "suffix", "result", "exit_code", "setting", "message"),
    [
        ({"data": {"paid": "no"}}, ".json", "not_paid", 0, None, ""),
        (
            {"data": {"payed": "1"}},
            ".json",
            "unrecognised",
            1,
            "paid",
            "there is no `paid`; at `data` there are `payed`",
        ),
        ([], ".json", "unrecognised", 1, "paid", "at the top there is no object"),
        ({"data": {**ORDER["data"], "id": None}}, ".json", "unreadable", 1, "order_id", "no `id`; at `data`"),
        ({"data": {**ORDER["data"], "coupons": {"a": 1}}}, ".json", "no_codes", 0, "codes", "code"),
        (
            {"data": {**ORDER["data"], "coupons": [{"coupon_code": "A-1"}]}},
            *(".json", "no_codes", 0, "codes", "there is no `code`; at `data.coupons[]` there are `coupon_code`"),
        ),
        (b"{", ".json", "unreadable", 1, "", "the body is no json"),
        (b"data=1", ".form", "unrecognised", 1, "paid", "at `data` there is no object"),
        (b"<o><data><paid>false</paid></data></o>", ".xml", "not_paid", 0, None, ""),
        (b"<o>", ".xml", "unreadable", 1, "", "the body is no xml"),
    ],
)
def test_given_a_delivery_then_the_exit_status_and_the_setting_at_fault_show_whether_it_is_read(
    shop: Shop, body: object, suffix: str, result: str, exit_code: int, setting: str | None, message: str
) -> None:
    found, explained = shop.explain(body, suffix)
    assert (found, explained["result"]) == (exit_code, result)
    fault = explained["fault"] or {"setting": None, "message": ""}
    assert fault["setting"] == setting
    assert message in fault["message"]


def test_given_a_list_of_orders_then_each_is_explained_and_one_fault_decides_the_exit_status(shop: Shop) -> None:
    exit_code, explained = shop.explain([ORDER, {"data": {"paid": False}}, {"date": {}}])
    assert exit_code == 1
    assert [one["result"] for one in explained["orders"]] == ["accepted", "not_paid", "unrecognised"]
    assert explained["result"] == "unrecognised"
    assert explained["fault"]["stops"] == [{"reached": "", "missing": "data", "there": ["date"]}]


class TestReversals:
    order: Mapping[str, Any] = {"data": {"paid": "0", "id": 7, "back": 1, "coupons": [{"code": "A-1"}, {"code": "b"}]}}

    @pytest.mark.parametrize(("name", "body"), sorted(set(REVERSALS.values())))
    def test_given_a_platforms_sample_then_it_is_read(self, name: str, body: str) -> None:
        answer = run(SOURCES, "--source", name, "--file", BODIES / body)
        explained = json.loads(answer.stdout)
        assert answer.exit_code == 0
        # Ecwid's webhook holds an id only: whether the order is reversed is in the answer to the call.
        assert explained["result"] == ("accepted" if name == "ecwid" else "reversed")
        assert explained["reversed"] is (name != "ecwid")
        assert ("fetch" in explained) == (name in {"ecwid", "bigcommerce"})
        assert all(code["dropped"] is None for code in explained["codes"])
        assert explained["fault"] is None

    def test_given_a_reversed_order_then_what_it_would_give_back_is_reported(self, shop: Shop) -> None:
        shop.settings = {**GENERIC, "reversed": "data.back", "on_reversal": "deactivate"}
        exit_code, explained = shop.explain(self.order)
        assert exit_code == 0
        assert explained == {
            "result": "reversed",
            "paid": {"value": "0", "means": "not_paid"},
            "order_id": "7",
            "codes": [
                {"code": "A-1", "loyalty_id": 5, "dropped": None},
                {"code": "b", "loyalty_id": None, "dropped": "no_program: no pattern of programs is found in it"},
            ],
            "reversed": True,
            "fault": None,
        }

    def test_given_that_it_is_ignored_then_every_code_says_so(self, shop: Shop) -> None:
        shop.settings = {**GENERIC, "reversed": "data.back"}
        exit_code, explained = shop.explain(self.order)
        assert (exit_code, explained["result"], explained["reversed"]) == (0, "reversed", True)
        assert explained["codes"][0] == {
            "code": "A-1",
            "loyalty_id": 5,
            "dropped": "on_reversal is ignore: nothing is given back",
        }
        # The intake does not read the codes of an order that it ignores, so they cannot be at fault.
        exit_code, explained = shop.explain({"data": {**self.order["data"], "id": None, "coupons": 1.5}})
        assert (exit_code, explained["result"], explained["codes"]) == (0, "reversed", [])

    def test_given_that_it_is_paid_too_then_the_settings_are_named_and_it_exits_with_an_error(self, shop: Shop) -> None:
        shop.settings = {**GENERIC, "reversed": "data.back || data.gone", "on_reversal": "deactivate"}
        exit_code, explained = shop.explain({"data": {**self.order["data"], "paid": "1"}})
        assert (exit_code, explained["result"], explained["reversed"]) == (1, "unreadable", False)
        assert explained["fault"] == {
            "setting": "reversed",
            "message": "it says yes, and so does paid: change one of them, so that only one can",
            "stops": [],
        }

    def test_given_a_reversed_order_whose_call_cannot_be_built_then_the_path_of_the_call_is_at_fault(
        self, shop: Shop
    ) -> None:
        fetch = {"secret": "hush-hush", "host": "shop.insales.example"}
        shop.settings = {
            "platform": "insales",
            "secrets": ["hush-hush"],
            "loyalty_id": 5,
            "fetch": fetch,
            "on_reversal": "deactivate",
        }
        body = {"id": 1, "financial_status": "paid", "fulfillment_status": "declined"}
        exit_code, explained = shop.explain(body)
        assert (exit_code, explained["result"], explained["fault"]["setting"]) == (1, "unrecognised", "fetch.path")

    def test_given_an_expression_that_does_not_fit_then_its_paths_are_followed(self, shop: Shop) -> None:
        shop.settings = {**GENERIC, "reversed": "length(data.bakc) > `0`"}
        exit_code, explained = shop.explain(self.order)
        assert (exit_code, explained["fault"]["setting"]) == (1, "reversed")
        assert "there is no `bakc`; at `data` there are `back`" in explained["fault"]["message"]


def test_given_too_many_codes_then_the_result_is_that_of_the_intake(shop: Shop) -> None:
    coupons = [{"code": f"A-{number}"} for number in range(201)]
    exit_code, explained = shop.explain({"data": {"paid": 1, "id": 7, "coupons": coupons}})
    assert (exit_code, explained["result"], explained["fault"]["setting"]) == (1, "unreadable", "codes")


def test_given_a_handshake_then_it_is_one(shop: Shop) -> None:
    shop.settings = {"platform": "tilda", "secrets": ["hush-hush"], "loyalty_id": 5}
    assert shop.explain(b"test=test", ".form")[1]["result"] == "handshake"


def test_given_a_source_that_cannot_be_used_then_the_setting_is_named(shop: Shop) -> None:
    shop.settings = {**GENERIC, "paid": "data.paid =="}
    exit_code, explained = shop.explain(ORDER)
    assert (exit_code, explained["result"], explained["fault"]["setting"]) == (1, "misconfigured", "paid")
    exit_code, explained = shop.explain(ORDER, source="shopp")
    assert (exit_code, explained["result"]) == (1, "unknown_source")
    assert "there are shop" in explained["fault"]["message"]


def test_given_a_file_with_an_unknown_suffix_then_its_type_is_required(shop: Shop) -> None:
    exit_code, message = shop.explain(ORDER, ".txt")
    assert exit_code != 0
    assert "TYPE=application/json" in message
    assert shop.explain(ORDER, ".txt", "--type", "application/json; charset=utf-8")[0] == 0
    assert shop.explain(b"data=1", ".txt", "--type", "application/x-www-form-urlencoded")[1]["result"] == "unrecognised"


def test_given_half_of_a_surrogate_pair_then_it_is_printed_as_json_escape(shop: Shop) -> None:
    body = {"data": {**ORDER["data"], "coupons": [{"code": "A-\ud800"}]}}
    assert shop.explain(body)[1]["codes"][0]["code"] == "A-\ud800"


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_given_no_document_then_the_error_says_so(tmp_path: Path, text: str) -> None:
    file = tmp_path / "sources.json"
    file.write_bytes(text.encode("latin-1"))
    answer = run(file, "--source", "shop", "--file", BODIES / "shopify.json")
    assert answer.exit_code == 1
    assert str(file) in answer.stderr


@pytest.mark.parametrize("arguments", [(), ("--source", "eu-shop"), ("--file", BODIES / "shopify.json")])
def test_given_an_incomplete_command_then_the_complete_one_is_shown(arguments: tuple[str | Path, ...]) -> None:
    answer = run(SOURCES, *arguments)
    assert answer.exit_code == 2
    assert "make explain SOURCES=" in answer.stderr


class TestSamples:
    def test_given_the_samples_sources_then_each_is_explained_by_its_platforms_bodies(self) -> None:
        answer = run(SOURCES, "--samples")
        assert answer.exit_code == 0
        assert "eu-shop: shopify.json: accepted: Code-1 (5)" in answer.stdout
        assert "custom: there is no sample of generic" in answer.stdout

    def test_given_a_source_that_reads_none_then_it_exits_with_an_error(self, tmp_path: Path) -> None:
        file = tmp_path / "sources.json"
        source = {"platform": "shopify", "secrets": ["s"], "loyalty_id": 5, "paid": "finacial_status == 'paid'"}
        file.write_text(json.dumps({"shop": source}))
        answer = run(file, "--samples")
        assert answer.exit_code == 1
        assert "there is no `finacial_status`; at the top there are `financial_status`" in answer.stdout


def test_given_the_guides_new_shop_then_its_four_steps_work_as_documented(tmp_path: Path) -> None:
    guide = (EVENTS.parent / "docs" / "webhooks" / "generic.md").read_text()
    [body] = re.findall(r"```json-body\n(.*?)```", guide, re.DOTALL)
    [source] = [found for found in re.findall(r"```json\n(.*?)```", guide, re.DOTALL) if "horoshop" in found]
    sources, order = tmp_path / "sources.json", tmp_path / "order.json"
    order.write_text(body)
    sources.write_text(source.replace("data.payed", "data.paid"))
    wrong = run(sources, "--source", "horoshop", "--file", order)
    assert wrong.exit_code == 1
    assert "paid: it finds nothing in the body: there is no `paid`; at `data` there are `payed`" in wrong.stderr
    sources.write_text(source)
    right = run(sources, "--source", "horoshop", "--file", order)
    assert right.exit_code == 0
    assert json.loads(right.stdout)["codes"] == [{"code": "Code-1", "loyalty_id": 5, "dropped": None}]


class TestReach:
    body: Final[Mapping[str, Any]] = {
        "order": {"lines": [{"type": "promo", "cod": "A"}, {"type": "item"}], "a b": {"x": 1}}
    }

    @pytest.mark.parametrize(
        ("path", "found"),
        [
            ("order.lines", ()),
            ("ordr.lines", (Stop("", "ordr", ("order",)),)),
            ("order.line", (Stop("order", "line", ("lines", "a b")),)),
            ("order.lines[].code", (Stop("order.lines[]", "code", ("cod", "type")),)),
            ("order.lines[?type == 'promo'].code", (Stop("order.lines[]", "code", ("cod", "type")),)),
            ("order.lines[?typ == 'promo'].cod", (Stop("order.lines[]", "typ", ("type", "cod")),)),
            ("order.lines[0].code", (Stop("order.lines[0]", "code", ("cod", "type")),)),
            ('order."a b".y', (Stop('order."a b"', "y", ("x",)),)),
            ("order.lines.x", (Stop("order.lines", "x", ()),)),
            ("a || b", (Stop("", "a", ("order",)), Stop("", "b", ("order",)))),
            ("[order.cod][?@]", (Stop("order", "cod", ("lines", "a b")),)),
            ("join(',', order.codes)", (Stop("order", "codes", ("lines", "a b")),)),
        ],
    )
    def test_given_a_path_then_it_is_followed_as_far_as_it_exists(self, path: str, found: tuple[Stop, ...]) -> None:
        assert stops(expression(path), self.body) == found

    @settings(deadline=None)
    @given(json_values)
    def test_given_any_body_then_the_end_of_every_presets_paths_is_found(self, body: Any) -> None:
        for path in ("a.b[].c", "a[?b == 'x'].c | [0]", "(a || b.*.c) && !d", "[a.b, c][?@]", "*.a[0].b"):
            stops(expression(path), body)
