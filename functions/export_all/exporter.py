"""One run of an export: once, whole or not at all, and never backwards.

The sequence of the steps guarantees that. First the manifest is claimed; then the rows go into an object that is not published
yet; Altcraft's outcome, after the rows, decides; the claim is checked and the object published; the manifest says so, and says
whether it is suspect; `latest` follows. If a run is killed between two steps, the next try of the same export finds out where.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from export_all.aws_errors import AWS_ERRORS
from export_all.failures import DEFECT, DeadlinePassed, failure_of
from export_all.formats.registry import FORMATS, encoder_for
from export_all.keys import data_key
from export_all.latest import LATEST_MINIMUM_PERCENT
from export_all.manifest import Manifest, UnreadableManifest, rfc3339
from export_all.manifest_store import Superseded
from export_all.manifests import Lease, Manifests
from export_all.pipeline import Pipeline, Source
from export_all.telemetry import Telemetry, Watcher
from export_all.upload import AlreadyThere, Unconfirmed, Upload
from lambda_support.telemetry import logger

if TYPE_CHECKING:
    from export_all.requests import ExportRequest

PROGRESS_SECONDS: Final = 3.0
"""The progress interval: how often a run writes its counts so far into its manifest and its log."""

_LOOK_SECONDS: Final = 0.25
"""How often a run looks whether a multipart upload has begun. The manifest names it, in case the run is killed."""


def _go_on() -> None:
    """In Lambda only the deadline interrupts a run."""


@dataclass(frozen=True)
class Exporter:
    """Runs exports into one bucket.

    Args:
        s3: a botocore client.
        bucket: where everything goes.
        prefix: what every key begins with.
        source: asks Altcraft for a program's codes; called once a run.
        progress_seconds: between two reports of the counts.
        watcher: reports how it goes.
        least_percent: an export with fewer codes than this percentage of what `latest` has is suspect.
        interrupt: called several times a second until the object is to be published; what it raises ends the run.
    """

    s3: Any
    bucket: str
    prefix: str
    source: Callable[[int], Source]
    progress_seconds: float = PROGRESS_SECONDS
    watcher: Watcher = field(default_factory=Telemetry)
    least_percent: int = LATEST_MINIMUM_PERCENT
    interrupt: Callable[[], None] = _go_on

    @property
    def manifests(self) -> Manifests:
        """The manifests of this bucket."""
        return Manifests(self.s3, self.bucket, self.prefix, self.least_percent, self.watcher)

    def run(self, request: ExportRequest, export_id: str, invocation: str, deadline: float) -> Manifest:
        """Run an export, and return its manifest, succeeded or failed. One that has been run, or is running, is not run again.

        Args:
            request: what to export.
            export_id: under which id.
            invocation: its id; the same id again is the next try, after the one before has died.
            deadline: by `time.monotonic`, when it must have ended.

        Raises:
            OtherExport: the id belongs to an export of something else.
            UnreadableManifest: something else is in the manifest's place.
            Unconfirmed: S3 does not say whether the object is there; the manifest still says running, and the next try, or the
                next reader of the status, finds out.
            AWS_ERRORS: S3 does not even take the manifest.
        """
        self._catch_up(request.loyalty_id)
        now = datetime.now(UTC)
        key = data_key(self.prefix, request.loyalty_id, request.output_format, export_id, now)
        claimed = self.manifests.claim(export_id, request, key, invocation, now)
        if isinstance(claimed, Manifest):
            logger.info("The export has been run, or is being run", export_id=export_id, status=claimed.status)
            return self._settled(request, claimed)
        try:
            manifest = self._run(request, claimed, deadline)
        except Superseded:
            logger.warning("Another run has claimed the export", export_id=export_id)
            return self.manifests.read(export_id) or claimed.manifest
        self.watcher.ended(manifest)
        if manifest.withheld:
            self.watcher.suspected(manifest)
        return self._settled(request, manifest)

    def _settled(self, request: ExportRequest, manifest: Manifest) -> Manifest:
        """The manifest, once `latest` has followed it and the watcher knows that it is final."""
        try:
            if manifest.status == "succeeded":
                manifest = self.manifests.latest.settled(manifest, accept_fewer=request.accept_fewer)
        finally:  # the manifest is final even if `latest` cannot be written
            if manifest.status != "running":
                self.watcher.finished(manifest)
        return manifest

    def _run(self, request: ExportRequest, lease: Lease, deadline: float) -> Manifest:
        try:
            result = self._produce(request, lease, deadline)
        except (Superseded, Unconfirmed):
            raise
        except Exception as error:  # recorded in the manifest, whatever it is; a defect of ours is raised as well
            failure = failure_of(error)
            export_id = lease.manifest.export_id
            if failure is None:
                logger.exception("The export failed", export_id=export_id)
            else:  # without its causes: their texts may quote what Altcraft sent, and that may quote our token
                logger.error("The export failed", export_id=export_id, reason=failure.type, detail=failure.detail)
            failed = lease.save(status="failed", finished_at=_now(), sha256=None, error=(failure or DEFECT).members())
            if failure is None:
                self.watcher.finished(failed)
                raise
            return failed
        judged = self.manifests.latest.judged(replace(lease.manifest, **result))
        return lease.save(status="succeeded", finished_at=_now(), key=lease.owner.key, suspect=judged.suspect, **result)

    def _produce(self, request: ExportRequest, lease: Lease, deadline: float) -> dict[str, Any]:
        """Write the data object; what the manifest is to say of it."""
        encoder = encoder_for(request.output_format)
        upload = Upload(self.s3, self.bucket, lease.owner.key, FORMATS[request.output_format].media_type)
        pipeline = Pipeline(self.source(request.loyalty_id), encoder, upload)
        try:
            self._watch(pipeline, upload, lease, deadline)
            result = {**pipeline.counts(), "sha256": pipeline.sha256()}
            # All that the manifest is to say: if the run is killed after the next step, the object is adopted by this.
            lease.save(upload=upload.id, tag=upload.tag, **result)
            try:
                upload.complete()
            except AlreadyThere as other:
                # A try that had lost its claim has published it all the same, and no manifest names its object.
                lease.save(upload=upload.id, tag=upload.tag)
                upload.complete(instead_of=other.etag)
        except BaseException:
            pipeline.stop()
            _discard(upload)
            raise
        return result

    def _watch(self, pipeline: Pipeline, upload: Upload, lease: Lease, deadline: float) -> None:
        reported = time.monotonic()
        while not pipeline.wait(min(_LOOK_SECONDS, deadline - time.monotonic())):
            self.interrupt()
            now = time.monotonic()
            if now >= deadline:
                raise DeadlinePassed(
                    "The program is too large, or Altcraft or S3 too slow, for one run: give the function more memory, "
                    "which is also more CPU, or export it with `make export` from a machine without a deadline."
                )
            if now >= reported + self.progress_seconds or upload.id != lease.owner.upload:
                reported = now
                counts: dict[str, Any] = pipeline.counts()
                lease.save(upload=upload.id, **counts)
                self.watcher.progressed(lease.manifest.export_id, counts)

    def _catch_up(self, loyalty_id: int) -> None:
        try:
            self.manifests.latest.catch_up(loyalty_id)
        except (UnreadableManifest, *AWS_ERRORS):
            logger.exception("latest is not caught up", loyalty_id=loyalty_id)


def _now() -> str:
    return rfc3339(datetime.now(UTC))


def _discard(upload: Upload) -> None:
    try:
        upload.abort()
    except AWS_ERRORS:
        logger.exception("An unfinished upload is left to the bucket's lifecycle rule")
