"""Beginning an export: its manifest announces it, and an invocation of its own runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, astuple
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from export_all.aws_errors import AWS_ERRORS, as_unavailable, detail_of
from export_all.failures import Failure
from export_all.manifest import Manifest, begun, rfc3339
from export_all.manifest_store import Superseded
from export_all.manifests import Lease, Manifests
from export_all.requests import (
    ExportRequest,
    moment_from,
    new_export_id,
    repeatable_export_id,
    requests_from_schedule,
)
from lambda_support.telemetry import logger

if TYPE_CHECKING:
    from export_all.idempotency import IdempotencyKeys

Invoke = Callable[[Mapping[str, object]], None]
"""Invokes this function with an event, asynchronously."""


def begin(request: ExportRequest, export_id: str, now: datetime, manifests: Manifests, invoke: Invoke) -> Manifest:
    """Announce an export, and have it run.

    An export that was announced before is only run again, which changes nothing of one that has succeeded or is running.

    Raises:
        StorageUnavailable: it cannot be announced, or not be run; its manifest says failed then.
    """
    with as_unavailable():
        manifest = manifests.announce(begun(export_id, request, now))
        try:
            invoke({**asdict(request), "export_id": export_id})
        except AWS_ERRORS as error:
            claimed = manifests.claim(export_id, request, "", "", now)
            if isinstance(claimed, Lease):
                failure = Failure("not_begun", detail_of(error))
                with suppress(Superseded):  # by a run, so that it has begun after all
                    claimed.save(status="failed", finished_at=rfc3339(datetime.now(UTC)), error=failure.members())
            raise
    logger.info("The export is begun", export_id=export_id, loyalty_id=request.loyalty_id)
    return manifest


def begin_once(
    key: str, request: ExportRequest, now: datetime, manifests: Manifests, keys: IdempotencyKeys, invoke: Invoke
) -> str:
    """Begin the export of an idempotency key, unless a run has taken it up before; its id.

    An export that has ended, failed too, is not run again by its key: another try is another export, with another key.

    Raises:
        KeyReused: the key is that of another request.
        UnreadableRecord, UnreadableManifest: something else is in the place of the key's record, or of its manifest.
        StorageUnavailable: it cannot be begun; the same request again begins it.
    """
    with as_unavailable():
        export_id = keys.claim(key, request, new_export_id(now))
        if manifests.is_taken_up(export_id):
            logger.info("The export of this key was begun before", export_id=export_id)
            return export_id
    # Also where another request has recorded the key: it may have been killed since, and two runs of one id are one export.
    begin(request, export_id, now, manifests, invoke)
    return export_id


def begin_scheduled(
    event: Mapping[str, Any], invocation: str, now: datetime, manifests: Manifests, invoke: Invoke
) -> list[str]:
    """Begin one export for each program of a schedule's event; their ids, the same when the same event comes again.

    Args:
        event: `{"loyalty_ids", "output_format"?, "accept_fewer"?, "scheduled_at"?}`.
        invocation: its id, which distinguishes events without a `scheduled_at`.
        now: the current time.
        manifests: where the exports are announced.
        invoke: see `Invoke`.

    Raises:
        InvalidField: names the field that is missing, wrong or unknown.
        StorageUnavailable: one cannot be begun; those after it are not begun either.
    """
    requests = requests_from_schedule(event)
    source: tuple[object, ...] = ("schedule",)
    if "scheduled_at" in event:
        moment = moment_from("scheduled_at", event["scheduled_at"])
    else:
        # Lambda keeps the invocation's id when it tries again, but time passes: within a day the export's id is the same.
        moment = now.replace(hour=0, minute=0, second=0)
        source += (invocation,)
    export_ids = []
    for request in requests:
        export_id = repeatable_export_id(moment, *source, *astuple(request))
        begin(request, export_id, now, manifests, invoke)
        export_ids.append(export_id)
    return export_ids
