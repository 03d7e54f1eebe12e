"""Ended exports as events on a bus."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Final

from export_all.telemetry import Telemetry
from lambda_support.event_bus import Event, EventBus, NotSent, event_id
from lambda_support.telemetry import Metric, count, logger

if TYPE_CHECKING:
    from export_all.manifest import Manifest

SUCCEEDED: Final = "Export Succeeded"
FAILED: Final = "Export Failed"


def event_of(manifest: Manifest) -> Event:
    """The event of a final manifest.

    Its id is the same whenever a run finds the same end; another try's end, or an operator's acceptance of a suspect export,
    is another event.
    """
    detail_type = SUCCEEDED if manifest.status == "succeeded" else FAILED
    ended = manifest.finished_at or manifest.started_at
    identity = event_id(detail_type, manifest.export_id, ended, manifest.withheld)
    return Event(detail_type, identity, datetime.fromisoformat(ended), asdict(manifest))


class Publisher(Telemetry):
    """Reports to an event bus too. A bus that accepts nothing makes no export fail."""

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus

    def finished(self, manifest: Manifest) -> None:
        """Publish the end, each time that it is found: so that a run that is killed before is made up for by the next."""
        event = event_of(manifest)
        try:
            self._bus.publish([event])
        except NotSent as failure:
            count(Metric.EVENTS_NOT_SENT)
            logger.error(
                "The end of an export is not published",
                reason=failure.reason,
                event_id=event.event_id,
                export_id=manifest.export_id,
            )
