"""Parquet: typed columns, compressed by zstd.

The times are timestamps in UTC. A value that is no time, and a field that Altcraft does not document, is in the column `other`,
as a JSON object, so that nothing is lost.
"""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyarrow import parquet

from altcraft.export_batch import FIELDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from altcraft.export import Batch
    from altcraft.export_batch import Record

_TIMESTAMP: Final = pa.timestamp("us", tz="UTC")
_TIME_FIELDS: Final = FIELDS[1:]
_COLUMNS: Final[list[pa.Field[Any]]] = [
    pa.field("code", pa.string(), nullable=False),
    *(pa.field(name, _TIMESTAMP) for name in _TIME_FIELDS),
    pa.field("other", pa.string()),
]
_SCHEMA: Final = pa.schema(_COLUMNS)

ROWS_OF_A_GROUP: Final = 250_000
BYTES_OF_A_GROUP: Final = 32 << 20
"""Large enough for a reader to skip groups by; small enough for the memory of a small function, however long the codes are."""


class Parquet:
    """One code a row."""

    def __init__(self) -> None:
        self._sink = _Sink()
        self._writer = parquet.ParquetWriter(
            pa.PythonFile(self._sink, mode="w"),
            _SCHEMA,
            compression="zstd",
            use_dictionary=False,  # codes are all different, and times nearly so
        )
        self._group: list[pa.RecordBatch] = []
        self._rows = 0
        self._bytes = 0

    def shape(self, batch: Batch) -> pa.RecordBatch:
        """The batch's columns."""
        if batch.usual:
            try:
                return _usual_columns(batch)
            except pa.ArrowInvalid:
                pass  # one of the times is none, or has no zone: each value is read by itself
        return _any_columns(batch)

    def pack(self, shaped: pa.RecordBatch) -> bytes:
        """The next bytes of the file: none, until a row group is full."""
        self._group.append(shaped)
        self._rows += len(shaped)
        self._bytes += shaped.nbytes
        if self._rows >= ROWS_OF_A_GROUP or self._bytes >= BYTES_OF_A_GROUP:
            self._write_group()
        return self._sink.take()

    def end(self) -> bytes:
        """The last bytes of the file."""
        self._write_group()
        self._writer.close()
        return self._sink.take()

    def _write_group(self) -> None:
        if self._group:
            self._writer.write_table(pa.Table.from_batches(self._group), row_group_size=self._rows)
        self._group = []
        self._rows = self._bytes = 0


class _Sink(io.RawIOBase):
    """A file in memory whose bytes are taken out as they are written."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken = b"".join(self._written)
        self._written.clear()
        return taken


def _usual_columns(batch: Batch) -> pa.RecordBatch:
    codes = pa.array([row.code for row in batch.records], pa.string())
    times = [_usual_times(batch, name) for name in _TIME_FIELDS]
    return pa.record_batch([codes, *times, pa.nulls(len(batch), pa.string())], schema=_SCHEMA)


def _usual_times(batch: Batch, name: str) -> pa.Array[Any]:
    if f'"{name}":'.encode() not in batch.lines():
        return pa.nulls(len(batch), _TIMESTAMP)
    return pa.array([getattr(row, name) for row in batch.records], pa.string()).cast(_TIMESTAMP)


def _any_columns(batch: Batch) -> pa.RecordBatch:
    others = [dict(other) for other in batch.others]
    records = batch.records
    times = [pa.array(_times(records, name, others), _TIMESTAMP) for name in _TIME_FIELDS]
    codes = pa.array([row.code for row in records], pa.string())
    texts = [json.dumps(other, ensure_ascii=False) if other else None for other in others]
    return pa.record_batch([codes, *times, pa.array(texts, pa.string())], schema=_SCHEMA)


def _times(records: Sequence[Record], name: str, others: Sequence[dict[str, Any]]) -> list[datetime | None]:
    """One field's times; a value that is none goes to the record's `other` fields."""
    times: list[datetime | None] = []
    for row, other in zip(records, others, strict=True):
        value = getattr(row, name)
        time = _time(value)
        if time is None and value not in (None, ""):
            other[name] = value
        times.append(time)
    return times


def _time(value: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if time and not time.tzinfo else time
