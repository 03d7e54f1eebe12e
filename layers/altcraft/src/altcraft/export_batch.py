"""The output of the stream decoders of `export_all`: batches of complete records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

import msgspec

from altcraft.errors import IncoherentReply

LONGEST_PIECE: Final = 8 << 20
"""Bytes that one record may have, with the white space around it: a longer one is not Altcraft's."""

LONGEST_ENVELOPE: Final = 1 << 20
"""Bytes that a reply may have before, between and after its records, white space included."""

SHORTEST_TIMESTAMP: Final = 6
"""Characters that a timestamp has at least: shorter texts, such as `""` and `"false"`, may mean that it is not set."""

Timestamp = Annotated[str, msgspec.Meta(min_length=SHORTEST_TIMESTAMP)]


class Record(msgspec.Struct, gc=False, omit_defaults=True):
    """One code of a program. Its timestamps are RFC 3339; None where Altcraft gave none.

    Only records of the usual shape are decoded straight into this.
    """

    code: str
    attached: Timestamp | None = None
    activated: Timestamp | None = None
    expire_date: Timestamp | None = None
    expired: Timestamp | None = None


FIELDS: Final = Record.__struct_fields__
_decode_lines = msgspec.json.Decoder(Record).decode_lines
_TIMESTAMPS: Final = FIELDS[1:]
_COUNTED: Final = ("attached", "activated", "expired")


class Batch:
    """Successive complete records, in Altcraft's order. `len` is the number of codes; iterating gives each record as a dict.

    Args:
        lines: the records as JSON Lines, with all fields that Altcraft gave.
        codes: the number of records.
        counts: how many are attached, activated, expired.
        records: the same records, if they are decoded already.
        rows: the same records as dicts, if not all of them have the usual shape: only documented fields, and every timestamp
            a text or None. Each has a text `code`.
    """

    __slots__ = ("_codes", "_lines", "_records", "_rows", "activated", "attached", "expired")

    def __init__(
        self,
        lines: bytes,
        codes: int,
        counts: tuple[int, int, int],
        *,
        records: Sequence[Record] = (),
        rows: Sequence[dict[str, Any]] = (),
    ) -> None:
        self._lines = lines
        self._codes = codes
        self._records = records
        self._rows = rows
        self.attached, self.activated, self.expired = counts

    def __len__(self) -> int:
        return self._codes

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(json.loads, self._lines.splitlines())

    def lines(self) -> bytes:
        """The records as JSON Lines, including the last line's end."""
        return self._lines

    @property
    def usual(self) -> bool:
        """Whether all records have the usual shape."""
        return not self._rows

    @property
    def records(self) -> Sequence[Record]:
        """The documented fields of the records; a timestamp holds whatever Altcraft gave."""
        if not self.usual:
            return [Record(row["code"], *map(row.get, _TIMESTAMPS)) for row in self._rows]
        if not self._records:
            self._records = _decode_lines(self._lines)
        return self._records

    @property
    def others(self) -> Sequence[dict[str, Any]]:
        """The undocumented fields of each record."""
        if self.usual:
            return [{}] * len(self)
        return [{name: value for name, value in row.items() if name not in FIELDS} for row in self._rows]


def usual_batch_of(lines: bytes, codes: int, records: Sequence[Record] = ()) -> Batch:
    """Make a batch of records of the usual shape."""
    # A quote inside a text is written with a backslash, so these are keys, and their timestamps are set.
    counts = lines.count(b'"attached":"'), lines.count(b'"activated":"'), lines.count(b'"expired":"')
    return Batch(lines, codes, counts, records=records)


def batch_of(lines: bytes, rows: Sequence[dict[str, Any]]) -> Batch:
    """Make a batch of records of any shape; each has a text `code`."""
    attached, activated, expired = (sum([is_set(row.get(name)) for row in rows]) for name in _COUNTED)
    return Batch(lines, len(rows), (attached, activated, expired), rows=rows)


def check_record(piece: bytes) -> None:
    """Bound the memory that an unfinished record can take.

    Raises:
        IncoherentReply: it is longer than a record can be.
    """
    if len(piece) > LONGEST_PIECE:
        raise IncoherentReply(f"Altcraft's export holds {LONGEST_PIECE} bytes in which no record ends")


def check_envelope(envelope: bytes | bytearray) -> None:
    """Bound the memory that the text around the records can take.

    Raises:
        IncoherentReply: it is longer than an envelope can be.
    """
    if len(envelope) > LONGEST_ENVELOPE:
        raise IncoherentReply(f"Altcraft's export holds more than {LONGEST_ENVELOPE} bytes that are not records")


def is_set(timestamp: object) -> bool:
    """Whether a timestamp is set: not null, `""` or false, nor the `false` of XML, where every value is text."""
    return bool(timestamp) and timestamp != "false"
