"""The manifests of exports: announced, claimed by the run that works on one, and read.

Every write is conditional, so that of two runs of the same export only one goes on.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from export_all.aws_errors import AWS_ERRORS
from export_all.latest import LATEST_MINIMUM_PERCENT, Latest
from export_all.manifest import Manifest, begun, rfc3339
from export_all.manifest_store import MOST_TRIES, ManifestStore, Owner, Stored, Unsettled
from export_all.telemetry import Telemetry, Watcher
from lambda_support.telemetry import logger

if TYPE_CHECKING:
    from export_all.requests import ExportRequest

LIFETIME: Final = timedelta(seconds=900)
"""A run without a sign of life for this long is dead, and one that has not begun by then never begins. A run writes its
manifest every few seconds, however long it takes; this is all the time that Lambda gives it."""


class OtherExport(Exception):
    """The export id belongs to an export of another program or format."""


@dataclass
class Lease:
    """One run's claim on an export. Lost at the moment another run writes the manifest."""

    _store: ManifestStore = field(repr=False)
    manifest: Manifest
    owner: Owner
    _etag: str

    def save(self, *, upload: str = "", tag: str = "", **changes: Any) -> Manifest:
        """Change the manifest's fields, and note the upload: its id, and its ownership tag where it is about to be published.

        Raises:
            Superseded: the claim is lost.
        """
        self.manifest = replace(self.manifest, **changes)
        self.owner = replace(self.owner, upload=upload, tag=tag, seen=rfc3339(datetime.now(UTC)))
        self._etag = self._store.overwrite(self.manifest, self.owner, self._etag)
        return self.manifest


class Manifests:
    """The manifests under one prefix of a bucket.

    Args:
        s3: a botocore client.
        bucket: where they are.
        prefix: what every key begins with.
        least_percent: an export with fewer codes than this percentage of what `latest` has is suspect.
        watcher: reports exports that are found to have ended, and suspect ones; None: to the log and the metrics.
    """

    def __init__(
        self,
        s3: Any,
        bucket: str,
        prefix: str,
        least_percent: int = LATEST_MINIMUM_PERCENT,
        watcher: Watcher | None = None,
    ) -> None:
        self._store = ManifestStore(s3, bucket, prefix)
        self._watcher: Watcher = watcher or Telemetry()
        self.latest: Final = Latest(self._store, least_percent, self._watcher)

    def read(self, export_id: str) -> Manifest | None:
        """A manifest as it was written; None where there is none.

        Raises:
            UnreadableManifest: something else is in its place.
        """
        stored = self._store.find(export_id)
        return stored.manifest if stored else None

    def is_taken_up(self, export_id: str) -> bool:
        """Whether a run has ever claimed an export, however that run ended.

        Raises:
            UnreadableManifest: something else is in the manifest's place.
        """
        stored = self._store.find(export_id)
        return stored is not None and stored.owner.invocation != ""

    def look(self, export_id: str, now: datetime) -> Manifest | None:
        """A manifest as a reader is to see it: of a run that was killed, how it ended. None where there is none.

        What a killed run could not write is written here: the manifest of a complete object, and `latest`.

        Raises:
            UnreadableManifest: something else is in its place.
            AWS_ERRORS: S3 does not say how a killed run ended.
        """
        stored = self._store.find(export_id)
        if stored is None:
            return None
        manifest, adopted = stored.manifest, None
        if _is_overdue(stored, now):
            adopted = self._adopt(stored, now)
            if adopted is None:
                return manifest.killed()
            manifest = adopted
        if manifest.status != "succeeded":
            return manifest
        try:
            manifest = self.latest.settled(manifest)
        except AWS_ERRORS:
            logger.exception("latest is not caught up yet", export_id=export_id)
        if adopted:
            self._watcher.finished(manifest)
        return manifest

    def announce(self, manifest: Manifest) -> Manifest:
        """Write the manifest of an export that is about to be run; the one that is there already, where there is one."""
        if self._store.write(manifest, Owner(), IfNoneMatch="*"):
            return manifest
        return self.read(manifest.export_id) or manifest

    def claim(
        self, export_id: str, request: ExportRequest, key: str, invocation: str, now: datetime
    ) -> Lease | Manifest:
        """Claim an export, to run it; its manifest where it has succeeded or another run works on it.

        An export can be claimed that no run has begun, that has failed or that was killed; and by Lambda's next try of the same
        invocation also one that is running. A run that is still alive notices at its next write.

        Args:
            export_id: the export's.
            request: what it exports.
            key: where its data is to be; an earlier try's key takes precedence, so that two tries leave one object.
            invocation: its id.
            now: when the run begins.

        Raises:
            OtherExport: the id is that of an export of something else.
            UnreadableManifest: something else is in the manifest's place.
        """
        fresh = begun(export_id, request, now)
        for _ in range(MOST_TRIES):
            owner = Owner(invocation, uuid.uuid4().hex, rfc3339(now), key)
            stored = self._store.find(export_id)
            if stored is None:
                etag = self._store.write(fresh, owner, IfNoneMatch="*")
            else:
                manifest, before, etag_before = stored
                if (manifest.loyalty_id, manifest.output_format) != (request.loyalty_id, request.output_format):
                    raise OtherExport(
                        f"{export_id} is an export of program {manifest.loyalty_id} as {manifest.output_format}"
                    )
                another_runs = (
                    manifest.status == "running"
                    and not _is_overdue(stored, now)
                    and before.invocation not in ("", invocation)
                )
                if manifest.status == "succeeded" or another_runs:
                    return manifest
                if adopted := self._adopt(stored, now):
                    return adopted
                owner = replace(owner, key=before.key or key)
                etag = self._store.write(fresh, owner, IfMatch=etag_before)
                if etag and before.upload:
                    self._store.abort_upload(before)
            if etag:
                return Lease(self._store, fresh, owner, etag)
        raise Unsettled(f"the manifest of {export_id}")

    def _adopt(self, stored: Stored, now: datetime) -> Manifest | None:
        """Adopt the object of a run that was killed after publishing it and before the manifest said so."""
        manifest, owner, etag = stored
        if manifest.status != "running" or not owner.tag:
            return None
        published = self._store.published(owner.key)
        if published is None or published.tag != owner.tag:
            return None
        good = self.latest.judged(replace(manifest, status="succeeded", finished_at=rfc3339(now), key=owner.key))
        if not self._store.write(good, owner, IfMatch=etag):
            return None
        self._watcher.ended(good)
        if good.withheld:
            self._watcher.suspected(good)
        return good


def _is_overdue(stored: Stored, now: datetime) -> bool:
    """Whether a manifest says running and cannot be running any more: its last sign of life is too old."""
    seen = datetime.fromisoformat(stored.owner.seen or stored.manifest.started_at)
    return stored.manifest.status == "running" and now - seen > LIFETIME
