"""Bodies in every format that shops send, and invalid ones."""

import contextlib
import json
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activate import bodies
from activate.bodies import UnreadableBody
from tests.unit.strategies import characters, json_values

FORM = "application/x-www-form-urlencoded"


@settings(deadline=None)
@given(json_values, st.sampled_from(["application/json", "text/plain", "", "application/vnd.shop+json"]))
def test_given_json_of_any_media_type_but_forms_and_xmls_then_it_is_read(value: Any, media_type: str) -> None:
    assert bodies.read(json.dumps(value).encode(), media_type) == value


@settings(deadline=None)
@given(st.dictionaries(st.text(characters, min_size=1), st.text(characters)))
def test_given_a_form_then_its_fields_are_read(fields: dict[str, str]) -> None:
    assert bodies.read(urlencode(fields).encode(), FORM) == fields


def test_given_a_form_field_twice_then_it_is_a_list() -> None:
    assert bodies.read(b"codes%5B%5D=A&x=&codes%5B%5D=B", FORM) == {"codes[]": ["A", "B"], "x": ""}


@settings(deadline=None)
@given(st.dictionaries(st.text(characters), json_values, max_size=4) | st.lists(json_values, max_size=4))
def test_given_json_with_the_media_type_of_a_form_then_it_is_read_as_json(value: Any) -> None:
    assert bodies.read(b" \n" + json.dumps(value).encode(), FORM) == value


@pytest.mark.parametrize("media_type", ["application/xml", "text/xml", "application/vnd.shop+xml"])
def test_given_xml_then_what_is_inside_its_root_is_read_as_text(media_type: str) -> None:
    body = '<?xml version="1.0" encoding="UTF-8"?><order><id type="integer">007</id><c>Ж</c><c>B</c><empty/></order>'
    assert bodies.read(body.encode(), media_type) == {"id": "007", "c": ["Ж", "B"], "empty": ""}


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b'{"a": "\xff"}', "application/json"),
        (b"[" * 100_000, "application/json"),
        (b'{"id": ' + b"1" * 5000 + b"}", "application/json"),
        (b"a=%FF", FORM),
        (b"\xff=1", FORM),
        (b"&".join(b"a=1" for _ in range(2001)), FORM),
        (b"", "application/xml"),
        (b"<order>", "application/xml"),
        (b"<a/><b/>", "application/xml"),
        (b'<!DOCTYPE o [<!ENTITY e "x">]><o>&e;</o>', "application/xml"),
        (b'<!DOCTYPE o [<!ENTITY e SYSTEM "file:///etc/passwd">]><o>&e;</o>', "application/xml"),
        (b"<o>&nowhere;</o>", "application/xml"),
        (b"<a>" * 50_000, "application/xml"),
    ],
)
def test_given_a_body_that_is_not_well_formed_then_it_is_unreadable_and_nothing_else(
    body: bytes, media_type: str
) -> None:
    with pytest.raises(UnreadableBody) as raised:
        bodies.read(body, media_type)
    assert "passwd" not in str(raised.value)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["application/json", FORM, "application/xml"]))
def test_given_any_bytes_then_they_are_read_or_unreadable(body: bytes, media_type: str) -> None:
    try:
        bodies.read(body, media_type)
    except UnreadableBody:
        assert bodies.field(body, media_type, "token") == ""


MOST = 4_700_000
"""Bytes of the largest body that reaches the function."""


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"[" + b"[]," * (MOST // 3) + b"[]]", "application/json"),
        (b"[" + b"1," * (MOST // 2) + b"1]", "application/json"),
        (b'"' + b"\\u0416" * (MOST // 6) + b'"', "application/json"),
        (b"<o>" + b"<a/>" * (MOST // 4) + b"</o>", "application/xml"),
        (b"<o " + b" ".join(b'a%d="1"' % number for number in range(MOST // 12)) + b"/>", "application/xml"),
        (b"<o>" + b"&amp;" * (MOST // 5) + b"</o>", "application/xml"),
        (b"a=" + b"%41" * (MOST // 3), FORM),
        (b"&" * MOST, FORM),
    ],
    ids=lambda value: value[:6].decode() if isinstance(value, bytes) else value.rpartition("/")[2],
)
def test_given_the_largest_body_of_any_kind_then_it_is_read_or_refused_in_a_second(
    body: bytes, media_type: str
) -> None:
    began = time.process_time()
    with contextlib.suppress(UnreadableBody):
        bodies.read(body, media_type)
    assert time.process_time() - began < 1
