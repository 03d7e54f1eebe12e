"""CSV that a spreadsheet may open: RFC 4180, UTF-8, with a header.

A spreadsheet runs a cell that begins with `=`, `+`, `-` or `@` as a formula, and a code may begin so. Such a cell gets an
apostrophe in front, and so does one that begins with an apostrophe: remove one leading apostrophe from a cell, and it is the
raw value again.

Fields that Altcraft sends and does not document are in the last column, `other`, as a JSON object.
"""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Final

from altcraft.export_batch import FIELDS
from export_all.formats.text import Gzip

if TYPE_CHECKING:
    from altcraft.export import Batch

_HEADER: Final = (",".join((*FIELDS, "other")) + "\r\n").encode()
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - spreadsheets take these, too
_RISKY: Final = (*_FORMULA, "'")

# Every first byte of the texts above becomes "=".
_RISKY_AS_EQUALS: Final = bytes(
    ord("=") if byte in {risky.encode()[0] for risky in _RISKY} else byte for byte in range(256)
)


class Csv(Gzip):
    """One code a line."""

    def __init__(self) -> None:
        super().__init__()
        self._header = _HEADER

    def shape(self, batch: Batch) -> bytes:
        """The batch's lines, the header before the first."""
        header, self._header = self._header, b""
        return header + (_plain_lines(batch) or _any_lines(batch))

    def end(self) -> bytes:
        """The last bytes of the file; a header alone, where there was no code."""
        return self.pack(self._header) + super().end()


def _plain_lines(batch: Batch) -> bytes:
    """The lines of a batch in which no cell needs quotes or an apostrophe; `b""` for any other."""
    lines = batch.lines()
    # In JSON every text follows a quote, and what needs quotes in CSV is escaped by a backslash; only the comma is not.
    if not batch.usual or b"\\" in lines or b':"=' in lines.translate(_RISKY_AS_EQUALS):
        return b""
    cells = "".join(
        [
            f"{row.code},,,,,\r\n"
            if row.attached is row.activated is row.expire_date is row.expired is None
            else f"{row.code},{row.attached or ''},{row.activated or ''},{row.expire_date or ''},{row.expired or ''},\r\n"
            for row in batch.records
        ]
    ).encode()
    return cells if cells.count(b",") == len(FIELDS) * len(batch) else b""


def _any_lines(batch: Batch) -> bytes:
    text = io.StringIO(newline="")
    write = csv.writer(text).writerow
    for row, other in zip(batch.records, batch.others, strict=True):
        values = [getattr(row, name) for name in FIELDS]
        write([_cell(value) for value in (*values, other or None)])
    return text.getvalue().encode()


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(_RISKY) else text
