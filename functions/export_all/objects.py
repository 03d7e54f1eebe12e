"""Small objects in S3, such as manifests, written under conditions only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from export_all.aws_errors import LOST_RACE, MISSING, code_of


def find(s3: Any, bucket: str, key: str) -> Mapping[str, Any] | None:
    """S3's answer to `get_object`; None where there is no such object.

    Raises:
        AWS_ERRORS: S3 does not say.
    """
    try:
        found: Mapping[str, Any] = s3.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if code_of(error) in MISSING:
            return None
        raise
    return found


def write(
    s3: Any, bucket: str, key: str, members: Mapping[str, object], metadata: Mapping[str, str], **condition: str
) -> str:
    """Write a JSON object under a condition of S3's.

    Returns:
        The new ETag; `""` where the condition does not hold, or S3's answer does not say: then look what is there.

    Raises:
        AWS_ERRORS: S3 refuses, or does not answer.
    """
    try:
        written = s3.put_object(
            Bucket=bucket,
            Key=key,
            Body=json.dumps(members, ensure_ascii=False).encode(),
            ContentType="application/json",
            CacheControl="no-store",
            Metadata=metadata,
            **condition,
        )
    except ClientError as error:
        # S3 answers NoSuchKey where the object to be matched is gone.
        if code_of(error) in LOST_RACE | MISSING:
            return ""
        raise
    etag: str = written.get("ETag", "")
    return etag
