"""`make export`: export a program from a machine without a deadline, with its progress.

Ctrl-C and SIGTERM end it in order, and a second one at once. Where it was killed, the next export into the same folder removes
what was left, and to S3 its manifest reads as failed 15 minutes after its last sign of life.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import boto3
import click
from botocore.config import Config

from altcraft.client import Client, Timeouts
from altcraft.errors import AltcraftError
from altcraft.token import Token
from export_all.aws_errors import AWS_ERRORS, StorageUnavailable, detail_of
from export_all.events import event_of
from export_all.exporter import Exporter
from export_all.failures import EndedByHand
from export_all.formats.registry import FORMATS, FormatUnavailable, encoder_for
from export_all.latest import LATEST_MINIMUM_PERCENT
from export_all.manifest_store import Unsettled
from export_all.pipeline import Pipeline
from export_all.requests import ExportRequest, new_export_id
from lambda_support.event_bus import EventBus, NotSent
from ops import interruption, terminal
from ops.errors import Unusable
from ops.part_file import whole_file
from ops.progress import Progress
from ops.target import Target, with_target

if TYPE_CHECKING:
    from altcraft.export import Export
    from altcraft.wire import Wire
    from export_all.manifest import Manifest

_LOOK_SECONDS: Final = 0.2
_NO_DEADLINE: Final = float("inf")
_S3_CONFIG: Final = Config(connect_timeout=10, retries={"mode": "standard", "max_attempts": 3})
"""Somebody waits in front of it, and sees nothing while S3 does not answer."""

_WIRES: Final[Mapping[str, Wire]] = {"json": "json", "xml": "xml"}

Interrupt = Callable[[], None]
"""Called several times a second; what it raises ends the export."""


@dataclass(frozen=True)
class GivenSecret:
    """A token that does not change while we run: typed in, or read once."""

    token: str = field(repr=False)

    def text(self) -> str:
        """The token."""
        return self.token

    refresh = text


class Watch:
    """Shows how far an export is, as a `Watcher` of the exporter's too."""

    def __init__(self, export: Export, progress: Progress) -> None:
        self._export = export
        self._progress = progress
        self.bus: EventBus | None = None
        """Where the end of an export into the stack's own bucket is published, as the function's are."""

    def progressed(self, _: str, counts: Mapping[str, int], *, last: bool = False) -> None:
        """Show the counts so far."""
        codes, written = counts["codes"], counts["bytes_out"] / 1e6
        note = f"{codes:,} codes, {codes / self._progress.seconds:,.0f} codes/s, {written:,.1f} MB written"
        self._progress.show(counts["bytes_in"], self._export.bytes_expected, note, last=last)

    def ended(self, manifest: Manifest) -> None:
        """Show the counts for the last time."""
        counts = {name: getattr(manifest, name) for name in ("codes", "bytes_in", "bytes_out")}
        self.progressed(manifest.export_id, counts, last=True)

    def suspected(self, manifest: Manifest) -> None:
        """The result says it."""

    def finished(self, manifest: Manifest) -> None:
        """Publish the end. A bus that accepts nothing makes no export fail."""
        if self.bus:
            try:
                self.bus.publish([event_of(manifest)])
            except NotSent as failure:
                terminal.complain(f"The export has ended, but {failure}.")


class _Appending:
    """A file as a pipeline's destination."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def add(self, part: bytes, /) -> None:
        self._file.write(part)

    add_last = add


def export_to_folder(request: ExportRequest, export: Export, folder: Path, watch: Watch, interrupt: Interrupt) -> str:
    """Write the file; where it is. It has its name only once it is whole."""
    target = folder / f"{new_export_id(datetime.now(UTC))}.{FORMATS[request.output_format].suffix}"
    with whole_file(target) as file:
        pipeline = Pipeline(export, encoder_for(request.output_format), _Appending(file))
        try:
            while not pipeline.wait(_LOOK_SECONDS):
                interrupt()
                watch.progressed("", pipeline.counts())
        except BaseException:
            pipeline.stop()
            raise
        watch.progressed("", pipeline.counts(), last=True)
    return f"{target}\nsha256 {pipeline.sha256()}"


def export_to_s3(request: ExportRequest, exporter: Exporter) -> str:
    """Export as the function does: the data, the manifest and `latest`; where the data is.

    Raises:
        RuntimeError: the export failed; the message says why.
    """
    manifest = exporter.run(request, new_export_id(datetime.now(UTC)), "make export", _NO_DEADLINE)
    if manifest.error is not None:
        exporter.interrupt()  # where that is what ended it
        raise RuntimeError(str(manifest.error["detail"]))
    suspect = (
        f"\nsuspect: {manifest.codes} codes are none, or far fewer than the newest good export has. It is kept, and latest "
        "stays where it was; ACCEPT_FEWER=true would move it."
    )
    return f"s3://{exporter.bucket}/{manifest.key}\nsha256 {manifest.sha256}{suspect if manifest.withheld else ''}"


def _interrupt(stopped: Callable[[], int]) -> None:
    if stopped():
        raise EndedByHand


def _s3_place(to: str, stack: Target | None) -> tuple[Any, str, str]:
    """The client, bucket and prefix of TO; the stack's bucket, where it names none."""
    bucket, _, prefix = to.removeprefix("s3:").removeprefix("//").partition("/")
    if stack and not bucket:
        (bucket,) = stack.names("export_bucket")
        prefix = prefix or stack.values.get("ExportPrefix", "")
    if not bucket or (prefix and not prefix.endswith("/")):
        raise Unusable("TO: must be a folder, or s3://bucket/ or s3://bucket/prefix/, with a slash at its end")
    return (stack.client if stack else boto3.client)("s3", config=_S3_CONFIG), bucket, prefix


def _bus_of(stack: Target | None, bucket: str) -> EventBus | None:
    """The event bus of a stack, if it publishes events and this is its bucket."""
    name = stack.values.get("event_bus_name") if stack else None
    if not stack or not name or stack.values.get("export_bucket") != bucket:
        return None
    return EventBus(name, lambda: stack.client("events"))


@contextmanager
def _failures() -> Iterator[None]:
    """Raise why an export cannot begin, or failed, as Unusable."""
    failures = (FormatUnavailable, AltcraftError, StorageUnavailable, Unsettled, OSError, ValueError, RuntimeError)
    try:
        yield
    except AWS_ERRORS as error:
        raise Unusable(detail_of(error)) from error
    except failures as error:
        raise Unusable(str(error)) from error


@click.command("export")
@click.option("--loyalty-id", envvar="LOYALTY_ID", help="The program.")
@click.option("--format", "output_format", envvar="FORMAT", help="jsonl (the default), csv or parquet.")
@click.option(
    "--to", envvar="TO", default="exports/", help="A folder, s3://bucket/prefix/, or s3: for the stack's bucket."
)
@click.option(
    "--accept-fewer", envvar="ACCEPT_FEWER", help="true: `latest` moves to it even if it has far fewer codes."
)
@click.option(
    "--latest-minimum-percent",
    "percent",
    envvar="LATEST_MINIMUM_PERCENT",
    help="What is far fewer. Default: as the stack's.",
)
@click.option("--altcraft-url", envvar="ALTCRAFT_URL", help="The Altcraft to ask. Default: the stack's.")
@click.option("--altcraft-wire", "wire", envvar="ALTCRAFT_WIRE", help="json or xml. Default: as the stack's.")
@with_target(laptop=True)
def command(
    target: Target,
    loyalty_id: str | None,
    output_format: str | None,
    to: str,
    accept_fewer: str | None,
    percent: str | None,
    altcraft_url: str | None,
    wire: str | None,
) -> None:
    """Export a program, with its progress and without a deadline.

    An export to S3 leaves there what the function would: the data, the manifest and `latest`.

    With ALTCRAFT_URL no stack is asked, and S3 is that of the AWS credentials of the environment. Its token is in the
    environment variable ALTCRAFT_TOKEN; there is no option for it, because others on the machine can see what is typed.
    """
    logging.disable()  # what the function would log, the progress shows
    with _failures():
        request = ExportRequest.from_fields(
            {"loyalty_id": loyalty_id, "output_format": output_format, "accept_fewer": accept_fewer}
        )
        if request.accept_fewer and not to.startswith("s3:"):
            raise Unusable("ACCEPT_FEWER: is for TO=s3://..., where there is a `latest` to move")
        stack = None if altcraft_url else target
        values = stack.values if stack else {}
        spoken = _WIRES.get(wire or values.get("AltcraftWire", "json"))
        if spoken is None:
            raise Unusable("ALTCRAFT_WIRE: must be json or xml")
        percent = percent or values.get("LatestMinimumPercent", str(LATEST_MINIMUM_PERCENT))
        if not (percent.isascii() and percent.isdigit() and 1 <= int(percent[:4]) <= 100):
            raise Unusable("LATEST_MINIMUM_PERCENT: must be a whole number from 1 to 100")
        token = os.environ.get("ALTCRAFT_TOKEN")
        if stack and not token:
            token = stack.secret_text("altcraft_secret_id", "ALTCRAFT_TOKEN")
        if not token:
            raise Unusable(
                "ALTCRAFT_TOKEN: is required for the Altcraft of ALTCRAFT_URL; let the shell read it, not its history"
            )
        url = altcraft_url or target.names("altcraft_url")[0]
        export = Client(url, Token(GivenSecret(token)), spoken, Timeouts(read=600)).export_all(request.loyalty_id)
        try:
            with interruption.in_order(interruption.EXPORT_STOPPED) as stopped, Progress("B") as progress:
                interrupt = partial(_interrupt, stopped)
                watch = Watch(export, progress)
                if to.startswith("s3:"):
                    place = _s3_place(to, stack)
                    watch.bus = _bus_of(stack, place[1])
                    exporter = Exporter(
                        *place,
                        lambda _: export,
                        progress_seconds=1.0,
                        watcher=watch,
                        least_percent=int(percent),
                        interrupt=interrupt,
                    )
                    result = export_to_s3(request, exporter)
                else:
                    result = export_to_folder(request, export, Path(to), watch, interrupt)
        except EndedByHand:
            terminal.complain(interruption.EXPORT_STOPPED)
            raise SystemExit(stopped()) from None
    terminal.say(result)
