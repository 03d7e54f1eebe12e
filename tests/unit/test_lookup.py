"""What a lookup says of Altcraft's answer: the facts, and its times only where they can be read for certain."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from activate.lookup import Facts, Lookup, subject_from
from altcraft.codes import CodeState
from lambda_support.fields import InvalidField

RFC3339 = re.compile(r"2[01]\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
NAIVE = st.datetimes(datetime(2001, 1, 1), datetime(2198, 12, 31))  # noqa: DTZ001 - without a zone
ZONED = st.builds(lambda moment, zone: moment.replace(tzinfo=zone), NAIVE, ZONES)


@dataclass
class Altcraft:
    """Answers `get` with this data, and nothing else."""

    data: dict[str, Any]

    def get(self, code: str, loyalty_id: int) -> CodeState:
        return CodeState.from_data({"code": code, "loyalty_id": loyalty_id, **self.data})


class NobodyHolds:
    """A ledger without an item."""

    def find(self, subject: object) -> None:
        return None


def facts(*, is_attached: bool = True, is_activated: bool = True, is_expired: bool = False, **times: object) -> Facts:
    data = {"is_attached": is_attached, "is_activated": is_activated, "is_expired": is_expired, **times}
    lookup: Any = Lookup(Altcraft(data), NobodyHolds())  # type: ignore[arg-type]  # each has what a lookup needs
    found: Facts = lookup.facts(subject_from({"code": "Code-1", "loyalty_id": 5}))
    return found


@given(ZONED)
def test_a_time_with_a_zone_is_the_same_time_in_utc(moment: datetime) -> None:
    found = facts(activated=moment.isoformat()).activated_at
    assert found is not None
    assert RFC3339.fullmatch(found)
    assert datetime.fromisoformat(found) == moment


@given(NAIVE.map(datetime.isoformat) | st.dates().map(str))
def test_a_time_without_a_zone_is_none(text: str) -> None:
    assert facts(attached=text, activated=text, expire_date=text).expires_at is None


@given(NAIVE.map(lambda moment: int(moment.replace(tzinfo=UTC).timestamp())), st.booleans())
def test_epoch_seconds_and_milliseconds_are_a_time(seconds: int, as_text: bool) -> None:
    for number in (seconds, seconds * 1000):
        if number == seconds * 1000 and number < 1e11:
            continue  # milliseconds of before 1973, which nobody writes
        found = facts(expire_date=str(number) if as_text else number).expires_at
        assert found is not None
        assert datetime.fromisoformat(found) == datetime.fromtimestamp(seconds, UTC)


@given(st.text() | st.integers() | st.floats() | st.none())
@example("")
@example("0001-01-01T00:00:00Z")
@example("1970-01-01T00:00:00Z")
@example("9999-12-31T23:59:59Z")
@example("2199-12-31T23:59:59-14:00")
@example("2000-01-01T00:00:00+14:00")
@example(0)
@example("never")
@example("20241231")
@example(float("nan"))
@example(float("inf"))
@example(10**400)
def test_anything_else_is_none_or_a_time(value: object) -> None:
    found = facts(expire_date=value).expires_at
    assert found is None or datetime.fromisoformat(found).tzinfo is UTC


@pytest.mark.parametrize("attached", [True, False])
@pytest.mark.parametrize("activated", [True, False])
@pytest.mark.parametrize("expired", [True, False])
def test_only_an_attached_code_that_is_neither_used_nor_expired_is_redeemable(
    attached: bool, activated: bool, expired: bool
) -> None:
    found = facts(is_attached=attached, is_activated=activated, is_expired=expired)
    assert (found.attached, found.activated, found.expired) == (attached, activated, expired)
    assert found.redeemable is (attached and not activated and not expired)


def test_a_state_that_is_not_has_no_time() -> None:
    """Altcraft may keep the time of a use that was taken back."""
    at = "2026-11-22T08:30:00Z"
    stale = facts(is_attached=False, is_activated=False, attached=at, activated=at)
    assert (stale.attached_at, stale.activated_at) == (None, None)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "code"),
        ({"code": "Code-1"}, "loyalty_id"),
        ({"code": "Code-1", "loyalty_id": 5, "order_id": "1001"}, "order_id"),
        ({"code": "Code-1", "loyalty_id": 5, "action": "get"}, "action"),
        ({"code": "", "loyalty_id": 5}, "code"),
        ({"code": "a\x00", "loyalty_id": 5}, "code"),
        ({"code": 7, "loyalty_id": 5}, "code"),
        ({"code": "Code-1", "loyalty_id": "five"}, "loyalty_id"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidField) as wrong:
        subject_from(fields)
    assert wrong.value.field == field
