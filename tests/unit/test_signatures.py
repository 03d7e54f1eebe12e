"""Signatures against independent oracles: the published vector, the `standardwebhooks` library, plain `hmac`."""

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from activate import signatures
from activate.checks import InvalidSettings
from activate.presets import PRESETS
from lambda_support.http import Request

THOUSANDS = settings(max_examples=500, deadline=None)
FORM = "application/x-www-form-urlencoded"


def request(
    body: bytes, headers: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None, media_type: str = ""
) -> Request:
    lowered = {name.lower(): value for name, value in (headers or {}).items()}
    return Request("POST", "/webhooks/{source}", {}, {"content-type": media_type} | lowered, query or {}, body)


def verifies(auth: Mapping[str, Any], secrets: list[str], delivery: Request, now: float = 0) -> bool:
    scheme = signatures.auth(auth)
    return scheme.verifies(delivery, [scheme.key(secret) for secret in secrets], now)


class TestStandardWebhooks:
    """Source of the vector: the Standard Webhooks specification."""

    auth: Mapping[str, Any] = {"scheme": "standard-webhooks"}
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    sent_at = 1614265330
    headers: Mapping[str, str] = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }

    @pytest.mark.parametrize("seconds", [-300, 0, 300])
    def test_given_the_published_vector_within_five_minutes_then_it_verifies(self, seconds: int) -> None:
        assert verifies(self.auth, [self.secret], request(self.body, self.headers), self.sent_at + seconds)

    @pytest.mark.parametrize("seconds", [-301, 301])
    def test_given_the_published_vector_beyond_five_minutes_then_it_does_not_verify(self, seconds: int) -> None:
        assert not verifies(self.auth, [self.secret], request(self.body, self.headers), self.sent_at + seconds)

    @pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
    def test_given_a_missing_header_then_it_does_not_verify(self, missing: str) -> None:
        headers = {name: value for name, value in self.headers.items() if name != missing}
        assert not verifies(self.auth, [self.secret], request(self.body, headers), self.sent_at)

    @pytest.mark.parametrize("secret", [secret, secret.removeprefix("whsec_"), secret + "="])
    def test_given_the_secret_in_any_of_its_spellings_then_it_verifies(self, secret: str) -> None:
        assert verifies(self.auth, [secret], request(self.body, self.headers), self.sent_at)

    @pytest.mark.parametrize("secret", ["whsec_", "whsec_pass word!", "whsec_pässwort", "whsec_passw"])
    def test_given_a_secret_that_is_no_key_then_it_is_refused_without_quoting_it(self, secret: str) -> None:
        with pytest.raises(InvalidSettings) as raised:
            signatures.auth(self.auth).key(secret)
        assert not re.search("p[aä]ss", str(raised.value))

    def test_given_a_key_of_plain_bytes_as_bigcommerce_has_it_then_it_verifies(self) -> None:
        signed = b"m1.1614265330." + self.body
        signature = base64.b64encode(hmac.new(b"client-secret", signed, hashlib.sha256).digest()).decode()
        headers = {"webhook-id": "m1", "webhook-timestamp": "1614265330", "webhook-signature": f"v1,{signature}"}
        auth = {**self.auth, "key_encoding": "text"}
        assert verifies(auth, ["client-secret"], request(self.body, headers), self.sent_at)


def _flip(text: str, position: int) -> str:
    position %= len(text)
    return text[:position] + ("A" if text[position] != "A" else "B") + text[position + 1 :]


ids = st.text("abcdefghijklmnopqrstuvwxyzABCDEF0123456789_-", min_size=1, max_size=40)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
keys = st.binary(min_size=1, max_size=64)


class TestAgainstTheStandardwebhooksLibrary:
    """The library verifies the same deliveries with the same result."""

    @staticmethod
    def oracle(key: bytes, body: str, headers: dict[str, str]) -> bool:
        try:
            Webhook(key).verify(body, headers, json_parse=False)
        except Exception:  # malformed headers make the library raise anything: that is a refusal, too
            return False
        return True

    def ours(self, keys: list[bytes], body: str, headers: dict[str, str]) -> bool:
        secrets = ["whsec_" + base64.b64encode(key).decode() for key in keys]
        return verifies({"scheme": "standard-webhooks"}, secrets, request(body.encode(), headers), time.time())

    @staticmethod
    def signed(key: bytes, delivery_id: str, age: int, body: str) -> dict[str, str]:
        at = int(time.time()) - age
        # The library reads a time as if it were UTC.
        signature = Webhook(key).sign(delivery_id, datetime.fromtimestamp(at, UTC), body)
        return {"webhook-id": delivery_id, "webhook-timestamp": str(at), "webhook-signature": signature}

    # A second's distance from the limits: the two sides read the clock one after the other.
    @THOUSANDS
    @given(keys, ids, st.integers(-100_000, 100_000).filter(lambda age: abs(abs(age) - 300) > 2), texts)
    @example(b"k", "m", 298, "")
    @example(b"k", "m", 303, "")
    @example(b"k", "m", -303, "")
    def test_given_a_genuine_delivery_of_any_age_then_both_agree(
        self, key: bytes, delivery_id: str, age: int, body: str
    ) -> None:
        headers = self.signed(key, delivery_id, age, body)
        assert self.ours([key], body, headers) == self.oracle(key, body, headers) == (abs(age) <= 300)

    @THOUSANDS
    @given(keys, keys, ids, texts)
    def test_given_a_forger_with_another_key_then_both_refuse(
        self, key: bytes, other: bytes, delivery_id: str, body: str
    ) -> None:
        assume(key.rstrip(b"\0") != other.rstrip(b"\0"))  # HMAC pads a key with zeros
        headers = self.signed(other, delivery_id, 0, body)
        assert not self.ours([key], body, headers)
        assert not self.oracle(key, body, headers)

    @THOUSANDS
    @given(
        keys,
        ids,
        st.text(min_size=1, max_size=50).filter(str.isascii),
        st.sampled_from(["body", "webhook-id", "webhook-timestamp", "webhook-signature"]),
        st.integers(0, 400),
        st.booleans(),
    )
    def test_given_one_part_changed_or_cut_off_then_both_refuse(
        self, key: bytes, delivery_id: str, body: str, part: str, position: int, cut: bool
    ) -> None:
        parts = {"body": body, **self.signed(key, delivery_id, 0, body)}
        # The last letter of base64 has unused bits: changing these may not change the signature.
        position = position % 40 + 3 if part == "webhook-signature" else position
        parts[part] = parts[part][: position % len(parts[part])] if cut else _flip(parts[part], position)
        changed = parts.pop("body")
        assert not self.ours([key], changed, parts)
        assert not self.oracle(key, changed, parts)

    @THOUSANDS
    @given(
        keys,
        ids,
        texts,
        st.lists(
            st.one_of(
                st.binary(min_size=32, max_size=32).map(lambda junk: f"v1,{base64.b64encode(junk).decode()}"),
                st.binary(min_size=64, max_size=64).map(lambda junk: f"v1a,{base64.b64encode(junk).decode()}"),
            ),
            max_size=5,
        ),
        st.booleans(),
        st.randoms(use_true_random=False),
    )
    def test_given_several_signatures_then_both_agree(
        self, key: bytes, delivery_id: str, body: str, junk: list[str], honest: bool, random: Any
    ) -> None:
        headers = self.signed(key, delivery_id, 0, body)
        listed = junk + ([headers["webhook-signature"]] if honest else [])
        random.shuffle(listed)
        headers["webhook-signature"] = " ".join(listed)
        assert self.ours([key], body, headers) == self.oracle(key, body, headers) == honest

    @THOUSANDS
    @given(st.lists(keys, min_size=1, max_size=4, unique=True), st.integers(0, 3), ids, texts)
    def test_given_several_secrets_then_any_of_them_verifies(
        self, secrets: list[bytes], chosen: int, delivery_id: str, body: str
    ) -> None:
        headers = self.signed(secrets[chosen % len(secrets)], delivery_id, 0, body)
        assert self.ours(secrets, body, headers)

    @THOUSANDS
    @given(
        st.dictionaries(
            st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text(max_size=60), min_size=1
        ),
        texts,
    )
    @example({"webhook-id": "ä", "webhook-timestamp": "²", "webhook-signature": "v1,ö v1, ,"}, "")
    def test_given_headers_of_any_text_then_they_are_refused_and_nothing_breaks(
        self, headers: dict[str, str], body: str
    ) -> None:
        assert not self.ours([b"key"], body, headers)


class TestPlatforms:
    body = '{"id": 1, "note": "Ключ"}'.encode()

    @pytest.mark.parametrize(
        ("platform", "header", "encoding"),
        [
            ("shopify", "X-Shopify-Hmac-SHA256", "base64"),
            ("shopify", "Shopify-Hmac-Sha256", "base64"),
            ("woocommerce", "X-WC-Webhook-Signature", "base64"),
            ("shopware", "shopware-shop-signature", "hex"),
            ("saleor", "Saleor-Signature", "hex"),
        ],
    )
    @pytest.mark.parametrize("secret", ["current", "previous"])
    def test_given_a_hash_of_the_raw_body_then_either_secret_verifies(
        self, platform: str, header: str, encoding: str, secret: str
    ) -> None:
        digest = hmac.new(secret.encode(), self.body, hashlib.sha256).digest()
        signature = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
        auth, secrets = PRESETS[platform]["auth"], ["current", "previous"]
        assert verifies(auth, secrets, request(self.body, {header: signature}))
        assert not verifies(auth, secrets, request(self.body + b" ", {header: signature}))
        assert not verifies(auth, ["other"], request(self.body, {header: signature}))
        assert not verifies(auth, secrets, request(self.body))
        assert not verifies(auth, secrets, request(self.body, {header: ""}))

    def stripe(self, *signatures_: str, at: str = "1700000000") -> Request:
        return request(self.body, {"Stripe-Signature": ",".join([f"t={at}", *signatures_])})

    def test_given_stripes_header_then_the_signature_of_time_and_body_verifies(self) -> None:
        good = hmac.new(b"whsec_x", b"1700000000." + self.body, hashlib.sha256).hexdigest()
        auth = {"scheme": "stripe"}
        assert verifies(auth, ["whsec_x"], self.stripe(f"v1={good}"), 1700000299)
        assert verifies(auth, ["whsec_x"], self.stripe(f"v1={'0' * 64}", f"v1={good}", f"v0={good}"), 1700000299)
        assert not verifies(auth, ["whsec_x"], self.stripe(f"v1={good}"), 1700000301)
        assert not verifies(auth, ["whsec_x"], self.stripe(f"v1={good}", at="1700000001"), 1700000000)
        assert not verifies(auth, ["whsec_x"], self.stripe(f"v0={good}"), 1700000000)
        assert not verifies(auth, ["whsec_x"], request(self.body, {"Stripe-Signature": f"v1={good}"}), 1700000000)


class TestGenericHmac:
    @settings(deadline=None)
    @given(
        secret=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
        body=st.binary(max_size=200),
        encoding=st.sampled_from(["hex", "base64"]),
        prefix=st.sampled_from(["", "sha256=", "v1,"]),
        signed=st.sampled_from(["{body}", "{timestamp}.{body}", "{id}.{timestamp}.{body}", "v0:{timestamp}:{body}!"]),
        algorithm=st.sampled_from(["sha1", "sha256", "sha512"]),
        upper=st.booleans(),
    )
    def test_given_any_layout_then_what_plain_hmac_signs_verifies_and_anything_else_does_not(
        self, secret: str, body: bytes, encoding: str, prefix: str, signed: str, algorithm: str, upper: bool
    ) -> None:
        auth: dict[str, Any] = {"scheme": "hmac", "header": "X-Sig", "encoding": encoding, "algorithm": algorithm}
        auth |= {"signed": signed} | ({"prefix": prefix} if prefix else {})
        auth |= {"timestamp_header": "X-Time"} if "{timestamp}" in signed else {}
        auth |= {"id_header": "X-Id"} if "{id}" in signed else {}
        message = signed.replace("{timestamp}", "1700000000").replace("{id}", "d-1").encode().replace(b"{body}", body)
        digest = hmac.new(secret.encode(), message, algorithm).digest()
        written = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
        written = written.upper() if upper and encoding == "hex" else written
        headers = {"X-Sig": prefix + written, "X-Time": "1700000000", "X-Id": "d-1"}

        assert verifies(auth, [secret], request(body, headers), 1700000100)
        assert not verifies(auth, [secret], request(body + b"x", headers), 1700000100)
        assert not verifies(auth, [secret + "x"], request(body, headers), 1700000100)
        assert not verifies(auth, [secret], request(body, headers | {"X-Sig": prefix + written[:-5]}), 1700000100)

    @pytest.mark.parametrize(
        ("changes", "setting"),
        [
            ({"signed": "body"}, "signed"),
            ({"signed": "{body}{body}"}, "signed"),
            ({"signed": "{date}.{body}", "timestamp_header": "X-Time"}, "signed"),
            ({"signed": "{timestamp}.{body}"}, "signed"),
            ({"timestamp_header": "X-Time"}, "signed"),
            ({"signed": "{id}.{body}"}, "signed"),
            ({"signed": "{timestamp}.{body}", "timestamp_prefix": "t="}, "separator"),
            ({"encoding": "base32"}, "encoding"),
            ({"encoding": None}, "encoding"),
            ({"header": ""}, "header"),
            ({"header": []}, "header"),
            ({"tolerance": 0}, "tolerance"),
            ({"tolerance": "300"}, "tolerance"),
            ({"secret": "x"}, "secret"),
            ({"scheme": "hmac-sha256"}, "scheme"),
            ({"scheme": None}, "scheme"),
        ],
    )
    def test_given_an_impossible_layout_then_the_setting_is_named(self, changes: dict[str, Any], setting: str) -> None:
        with pytest.raises(InvalidSettings) as raised:
            signatures.auth({"scheme": "hmac", "header": "X-Sig", "encoding": "hex", **changes})
        assert [path for path, _ in raised.value.faults] == [setting]

    def test_given_only_a_scheme_then_everything_missing_is_named(self) -> None:
        with pytest.raises(InvalidSettings) as raised:
            signatures.auth({"scheme": "hmac"})
        assert [path for path, _ in raised.value.faults] == ["header", "encoding"]


class TestSetsOfHeaders:
    """Svix sends headers with its own names, in addition to the standard's or alone."""

    standard = TestStandardWebhooks.headers
    svix: Mapping[str, str] = {name.replace("webhook-", "svix-"): value for name, value in standard.items()}
    wrong: Mapping[str, str] = {"webhook-id": "m", "webhook-timestamp": "1614265330", "webhook-signature": "v1,AAAA"}

    @pytest.mark.parametrize("headers", [standard, svix, {**standard, **svix}, {**wrong, **svix}])
    def test_given_either_set_of_headers_then_it_verifies(self, headers: Mapping[str, str]) -> None:
        delivery = request(TestStandardWebhooks.body, headers)
        assert verifies({"scheme": "standard-webhooks"}, [TestStandardWebhooks.secret], delivery, 1614265330)

    @pytest.mark.parametrize("missing", ["svix-id", "svix-timestamp", "svix-signature"])
    def test_given_an_incomplete_set_of_headers_then_the_other_set_does_not_complete_it(self, missing: str) -> None:
        headers = {name: value for name, value in {**self.wrong, **self.svix}.items() if name != missing}
        delivery = request(TestStandardWebhooks.body, headers)
        assert not verifies({"scheme": "standard-webhooks"}, [TestStandardWebhooks.secret], delivery, 1614265330)


class TestTimestamps:
    auth: Mapping[str, Any] = {
        "scheme": "hmac",
        "header": "x-signature",
        "encoding": "hex",
        "signed": "{timestamp}:{body}",
        "timestamp_header": "x-timestamp",
    }

    def at(self, timestamp: str, now: float = 1614265330) -> bool:
        signature = hmac.new(b"key", f"{timestamp}:body".encode(), hashlib.sha256).hexdigest()
        headers = {"X-Signature": signature, "X-Timestamp": timestamp}
        return verifies(self.auth, ["key"], request(b"body", headers), now)

    @pytest.mark.parametrize(
        "timestamp",
        [
            *("1614265330", "1614265330123", "2021-02-25T15:02:10Z", "2021-02-25T15:02:10.123Z"),
            *("2021-02-25T18:02:10+03:00", "2021-02-25T15:02:10", "2021-02-25 15:02:10+00:00"),
        ],
    )
    def test_given_the_same_time_in_any_format_then_it_is_fresh(self, timestamp: str) -> None:
        assert self.at(timestamp)
        assert not self.at(timestamp, 1614265330 + 302)
        assert not self.at(timestamp, 1614265330 - 302)

    @pytest.mark.parametrize(
        "timestamp",
        [
            "",
            "yesterday",
            "-1614265330",
            "16142653300000000",
            "1e9",
            "٢٠٢١-02-25",
            "0001-01-01T00:00:00+14:00",
            "2" * 60,
        ],
    )
    def test_given_an_invalid_time_then_it_is_not_fresh(self, timestamp: str) -> None:
        assert not self.at(timestamp)

    @settings(deadline=None)
    @given(st.text(max_size=50))
    def test_given_any_text_then_it_is_a_time_or_refused(self, timestamp: str) -> None:
        assume(timestamp.isprintable() and "\ud800" not in timestamp)
        self.at(timestamp)


class TestKeys:
    auth: Mapping[str, Any] = {
        "scheme": "hmac",
        "header": "squarespace-signature",
        "encoding": "hex",
        "key_encoding": "hex",
    }

    @pytest.mark.parametrize("secret", ["00ff10", "00FF10"])
    def test_given_a_key_in_hex_as_squarespace_has_it_then_it_verifies(self, secret: str) -> None:
        signature = hmac.new(b"\x00\xff\x10", b"body", hashlib.sha256).hexdigest()
        assert verifies(self.auth, [secret], request(b"body", {"Squarespace-Signature": signature}))

    @pytest.mark.parametrize("secret", ["0", "password", "zz"])
    def test_given_a_secret_that_is_no_hex_then_it_is_refused_without_quoting_it(self, secret: str) -> None:
        with pytest.raises(InvalidSettings) as raised:
            signatures.auth(self.auth).key(secret)
        assert "password" not in str(raised.value)


class TestSharedSecret:
    @pytest.mark.parametrize("media_type", [FORM, "application/json", "application/xml"])
    @pytest.mark.parametrize("filler", [b"[],", b"<a/>", b"%41", b"&a="])
    def test_given_a_forger_with_a_huge_body_then_it_is_refused_quickly(self, media_type: str, filler: bytes) -> None:
        auth = {"scheme": "token", "query": "token", "field": "token"}
        delivery = request(b'{"token": [' + filler * (4_700_000 // len(filler)), {}, {"token": "forged"}, media_type)
        began = time.process_time()
        assert not verifies(auth, ["secret"], delivery)
        assert time.process_time() - began < 0.05

    def test_given_the_token_is_in_the_query_then_the_body_is_not_parsed(self) -> None:
        auth = {"scheme": "token", "query": "token", "field": "token"}
        assert verifies(auth, ["secret"], request(b"[" * 1_000_000, {}, {"token": "secret"}))

    def test_given_the_secret_in_the_named_header_then_it_verifies(self) -> None:
        auth = {"scheme": "token", "header": "Authorization", "prefix": "Bearer "}
        assert verifies(auth, ["a", "b"], request(b"", {"authorization": "Bearer b"}))
        assert not verifies(auth, ["a", "b"], request(b"", {"authorization": "b"}))
        assert not verifies(auth, ["a", "b"], request(b"", {"authorization": "Bearer c"}))
        assert not verifies(auth, ["a", "b"], request(b"", {}, {"authorization": "Bearer b"}))

    @pytest.mark.parametrize("platform", ["tilda", "retailcrm", "insales"])
    def test_given_a_platform_that_signs_nothing_then_a_token_in_the_address_or_a_field_verifies(
        self, platform: str
    ) -> None:
        auth = PRESETS[platform]["auth"]
        assert verifies(auth, ["s3cret"], request(b"x=1", query={"token": "s3cret"}))
        assert verifies(auth, ["s3cret"], request(b"x=1&token=s3cret", media_type=FORM))
        assert verifies(auth, ["s3cret"], request(b'{"token": "s3cret"}', media_type="application/json"))
        assert not verifies(auth, ["s3cret"], request(b"x=1", media_type=FORM))
        assert not verifies(auth, ["s3cret"], request(b"token=S3cret", {"token": "s3cret"}, {"toke": "s3cret"}, FORM))
        assert not verifies(auth, ["s3cret"], request(b"token=s3cret&token=s3cret", media_type=FORM))
        assert not verifies(auth, ["s3cret"], request(b"{", media_type="application/json"))

    def test_given_no_place_for_the_token_then_the_scheme_is_refused(self) -> None:
        with pytest.raises(InvalidSettings, match="scheme: name the header"):
            signatures.auth({"scheme": "token"})
