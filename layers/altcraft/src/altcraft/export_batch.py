"""What the stream decoders of `export_all` hand on: runs of whole records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

import msgspec

from altcraft.errors import IncoherentReply

LONGEST_PIECE: Final = 8 << 20
"""Bytes that one record, or the envelope around the records, may have: a reply above this is not Altcraft's."""

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
_MARKS: Final = FIELDS[1:]


class Batch:
    """A run of whole records, in Altcraft's order. `len` is the number of codes; iterating gives each record as a dict.

    Args:
        lines: the records as JSON Lines, each with all that Altcraft gave it.
        records: the same records by their documented fields.
        others: for each record, its fields that are not documented. None where all records have their usual shape: no such
            field, and every mark is a time or None.
        marked: how many are attached, activated, expired.
    """

    __slots__ = ("_lines", "activated", "attached", "expired", "others", "records")

    def __init__(
        self,
        lines: bytes,
        records: Sequence[Record],
        others: Sequence[dict[str, Any]] | None,
        marked: tuple[int, int, int],
    ) -> None:
        self._lines = lines
        self.records = records
        self.others = others
        self.attached, self.activated, self.expired = marked

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(json.loads, self._lines.splitlines())

    def lines(self) -> bytes:
        """The records as JSON Lines, the last line ended too."""
        return self._lines


def batch_of(lines: Sequence[bytes], rows: Sequence[dict[str, Any]]) -> Batch:
    """A batch of records in any shape; each has a text `code`."""
    records = [Record(row["code"], *map(row.get, _MARKS)) for row in rows]
    others = [{name: value for name, value in row.items() if name not in FIELDS} for row in rows]
    marked = (
        sum(is_set(record.attached) for record in records),
        sum(is_set(record.activated) for record in records),
        sum(is_set(record.expired) for record in records),
    )
    return Batch(b"\n".join((*lines, b"")), records, others, marked)


def check_length(piece: bytes) -> None:
    """Refuse what would fill the memory.

    Raises:
        IncoherentReply: this is longer than a record or an envelope can be.
    """
    if len(piece) > LONGEST_PIECE:
        raise IncoherentReply(f"Altcraft's export holds {LONGEST_PIECE} bytes in which no record ends")


def is_set(mark: object) -> bool:
    """Whether a mark says so. null, `""` and false do not, nor does the `false` of XML, where every value is text."""
    return bool(mark) and mark != "false"
