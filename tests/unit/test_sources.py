"""The document of sources: which settings are refused with which errors, and how its newest version is found."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activate.checks import InvalidSettings
from activate.presets import FETCHES, PRESETS
from activate.signatures import SCHEMES
from activate.sources import REREAD_SECONDS, SETTINGS, Document, Sources, SourceUnavailable, UnknownSource, parse
from tests.secret import Secret

GOOD: dict[str, Any] = {"platform": "shopify", "secrets": ["current", "previous"], "loyalty_id": 5}


def faults(document: Document, name: str = "shop") -> dict[str, str]:
    return dict(document.faults[name].faults)


def faults_of(**changes: Any) -> dict[str, str]:
    """The faults of the good source with changes; a change to None removes the setting."""
    settings_ = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    return faults(parse(json.dumps({"shop": settings_})))


def faults_of_none(**changes: Any) -> dict[str, str]:
    """As `faults_of`, of a source that may have none."""
    document = parse(json.dumps({"shop": {**GOOD, **changes}}))
    return dict(document.faults["shop"].faults) if document.faults else {}


def test_given_the_designs_example_then_every_source_can_be_used() -> None:
    document = parse(
        """
        {"eu-shop": {"platform": "shopify", "secrets": ["current", "previous"], "loyalty_id": 5},
         "blog":    {"platform": "woocommerce", "secrets": ["s"], "programs": [{"pattern": "^VIP-", "loyalty_id": 7}, {"pattern": "", "loyalty_id": 5}], "case": "upper"},
         "bitrix":  {"platform": "standard-webhooks", "secrets": ["whsec_c2VjcmV0"], "order_id": "order_id", "codes": "codes", "paid": "status == 'paid'", "loyalty_id": 5},
         "custom":  {"platform": "generic", "auth": {"scheme": "hmac", "header": "X-Signature", "encoding": "hex", "prefix": "sha256=", "signed": "{body}"},
                     "secrets": ["s"], "order_id": "id", "codes": "coupons[].code", "paid": "state == 'paid'", "loyalty_id": 5}}
        """  # noqa: E501 - as in the design
    )
    assert not document.faults
    assert set(document.sources) == {"eu-shop", "blog", "bitrix", "custom"}


def test_given_one_bad_source_then_the_others_are_used() -> None:
    document = parse(json.dumps({"good": GOOD, "bad": {**GOOD, "loyalty_id": "five"}, "worse": 7}))
    assert document.find("good").name == "good"
    for name in ("bad", "worse"):
        with pytest.raises(SourceUnavailable) as raised:
            document.find(name)
        assert raised.value.source == name
    with pytest.raises(UnknownSource):
        document.find("none")


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"platform": "shopfy"}, "platform"),
        ({"platform": None}, "platform"),
        ({"platform": ["shopify"]}, "platform"),
        ({"platfrom": "shopify"}, "platfrom"),
        ({"secrets": None}, "secrets"),
        ({"secrets": []}, "secrets"),
        ({"secrets": "hush-hush"}, "secrets"),
        ({"secrets": ["good", ""]}, "secrets[1]"),
        ({"secrets": ["good", "hush-hush "]}, "secrets[1]"),
        ({"secrets": [5]}, "secrets[0]"),
        ({"secrets": ["hush\ud800"]}, "secrets[0]"),
        ({"platform": "standard-webhooks", "secrets": ["hush-hush"]}, "secrets[0]"),
        ({"loyalty_id": None}, "loyalty_id"),
        ({"loyalty_id": "5"}, "loyalty_id"),
        ({"loyalty_id": True}, "loyalty_id"),
        ({"loyalty_id": 0}, "loyalty_id"),
        ({"loyalty_id": 5.0}, "loyalty_id"),
        ({"programs": [{"pattern": "", "loyalty_id": 5}]}, "loyalty_id"),
        ({"loyalty_id": None, "programs": [{"pattern": "(", "loyalty_id": 5}]}, "programs[0].pattern"),
        ({"loyalty_id": None, "programs": [{"pattern": ""}]}, "programs[0].loyalty_id"),
        ({"loyalty_id": None, "programs": {"": 5}}, "programs"),
        ({"loyalty_id": None, "programs": []}, "programs"),
        ({"loyalty_id": 2**63}, "loyalty_id"),
        ({"paid": "status =="}, "paid"),
        ({"paid": ""}, "paid"),
        ({"reversed": "status =="}, "reversed"),
        ({"reversed": True}, "reversed"),
        ({"on_reversal": "delete"}, "on_reversal"),
        ({"on_reversal": True}, "on_reversal"),
        ({"order_id": 5}, "order_id"),
        ({"codes": "a[?"}, "codes"),
        ({"case": "title"}, "case"),
        ({"split": ""}, "split"),
        ({"unescape": "xml"}, "unescape"),
        ({"json_fields": "payment"}, "json_fields"),
        ({"json_fields": ["payment", 5]}, "json_fields[1]"),
        ({"challenge": 5}, "challenge"),
        ({"capture": "["}, "capture"),
        ({"handshake": "("}, "handshake"),
        ({"capture": r"(?<=coupon )\S+"}, "capture"),
        ({"capture": r"(\w)\1"}, "capture"),
        ({"capture": "\ud800"}, "capture"),
        ({"loyalty_id": None, "programs": [{"pattern": r"^(?!VIP-)", "loyalty_id": 5}]}, "programs[0].pattern"),
        ({"event_source": ""}, "event_source"),
        ({"auth": "hmac"}, "auth.scheme"),
        ({"auth": {"scheme": "hmac", "header": "X", "encoding": "base32"}}, "auth.encoding"),
        ({"auth": {"scheme": "hmac", "header": "X", "encoding": "hex", "signed": "{id}.{body}"}}, "auth.signed"),
    ],
)
def test_given_an_invalid_setting_then_it_is_named_and_no_secret_quoted(changes: dict[str, Any], setting: str) -> None:
    found = faults_of(**changes)
    assert list(found) == [setting]
    assert "hush" not in "".join(found.values())


def test_given_a_pattern_without_linear_time_then_the_remedy_is_named() -> None:
    assert "no look-around and no back references" in faults_of(capture=r"(?=a)b")["capture"]


def test_given_several_faults_then_all_are_reported_at_once() -> None:
    assert set(faults_of(loyalty_id="5", paid="(", case="x", nonsense=1)) == {"loyalty_id", "paid", "case", "nonsense"}


def test_given_a_platform_without_a_full_preset_then_what_is_missing_is_named() -> None:
    assert set(faults_of(platform="generic")) == {"auth", "paid", "order_id", "codes"}
    assert "or write fetch" in faults_of(platform="insales")["codes"]


class TestOnReversal:
    """What `deactivate` needs: to know a reversed order, and to know a paid one from it."""

    def test_given_a_preset_without_reversals_then_what_is_missing_is_named(self) -> None:
        found = faults_of(platform="tilda", on_reversal="deactivate")
        assert list(found) == ["reversed"]
        assert "is missing, and no preset has it" in found["reversed"]
        assert not faults_of_none(platform="tilda", on_reversal="deactivate", reversed="payment.status == 'refunded'")

    @pytest.mark.parametrize("paid", ["`true`", "'yes'", "`1` == `1`"])
    def test_given_a_paid_that_is_always_yes_then_it_is_refused(self, paid: str) -> None:
        found = faults_of(paid=paid, on_reversal="deactivate")
        assert list(found) == ["paid"]
        assert "by what a paid order is known" in found["paid"]
        assert not faults_of_none(paid=paid, on_reversal="ignore")

    def test_given_retailcrm_then_both_settings_make_it_usable(self) -> None:
        assert set(faults_of(platform="retailcrm", on_reversal="deactivate")) == {"reversed", "paid"}
        assert not faults_of_none(
            platform="retailcrm", on_reversal="deactivate", paid="state == 'paid'", reversed="state == 'cancelled'"
        )

    def test_given_stripes_promotion_codes_then_the_combination_is_refused_with_the_remedy(self) -> None:
        found = faults_of(platform="stripe", on_reversal="deactivate", fetch={"secret": "rk_live"})
        assert list(found) == ["reversed"]
        assert "without fetch there is one" in found["reversed"]
        assert not faults_of_none(platform="stripe", on_reversal="deactivate")

    def test_given_no_on_reversal_then_every_source_is_read_as_it_was_before(self) -> None:
        for platform in ("saleor", "insales", "stripe", "ecwid"):
            settings_ = {**GOOD, "platform": platform, "codes": "codes"}
            if platform == "ecwid":
                settings_["fetch"] = {"secret": "s"}
            implied = parse(json.dumps({"shop": settings_})).sources["shop"]
            assert implied == parse(json.dumps({"shop": {**settings_, "on_reversal": "ignore"}})).sources["shop"]
            reader = implied.reader
            assert reader.paid.expression == PRESETS[platform]["paid"]
            assert reader.order_id.expression == PRESETS[platform]["order_id"]
            if implied.fetch and implied.fetch.when:
                assert implied.fetch.when.expression == FETCHES[platform]["fetch"]["when"]

    def test_given_a_sources_own_settings_then_they_override_every_preset(self) -> None:
        own = {
            "platform": "ecwid",
            "paid": "a",
            "reversed": "b",
            "on_reversal": "deactivate",
            "fetch": {"secret": "s", "when": "c"},
        }
        source = parse(json.dumps({"shop": {**GOOD, **own}})).sources["shop"]
        assert source.fetch
        assert source.fetch.when
        assert source.reader.reversed
        assert [found.expression for found in (source.reader.paid, source.reader.reversed, source.fetch.when)] == [
            "a",
            "b",
            "c",
        ]


FETCH: dict[str, Any] = {"host": "api.example.com", "path": "/orders/{id}", "secret": "hush-hush"}


class TestFetch:
    @pytest.mark.parametrize(
        "host",
        [
            *("localhost", "127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "::1", "2130706433", "0x7f.1"),
            *("http://api.example.com", "api.example.com:8080", "user@api.example.com", "api.example.com/", "{host}"),
            *("shop.{tld}", "db.internal", "metadata.google.internal", "nas.local", "api", "", "-a.example.com", 5),
            *("api.example.com.", "ap i.example.com", "example.com\n"),
        ],
    )
    def test_given_a_host_that_is_not_one_public_name_then_it_is_refused(self, host: Any) -> None:
        assert list(faults_of(fetch={**FETCH, "host": host})) == ["fetch.host"]

    @pytest.mark.parametrize(
        ("changes", "setting"),
        [
            ({"path": "orders/{id}"}, "path"),
            ({"path": "//evil.example.com/{id}"}, "path"),
            ({"path": "/../{id}"}, "path"),
            ({"path": "/orders/{id"}, "path"),
            ({"path": "/orders/{id ==}"}, "path"),
            ({"path": "/orders#{id}"}, "path"),
            ({"path": "https://evil.example.com/{id}"}, "path"),
            ({"base": "@evil.example.com/"}, "base"),
            ({"method": "DELETE"}, "method"),
            ({"headers": {"Host": "evil.example.com"}}, "headers.Host"),
            ({"headers": {"X-A": "a\r\nX-B: b"}}, "headers.X-A"),
            ({"headers": {"X A": "a"}}, "headers.X A"),
            ({"headers": ["X-A"]}, "headers"),
            ({"secret": "hush\n"}, "secret"),
            ({"secret": "секрет"}, "secret"),
            ({"answers": "everything"}, "answers"),
            ({"order": "a["}, "order"),
            ({"answers": "codes", "when": "paid"}, "when"),
            ({"redirects": True}, "redirects"),
        ],
    )
    def test_given_an_unsafe_part_then_it_is_named_and_no_secret_quoted(
        self, changes: dict[str, Any], setting: str
    ) -> None:
        found = faults_of(fetch={**FETCH, **changes})
        assert list(found) == [f"fetch.{setting}"]
        assert "hush" not in "".join(found.values())

    def test_given_a_header_that_needs_a_secret_then_it_is_required(self) -> None:
        headers = {"Authorization": "Bearer {secret}"}
        assert list(faults_of(fetch={"host": "api.example.com", "path": "/", "headers": headers})) == ["fetch.secret"]

    @pytest.mark.parametrize(
        ("platform", "needed"),
        [
            ("ecwid", {"secret": "s"}),
            ("bigcommerce", {"secret": "s", "base": "/stores/abc123"}),
            ("insales", {"secret": "id:password", "host": "shop.myinsales.ru"}),
            ("stripe", {"secret": "rk_live"}),
        ],
    )
    def test_given_a_platform_with_fetch_then_its_preset_fills_in_the_rest(
        self, platform: str, needed: dict[str, str]
    ) -> None:
        source = {"platform": platform, "secrets": ["s"], "loyalty_id": 5, "fetch": needed}
        document = parse(json.dumps({"shop": source}))
        assert not document.faults
        assert "rk_live" not in repr(document)

    @pytest.mark.parametrize("platform", ["ecwid", "bigcommerce"])
    def test_given_a_platform_whose_webhook_holds_only_an_id_then_fetch_is_required(self, platform: str) -> None:
        assert "only an id" in faults_of(platform=platform)["fetch"]


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "x" * 65])
def test_given_a_name_that_fits_no_address_then_the_source_is_refused(name: str) -> None:
    assert "A-Z" in str(parse(json.dumps({name: GOOD})).faults[name])


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "[" * 100_000])
def test_given_no_document_at_all_then_the_error_says_so(text: str) -> None:
    with pytest.raises(InvalidSettings, match="the document of sources is not"):
        parse(text)


@pytest.mark.parametrize("platform", sorted(set(PRESETS) - {"generic", "insales", "ecwid", "bigcommerce"}))
def test_given_a_preset_then_secrets_and_a_program_complete_it(platform: str) -> None:
    document = parse(json.dumps({"shop": {"platform": platform, "secrets": ["whsec_c2VjcmV0"], "loyalty_id": 1}}))
    assert not document.faults


def test_given_a_source_that_delivers_through_aws_alone_then_it_needs_no_secret() -> None:
    source = parse(json.dumps({"shop": {"platform": "saleor", "event_source": "arn:q", "loyalty_id": 1}})).sources[
        "shop"
    ]
    assert source.keys == ()


def test_given_a_source_then_its_text_form_holds_no_secret() -> None:
    document = parse(json.dumps({"shop": {**GOOD, "secrets": ["hush-hush"]}}))
    assert "hush" not in repr(document)


texts = st.text(st.characters(), max_size=20)  # half surrogate pairs too, which JSON allows
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.sampled_from(sorted({*PRESETS, *SCHEMES})),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["scheme", "header", "encoding", "field", "pattern", "loyalty_id", "signed"]) | texts,
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=500, deadline=None)
@given(st.dictionaries(st.sampled_from([*SETTINGS, "nonsense"]), anything, max_size=2))
def test_given_any_settings_then_they_make_a_source_or_faults_and_nothing_breaks(changes: dict[str, Any]) -> None:
    document = parse(json.dumps({"good": GOOD, "shop": {**GOOD, **changes}}))
    assert "good" in document.sources
    assert ("shop" in document.sources) != ("shop" in document.faults)


class TestSender:
    sources = parse(
        json.dumps(
            {
                "eu-shop": GOOD,
                "named": {**GOOD, "event_source": "aws.partner/shopify.com/1/something"},
                "saleor": {"platform": "saleor", "secrets": ["s"], "loyalty_id": 5},
            }
        )
    )

    @pytest.mark.parametrize(
        ("sender", "name"),
        [
            ("aws.partner/shopify.com/1/eu-shop", "eu-shop"),
            ("aws.partner/shopify.com/1/something", "named"),
            ("arn:aws:sqs:eu-central-1:123456789012:saleor", "saleor"),
        ],
    )
    def test_given_the_sender_of_an_event_then_its_source_is_found(self, sender: str, name: str) -> None:
        assert self.sources.find_sender(sender).name == name

    # The second has the name of a source whose events have another sender.
    @pytest.mark.parametrize("sender", ["aws.partner/shopify.com/1/other", "aws.partner/shopify.com/2/named"])
    def test_given_a_sender_of_no_source_then_it_is_unknown(self, sender: str) -> None:
        with pytest.raises(UnknownSource):
            self.sources.find_sender(sender)


@dataclass
class Clock:
    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Stage:
    secret: Secret = field(default_factory=lambda: Secret(json.dumps({"shop": GOOD})))
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.sources = Sources(self.secret, self.clock)


class TestReading:
    def test_given_the_secret_is_cached_then_it_is_parsed_once(self) -> None:
        stage = Stage()
        assert stage.sources.find("shop") is stage.sources.find("shop")
        assert stage.secret.reads == 1

    def test_given_a_source_added_just_now_then_it_is_found_at_once(self) -> None:
        stage = Stage()
        stage.sources.find("shop")
        stage.secret.stored = json.dumps({"shop": GOOD, "new": GOOD})
        assert stage.sources.find("new").name == "new"

    def test_given_strangers_guess_names_then_the_secret_is_rarely_read(self) -> None:
        stage = Stage()
        for _ in range(50):
            with pytest.raises(UnknownSource):
                stage.sources.find("guess")
        assert stage.secret.reads == 2
        stage.clock.seconds += REREAD_SECONDS
        with pytest.raises(UnknownSource):
            stage.sources.find("guess")
        assert stage.secret.reads == 3

    def test_given_a_source_corrected_just_now_then_it_is_used_at_once(self) -> None:
        stage = Stage(Secret(json.dumps({"shop": {**GOOD, "case": "?"}})))
        with pytest.raises(SourceUnavailable, match="case"):
            stage.sources.find("shop")
        stage.secret.stored = json.dumps({"shop": GOOD})
        stage.clock.seconds += REREAD_SECONDS
        assert stage.sources.find("shop").name == "shop"

    def test_given_a_rotated_secret_then_reread_returns_true(self) -> None:
        stage = Stage()
        stage.sources.find("shop")
        stage.secret.stored = json.dumps({"shop": {**GOOD, "secrets": ["next"]}})
        assert stage.sources.reread()
        assert stage.sources.find("shop").keys == (b"next",)

    @pytest.mark.parametrize("phase", range(0, 4 * REREAD_SECONDS, 7))
    def test_given_a_forger_at_four_a_second_then_a_rotated_secret_is_accepted_within_the_documented_time(
        self, phase: int
    ) -> None:
        stage = Stage()
        stage.sources.find("shop")

        def refused() -> bool:
            """A quarter of a second passes, and the forger sends again."""
            stage.clock.seconds += 0.25
            stage.sources.reread()
            return stage.sources.find("shop").keys != (b"next",)

        for _ in range(phase):
            assert refused()
        stage.secret.stored = json.dumps({"shop": {**GOOD, "secrets": ["next"]}})
        rotated = stage.clock.seconds
        while refused():
            pass
        assert stage.clock.seconds - rotated <= REREAD_SECONDS

    def test_given_nothing_changed_then_reread_returns_false(self) -> None:
        stage = Stage()
        stage.sources.find("shop")
        assert not stage.sources.reread()

    @pytest.mark.parametrize("stored", ["{", "[]"])
    def test_given_a_broken_document_from_the_start_then_every_source_is_unavailable(self, stored: str) -> None:
        with pytest.raises(SourceUnavailable) as raised:
            Stage(Secret(stored)).sources.find("shop")
        assert raised.value.source == ""

    @pytest.mark.parametrize("stored", ["{", "[]"])
    def test_given_a_broken_document_that_was_fixed_then_it_is_used_though_the_broken_one_is_cached(
        self, stored: str
    ) -> None:
        stage = Stage(Secret(stored))
        for _ in range(50):
            with pytest.raises(SourceUnavailable):
                stage.sources.find("shop")
        assert stage.secret.reads == 2
        stage.secret.stored = json.dumps({"shop": GOOD})
        stage.clock.seconds += REREAD_SECONDS
        assert stage.sources.find("shop").name == "shop"

    def test_given_an_unreadable_secret_from_the_start_then_every_source_is_unavailable(self) -> None:
        with pytest.raises(SourceUnavailable, match="cannot read the secret"):
            Stage(Secret(readable=False)).sources.find("shop")

    def test_given_the_secret_becomes_unreadable_then_the_last_document_is_used_and_the_next_read_waits(
        self,
    ) -> None:
        stage = Stage()
        stage.sources.find("shop")
        stage.secret.cached, stage.secret.readable = None, False
        for _ in range(20):
            assert stage.sources.find("shop").name == "shop"
        assert stage.secret.reads == 2
        stage.clock.seconds += REREAD_SECONDS
        stage.secret.readable, stage.secret.stored = True, json.dumps({"shop": {**GOOD, "secrets": ["next"]}})
        assert stage.sources.find("shop").keys == (b"next",)

    def test_given_the_secret_becomes_unreadable_then_reread_raises(self) -> None:
        stage = Stage()
        stage.sources.find("shop")
        stage.secret.readable = False
        with pytest.raises(SourceUnavailable):
            stage.sources.reread()
