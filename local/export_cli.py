"""`make export`: export a program from a laptop, with a live progress bar.

| variable | holds | default |
|---|---|---|
| LOYALTY_ID | the program | - |
| FORMAT | jsonl, csv or parquet | jsonl |
| TO | a folder, or s3://bucket/prefix/ | exports/ |
| ACCEPT_FEWER | true: to S3, `latest` moves to it even if it has far fewer codes than before | false |
| LATEST_MINIMUM_PERCENT | to S3, what is far fewer, as the stack's parameter LatestMinimumPercent has it | 50 |
| ALTCRAFT_URL, ALTCRAFT_TOKEN, ALTCRAFT_WIRE | the Altcraft to ask | the one of the running `make local` |
| PORT, or URL | where `make local` runs | 3000 |

An export to S3 leaves there what the function would: the data, the manifest and `latest`. With the Altcraft of `make local`,
S3 is that stack's as well, and TO=s3: is its bucket.

Ctrl-C and SIGTERM end it in order, and a second one at once. Where it was killed, the next export into the same folder removes
what was left, and to S3 its manifest reads as failed 15 minutes after its last sign of life.
"""

from __future__ import annotations

# Before what takes time to import, so that Ctrl-C is one line at any moment.
# isort: off
from local import interruption

if __name__ == "__main__":
    interruption.leave_at_once()
# isort: on

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from botocore.config import Config
from botocore.session import Session

from altcraft.client import Client, Timeouts
from altcraft.errors import AltcraftError
from altcraft.token import Token
from export_all.aws_errors import AWS_ERRORS, StorageUnavailable, detail_of
from export_all.exporter import Exporter
from export_all.failures import EndedByHand
from export_all.formats.registry import FORMATS, FormatUnavailable, encoder_for
from export_all.latest import LATEST_MINIMUM_PERCENT
from export_all.manifest_store import Unsettled
from export_all.pipeline import Pipeline
from export_all.requests import ExportRequest, new_export_id
from local import streams
from local.bar import bar, moving
from local.emulator.settings import Settings
from local.engine import CREDENTIALS, REGION
from local.part_file import whole_file
from local.running import NotRunning, address, find

if TYPE_CHECKING:
    from altcraft.export import Export
    from altcraft.wire import Wire
    from export_all.manifest import Manifest

_LOOK_SECONDS: Final = 0.2
_NO_DEADLINE: Final = float("inf")
_PATIENCE: Final = Config(connect_timeout=10, retries={"mode": "standard", "max_attempts": 3})
"""Somebody waits in front of it, and sees nothing while S3 does not answer."""


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

    request: ExportRequest
    to: str
    least_percent: int
    client: Client
    stack: Mapping[str, Any] | None
    """The running stack, where its Altcraft is asked."""


def plan(environ: Mapping[str, str]) -> Plan:
    """Read the variables.

    Raises:
        Unusable, InvalidField: one is missing or wrong.
        NotRunning: no Altcraft is named and no stack runs.
    """
    request = ExportRequest.from_fields(
        {
            "loyalty_id": environ.get("LOYALTY_ID"),
            "output_format": environ.get("FORMAT") or None,
            "accept_fewer": environ.get("ACCEPT_FEWER") or None,
        }
    )
    to = environ.get("TO") or "exports/"
    percent = environ.get("LATEST_MINIMUM_PERCENT") or str(LATEST_MINIMUM_PERCENT)
    if not (percent.isascii() and percent.isdigit() and 1 <= int(percent[:4]) <= 100):
        raise Unusable("LATEST_MINIMUM_PERCENT: must be a whole number from 1 to 100")
    if request.accept_fewer and not to.startswith("s3:"):
        raise Unusable("ACCEPT_FEWER: is for TO=s3://..., where there is a `latest` to move")
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
    return Plan(request, to, int(percent), client, stack)


class Progress:
    """One line that tells how far an export is: drawn over on a terminal, one after the other elsewhere."""

    def __init__(self, export: Export, out: IO[str] | None = None) -> None:
        self._export = export
        self._out = out or sys.stderr
        self._began = time.monotonic()

    def show(self, counts: Mapping[str, int]) -> None:
        """Draw the line."""
        seconds = max(time.monotonic() - self._began, 0.001)
        line = (
            f"{self._bar(counts['bytes_in'])}  {counts['codes']:>12,} codes  {counts['bytes_in'] / 1e6:>9,.1f} MB read"
            f"  {counts['bytes_out'] / 1e6:>8,.1f} MB written  {counts['codes'] / seconds:>11,.0f} codes/s"
        )
        self._draw(f"\r{line}\x1b[K" if self._redraws() else f"{line}\n")

    def end(self, counts: Mapping[str, int]) -> None:
        """Draw the line for the last time."""
        self.show(counts)
        if self._redraws():
            self._draw("\n")

    def _redraws(self) -> bool:
        return self._out is not None and self._out.isatty()

    def _draw(self, text: str) -> None:
        if not streams.write(self._out, text):
            self._out = None  # nobody looks any more, which is no reason to end

    def progressed(self, _: str, counts: Mapping[str, int]) -> None:
        """Draw the line, for a run into S3."""
        self.show(counts)

    def ended(self, manifest: Manifest) -> None:
        """Draw the line for the last time, for a run into S3."""
        self.end({name: getattr(manifest, name) for name in ("codes", "bytes_in", "bytes_out")})

    def suspected(self, manifest: Manifest) -> None:
        """The result says it."""

    def _bar(self, bytes_in: int) -> str:
        expected = self._export.bytes_expected
        return bar(bytes_in / expected) if expected else moving(time.monotonic() - self._began)


def export_to_folder(chosen: Plan, interrupt: Callable[[], None]) -> str:
    """Write the file; where it is. It has its name only once it is whole.

    Args:
        interrupt: called several times a second; what it raises ends the export.
    """
    target = Path(chosen.to) / f"{new_export_id(datetime.now(UTC))}.{FORMATS[chosen.request.output_format].suffix}"
    export = chosen.client.export_all(chosen.request.loyalty_id)
    progress = Progress(export)
    with whole_file(target) as file:
        pipeline = Pipeline(export, encoder_for(chosen.request.output_format), _Appending(file))
        try:
            while not pipeline.wait(_LOOK_SECONDS):
                interrupt()
                progress.show(pipeline.counts())
            progress.end(pipeline.counts())
        except BaseException:
            pipeline.stop()
            raise
    return f"{target}\nsha256 {pipeline.sha256()}"


class _Appending:
    """A file as a pipeline's destination."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def add(self, part: bytes, /) -> None:
        self._file.write(part)

    add_last = add


def export_to_s3(chosen: Plan, interrupt: Callable[[], None]) -> str:
    """Export as the function does; where the data is.

    Args:
        interrupt: called several times a second; what it raises ends the export.

    Raises:
        Unusable: TO is no place in S3.
        RuntimeError: the export failed; the message says why.
    """
    bucket, _, prefix = chosen.to.removeprefix("s3:").removeprefix("//").partition("/")
    if chosen.stack is None:
        s3 = Session().create_client("s3", config=_PATIENCE)
    else:
        names: Any = {name.lower(): text for name, text in CREDENTIALS.items()}
        s3 = Session().create_client(
            "s3", REGION, endpoint_url=chosen.stack["aws_endpoint_url"], config=_PATIENCE, **names
        )
        bucket = bucket or chosen.stack["export_bucket"]
    if not bucket or (prefix and not prefix.endswith("/")):
        raise Unusable("TO: must be a folder, or s3://bucket/ or s3://bucket/prefix/, with a slash at its end")
    export = chosen.client.export_all(chosen.request.loyalty_id)
    progress = Progress(export)
    exporter = Exporter(
        s3,
        bucket,
        prefix,
        lambda _: export,
        progress_seconds=1.0,
        watcher=progress,
        least_percent=chosen.least_percent,
        interrupt=interrupt,
    )
    export_id = new_export_id(datetime.now(UTC))
    manifest = exporter.run(chosen.request, export_id, "make export", _NO_DEADLINE)
    if manifest.error is not None:
        interrupt()  # where that is what ended it
        raise RuntimeError(str(manifest.error["detail"]))
    suspect = (
        f"\nsuspect: {manifest.codes} codes are none, or far fewer than the newest good export has. It is kept, and latest "
        "stays where it was; ACCEPT_FEWER=true would move it."
    )
    return f"s3://{bucket}/{manifest.key}\nsha256 {manifest.sha256}{suspect if manifest.withheld else ''}"


def main() -> None:
    """Export, and print where to."""
    streams.keep_numbers()
    logging.disable()  # what the function would log, the progress bar tells
    status = 1
    try:
        chosen = plan(os.environ)
        to_s3 = chosen.to.startswith("s3:")
        with interruption.in_order() as stopped:

            def interrupt() -> None:
                if stopped():
                    raise EndedByHand

            try:
                result = export_to_s3(chosen, interrupt) if to_s3 else export_to_folder(chosen, interrupt)
            except EndedByHand:
                status, reason = stopped(), interruption.STOPPED
            else:
                streams.say(result)
                return
    except AWS_ERRORS as error:
        reason = detail_of(error)
    except (
        *(Unusable, NotRunning, FormatUnavailable, AltcraftError, StorageUnavailable, Unsettled),
        *(OSError, ValueError, RuntimeError),
    ) as error:
        reason = str(error)
    streams.complain(reason)
    sys.exit(status)


if __name__ == "__main__":
    main()
