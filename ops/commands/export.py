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
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import boto3
import click
from botocore.config import Config

from altcraft.client import Client, Timeouts
from altcraft.errors import AltcraftError
from altcraft.token import Token
from export_all.exporter import Exporter
from export_all.failures import EndedByHand
from export_all.formats import SUFFIXES, FormatUnavailable, encoder_for
from export_all.manifests import LATEST_MINIMUM_PERCENT, Unsettled
from export_all.orders import Order, new_export_id
from export_all.pipeline import Pipeline
from export_all.storage import StorageError, StorageUnavailable, storage_detail
from ops import interruption, terminal
from ops.errors import Unusable
from ops.part_file import whole_file
from ops.progress import Progress
from ops.target import Target, secret_text, with_target

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


@dataclass(frozen=True)
class Place:
    """Where in S3 an export goes, and when it is suspect there."""

    s3: Any
    bucket: str
    prefix: str
    least_percent: int


class Watch:
    """Shows how far an export is; a `Watcher` of the exporter's runs too."""

    def __init__(self, export: Export, progress: Progress) -> None:
        self._export = export
        self._progress = progress

    def going(self, _: str, counts: Mapping[str, int], *, last: bool = False) -> None:
        """Show the counts so far."""
        codes, written = counts["codes"], counts["bytes_out"] / 1e6
        note = f"{codes:,} codes, {codes / self._progress.seconds:,.0f} codes/s, {written:,.1f} MB written"
        self._progress.show(counts["bytes_in"], self._export.bytes_expected, note, last=last)

    def ended(self, manifest: Manifest) -> None:
        """Show the counts for the last time."""
        counts = {name: getattr(manifest, name) for name in ("codes", "bytes_in", "bytes_out")}
        self.going(manifest.export_id, counts, last=True)

    def suspected(self, manifest: Manifest) -> None:
        """The result says it."""


def export_to_folder(client: Client, order: Order, folder: Path, interrupt: Interrupt) -> str:
    """Write the file; where it is. It has its name only once it is whole."""
    target = folder / f"{new_export_id(datetime.now(UTC))}.{SUFFIXES[order.output_format]}"
    export = client.export_all(order.loyalty_id)
    with whole_file(target) as file, Progress("B") as progress:
        watch = Watch(export, progress)
        pipeline = Pipeline(export, encoder_for(order.output_format), _Appending(file))
        try:
            while not pipeline.wait(_LOOK_SECONDS):
                interrupt()
                watch.going("", pipeline.counts())
        except BaseException:
            pipeline.stop()
            raise
        watch.going("", pipeline.counts(), last=True)
    return f"{target}\nsha256 {pipeline.sha256()}"


class _Appending:
    """A file as a pipeline's destination."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def add(self, part: bytes, /) -> None:
        self._file.write(part)

    add_last = add


def export_to_s3(client: Client, order: Order, place: Place, interrupt: Interrupt) -> str:
    """Export as the function does: the data, the manifest and `latest`; where the data is.

    Raises:
        RuntimeError: the export failed; the message says why.
    """
    export = client.export_all(order.loyalty_id)
    with Progress("B") as progress:
        exporter = Exporter(
            place.s3,
            place.bucket,
            place.prefix,
            lambda _: export,
            beat=1.0,
            watcher=Watch(export, progress),
            least_percent=place.least_percent,
            interrupt=interrupt,
        )
        manifest = exporter.run(order, new_export_id(datetime.now(UTC)), "make export", _NO_DEADLINE)
    if manifest.error is not None:
        interrupt()  # where that is what ended it
        raise RuntimeError(str(manifest.error["detail"]))
    suspect = (
        f"\nsuspect: {manifest.codes} codes are none, or far fewer than the newest good export has. It is kept, and latest "
        "stays where it was; ACCEPT_FEWER=true would move it."
    )
    return f"s3://{place.bucket}/{manifest.key}\nsha256 {manifest.sha256}{suspect if manifest.withheld else ''}"


@click.command("export")
@click.option("--loyalty-id", envvar="LOYALTY_ID", help="The program.")
@click.option("--format", "output_format", envvar="FORMAT", help="jsonl (the default), csv or parquet.")
@click.option(
    "--to",
    envvar="TO",
    default="exports/",
    show_default=True,
    help="A folder, or s3://bucket/prefix/; s3: is the target's bucket.",
)
@click.option(
    "--accept-fewer",
    envvar="ACCEPT_FEWER",
    is_flag=False,
    flag_value="true",
    metavar="true",
    help="true: in S3, `latest` moves to it even if it has far fewer codes than before.",
)
@click.option(
    "--latest-minimum-percent",
    envvar="LATEST_MINIMUM_PERCENT",
    help=f"In S3, what is far fewer. Default: as the target's parameter LatestMinimumPercent, or {LATEST_MINIMUM_PERCENT}.",
)
@click.option("--altcraft-url", envvar="ALTCRAFT_URL", help="The Altcraft to ask. Default: the target's.")
@click.option("--altcraft-wire", envvar="ALTCRAFT_WIRE", help="json or xml. Default: as the target's, or json.")
@with_target(laptop=True)
def command(
    target: Target,
    loyalty_id: str | None,
    output_format: str | None,
    to: str,
    accept_fewer: str | None,
    latest_minimum_percent: str | None,
    altcraft_url: str | None,
    altcraft_wire: str | None,
) -> None:
    """Export a program, with its progress and without a deadline.

    An export to S3 leaves there what the function would: the data, the manifest and `latest`.

    With ALTCRAFT_URL no target is asked, and S3 is that of the AWS credentials of the environment. Its token is in the
    environment variable ALTCRAFT_TOKEN; there is no option for it, because others on the machine can see what is typed.
    """
    logging.disable()  # what the function would log, the progress shows
    with _failures():
        order = Order.from_fields(
            {"loyalty_id": loyalty_id, "output_format": output_format, "accept_fewer": accept_fewer}
        )
        to_s3 = to.startswith("s3:")
        if order.accept_fewer and not to_s3:
            raise Unusable("ACCEPT_FEWER: is for TO=s3://..., where there is a `latest` to move")
        stack = None if altcraft_url else target
        parameters = stack.parameters if stack else {}
        wire = _WIRES.get(altcraft_wire or parameters.get("AltcraftWire", "json"))
        if wire is None:
            raise Unusable("ALTCRAFT_WIRE: must be json or xml")
        percent = latest_minimum_percent or parameters.get("LatestMinimumPercent", str(LATEST_MINIMUM_PERCENT))
        if not (percent.isascii() and percent.isdigit() and 1 <= int(percent[:4]) <= 100):
            raise Unusable("LATEST_MINIMUM_PERCENT: must be a whole number from 1 to 100")
        token = os.environ.get("ALTCRAFT_TOKEN") or (
            secret_text(stack, "altcraft_secret_id", "ALTCRAFT_TOKEN") if stack else ""
        )
        if not token:
            raise Unusable(
                "ALTCRAFT_TOKEN: is required for the Altcraft of ALTCRAFT_URL; let the shell read it, not its history"
            )
        url = altcraft_url or target.names("altcraft_url")[0]
        client = Client(url, Token(GivenSecret(token)), wire, Timeouts(read=600))
        place = _place(to, stack, int(percent)) if to_s3 else None
        with interruption.in_order(interruption.EXPORT_STOPPED) as stopped:

            def interrupt() -> None:
                if stopped():
                    raise EndedByHand

            try:
                if place:
                    result = export_to_s3(client, order, place, interrupt)
                else:
                    result = export_to_folder(client, order, Path(to), interrupt)
            except EndedByHand:
                terminal.complain(interruption.EXPORT_STOPPED)
                raise SystemExit(stopped()) from None
        terminal.say(result)


def _place(to: str, stack: Target | None, least_percent: int) -> Place:
    """The place that TO names: in a stack's bucket, where it names none."""
    bucket, _, prefix = to.removeprefix("s3:").removeprefix("//").partition("/")
    if stack and not bucket:
        (bucket,) = stack.names("export_bucket")
        prefix = prefix or stack.parameters.get("ExportPrefix", "")
    if not bucket or (prefix and not prefix.endswith("/")):
        raise Unusable("TO: must be a folder, or s3://bucket/ or s3://bucket/prefix/, with a slash at its end")
    s3 = stack.client("s3", _S3_CONFIG) if stack else boto3.client("s3", config=_S3_CONFIG)
    return Place(s3, bucket, prefix, least_percent)


@contextmanager
def _failures() -> Iterator[None]:
    """Raise why an export cannot begin, or failed, as Unusable."""
    try:
        yield
    except StorageError as error:
        raise Unusable(storage_detail(error)) from error
    except (
        *(FormatUnavailable, AltcraftError, StorageUnavailable, Unsettled),
        *(OSError, ValueError, RuntimeError),
    ) as error:
        raise Unusable(str(error)) from error
