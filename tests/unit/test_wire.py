"""Messages of both wire formats: encoded ones can be decoded, and broken ones are refused."""

import contextlib
import json
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from altcraft.wire import MalformedMessage, Wire, decode, encode

# The characters that XML allows, except the carriage return, which every XML parser turns into a line feed.
xml_text = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))
names = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(names, json_values))
def test_json_survives_the_round_trip(fields: dict[str, Any]) -> None:
    assert decode(encode(fields, "json"), "json") == fields


@given(st.dictionaries(names, xml_text.filter(lambda text: text == "" or text.strip() != "")))
def test_xml_text_survives_the_round_trip(fields: dict[str, str]) -> None:
    assert decode(encode(fields, "xml"), "xml") == fields


@given(st.binary(max_size=60), st.sampled_from(["json", "xml"]))
def test_any_bytes_are_a_message_or_malformed(body: bytes, wire: Wire) -> None:
    with contextlib.suppress(MalformedMessage):
        assert isinstance(decode(body, wire), dict)


def test_altcrafts_documented_messages() -> None:
    request = {"token": "abcdefghijklmnqrstuvwxyz", "code": "Code-1", "loyalty_id": 5}
    assert json.loads(encode(request, "json")) == request
    assert encode(request, "xml") == (
        b"<xml><token>abcdefghijklmnqrstuvwxyz</token><code>Code-1</code><loyalty_id>5</loyalty_id></xml>"
    )
    assert decode(b"<xml><data/><error>0</error><error_text>Successful operation</error_text></xml>", "xml") == {
        "data": "",
        "error": "0",
        "error_text": "Successful operation",
    }


def test_xml_repeated_elements_are_a_list_and_white_space_between_elements_is_nothing() -> None:
    body = b"<xml>\n  <data>\n    <code>00123</code>\n  </data>\n  <data><code> A </code></data>\n</xml>\n"
    assert decode(body, "xml") == {"data": [{"code": "00123"}, {"code": " A "}]}


@pytest.mark.parametrize(
    ("wire", "body", "complaint"),
    [
        ("json", b"", "not JSON"),
        ("json", b"[1]", "not a JSON object"),
        ("json", b'{"error": 7, "error": 0}', "a key is repeated"),
        ("json", b'{"a": {"b": 1, "b": 1}}', "a key is repeated"),
        ("json", b'{"error": NaN}', "NaN"),
        ("json", b'{"a": 1} {"a": 1}', "not JSON"),
        ("json", b'{"a": ' + b"[" * 100_000, "nested too deeply"),
        ("json", b'{"a": "\xff"}', "not UTF-8"),
        ("xml", b"", "not XML"),
        ("xml", b"<html><body>oops</body></html>", "root element"),
        ("xml", b"<xml>text</xml>", "holds text"),
        ("xml", b"<xml><a>1</a>text</xml>", "both text and elements"),
        ("xml", b"<xml><a>1</a>", "not XML"),
        ("xml", b"<xml/><xml/>", "not XML"),
        ("xml", b"<xml>" + b"<a>" * 50_000 + b"</a>" * 50_000 + b"</xml>", "nested too deeply"),
        ("xml", b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><xml><c>&b;</c></xml>', "document type"),
        ("xml", b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><xml><c>&f;</c></xml>', "document type"),
        ("xml", b"<xml><c>&undefined;</c></xml>", "not XML"),
    ],
)
def test_broken_messages_are_refused_with_what_is_wrong(wire: Wire, body: bytes, complaint: str) -> None:
    with pytest.raises(MalformedMessage, match=complaint):
        decode(body, wire)


QUOTING = [
    ("json", '{"SECRET": 1, "SECRET": 2}'),
    ("json", '{"data": {"SECRET": 1, "SECRET": 2}}'),
    ("json", '{"SECRET": SECRET}'),
    ("json", '{"SECRET": "SECRET'),
    ("json", '["SECRET"]'),
    ("json", '{"SECRET": "\\SECRET"}'),
    ("xml", "<SECRET/>"),
    ("xml", "<xml>SECRET</xml>"),
    ("xml", "<xml><SECRET></xml>"),
    ("xml", "<xml>&SECRET;</xml>"),
    ("xml", "<xml><SECRET:a></xml>"),
    ("xml", "<xml a='SECRET' a='SECRET'/>"),
    ("xml", "<xml><a/>SECRET</xml>"),
    ("xml", "<?SECRET <xml/>"),
    ("xml", "<?xml version='1.0' encoding='SECRET'?><xml><a>SECRET</xml>"),
    ("xml", "<!DOCTYPE SECRET><xml/>"),
]
"""Broken messages with a text in each place where it could be quoted."""


@pytest.mark.parametrize(("wire", "text"), QUOTING)
def test_no_error_nor_any_cause_of_it_quotes_the_message(wire: Wire, text: str) -> None:
    with pytest.raises(MalformedMessage) as malformed:
        decode(text.encode(), wire)
    assert "SECRET" not in "".join(traceback.format_exception(malformed.value, limit=0))


def test_a_repeated_key_is_an_attribute_and_not_in_the_message() -> None:
    with pytest.raises(MalformedMessage) as malformed:
        decode(b'{"a": {"b": 1, "c": 2, "b": 3}}', "json")
    assert malformed.value.field == "b"
    with pytest.raises(MalformedMessage) as malformed:
        decode(b"{", "json")
    assert malformed.value.field is None


@pytest.mark.parametrize(
    ("wire", "text"), [("xml", "a\x00b"), ("xml", "\ufffe"), ("json", "\ud800"), ("xml", "\ud800")]
)
def test_a_text_that_a_format_cannot_represent_is_not_sent(wire: Wire, text: str) -> None:
    with pytest.raises(MalformedMessage):
        encode({"code": text}, wire)


def test_a_byte_order_mark_is_no_part_of_the_message() -> None:
    assert decode(b'\xef\xbb\xbf{"error": 0}', "json") == {"error": 0}
    assert decode(b"\xef\xbb\xbf<xml><error>0</error></xml>", "xml") == {"error": "0"}
