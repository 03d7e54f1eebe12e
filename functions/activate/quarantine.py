"""Storage in S3, for a person to inspect: authentic deliveries that cannot be read, and samples of those without a result."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_s3 import S3Client


class NotStored(Exception):
    """The delivery could not be stored."""


class Quarantine:
    """Keeps bodies under `{prefix}quarantine/{source}/{day}/`, each once however often it is delivered.

    A body may hold personal data: the bucket's lifecycle deletes it after `QuarantineDays`, a parameter of the template.
    """

    def __init__(self, s3: Callable[[], S3Client], bucket: str, prefix: str) -> None:
        """`s3` makes a client when one is first needed, which is rare: making one takes time."""
        self._s3 = s3
        self._bucket = bucket
        self._prefix = prefix

    def keep(
        self,
        source: str,
        body: bytes,
        media_type: str,
        reason: str,
        now: datetime,
        secrets: Collection[bytes] = (),
        name: str = "",
    ) -> str:
        """Store a body and return the object's key. `reason` becomes metadata; `secrets` are redacted from the body.

        `name`: of the object below the source, instead of the day and the body's hash. A later body of this name replaces it.

        Raises:
            NotStored: S3 did not store it.
        """
        for secret in secrets:
            for written in (secret, quote_plus(secret).encode()):
                body = body.replace(written, b"***")
        name = name or f"{now:%Y-%m-%d}/{hashlib.sha256(body).hexdigest()[:32]}"
        key = f"{self._prefix}quarantine/{source}/{name}"
        try:
            self._s3().put_object(
                Bucket=self._bucket,
                Key=key,
                Body=body,
                ContentType=media_type
                if media_type and media_type.isascii() and media_type.isprintable()
                else "application/octet-stream",
                Metadata={"reason": reason.encode("ascii", "replace").decode()},
            )
        except (ClientError, BotoCoreError) as error:
            raise NotStored(f"S3 did not store {key}: {type(error).__name__}: {error}") from error
        return key
