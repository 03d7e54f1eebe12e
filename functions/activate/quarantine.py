"""Where authentic deliveries go that cannot be read, and samples of those that say nothing to us: for a person to look at."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_s3 import S3Client


class Unkept(Exception):
    """The delivery could not be kept."""


class Quarantine:
    """Keeps bodies under `{prefix}quarantine/{source}/{day}/`, each once however often it is delivered.

    A body may hold personal data: the bucket's lifecycle ends it after `QuarantineDays`, a parameter of the template.
    """

    def __init__(self, s3: Callable[[], S3Client], bucket: str, prefix: str) -> None:
        """`s3` is asked for a client when one is first needed, which is hardly ever."""
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
        """Keep a body; the object's key. `reason` becomes metadata; `secrets` are blotted out of the body.

        `name`: of the object below the source, in the place of the day and the body's hash. The next of this name replaces it.

        Raises:
            Unkept: S3 did not take it.
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
            raise Unkept(f"S3 did not take {key}: {type(error).__name__}: {error}") from error
        return key
