"""The header `Idempotency-Key`: what is a key, quoted as the IETF's draft has it, or bare."""

import re
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from export_all.requests import idempotency_key_from
from lambda_support.fields import InvalidField

PRINTABLE = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
KEYS = st.text(PRINTABLE, min_size=1, max_size=64)


def quoted(key: str) -> str:
    """A key as a string of a structured header."""
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(KEYS)
@example(" ")
@example('"')
@example("\\")
def test_a_quoted_key_is_what_is_in_the_quotes(key: str) -> None:
    assert idempotency_key_from(quoted(key)) == key
    assert idempotency_key_from(f" \t{quoted(key)} ") == key


@given(KEYS.filter(lambda key: key == key.strip() and not key.startswith('"')))
@example('a"b')
@example("a\\b")
def test_a_bare_key_is_the_same_as_a_quoted_one(key: str) -> None:
    assert idempotency_key_from(key) == idempotency_key_from(quoted(key)) == key


@given(st.text() | st.text(PRINTABLE))
def test_any_header_is_a_key_or_refused(header: str) -> None:
    key = None
    with suppress(InvalidField):
        key = idempotency_key_from(header)
    assert key is None or re.fullmatch("[ -~]{1,64}", key)


@pytest.mark.parametrize(
    "header",
    [
        "",
        " \t ",
        '""',
        "a" * 65,
        quoted("a" * 65),
        "a\tb",
        "a\x00b",
        "a\x7fb",
        "\xe9",
        "\u043a\u043b\u044e\u0447",
        quoted("\xe9"),
        '"a',
        '"a"b"',
        '"',
        '"a\\"',
        '"a\\b"',
        '"a"; q=1',
        '"a", "b"',
    ],
)
def test_what_is_no_key_is_refused(header: str) -> None:
    with pytest.raises(InvalidField, match=r"^Idempotency-Key: must be 1 to 64 printable ASCII characters"):
        idempotency_key_from(header)
