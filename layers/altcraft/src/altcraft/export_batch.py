"""What the stream decoders of `export_all` hand on: runs of whole records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

import msgspec

from altcraft.errors import IncoherentReply

LONGEST_PIECE: Final = 8 << 20
"""Bytes that one record may have, with the white space around it: a reply above this is not Altcraft's."""

LONGEST_ENVELOPE: Final = 1 << 20
"""Bytes that a reply may have before its records, beside them and after them, white space included."""

SHORTEST_MARK: Final = 6
"""Characters that a mark (a time) has at least: shorter texts, such as `""` and `"false"`, may mean that it is not set."""

Mark = Annotated[str, msgspec.Meta(min_length=SHORTEST_MARK)]


class Record(msgspec.Struct, gc=False, omit_defaults=True):
    """One code of a program. Its marks are times, RFC 3339; None where Altcraft gave none.

    Only records in their usual shape are decoded straight into this; for any other, `of` takes whatever a mark holds.
    """

    code: str
    attached: Mark | None = None
    activated: Mark | None = None
    expire_date: Mark | None = None
    expired: Mark | None = None


FIELDS: Final = Record.__struct_fields__
_decode_lines = msgspec.json.Decoder(Record).decode_lines
_MARKS: Final = FIELDS[1:]
_COUNTED: Final = ("attached", "activated", "expired")


class Batch:
    """A run of whole records, in Altcraft's order. `len` is the number of codes; iterating gives each record as a dict.

    Args:
        lines: the records as JSON Lines, each with all that Altcraft gave it.
        codes: how many they are.
        marked: how many are attached, activated, expired.
        records: the same records, where they are decoded already.
        rows: the same records as dicts, where not all of them have their usual shape: no field beside the documented ones,
            and every mark a time or None. Each has a text `code`.
    """

    __slots__ = ("_codes", "_lines", "_records", "_rows", "activated", "attached", "expired")

    def __init__(
        self,
        lines: bytes,
        codes: int,
        marked: tuple[int, int, int],
        *,
        records: Sequence[Record] = (),
        rows: Sequence[dict[str, Any]] = (),
    ) -> None:
        self._lines = lines
        self._codes = codes
        self._records = records
        self._rows = rows
        self.attached, self.activated, self.expired = marked

    def __len__(self) -> int:
        return self._codes

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(json.loads, self._lines.splitlines())

    def lines(self) -> bytes:
        """The records as JSON Lines, the last line ended too."""
        return self._lines

    @property
    def usual(self) -> bool:
        """Whether all records have their usual shape."""
        return not self._rows

    @property
    def records(self) -> Sequence[Record]:
        """The records by their documented fields; a mark holds whatever Altcraft gave."""
        if not self.usual:
            return [Record(row["code"], *map(row.get, _MARKS)) for row in self._rows]
        return self._records or _decode_lines(self._lines)

    @property
    def others(self) -> Sequence[dict[str, Any]]:
        """For each record, its fields that are not documented."""
        if self.usual:
            return [{}] * len(self)
        return [{name: value for name, value in row.items() if name not in FIELDS} for row in self._rows]


def usual_batch_of(lines: bytes, codes: int, records: Sequence[Record] = ()) -> Batch:
    """A batch of records in their usual shape."""
    # A quote inside a text is written with a backslash, so these are keys, and their marks are set.
    marked = lines.count(b'"attached":"'), lines.count(b'"activated":"'), lines.count(b'"expired":"')
    return Batch(lines, codes, marked, records=records)


def batch_of(lines: bytes, rows: Sequence[dict[str, Any]]) -> Batch:
    """A batch of records in any shape; each has a text `code`."""
    attached, activated, expired = (sum([is_set(row.get(name)) for row in rows]) for name in _COUNTED)
    return Batch(lines, len(rows), (attached, activated, expired), rows=rows)


def check_record(piece: bytes) -> None:
    """Refuse what would fill the memory.

    Raises:
        IncoherentReply: this is longer than a record can be.
    """
    if len(piece) > LONGEST_PIECE:
        raise IncoherentReply(f"Altcraft's export holds {LONGEST_PIECE} bytes in which no record ends")


def check_envelope(envelope: bytes | bytearray) -> None:
    """Refuse what would fill the memory.

    Raises:
        IncoherentReply: this is longer than what stands around the records can be.
    """
    if len(envelope) > LONGEST_ENVELOPE:
        raise IncoherentReply(f"Altcraft's export holds more than {LONGEST_ENVELOPE} bytes that are no records")


def is_set(mark: object) -> bool:
    """Whether a mark says so. null, `""` and false do not, nor does the `false` of XML, where every value is text."""
    return bool(mark) and mark != "false"
