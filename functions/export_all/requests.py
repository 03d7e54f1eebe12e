"""Which exports are requested, and under which ids. A fault in a request is refused by the field's name and the remedy."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from export_all.formats.registry import OUTPUT_FORMATS, OutputFormat
from lambda_support.fields import InvalidField, loyalty_id, refuse_unknown

_MAX_PROGRAMS: Final = 100
"""Programs of one schedule event. Each is a run of its own, and the invocation that begins them has a deadline too."""

_EXPORT_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

LONGEST_KEY: Final = 64
"""Characters of an idempotency key; a UUID has 36."""

_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
"""A string of a structured header. Source: RFC 9651, "Parsing a String"."""


@dataclass(frozen=True)
class ExportRequest:
    """A request to export one program."""

    loyalty_id: int
    output_format: OutputFormat = "jsonl"
    accept_fewer: bool = False
    """`latest` is to move to it even if it has no codes, or far fewer than the newest good export."""

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any], *, besides: Collection[str] = ()) -> ExportRequest:
        """Read `{"loyalty_id", "output_format"?, "accept_fewer"?}`; a number or a boolean may be text, as it is in XML.

        Args:
            fields: what was sent.
            besides: further fields that are allowed, and read elsewhere.

        Raises:
            InvalidField: names the field that is missing, wrong or unknown.
        """
        refuse_unknown(fields, {"loyalty_id", "output_format", "accept_fewer", *besides})
        return cls(
            loyalty_id("loyalty_id", fields.get("loyalty_id")),
            _output_format(fields.get("output_format")),
            _accept_fewer(fields.get("accept_fewer")),
        )


def requests_from_schedule(event: Mapping[str, Any]) -> list[ExportRequest]:
    """Read `{"loyalty_ids": [...], "output_format"?, "accept_fewer"?, "scheduled_at"?}`: one request a program, none twice.

    Raises:
        InvalidField: as for one request; nothing is exported then.
    """
    refuse_unknown(event, {"loyalty_ids", "output_format", "accept_fewer", "scheduled_at"})
    loyalty_ids = event.get("loyalty_ids")
    if not isinstance(loyalty_ids, list) or not 1 <= len(loyalty_ids) <= _MAX_PROGRAMS:
        raise InvalidField("loyalty_ids", f"must be a list of 1 to {_MAX_PROGRAMS} program ids, such as [5, 6]")
    output_format = _output_format(event.get("output_format"))
    accept_fewer = _accept_fewer(event.get("accept_fewer"))
    numbers = (loyalty_id(f"loyalty_ids[{index}]", value) for index, value in enumerate(loyalty_ids))
    return [ExportRequest(number, output_format, accept_fewer) for number in dict.fromkeys(numbers)]


def new_export_id(now: datetime) -> str:
    """An id that sorts by time and cannot be guessed."""
    return f"{_stamp(now)}-{secrets.token_hex(10)}"


def repeatable_export_id(moment: datetime, *source: object) -> str:
    """An id that is the same for the same moment and source, so that a repeated request is the same export."""
    digest = hashlib.sha256(repr(source).encode()).hexdigest()
    return f"{_stamp(moment)}-{digest[:20]}"


def export_id_from(value: object) -> str:
    """An export id that is safe in a key of S3.

    Raises:
        InvalidField: it is something else.
    """
    if not isinstance(value, str) or not _EXPORT_ID.fullmatch(value):
        raise InvalidField("export_id", "must be an id that POST /promocodes/export_all has answered")
    return value


def idempotency_key_from(header: str) -> str:
    """Read the header `Idempotency-Key`: a key that is quoted, as the IETF's draft has it, or bare, as most clients send it.

    Source: draft-ietf-httpapi-idempotency-key-header, "Syntax".

    Raises:
        InvalidField: it is no key.
    """
    key = header.strip(" \t")
    if key.startswith('"'):
        quoted = _QUOTED.fullmatch(key)
        key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else ""
    if not 1 <= len(key) <= LONGEST_KEY or not (key.isascii() and key.isprintable()):
        raise InvalidField(
            "Idempotency-Key",
            f"must be 1 to {LONGEST_KEY} printable ASCII characters, such as a UUID, with or without quotes around them",
        )
    return key


def moment_from(field: str, value: object) -> datetime:
    """An RFC 3339 moment.

    Raises:
        InvalidField: it is something else.
    """
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None:
        raise InvalidField(field, 'must be a moment such as "2026-11-22T03:00:00Z"')
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _output_format(value: object) -> OutputFormat:
    if value is None:
        return "jsonl"
    for known in OUTPUT_FORMATS:
        if value == known:
            return known
    raise InvalidField("output_format", f"must be one of {', '.join(OUTPUT_FORMATS)}")


def _accept_fewer(value: object) -> bool:
    if value is None:
        return False
    for known, text in ((True, "true"), (False, "false")):
        if value is known or value == text:
            return known
    raise InvalidField("accept_fewer", "must be true or false")
