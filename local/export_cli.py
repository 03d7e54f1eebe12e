"""`make export`: export a program from a laptop, with a live progress bar.

| variable | holds | default |
|---|---|---|
| LOYALTY_ID | the program | - |
| FORMAT | jsonl, csv or parquet | jsonl |
| TO | a folder, or s3://bucket/prefix/ | exports/ |
| ALTCRAFT_URL, ALTCRAFT_TOKEN, ALTCRAFT_WIRE | the Altcraft to ask | the one of the running `make local` |
| PORT, or URL | where `make local` runs | 3000 |

An export to S3 leaves there what the function would: the data, the manifest and `latest`. With the Altcraft of `make local`,
S3 is that stack's as well, and TO=s3: is its bucket.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from botocore.session import Session

from altcraft.client import Client, Timeouts
from altcraft.errors import AltcraftError
from altcraft.token import Token
from export_all.exporter import Exporter
from export_all.formats import SUFFIXES, FormatUnavailable, encoder_for
from export_all.orders import Order, new_export_id
from export_all.pipeline import Pipeline
from export_all.storage import StorageError, storage_detail
from local.aws import CREDENTIALS, REGION
from local.emulator.settings import Settings
from local.running import NotRunning, address, find

if TYPE_CHECKING:
    from altcraft.export import Export
    from altcraft.wire import Wire
    from export_all.manifest import Manifest

_LOOK_SECONDS: Final = 0.2
_NO_DEADLINE: Final = float("inf")
_BAR_WIDTH: Final = 30


class Unusable(Exception):
    """A variable is missing or wrong; the message names it and the remedy."""


@dataclass(frozen=True)
class GivenSecret:
    """A token that was typed in, and does not change while we run."""

    token: str = field(repr=False)

    def text(self) -> str:
        """The token."""
        return self.token

    refresh = text


@dataclass(frozen=True)
class Plan:
    """What is to be done."""

    order: Order
    to: str
    client: Client
    stack: Mapping[str, Any] | None
    """The running stack, where its Altcraft is asked."""


def plan(environ: Mapping[str, str]) -> Plan:
    """Read the variables.

    Raises:
        Unusable, InvalidField: one is missing or wrong.
        NotRunning: no Altcraft is named and no stack runs.
    """
    order = Order.from_fields({"loyalty_id": environ.get("LOYALTY_ID"), "output_format": environ.get("FORMAT") or None})
    wires: dict[str, Wire] = {"": "json", "json": "json", "xml": "xml"}
    wire = wires.get(environ.get("ALTCRAFT_WIRE", ""))
    if wire is None:
        raise Unusable("ALTCRAFT_WIRE: must be json or xml")
    url, token, stack = environ.get("ALTCRAFT_URL", ""), environ.get("ALTCRAFT_TOKEN", ""), None
    if not url:
        stack = find(address(environ))
        url = stack["altcraft_url"]
        token = token or min(Settings().tokens)
    if not token:
        raise Unusable(
            "ALTCRAFT_TOKEN: is required for the Altcraft of ALTCRAFT_URL; let the shell read it, not its history"
        )
    client = Client(url, Token(GivenSecret(token)), wire, Timeouts(read=600))
    return Plan(order, environ.get("TO") or "exports/", client, stack)


class Progress:
    """One line that tells how far an export is: drawn over on a terminal, one after the other elsewhere."""

    def __init__(self, export: Export, out: IO[str] = sys.stderr) -> None:
        self._export = export
        self._out = out
        self._began = time.monotonic()

    def show(self, counts: Mapping[str, int]) -> None:
        """Draw the line."""
        seconds = max(time.monotonic() - self._began, 0.001)
        line = (
            f"{self._bar(counts['bytes_in'])}  {counts['codes']:>12,} codes  {counts['bytes_in'] / 1e6:>9,.1f} MB read"
            f"  {counts['bytes_out'] / 1e6:>8,.1f} MB written  {counts['codes'] / seconds / 1e6:.2f} M codes/s"
        )
        self._out.write(f"\r{line}\x1b[K" if self._out.isatty() else f"{line}\n")
        self._out.flush()

    def end(self, counts: Mapping[str, int]) -> None:
        """Draw the line for the last time."""
        self.show(counts)
        if self._out.isatty():
            self._out.write("\n")

    def going(self, _: str, counts: Mapping[str, int]) -> None:
        """Draw the line, for a run into S3."""
        self.show(counts)

    def ended(self, manifest: Manifest) -> None:
        """Draw the line for the last time, for a run into S3."""
        self.end({name: getattr(manifest, name) for name in ("codes", "bytes_in", "bytes_out")})

    def suspected(self, manifest: Manifest) -> None:
        """The result says it."""

    def _bar(self, bytes_in: int) -> str:
        expected = self._export.bytes_expected
        if not expected:  # Altcraft does not say how much there is: something that moves, and no promise
            place = int((time.monotonic() - self._began) * 8) % _BAR_WIDTH
            return f"[{' ' * place}>{' ' * (_BAR_WIDTH - 1 - place)}]"
        done = min(bytes_in / expected, 1.0)
        return f"[{'=' * int(done * _BAR_WIDTH):<{_BAR_WIDTH}}] {done:>4.0%}"


def export_to_folder(chosen: Plan) -> str:
    """Write the file; where it is. It has its name only once it is whole."""
    folder = Path(chosen.to)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{new_export_id(datetime.now(UTC))}.{SUFFIXES[chosen.order.output_format]}"
    half = target.with_name(f".{target.name}.part")
    export = chosen.client.export_all(chosen.order.loyalty_id)
    progress = Progress(export)
    try:
        with half.open("wb") as file:
            pipeline = Pipeline(export, encoder_for(chosen.order.output_format), _Appending(file))
            try:
                while not pipeline.wait(_LOOK_SECONDS):
                    progress.show(pipeline.counts())
            except BaseException:
                pipeline.stop()
                raise
        half.rename(target)
    finally:
        half.unlink(missing_ok=True)
    progress.end(pipeline.counts())
    return f"{target}\nsha256 {pipeline.sha256()}"


class _Appending:
    """A file as a pipeline's destination."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def add(self, part: bytes, /) -> None:
        self._file.write(part)

    add_last = add


def export_to_s3(chosen: Plan) -> str:
    """Export as the function does; where the data is.

    Raises:
        Unusable: TO is no place in S3.
        RuntimeError: the export failed; the message says why.
    """
    bucket, _, prefix = chosen.to.removeprefix("s3:").removeprefix("//").partition("/")
    if chosen.stack is None:
        s3 = Session().create_client("s3")
    else:
        names: Any = {name.lower(): text for name, text in CREDENTIALS.items()}
        s3 = Session().create_client("s3", REGION, endpoint_url=chosen.stack["aws_endpoint_url"], **names)
        bucket = bucket or chosen.stack["export_bucket"]
    if not bucket or (prefix and not prefix.endswith("/")):
        raise Unusable("TO: must be a folder, or s3://bucket/ or s3://bucket/prefix/, with a slash at its end")
    export = chosen.client.export_all(chosen.order.loyalty_id)
    progress = Progress(export)
    exporter = Exporter(s3, bucket, prefix, lambda _: export, beat=1.0, watcher=progress)
    export_id = new_export_id(datetime.now(UTC))
    manifest = exporter.run(chosen.order, export_id, "make export", _NO_DEADLINE)
    if manifest.error is not None:
        raise RuntimeError(str(manifest.error["detail"]))
    return f"s3://{bucket}/{manifest.key}\nsha256 {manifest.sha256}"


def main() -> None:
    """Export, and print where to."""
    logging.disable()  # what the function would log, the progress bar tells
    try:
        chosen = plan(os.environ)
        print(export_to_s3(chosen) if chosen.to.startswith("s3:") else export_to_folder(chosen))
    except KeyboardInterrupt:
        sys.exit("\nStopped; nothing was exported.")
    except StorageError as error:
        sys.exit(f"\n{storage_detail(error)}")
    except (Unusable, NotRunning, FormatUnavailable, AltcraftError, OSError, ValueError, RuntimeError) as error:
        sys.exit(f"\n{error}")


if __name__ == "__main__":
    main()
