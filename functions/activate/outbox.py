"""The outbox: publishes what the ledger's table says, by the records of its stream, at least once and in their order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from activate.events import event_of
from lambda_support.event_bus import Event, NotSent
from lambda_support.fields import InvalidField
from lambda_support.telemetry import Metric, count, logger

if TYPE_CHECKING:
    from lambda_support.event_bus import EventBus


class Outbox:
    """Passes the table's changes on to an event bus, for the life of a sandbox."""

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus

    def publish(self, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Publish a batch of the stream; the answer names the first record whose event the bus has not accepted.

        Lambda delivers that record and all after it again (`batchItemFailures`). A later event of the batch may so be published
        twice, with the same `event_id`.
        """
        due = list(_due(records))
        try:
            self._bus.publish([event for _, event in due])
        except NotSent as failure:
            record, event = due[failure.first]
            count(Metric.EVENTS_NOT_SENT, len(due) - failure.first)
            logger.error(
                "Events are not sent yet", reason=failure.reason, event_id=event.event_id, detail_type=event.detail_type
            )
            return {"batchItemFailures": [{"itemIdentifier": record["dynamodb"]["SequenceNumber"]}]}
        logger.debug("Events sent", event_ids=[event.event_id for _, event in due])
        return {"batchItemFailures": []}


def _due(records: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], Event]]:
    """The records that are events. An item that was edited so that it cannot be read must not block those after it."""
    for record in records:
        try:
            event = event_of(record)
        except InvalidField as error:
            count(Metric.UNREADABLE_CHANGES)
            key = json.dumps(record["dynamodb"].get("Keys"))
            logger.error("A change of the ledger cannot be read", detail=str(error), key=key)
            continue
        if event is not None:
            yield record, event
