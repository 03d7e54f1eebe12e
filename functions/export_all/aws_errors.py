"""What a call of AWS raises, of S3 and of Lambda alike, and how it is reported to a caller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

AwsError = ClientError | BotoCoreError | ResponseParserError
AWS_ERRORS: Final = (ClientError, BotoCoreError, ResponseParserError)
"""The same, for `except`. The last is for an answer that is not AWS's, such as a proxy's page."""

LOST_RACE: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
"""Codes of a conditional write whose condition does not hold, or that came at the same time as another."""

MISSING: Final = frozenset({"NoSuchKey", "404"})
"""Codes of a read of an object that does not exist."""

_REMEDIES: Final[Mapping[str, str]] = {
    "NoSuchBucket": "the bucket does not exist: EXPORT_BUCKET must name one",
    "AccessDenied": "access to the bucket is denied: the function's role must allow what template.yaml lists",
}


class StorageUnavailable(Exception):
    """An export cannot even be recorded. The message says why, with the remedy."""


class UnreadableAnswer(BotoCoreError):
    """A call was answered as a success, without what S3 sends with every success."""

    fmt = "{operation} was answered with something that is not S3's; is a proxy in between?"


def code_of(error: ClientError) -> str:
    """AWS's name of an error, such as `NoSuchKey`."""
    return error.response["Error"].get("Code", "")


def detail_of(error: AwsError) -> str:
    """What AWS answered, with the remedy where there is one."""
    if isinstance(error, ClientError):
        return _REMEDIES.get(code_of(error), f"{error.operation_name} was answered {code_of(error)}")
    if isinstance(error, UnreadableAnswer):
        return str(error)
    return f"AWS gave no answer ({type(error).__name__})"


@contextmanager
def as_unavailable() -> Iterator[None]:
    """Raise errors of AWS as `StorageUnavailable`, whose message may be shown to a caller."""
    try:
        yield
    except AWS_ERRORS as error:
        raise StorageUnavailable(detail_of(error)) from error
