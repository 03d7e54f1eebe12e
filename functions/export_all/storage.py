"""What S3, and Lambda beside it, answer when they do not do what they were asked, and what can be done about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

StorageError = (ClientError, BotoCoreError, ResponseParserError)
"""What a call of AWS raises; the last where it is answered with something that is not AWS's, such as a proxy's page."""

LOST_RACE: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
"""A conditional write whose condition does not hold, or that came at the same time as another."""

MISSING: Final = frozenset({"NoSuchKey", "404"})

_REMEDIES: Final[Mapping[str, str]] = {
    "NoSuchBucket": "the bucket does not exist: EXPORT_BUCKET must name one",
    "AccessDenied": "access to the bucket is denied: the function's role must allow what template.yaml lists",
}


class StorageUnavailable(Exception):
    """An export cannot even be recorded. The message says why, with the remedy."""


class UnreadableAnswer(BotoCoreError):
    """A call was answered as if it had succeeded, and what S3 always says of a success is not in the answer."""

    fmt = "{operation} was answered with something that is not S3's; is a proxy in between?"


def code_of(error: ClientError) -> str:
    """AWS's name of an error, such as `NoSuchKey`."""
    return error.response["Error"].get("Code", "")


def storage_detail(error: ClientError | BotoCoreError | ResponseParserError) -> str:
    """What AWS said, with the remedy where there is one."""
    if isinstance(error, ClientError):
        return _REMEDIES.get(code_of(error), f"{error.operation_name} was answered {code_of(error)}")
    if isinstance(error, UnreadableAnswer):
        return str(error)
    return f"AWS gave no answer ({type(error).__name__})"
