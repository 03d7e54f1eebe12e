"""One run of an export: once, whole or not at all, and never backwards.

The order of the steps carries that. First the manifest is taken hold of; then the rows go into an object that nobody sees;
Altcraft's outcome, behind the rows, decides; the hold is checked and the object let be seen; the manifest says so; `latest`
follows. Killed between any two of them, the next try of the same export finds out where it stands.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from export_all.failures import DeadlinePassed, Failure, failure
from export_all.formats import SUFFIXES, encoder_for
from export_all.manifests import Lease, Manifest, Manifests, Superseded, rfc3339
from export_all.pipeline import Pipeline, Source
from export_all.storage import StorageError
from export_all.upload import AlreadyThere, Upload
from serverless.telemetry import Metric, count, logger

if TYPE_CHECKING:
    from export_all.orders import Order

BEAT_SECONDS: Final = 3.0
"""How often a run writes its counts so far into its manifest and its log."""

_LOOK_SECONDS: Final = 0.25
"""How often a run looks whether a multipart upload has begun, which the manifest must know should the run be killed."""


class Watcher(Protocol):
    """Is told how a run goes."""

    def going(self, export_id: str, counts: dict[str, int]) -> None:
        """The counts so far, every beat."""

    def ended(self, manifest: Manifest, seconds: float) -> None:
        """The end, good or bad."""


class Telemetry:
    """Tells it to the log and the metrics."""

    def going(self, export_id: str, counts: dict[str, int]) -> None:
        """The counts so far, as a line."""
        logger.info("Exporting", extra={"export_id": export_id, **counts})

    def ended(self, manifest: Manifest, seconds: float) -> None:
        """The end, as metrics."""
        count(Metric.EXPORTS, status=manifest.status)
        if manifest.error is not None and manifest.error["type"] == "token_refused":
            count(Metric.TOKEN_REFUSED)
        if manifest.status == "succeeded":
            count(Metric.EXPORT_CODES, manifest.codes)
            count(Metric.EXPORT_BYTES, manifest.bytes_out)
            count(Metric.EXPORT_SECONDS, seconds)
            logger.info("The export succeeded", export_id=manifest.export_id, codes=manifest.codes, key=manifest.key)


@dataclass(frozen=True)
class Exporter:
    """Runs exports into one bucket.

    Args:
        s3: a botocore client.
        bucket: where everything goes.
        prefix: what every key begins with.
        source: asks Altcraft for a program's codes; called once a run.
        beat: seconds between two reports of the counts.
        watcher: told how it goes.
    """

    s3: Any
    bucket: str
    prefix: str
    source: Callable[[int], Source]
    beat: float = BEAT_SECONDS
    watcher: Watcher = field(default_factory=Telemetry)

    @property
    def manifests(self) -> Manifests:
        """The manifests of this bucket."""
        return Manifests(self.s3, self.bucket, self.prefix)

    def run(self, order: Order, export_id: str, request: str, deadline: float) -> Manifest:
        """Run an export; its manifest, succeeded or failed. Where it has been run, or is being run, that run's.

        Args:
            order: what to export.
            export_id: under which id.
            request: the invocation's id; the same id again is the next try, after the one before has died.
            deadline: by `time.monotonic`, when it must have ended.

        Raises:
            OtherExport: the id belongs to another order's export.
            ClientError, BotoCoreError: S3 does not even take the manifest.
        """
        now = datetime.now(UTC)
        claimed = self.manifests.claim(export_id, order, self._data_key(order, export_id, now), request, now)
        if isinstance(claimed, Manifest):
            logger.info("The export has been run, or is being run", export_id=export_id, status=claimed.status)
            if claimed.status == "succeeded":
                self.manifests.publish(claimed)
            return claimed
        try:
            manifest = self._run(order, claimed, deadline)
        except Superseded:
            logger.warning("Another run has taken the export over", export_id=export_id)
            return self.manifests.read(export_id) or claimed.manifest
        self.watcher.ended(manifest, (datetime.now(UTC) - now).total_seconds())
        return manifest

    def _run(self, order: Order, lease: Lease, deadline: float) -> Manifest:
        try:
            result = self._produce(order, lease, deadline)
        except Superseded:
            raise
        except Exception as error:  # told in the manifest, whatever it is; a defect of ours is raised as well
            told = failure(error)
            if told is None:
                logger.exception("The export failed", export_id=lease.manifest.export_id)
            else:  # without its causes: their texts may quote what Altcraft sent, and that may quote our token
                logger.error(
                    "The export failed", export_id=lease.manifest.export_id, reason=told.type, detail=told.detail
                )
            told_or_defect = told or Failure("internal_error", "The log holds the reason.", retryable=True)
            failed = lease.save(status="failed", finished_at=_now(), sha256=None, error=told_or_defect.members())
            if told is None:
                raise
            return failed
        succeeded = lease.save(status="succeeded", finished_at=_now(), key=lease.owner.key, **result)
        self.manifests.publish(succeeded)
        return succeeded

    def _produce(self, order: Order, lease: Lease, deadline: float) -> dict[str, Any]:
        """Write the data object; what the manifest is to say of it."""
        encoder = encoder_for(order.output_format)
        upload = Upload(self.s3, self.bucket, lease.owner.key)
        pipeline = Pipeline(self.source(order.loyalty_id), encoder, upload)
        try:
            self._watch(pipeline, upload, lease, deadline)
            result = {**pipeline.counts(), "sha256": pipeline.sha256()}
            # All that the manifest is to say: killed behind the next step, the export is made good by whoever looks.
            lease.save(upload=upload.id, mark=upload.mark, **result)
            try:
                upload.complete()
            except AlreadyThere:
                # A try that lost its hold let it be seen all the same, and nobody has been told of its object.
                there = upload.there()
                lease.save(upload=upload.id, mark=upload.mark)
                upload.complete(instead_of=there)
        except BaseException:
            pipeline.stop()
            _discard(upload)
            raise
        return result

    def _watch(self, pipeline: Pipeline, upload: Upload, lease: Lease, deadline: float) -> None:
        reported = time.monotonic()
        while not pipeline.wait(min(_LOOK_SECONDS, deadline - time.monotonic())):
            now = time.monotonic()
            if now >= deadline:
                raise DeadlinePassed(
                    "The program is too large, or Altcraft or S3 too slow, for one run: give the function more memory, "
                    "which is also more CPU, or export it with `make export` from a machine without a deadline."
                )
            if now >= reported + self.beat or upload.id != lease.owner.upload:
                reported = now
                counts: dict[str, Any] = pipeline.counts()
                lease.save(upload=upload.id, **counts)
                self.watcher.going(lease.manifest.export_id, counts)

    def _data_key(self, order: Order, export_id: str, now: datetime) -> str:
        # The table of the exports reads loyalty_id=.../dt=... right under promocodes/, and is one of JSON Lines.
        folder = "" if order.output_format == "jsonl" else f"{order.output_format}/"
        suffix = SUFFIXES[order.output_format]
        return f"{self.prefix}promocodes/{folder}loyalty_id={order.loyalty_id}/dt={now:%Y-%m-%d}/{export_id}.{suffix}"


def _now() -> str:
    return rfc3339(datetime.now(UTC))


def _discard(upload: Upload) -> None:
    try:
        upload.abort()
    except StorageError:
        logger.exception("A half upload is left to the bucket's lifecycle rule")
