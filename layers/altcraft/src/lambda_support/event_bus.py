"""An EventBridge bus, on which both functions publish what happened.

Source: EventBridge API reference, "PutEvents".
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

SOURCE: Final = "altcraft.promocodes"

MOST_ENTRIES: Final = 10
"""The most events that EventBridge accepts in one call. Ten of the ledger's are far below its 256 KB: see `activate.events`."""

_ATTEMPTS: Final = 3
"""How often an event is sent within one run: EventBridge can refuse a part of a call for a moment."""

_IDS: Final = uuid.UUID("8f0d5c36-5a4e-4f0b-9f2e-5c1f0a6d7b11")
"""The namespace of our events' ids. Another one would give all of them new ids."""


class NotSent(Exception):
    """The bus has not accepted every event.

    `first`: the index of the first event that was not accepted; later ones may have been accepted. `reason`: AWS's name of the
    error.
    """

    def __init__(self, first: int, reason: str) -> None:
        super().__init__(f"the event bus has not accepted an event: {reason}")
        self.first = first
        self.reason = reason


@dataclass(frozen=True)
class Event:
    """One thing that happened. `detail` is what its kind has beside `event_id` and `occurred_at`."""

    detail_type: str
    event_id: str
    """The same whenever the same thing is published again."""
    occurred_at: datetime
    detail: Mapping[str, object]


def event_id(detail_type: str, *identity: object) -> str:
    """An event's id, made from what distinguishes the thing that happened from all others."""
    return str(uuid.uuid5(_IDS, json.dumps([detail_type, *identity])))


class EventBus:
    """A bus, by its name."""

    def __init__(self, name: str, events: Callable[[], Any]) -> None:
        """`events`: makes botocore's client, on first use."""
        self._name = name
        self._events = events

    def publish(self, events: Sequence[Event]) -> None:
        """Send events in their order.

        Raises:
            NotSent: the bus has not accepted all of them. Sending them again is safe: their ids stay the same.
        """
        for start in range(0, len(events), MOST_ENTRIES):
            pending = dict(enumerate(map(self._entry, events[start : start + MOST_ENTRIES]), start))
            for _ in range(_ATTEMPTS):
                pending, reason = self._put(pending)
                if not pending:
                    break
            else:
                raise NotSent(min(pending), reason)

    def _put(self, entries: Mapping[int, dict[str, object]]) -> tuple[dict[int, dict[str, object]], str]:
        """Send entries; return those that the bus has not accepted, and the error of one of them."""
        try:
            answer = self._events().put_events(Entries=list(entries.values()))
        except ClientError as error:
            raise NotSent(min(entries), error.response["Error"].get("Code", "")) from error
        except (BotoCoreError, ResponseParserError) as error:
            raise NotSent(min(entries), type(error).__name__) from error
        results = answer.get("Entries", [])
        # Without an id nothing confirms that the bus has the event.
        accepted = {index for index, result in zip(entries, results, strict=False) if result.get("EventId")}
        reasons = [result["ErrorCode"] for result in results if result.get("ErrorCode")]
        refused = {index: entry for index, entry in entries.items() if index not in accepted}
        return refused, next(iter(reasons), "not confirmed")

    def _entry(self, event: Event) -> dict[str, object]:
        occurred_at = event.occurred_at.astimezone(UTC)
        moment = occurred_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        detail = {"event_id": event.event_id, "occurred_at": moment, **event.detail}
        return {
            "Source": SOURCE,
            "DetailType": event.detail_type,
            "Detail": json.dumps(detail, ensure_ascii=False),
            "EventBusName": self._name,
            "Time": occurred_at,
        }
