"""The formats an export can be written in.

An encoder works in two steps, which the pipeline runs side by side: `shape` makes of a batch what is to be written, `pack`
makes the file's bytes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Protocol

from isal import isal_zlib

if TYPE_CHECKING:
    from altcraft.export import Batch
    from export_all.orders import OutputFormat

GZIP_LEVEL: Final = 1
"""isal's: 13 times faster than zlib's level 6, for 6 % more bytes."""

_GZIP: Final = 31
"""zlib's `wbits` for a gzip file with the largest window."""


class Encoder(Protocol):
    """Writes one file. `shape` and `pack` are called for each batch in turn, `end` once after them."""

    def shape(self, batch: Batch) -> Any:
        """What `pack` takes."""

    def pack(self, shaped: Any) -> bytes:
        """The next bytes of the file, perhaps none."""

    def end(self) -> bytes:
        """The last bytes of the file."""


class Gzip:
    """The second step of the text formats. The file holds no name and no time, so that the same rows give the same bytes."""

    def __init__(self) -> None:
        self._compressor = isal_zlib.compressobj(GZIP_LEVEL, wbits=_GZIP)

    def pack(self, shaped: bytes) -> bytes:
        """The next bytes of the file, perhaps none."""
        packed: bytes = self._compressor.compress(shaped)
        return packed

    def end(self) -> bytes:
        """The last bytes of the file."""
        packed: bytes = self._compressor.flush()
        return packed


class JsonLines(Gzip):
    """One JSON object a line, as Altcraft gave it."""

    def shape(self, batch: Batch) -> bytes:
        """The batch's lines."""
        return batch.lines()


class FormatUnavailable(Exception):
    """A format needs a library that is not installed here. The message says how it gets here."""


SUFFIXES: Final[Mapping[OutputFormat, str]] = {"jsonl": "jsonl.gz", "csv": "csv.gz", "parquet": "parquet"}
"""What the name of a data object ends in."""


def refuse_unavailable(output_format: OutputFormat) -> None:
    """Refuse a format before anything is begun.

    Raises:
        FormatUnavailable: its library is not installed.
    """
    if output_format == "parquet" and find_spec("pyarrow") is None:
        raise FormatUnavailable(
            "output_format: parquet needs pyarrow, which is not in the layer: "
            "give the stack a layer that holds it by the parameter ParquetLayerArn, or ask for jsonl or csv"
        )


def encoder_for(output_format: OutputFormat) -> Encoder:
    """A new encoder.

    Raises:
        FormatUnavailable: its library is not installed.
    """
    refuse_unavailable(output_format)
    if output_format == "jsonl":
        return JsonLines()
    if output_format == "csv":
        from export_all.csv_format import Csv

        return Csv()
    from export_all.parquet_format import Parquet

    return Parquet()
