"""The formats an export can be written in: one row for each, and nothing of a format is said elsewhere.

An encoder works in two steps, which the pipeline runs at the same time: `shape` turns a batch into what is to be written,
`pack` turns that into the file's bytes. Its module and libraries are loaded when an export is written, and not before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, get_args

if TYPE_CHECKING:
    from altcraft.export import Batch

OutputFormat = Literal["jsonl", "csv", "parquet"]
OUTPUT_FORMATS: Final[tuple[OutputFormat, ...]] = get_args(OutputFormat)


class Encoder(Protocol):
    """Writes one file. `shape` and `pack` are called for each batch in turn, `end` once after them."""

    def shape(self, batch: Batch) -> Any:
        """What `pack` takes."""

    def pack(self, shaped: Any) -> bytes:
        """The next bytes of the file, perhaps none."""

    def end(self) -> bytes:
        """The last bytes of the file."""


class FormatUnavailable(Exception):
    """A format needs a library that is not installed here. The message says how to install it."""


class Format(NamedTuple):
    """What there is to know of a format."""

    suffix: str
    """What the name of a data object ends in."""
    folder: str
    """Under `promocodes/`, so that a table of one format reads no other's objects."""
    media_type: str
    encoder: Callable[[], Encoder]
    library: str = ""
    """A module that is in an operator's own layer, where it is there at all."""
    remedy: str = ""
    """What to do where it is not."""


def _jsonl() -> Encoder:
    from export_all.formats.text import JsonLines

    return JsonLines()


def _csv() -> Encoder:
    from export_all.formats.csv import Csv

    return Csv()


def _parquet() -> Encoder:
    from export_all.formats.parquet import Parquet

    return Parquet()


FORMATS: Final[Mapping[OutputFormat, Format]] = {
    "jsonl": Format("jsonl.gz", "", "application/gzip", _jsonl),
    "csv": Format("csv.gz", "csv/", "application/gzip", _csv),
    "parquet": Format(
        "parquet",
        "parquet/",
        "application/vnd.apache.parquet",
        _parquet,
        library="pyarrow",
        remedy="parquet needs pyarrow, which is not in the layer: "
        "give the stack a layer that holds it by the parameter ParquetLayerArn, or ask for jsonl or csv",
    ),
}


def refuse_unavailable(output_format: OutputFormat) -> None:
    """Refuse a format before anything is begun.

    Raises:
        FormatUnavailable: its library is not installed.
    """
    wanted = FORMATS[output_format]
    if wanted.library and find_spec(wanted.library) is None:
        raise FormatUnavailable(f"output_format: {wanted.remedy}")


def encoder_for(output_format: OutputFormat) -> Encoder:
    """A new encoder.

    Raises:
        FormatUnavailable: its library is not installed.
    """
    refuse_unavailable(output_format)
    return FORMATS[output_format].encoder()
