"""What S3, and Lambda beside it, answer when they do not do what they were asked, and what can be done about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

StorageError = (ClientError, BotoCoreError)
"""What a call of AWS raises."""

LOST_RACE: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
"""A conditional write whose condition does not hold, or that came at the same time as another."""

_REMEDIES: Final[Mapping[str, str]] = {
    "NoSuchBucket": "the bucket does not exist: EXPORT_BUCKET must name one",
    "AccessDenied": "access to the bucket is denied: the function's role must allow what template.yaml lists",
}


class StorageUnavailable(Exception):
    """An export cannot even be recorded. The message says why, with the remedy."""


def code_of(error: ClientError) -> str:
    """AWS's name of an error, such as `NoSuchKey`."""
    return error.response["Error"].get("Code", "")


def storage_detail(error: ClientError | BotoCoreError) -> str:
    """What AWS said, with the remedy where there is one."""
    if not isinstance(error, ClientError):
        return f"AWS gave no answer ({type(error).__name__})"
    return _REMEDIES.get(code_of(error), f"{error.operation_name} was answered {code_of(error)}")
