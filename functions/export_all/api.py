"""Exports over HTTP: a POST begins one, and a GET reads how it goes."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from export_all.aws_errors import StorageUnavailable, as_unavailable
from export_all.begin import Invoke, begin
from export_all.formats.registry import FormatUnavailable, refuse_unavailable
from export_all.manifest import UnreadableManifest
from export_all.requests import ExportRequest, export_id_from, new_export_id
from lambda_support.fields import InvalidField
from lambda_support.http import Problem, Reply, Request, invalid_field, reply

if TYPE_CHECKING:
    from export_all.manifests import Manifests

DOWNLOAD_SECONDS: Final = 3600
"""How long a download link is valid; less where the credentials of the function expire before."""


def post_export(request: Request, manifests: Manifests, invoke: Invoke) -> Reply:
    """Answer `POST /promocodes/export_all`.

    Raises:
        Problem: nothing is begun.
    """
    try:
        wanted = ExportRequest.from_fields(request.fields())
        refuse_unavailable(wanted.output_format)
    except InvalidField as error:
        raise invalid_field(error) from error
    except FormatUnavailable as error:
        raise Problem(HTTPStatus.BAD_REQUEST, "format_unavailable", "This format is not set up", str(error)) from error
    now = datetime.now(UTC)
    export_id = new_export_id(now)
    try:
        manifest = begin(wanted, export_id, now, manifests, invoke)
    except StorageUnavailable as error:
        raise _unavailable(error) from error
    status_url = f"{request.origin}/promocodes/exports/{export_id}"
    started = {"export_id": export_id, "status": manifest.status, "status_url": status_url}
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
