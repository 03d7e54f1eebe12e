"""Exports over HTTP: a POST begins one, and a GET reads how it goes."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from export_all.aws_errors import StorageUnavailable, as_unavailable
from export_all.begin import Invoke, begin, begin_once
from export_all.formats.registry import FormatUnavailable, refuse_unavailable
from export_all.idempotency import KeyReused, UnreadableRecord
from export_all.manifest import UnreadableManifest
from export_all.requests import ExportRequest, export_id_from, idempotency_key_from, new_export_id
from lambda_support.fields import InvalidField
from lambda_support.http import Problem, Reply, Request, invalid_field, reply

if TYPE_CHECKING:
    from export_all.idempotency import IdempotencyKeys
    from export_all.manifests import Manifests

DOWNLOAD_SECONDS: Final = 3600
"""How long a download link is valid; less where the credentials of the function expire before."""


def post_export(request: Request, manifests: Manifests, keys: IdempotencyKeys, invoke: Invoke) -> Reply:
    """Answer `POST /promocodes/export_all`. With the header `Idempotency-Key`, the same request again gets the same answer.

    Raises:
        Problem: nothing is begun.
    """
    header = request.headers.get("idempotency-key")
    try:
        wanted = ExportRequest.from_fields(request.fields())
        refuse_unavailable(wanted.output_format)
        key = None if header is None else idempotency_key_from(header)
    except InvalidField as error:
        raise invalid_field(error) from error
    except FormatUnavailable as error:
        raise Problem(HTTPStatus.BAD_REQUEST, "format_unavailable", "This format is not set up", str(error)) from error
    now = datetime.now(UTC)
    try:
        if key is None:
            export_id = begin(wanted, new_export_id(now), now, manifests, invoke).export_id
        else:
            export_id = begin_once(key, wanted, now, manifests, keys, invoke)
    except KeyReused as error:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "key_reused", "The key belongs to another request", str(error)
        ) from error
    except StorageUnavailable as error:
        raise _unavailable(error) from error
    except UnreadableRecord as error:
        raise _unreadable("record", error) from error
    except UnreadableManifest as error:
        raise _unreadable("manifest", error) from error
    status_url = f"{request.origin}/promocodes/exports/{export_id}"
    started = {"export_id": export_id, "status": "running", "status_url": status_url}
    return reply(request, HTTPStatus.ACCEPTED, started, {"Location": status_url})


def get_export(request: Request, manifests: Manifests, s3: Any, bucket: str) -> Reply:
    """Answer `GET /promocodes/exports/{export_id}`: the manifest, with a download link once the export has succeeded.

    Raises:
        Problem: there is no manifest that can be read.
    """
    try:
        with as_unavailable():
            manifest = manifests.look(export_id_from(request.path.get("export_id")), datetime.now(UTC))
    except InvalidField as error:
        raise invalid_field(error) from error
    except StorageUnavailable as error:
        raise _unavailable(error) from error
    except UnreadableManifest as error:
        raise _unreadable("manifest", error) from error
    if manifest is None:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            "export_not_found",
            "There is no such export",
            "export_id: must be one that POST /promocodes/export_all has answered.",
        )
    answer = asdict(manifest)
    if manifest.status == "succeeded":
        answer["download_url"] = s3.generate_presigned_url(
            "get_object", Params={"Bucket": bucket, "Key": manifest.key}, ExpiresIn=DOWNLOAD_SECONDS
        )
    return reply(request, HTTPStatus.OK, answer)


def _unavailable(error: StorageUnavailable) -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "storage_unavailable",
        "The export cannot be recorded now",
        str(error),
        retryable=True,
        headers={"Retry-After": "30"},
    )


def _unreadable(what: str, error: Exception) -> Problem:
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        f"unreadable_{what}",
        f"Something else is in the {what}'s place",
        f"{error}. A person or another version has written it: remove it, and export again.",
    )
