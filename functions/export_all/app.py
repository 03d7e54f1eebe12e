"""The entry points of the function `export_all`: which event calls which code.

| entry point | event | answer |
|---|---|---|
| API | REST proxy, `POST /promocodes/export_all` | 202 and where to ask; the run is an invocation of its own |
| status | REST proxy, `GET /promocodes/exports/{export_id}` | the manifest, and a download link once it has succeeded |
| schedule | `{"loyalty_ids", "output_format"?, "accept_fewer"?, "scheduled_at"?}` | the export ids; each run as above |
| run | `{"loyalty_id", "output_format"?, "accept_fewer"?, "export_id"}` | the manifest; raised where another try may succeed |
| direct | `{"loyalty_id", "output_format"?, "accept_fewer"?}` | the manifest |

What an entry point needs is imported when it is first used: asking for a status must not pay for the export's libraries.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from export_all import api
from export_all.aws_errors import as_unavailable
from export_all.begin import Invoke, begin_scheduled
from export_all.failures import ExportFailed
from export_all.idempotency import IdempotencyKeys
from export_all.manifests import Manifests
from export_all.requests import ExportRequest, export_id_from, new_export_id
from export_all.settings import settings
from export_all.telemetry import Telemetry
from lambda_support import aws
from lambda_support.http import Reply, Request, answering, route
from lambda_support.settings import SettingsError
from lambda_support.telemetry import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from altcraft.export import Export
    from export_all.exporter import Exporter
    from export_all.manifest import Manifest

MARGIN_SECONDS: Final = 20.0
"""What a run leaves of Lambda's time to end by itself: to stop its threads, abort its upload and write its manifest. A tenth of
the time, where the function has been given less than its 900 s."""

_SILENCE_SECONDS: Final = 180.0
"""How long Altcraft may be silent: it may first put a reply of gigabytes together."""


@logger.inject_lambda_context(clear_state=True, log_event=False)  # whatever the environment says: it holds an API key
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take one event of any entry point."""
    entry_point = next((entry_point for field, entry_point in _ENTRY_POINTS.items() if field in event), _direct)
    return entry_point(event, context)


def _http(event: dict[str, Any], _context: LambdaContext) -> Reply:
    request = Request.from_event(event)
    return answering(request, lambda request: route(_ROUTES, request)(request))


def _post_export(request: Request) -> Reply:
    return api.post_export(request, _manifests(), _idempotency_keys(), _invoke())


def _get_export(request: Request) -> Reply:
    return api.get_export(request, _manifests(), aws.client("s3"), settings().export_bucket)


def _schedule(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return {"export_ids": begin_scheduled(event, context.aws_request_id, datetime.now(UTC), _manifests(), _invoke())}


def _run(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    request = ExportRequest.from_fields(event, besides=("export_id",))
    manifest = _export(request, export_id_from(event["export_id"]), context)
    if manifest.status == "failed" and manifest.error is not None and manifest.error["retryable"]:
        raise ExportFailed(f"{manifest.export_id}: {manifest.error['detail']}")
    return asdict(manifest)


def _direct(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return asdict(_export(ExportRequest.from_fields(event), new_export_id(datetime.now(UTC)), context))


_ENTRY_POINTS: Final[Mapping[str, Callable[[dict[str, Any], LambdaContext], dict[str, Any]]]] = {
    "httpMethod": _http,
    "loyalty_ids": _schedule,
    "export_id": _run,
}
"""By the field that only its events have; what has none of them is a direct invocation."""

_ROUTES: Final[Mapping[tuple[str, str], Callable[[Request], Reply]]] = {
    ("POST", "/promocodes/export_all"): _post_export,
    ("GET", "/promocodes/exports/{export_id}"): _get_export,
}


def _export(request: ExportRequest, export_id: str, context: LambdaContext) -> Manifest:
    seconds = context.get_remaining_time_in_millis() / 1000
    deadline = time.monotonic() + seconds - min(MARGIN_SECONDS, seconds / 10)
    with as_unavailable():
        return _exporter().run(request, export_id, context.aws_request_id, deadline)


@cache
def _exporter() -> Exporter:
    from altcraft.client import Client, Timeouts
    from altcraft.token import Token
    from export_all.exporter import Exporter
    from lambda_support.secrets import Secret

    token = Token(Secret(settings().altcraft_secret_id))
    timeouts = Timeouts(read=_SILENCE_SECONDS)

    def source(loyalty_id: int) -> Export:
        # A client of its own: a thread of the last run may still hang in that run's socket.
        try:
            client = Client(settings().altcraft_url, token, settings().altcraft_wire, timeouts)
        except ValueError as error:
            raise SettingsError(str(error)) from error
        return client.export_all(loyalty_id)

    return Exporter(
        aws.client("s3"),
        settings().export_bucket,
        settings().export_prefix,
        source,
        watcher=_watcher(),
        least_percent=settings().latest_minimum_percent,
    )


@cache
def _manifests() -> Manifests:
    return Manifests(
        aws.client("s3"),
        settings().export_bucket,
        settings().export_prefix,
        settings().latest_minimum_percent,
        _watcher(),
    )


@cache
def _idempotency_keys() -> IdempotencyKeys:
    return IdempotencyKeys(aws.client("s3"), settings().export_bucket, settings().export_prefix)


@cache
def _watcher() -> Telemetry:
    if not settings().event_bus_name:
        return Telemetry()
    from export_all.events import Publisher
    from lambda_support.event_bus import EventBus

    return Publisher(EventBus(settings().event_bus_name, lambda: aws.client("events")))


def _invoke() -> Invoke:
    """This function's own asynchronous invocation."""
    name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
    if not name:
        raise SettingsError(
            "AWS_LAMBDA_FUNCTION_NAME is not set: Lambda sets it, and so must whatever stands in for it"
        )

    def invoke(event: Mapping[str, object]) -> None:
        aws.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event).encode())

    return invoke
