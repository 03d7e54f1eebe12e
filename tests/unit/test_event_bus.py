"""Publishing on an event bus, over HTTP: in batches, in order, and what is reported where the bus refuses."""

import json
from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

import pytest

from lambda_support.event_bus import MOST_ENTRIES, Event, NotSent, event_id
from tests.buses import Entry, FakeBus, fake_bus

AT = datetime(2026, 11, 22, 8, 30, 0, 123456, tzinfo=UTC)


def numbered(count: int) -> list[Event]:
    return [Event("Test", event_id("Test", number), AT, {"code": f"Code-{number}"}) for number in range(count)]


def code(entry: Entry) -> str:
    name: str = json.loads(entry["Detail"])["code"]
    return name


def test_given_an_event_then_the_bus_gets_it_with_its_id_and_its_time() -> None:
    with fake_bus() as fake:
        fake.bus().publish(numbered(1))

    (entry,) = fake.accepted
    detail = json.loads(entry.pop("Detail"))
    assert entry == {
        "Source": "altcraft.promocodes",
        "DetailType": "Test",
        "EventBusName": "promocodes",
        "Time": AT.timestamp(),
    }
    assert detail == {
        "event_id": event_id("Test", 0),
        "occurred_at": "2026-11-22T08:30:00.123Z",
        "code": "Code-0",
    }
    assert UUID(detail["event_id"]).version == 5


def test_given_many_events_then_they_are_sent_in_order_ten_at_a_time() -> None:
    with fake_bus() as fake:
        fake.bus().publish(numbered(23))

    assert fake.codes == [f"Code-{number}" for number in range(23)]
    assert [len(call) for call in fake.calls] == [10, 10, 3]
    assert MOST_ENTRIES == 10


def test_given_no_events_then_the_bus_is_not_called() -> None:
    with fake_bus() as fake:
        fake.bus().publish([])

    assert fake.calls == []


def test_given_a_part_that_is_refused_for_a_moment_then_only_that_part_is_sent_again() -> None:
    seen = Counter[str]()

    def refuse(entry: Entry) -> str | None:
        seen[code(entry)] += 1
        return "ThrottlingException" if code(entry) == "Code-1" and seen["Code-1"] == 1 else None

    with fake_bus(refuse=refuse) as fake:
        fake.bus().publish(numbered(3))

    assert fake.codes == ["Code-0", "Code-2", "Code-1"]


def test_given_an_event_that_is_refused_then_the_first_one_is_named_and_later_batches_wait() -> None:
    def refuse(entry: Entry) -> str | None:
        return "InternalFailure" if code(entry) in {"Code-12", "Code-15"} else None

    with fake_bus(refuse=refuse) as fake, pytest.raises(NotSent, match="InternalFailure") as caught:
        fake.bus().publish(numbered(25))

    assert (caught.value.first, caught.value.reason) == (12, "InternalFailure")
    assert set(fake.codes) == {f"Code-{number}" for number in range(20)} - {"Code-12", "Code-15"}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"denied": "AccessDeniedException"}, "AccessDeniedException"), ({"silent": True}, "ConnectionClosedError")],
    ids=["denied", "silent"],
)
def test_given_a_bus_that_takes_no_call_then_the_reason_is_reported(settings: dict[str, object], reason: str) -> None:
    with fake_bus(**settings) as fake, pytest.raises(NotSent) as caught:
        fake.bus().publish(numbered(3))

    assert (caught.value.first, caught.value.reason) == (0, reason)


def test_given_an_answer_that_confirms_nothing_then_nothing_counts_as_sent() -> None:
    class Vague:
        def put_events(self, **_: object) -> dict[str, object]:
            return {"FailedEntryCount": 0, "Entries": []}

    bus = FakeBus(url="http://127.0.0.1:9").bus()
    bus._events = Vague  # noqa: SLF001 - an answer that no service gives

    with pytest.raises(NotSent, match="not confirmed"):
        bus.publish(numbered(1))


def test_given_what_happened_then_its_id_is_its_own() -> None:
    ids = {
        event_id("A", 5, "Code-1", "x"),
        event_id("B", 5, "Code-1", "x"),
        event_id("A", 51, "Code-1", "x"),
        event_id("A", 5, "Code-1", None),
        event_id("A", 5, "Code-1x"),
    }

    assert len(ids) == 5
    assert event_id("A", 5, "Code-1", "x") in ids
