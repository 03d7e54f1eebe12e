"""Which changes of the ledger are events, and what each says; held against the schemas that are published."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activate import events
from activate.events import event_of
from activate.redemption import MAX_TEXT, Outcome
from export_all.events import FAILED, SUCCEEDED
from export_all.events import event_of as event_of_export
from export_all.manifest import Manifest
from lambda_support.event_bus import MOST_ENTRIES, Event
from lambda_support.fields import InvalidField
from tests.event_schemas import SCHEMAS, faults
from tests.unit.strategies import json_values

AT = "2026-11-22T08:30:00.123456+00:00"
LATER = "2026-11-23T09:00:00+00:00"
STREAM_TIME = 1795336200

Item = dict[str, Any]

KEY: Item = {"loyalty_id": {"N": "5"}, "code": {"S": "Code-1"}}
ORDER: Item = {"order_id": {"S": "eu-shop/1001"}, "source": {"S": "eu-shop"}}
RUN: Item = {"claim_id": {"S": "c1"}, "claimed_at": {"S": AT}, "claimed_until": {"S": LATER}}
CLAIMED: Item = {**KEY, **ORDER, **RUN, "state": {"S": "claimed"}}
REDEEMED: Item = {**CLAIMED, "state": {"S": "redeemed"}, "redeemed_at": {"S": AT}, "last_outcome": {"S": "activated"}}
GIVEN_BACK: Item = {**CLAIMED, "state": {"S": "released"}, "released_at": {"S": LATER}}


def released(ending: str, **changes: Any) -> Item:
    return {**CLAIMED, "state": {"S": "released"}, "last_outcome": {"S": ending}, **changes}


def note(kind: str, **fields: str) -> Item:
    text = {"kind": kind, "id": "n1", "at": AT, "order_id": "blog/7", "source": "blog", **fields}
    return {"note": {"M": {name: {"S": value} for name, value in text.items()}}}


def record(old: Item | None, new: Item | None, **changes: Any) -> dict[str, Any]:
    images = {"OldImage": old, "NewImage": new}
    return {
        "eventName": "REMOVE" if new is None else "MODIFY" if old else "INSERT",
        "eventSource": "aws:dynamodb",
        "dynamodb": {
            "ApproximateCreationDateTime": STREAM_TIME,
            "Keys": KEY,
            "SequenceNumber": "111",
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            **{name: image for name, image in images.items() if image is not None},
            **changes,
        },
    }


def detail(event: Event) -> dict[str, Any]:
    moment = event.occurred_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"event_id": event.event_id, "occurred_at": moment, **event.detail}


BASIC = {"loyalty_id": 5, "code": "Code-1", "order_id": "eu-shop/1001", "source": "eu-shop"}
OF_BLOG = BASIC | {"order_id": "blog/7", "source": "blog"}

HAPPENED: dict[str, tuple[Item | None, Item, str, dict[str, Any]]] = {
    "an order's code is activated": (CLAIMED, REDEEMED, events.ACTIVATED, BASIC),
    "a caller without an order": (
        CLAIMED,
        {name: value for name, value in REDEEMED.items() if name not in ORDER},
        events.ACTIVATED,
        BASIC | {"order_id": None, "source": None},
    ),
    "the first image that the stream has": (None, REDEEMED, events.ACTIVATED, BASIC),
    "another order, after the first one gave the code back": (
        REDEEMED,
        {**REDEEMED, "redeemed_at": {"S": LATER}},
        events.ACTIVATED,
        BASIC,
    ),
    "a reversal finds out that its order holds the code": (
        {**CLAIMED, "returning_since": {"S": AT}},
        {**CLAIMED, "returning_since": {"S": AT}, "claim_id": {"S": "c2"}, "redeemed_at": {"S": AT}},
        events.ACTIVATED,
        BASIC,
    ),
    "a code is given back": (REDEEMED, GIVEN_BACK, events.DEACTIVATED, BASIC),
    "a code is given back by a run that claimed it": (
        {**CLAIMED, "returning_since": {"S": AT}},
        {**GIVEN_BACK, "last_outcome": {"S": "not_found"}},
        events.DEACTIVATED,
        BASIC,
    ),
    **{
        f"a code that is {outcome}": (
            CLAIMED,
            released(outcome),
            events.NOT_ACTIVATED,
            BASIC | {"outcome": outcome},
        )
        for outcome in ("already_activated", "not_attached", "expired", "not_found")
    },
    "another order with a code that is held": (
        REDEEMED,
        {**REDEEMED, **note("double_redemption")},
        events.DOUBLE_REDEMPTION,
        OF_BLOG | {"first_order_id": "eu-shop/1001"},
    ),
    "a dead letter": (
        released("altcraft_failing"),
        {**released("altcraft_failing"), **note("given_up", reason="altcraft_failing")},
        events.GIVEN_UP,
        OF_BLOG | {"reason": "altcraft_failing"},
    ),
    "a dead letter of a code that was never claimed": (
        None,
        {**KEY, **note("given_up", reason="out_of_time")},
        events.GIVEN_UP,
        OF_BLOG | {"reason": "out_of_time"},
    ),
    "a second note": (
        {**REDEEMED, **note("double_redemption", id="n0")},
        {**REDEEMED, **note("double_redemption")},
        events.DOUBLE_REDEMPTION,
        OF_BLOG | {"first_order_id": "eu-shop/1001"},
    ),
}


@pytest.mark.parametrize(("old", "new", "detail_type", "facts"), HAPPENED.values(), ids=HAPPENED)
def test_given_a_change_that_matters_to_others_then_it_is_an_event(
    old: Item | None, new: Item, detail_type: str, facts: dict[str, Any]
) -> None:
    event = event_of(record(old, new))

    assert event
    assert event.detail_type == detail_type
    assert event.detail == facts
    assert faults(detail_type, detail(event)) == []


NOTHING: dict[str, tuple[Item | None, Item | None]] = {
    "a claim": (None, CLAIMED),
    "a claim of a code that was given back": (GIVEN_BACK, {**CLAIMED, "released_at": {"S": LATER}}),
    "an item that expired or was deleted": (REDEEMED, None),
    "an expired claim is taken over": (CLAIMED, {**CLAIMED, "claim_id": {"S": "c2"}}),
    **{
        f"no outcome yet: {reason}": (CLAIMED, released(reason))
        for reason in ("unsettled", "altcraft_failing", "token_refused", "activated", "deactivated")
    },
    "a released item of another run": (CLAIMED, released("expired", claim_id={"S": "c2"})),
    "a release that is only edited": (released("expired"), released("expired", known_at={"S": AT})),
    "a reversal that found the code unknown": (
        {**CLAIMED, "returning_since": {"S": AT}},
        released("not_found"),
    ),
    "a redeemed item is written again": (REDEEMED, {**REDEEMED, "known_at": {"S": LATER}}),
    "a reversal that found out that its order holds the code fails": (
        {**CLAIMED, "returning_since": {"S": AT}, "redeemed_at": {"S": AT}},
        {**REDEEMED, "returning_since": {"S": AT}, "last_outcome": {"S": "unsettled"}},
    ),
    "a reversal begins": (REDEEMED, {**REDEEMED, "state": {"S": "claimed"}, "returning_since": {"S": LATER}}),
    "a note is dropped": ({**REDEEMED, **note("double_redemption")}, REDEEMED),
    "a note that stays": (
        {**REDEEMED, **note("double_redemption")},
        {**REDEEMED, **note("double_redemption"), "known_at": {"S": LATER}},
    ),
    "a note alone is replaced by a claim": ({**KEY, **note("given_up", reason="unsettled")}, CLAIMED),
}


@pytest.mark.parametrize(("old", "new"), NOTHING.values(), ids=NOTHING)
def test_given_any_other_change_then_it_is_no_event(old: Item | None, new: Item | None) -> None:
    assert event_of(record(old, new)) is None


def test_given_the_outcomes_of_an_activation_then_each_is_an_event() -> None:
    published = {
        outcome
        for outcome in Outcome
        if (event := event_of(record(CLAIMED, released(outcome)))) and event.detail["outcome"] == outcome
    }

    schema = SCHEMAS[events.NOT_ACTIVATED]["properties"]["outcome"]["enum"]
    assert published == set(schema) == {"already_activated", "not_attached", "expired", "not_found"}


def test_given_a_moment_of_the_ledger_then_the_event_has_it_and_else_the_streams() -> None:
    at = {
        detail_type: detail(event)["occurred_at"]
        for old, new, detail_type, _ in HAPPENED.values()
        if (event := event_of(record(old, new)))
    }

    assert at[events.DEACTIVATED] == "2026-11-23T09:00:00.000Z"
    assert at[events.DOUBLE_REDEMPTION] == at[events.GIVEN_UP] == "2026-11-22T08:30:00.123Z"
    assert at[events.NOT_ACTIVATED] == "2026-11-22T08:30:00.000Z"


@pytest.mark.parametrize("written", [STREAM_TIME, 1795336200.0, "2026-11-22T08:30:00+00:00", "2026-11-22T08:30:00"])
def test_given_the_streams_time_as_lambda_or_the_cli_writes_it_then_it_is_read(written: object) -> None:
    event = event_of(record(CLAIMED, released("expired"), ApproximateCreationDateTime=written))

    assert event
    assert detail(event)["occurred_at"] == "2026-11-22T08:30:00.000Z"


def test_given_the_same_record_again_then_the_event_is_the_same_and_every_other_has_another_id() -> None:
    found = [event_of(record(old, new)) for old, new, *_ in HAPPENED.values()]
    again = [event_of(record(old, new, SequenceNumber="222")) for old, new, *_ in HAPPENED.values()]

    assert found == again
    ids = {(event.detail_type, event.event_id) for event in found if event}
    assert len({identity for _, identity in ids}) == len(ids)
    first, second = (event_of(record(CLAIMED, {**REDEEMED, "redeemed_at": {"S": at}})) for at in (AT, LATER))
    assert first
    assert second
    assert first.event_id != second.event_id


NONSENSE: dict[str, Item] = {
    "a moment that is none": {**REDEEMED, "redeemed_at": {"S": "yesterday"}},
    "a moment without a zone": {**REDEEMED, "redeemed_at": {"S": "2026-11-22T08:30:00"}},
    "a moment of another type": {**REDEEMED, "redeemed_at": {"N": "5"}},
    "an order of another type": {**REDEEMED, "order_id": {"N": "1001"}},
    "an order as no attribute": {**REDEEMED, "order_id": "1001"},
    "an order that is too long": {**REDEEMED, "order_id": {"S": "x" * (MAX_TEXT + 1)}},
    "no program": {name: value for name, value in REDEEMED.items() if name != "loyalty_id"},
    "a program that is none": {**REDEEMED, "loyalty_id": {"N": "-1"}},
    "an empty code": {**REDEEMED, "code": {"S": ""}},
    "a note that is a text": {**REDEEMED, "note": {"S": "call Ann"}},
    "a note without an id": {**REDEEMED, "note": {"M": {}}},
    "a note of an unknown kind": {**REDEEMED, **note("reminder")},
    "a dead letter without its reason": {**REDEEMED, **note("given_up")},
}


@pytest.mark.parametrize("new", NONSENSE.values(), ids=NONSENSE)
def test_given_an_item_that_a_person_edited_then_the_attribute_is_named(new: Item) -> None:
    with pytest.raises(InvalidField):
        event_of(record(CLAIMED, new))


_NAMES = st.sampled_from([*REDEEMED, "released_at", "returning_since", "note"])
_TEXTS = st.sampled_from(["claimed", "redeemed", "released", "expired", "not_found", AT, "c1", "5", "given_up"])
_ATTRIBUTES = st.one_of(
    st.fixed_dictionaries({"S": st.one_of(_TEXTS, st.text(max_size=5))}),
    st.fixed_dictionaries({"N": st.sampled_from(["5", "0", "x", "9" * 30])}),
    st.fixed_dictionaries({"M": st.dictionaries(st.sampled_from(["kind", "id", "at", "reason"]), json_values)}),
    json_values,
)
_IMAGES = st.one_of(
    st.none(),
    st.builds(
        lambda base, edits: {**base, **edits},
        st.sampled_from([{}, CLAIMED, REDEEMED, GIVEN_BACK, released("expired")]),
        st.dictionaries(_NAMES, _ATTRIBUTES, max_size=4),
    ),
)


@given(old=_IMAGES, new=_IMAGES, at=st.one_of(st.floats(), json_values))
def test_given_any_images_then_they_are_an_event_of_its_schema_or_none_or_refused_by_name(
    old: Item | None, new: Item | None, at: object
) -> None:
    try:
        event = event_of(record(old, new, ApproximateCreationDateTime=at))
    except InvalidField:
        return
    if event:
        assert faults(event.detail_type, detail(event)) == []


def test_given_the_longest_texts_then_ten_events_fit_into_a_call() -> None:
    longest = "\N{PILE OF POO}" * MAX_TEXT
    fields = {name: {"S": longest} for name in ("code", "order_id", "source")}
    event = event_of(record(CLAIMED, {**REDEEMED, **fields, **note("double_redemption", order_id=longest)}))

    assert event
    assert MOST_ENTRIES * (len(json.dumps(detail(event), ensure_ascii=False).encode()) + 1000) < 256 * 1024


# --- exports ------------------------------------------------------------------------------------------------------------

MANIFEST = Manifest(
    "20261122T030000Z-0123456789abcdef0123",
    6,
    "succeeded",
    "jsonl",
    "2026-11-22T03:00:00.000Z",
    "2026-11-22T03:00:09.000Z",
    codes=2,
    key="promocodes/loyalty_id=6/dt=2026-11-22/1.jsonl.gz",
    sha256="0" * 64,
)


def changed(**changes: Any) -> Manifest:
    return Manifest(**{**asdict(MANIFEST), **changes})


FAILURE = {
    "status": "failed",
    "key": None,
    "sha256": None,
    "error": {"type": "refused", "detail": "no", "retryable": False},
}


@pytest.mark.parametrize(("manifest", "detail_type"), [(MANIFEST, SUCCEEDED), (changed(**FAILURE), FAILED)])
def test_given_an_ended_export_then_its_event_is_its_manifest(manifest: Manifest, detail_type: str) -> None:
    event = event_of_export(manifest)

    assert event.detail_type == detail_type
    assert event.detail == asdict(manifest)
    assert detail(event)["occurred_at"] == manifest.finished_at
    assert faults(detail_type, detail(event)) == []


def test_given_the_end_that_another_run_finds_then_the_id_is_the_same_and_another_end_has_another() -> None:
    ends = [
        changed(),
        changed(finished_at="2026-11-22T04:00:00.000Z"),
        changed(suspect=True),
        changed(**FAILURE),
        changed(export_id="other"),
    ]

    assert len({event_of_export(end).event_id for end in ends}) == len(ends)
    assert event_of_export(changed()) == event_of_export(MANIFEST)
    # What an operator has accepted is published as good, and is no longer what it was.
    assert event_of_export(changed(suspect=True, accept_fewer=True)).event_id != event_of_export(ends[2]).event_id


# --- the schemas --------------------------------------------------------------------------------------------------------

COMMON = {"event_id", "occurred_at", "loyalty_id"}
CONTRACT = {
    events.ACTIVATED: {"code", "order_id", "source"},
    events.DEACTIVATED: {"code", "order_id", "source"},
    events.NOT_ACTIVATED: {"code", "order_id", "source", "outcome"},
    events.DOUBLE_REDEMPTION: {"code", "order_id", "first_order_id", "source"},
    events.GIVEN_UP: {"code", "order_id", "source", "reason"},
    SUCCEEDED: {field.name for field in fields(Manifest)},
    FAILED: {field.name for field in fields(Manifest)},
}


def test_given_the_schemas_then_each_event_has_one_that_names_every_field_and_no_other() -> None:
    assert {name: set(schema["properties"]) for name, schema in SCHEMAS.items()} == {
        name: COMMON | own for name, own in CONTRACT.items()
    }


def _objects(schema: object, visit: Callable[[Mapping[str, Any]], None]) -> None:
    if isinstance(schema, dict):
        if "properties" in schema:
            visit(schema)
        for value in schema.values():
            _objects(value, visit)


@pytest.mark.parametrize("detail_type", SCHEMAS)
def test_given_a_schema_then_it_is_closed_and_its_examples_fit(detail_type: str) -> None:
    schema = SCHEMAS[detail_type]

    _objects(schema, lambda found: _is_closed(found))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(schema["required"]) == set(schema["properties"])
    assert schema["examples"]
    assert [faults(detail_type, example) for example in schema["examples"]] == [[]] * len(schema["examples"])


def _is_closed(schema: Mapping[str, Any]) -> None:
    assert schema["additionalProperties"] is False
