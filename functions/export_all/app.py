"""The doors of the function `export_all`: who calls, and to whom it is handed over.

| door | event | answer |
|---|---|---|
| API | REST proxy, `POST /promocodes/export_all` | 202 and where to ask; the run is an invocation of its own |
| status | REST proxy, `GET /promocodes/exports/{export_id}` | the manifest, and a download link once it has succeeded |
| schedule | `{"loyalty_ids", "output_format"?, "accept_fewer"?, "scheduled_at"?}` | the export ids; each run as above |
| run | `{"loyalty_id", "output_format"?, "accept_fewer"?, "export_id"}` | the manifest; raised where another try may succeed |
| direct | `{"loyalty_id", "output_format"?, "accept_fewer"?}` | the manifest |

What a door needs is imported when it is first used: asking for a status must not pay for the export's libraries.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from export_all.manifest import Manifest, UnreadableManifest, begun, rfc3339
from export_all.manifests import Lease, Manifests, Superseded
from export_all.orders import (
    Order,
    export_id_from,
    moment_from,
    new_export_id,
    orders_from_schedule,
    repeatable_export_id,
)
from export_all.settings import settings
from export_all.storage import StorageError, StorageUnavailable, storage_detail
from lambda_support import aws
from lambda_support.fields import InvalidField
from lambda_support.http import Problem, Reply, Request, answering, reply
from lambda_support.settings import SettingsError
from lambda_support.telemetry import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    from altcraft.export import Export
    from export_all.exporter import Exporter

DOWNLOAD_SECONDS: Final = 3600
"""How long a download link is good; less where the credentials of the function end before."""

_MARGIN_SECONDS: Final = 20.0
"""What a run leaves of Lambda's time to end by itself: to stop its threads, abort its upload and write its manifest. A tenth of
the time, where the function has been given less than its 900 s."""

_SILENCE_SECONDS: Final = 180.0
"""How long Altcraft may be silent: it may first put a reply of gigabytes together."""


class ExportFailed(Exception):
    """A run failed in a way that another try may mend; raised so that Lambda tries an asynchronous one again."""


@logger.inject_lambda_context(clear_state=True, log_event=False)  # whatever the environment says: it holds an API key
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take one event of any door."""
    if "httpMethod" in event:
        request = Request.from_event(event)
        return answering(request, _status if request.method == "GET" else lambda request: _start(request, event))
    if "loyalty_ids" in event:
        return _schedule(event, context)
    if "export_id" in event:
        return _run(event, context)
    return asdict(_export(Order.from_fields(event), new_export_id(_now()), context))


def _start(request: Request, event: Mapping[str, Any]) -> Reply:
    from export_all.formats import FormatUnavailable, refuse_unavailable

    try:
        order = Order.from_fields(request.fields())
        refuse_unavailable(order.output_format)
    except InvalidField as error:
        raise _invalid(error) from error
    except FormatUnavailable as error:
        raise Problem(HTTPStatus.BAD_REQUEST, "format_unavailable", "This format is not set up", str(error)) from error
    now = _now()
    export_id = new_export_id(now)
    try:
        manifest = _begin(order, export_id, now)
    except StorageError as error:
        raise _unavailable(error) from error
    status_url = _status_url(request, event["requestContext"], export_id)
    started = {"export_id": export_id, "status": manifest.status, "status_url": status_url}
    return reply(request, HTTPStatus.ACCEPTED, started, {"Location": status_url})


def _status(request: Request) -> Reply:
    try:
        export_id = export_id_from(request.path.get("export_id"))
        manifest = _manifests().look(export_id, _now())
    except InvalidField as error:
        raise _invalid(error) from error
    except StorageError as error:
        raise _unavailable(error) from error
    except UnreadableManifest as error:
        raise Problem(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "unreadable_manifest",
            "Something else is in the manifest's place",
            f"{error}. A person or another version has written it: remove it, and export again.",
        ) from error
    if manifest is None:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            "export_not_found",
            "There is no such export",
            "export_id: must be one that POST /promocodes/export_all has answered.",
        )
    answer = asdict(manifest)
    if manifest.status == "succeeded":
        answer["download_url"] = aws.client("s3").generate_presigned_url(
            "get_object",
            Params={"Bucket": settings().export_bucket, "Key": manifest.key},
            ExpiresIn=DOWNLOAD_SECONDS,
        )
    return reply(request, HTTPStatus.OK, answer)


def _schedule(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Begin one run for each program. The ids are the same when the same event comes again."""
    orders = orders_from_schedule(event)
    now = _now()
    source: tuple[object, ...] = ("schedule",)
    if "scheduled_at" in event:
        moment = moment_from("scheduled_at", event["scheduled_at"])
    else:
        # Lambda keeps the request's id when it tries again, but the clock goes on: within a day the id is the same.
        moment = now.replace(hour=0, minute=0, second=0)
        source += (context.aws_request_id,)
    export_ids = []
    for order in orders:
        export_id = repeatable_export_id(moment, *source, order)
        try:
            _begin(order, export_id, now)
        except StorageError as error:
            raise StorageUnavailable(storage_detail(error)) from error
        export_ids.append(export_id)
    return {"export_ids": export_ids}


def _run(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    order = Order.from_fields(event, besides=("export_id",))
    manifest = _export(order, export_id_from(event["export_id"]), context)
    if manifest.status == "failed" and manifest.error is not None and manifest.error["retryable"]:
        raise ExportFailed(f"{manifest.export_id}: {manifest.error['detail']}")
    return asdict(manifest)


def _begin(order: Order, export_id: str, now: datetime) -> Manifest:
    """Announce an export and have it run in an invocation of its own.

    An export that has been announced before is only run again, which changes nothing of a good or running one.
    """
    own_name = _own_name()
    manifest = _manifests().announce(begun(export_id, order, now))
    try:
        aws.client("lambda").invoke(
            FunctionName=own_name,
            InvocationType="Event",
            Payload=json.dumps({**asdict(order), "export_id": export_id}).encode(),
        )
    except StorageError as error:
        claimed = _manifests().claim(export_id, order, "", "", now)
        if isinstance(claimed, Lease):
            told = {"type": "not_begun", "detail": storage_detail(error), "retryable": True}
            with suppress(Superseded):  # by a run, so that it has begun after all
                claimed.save(status="failed", finished_at=rfc3339(_now()), error=told)
        raise
    logger.info("The export is begun", export_id=export_id, loyalty_id=order.loyalty_id)
    return manifest


def _export(order: Order, export_id: str, context: LambdaContext) -> Manifest:
    seconds = context.get_remaining_time_in_millis() / 1000
    deadline = time.monotonic() + seconds - min(_MARGIN_SECONDS, seconds / 10)
    try:
        return _exporter().run(order, export_id, context.aws_request_id, deadline)
    except StorageError as error:
        raise StorageUnavailable(storage_detail(error)) from error


@cache
def _exporter() -> Exporter:
    from altcraft.client import Client, Timeouts
    from altcraft.token import Token
    from export_all.exporter import Exporter
    from lambda_support.secrets import Secret

    token = Token(Secret(settings().altcraft_secret_id))
    timeouts = Timeouts(read=_SILENCE_SECONDS)

    def source(loyalty_id: int) -> Export:
        # A client of its own: the last run may have left a thread behind that still hangs in its socket.
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
        least_percent=settings().latest_minimum_percent,
    )


@cache
def _manifests() -> Manifests:
    return Manifests(
        aws.client("s3"), settings().export_bucket, settings().export_prefix, settings().latest_minimum_percent
    )


def _own_name() -> str:
    name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
    if not name:
        raise SettingsError(
            "AWS_LAMBDA_FUNCTION_NAME is not set: Lambda sets it, and so must whatever stands in for it"
        )
    return name


def _status_url(request: Request, context: Mapping[str, Any], export_id: str) -> str:
    """The address of the status route, on the host, stage and base path by which the caller came."""
    scheme = request.headers.get("x-forwarded-proto", "https")
    host = request.headers.get("host") or context.get("domainName", "")
    base = context.get("path", request.resource).removesuffix(request.resource)
    return f"{scheme}://{host}{base}/promocodes/exports/{export_id}"


def _invalid(error: InvalidField) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, "invalid_field", "A field is missing or wrong", str(error))


def _unavailable(error: ClientError | BotoCoreError | ResponseParserError) -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "storage_unavailable",
        "The export cannot be recorded now",
        storage_detail(error),
        retryable=True,
        headers={"Retry-After": "30"},
    )


def _now() -> datetime:
    return datetime.now(UTC)
