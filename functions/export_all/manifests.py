"""The manifests of exports in S3: what each export is, which run works on it, and which good one is the newest.

Every write is conditional, so that of two runs of the same export only one goes on, and `latest` never goes backwards:

    {prefix}exports/{export_id}.json           the manifest: running, then succeeded or failed
    {prefix}latest/loyalty_id={id}.json        the manifest of the newest good export

`latest` does not move to an export that has no codes, or far fewer than the one it names, unless that export says
`accept_fewer`.

The run that works on an export is named in the object's metadata, not in the manifest: `invocation` (its id, which Lambda keeps
when it tries again), `attempt` (one try of it), `seen` (its last sign of life), `key` and `upload` (a multipart upload that a
dead try may have left), and `tag` (the ownership tag of the data object that a try was about to publish).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from botocore.exceptions import ClientError

from export_all.aws_errors import AWS_ERRORS, LOST_RACE, MISSING, code_of
from export_all.keys import data_folders, export_id_in, latest_key, manifest_key
from export_all.manifest import (
    LONGEST_MANIFEST,
    Manifest,
    UnreadableManifest,
    begun,
    read_manifest,
    rfc3339,
    too_few,
)
from export_all.telemetry import Telemetry, Watcher
from export_all.upload import stored_at
from lambda_support.telemetry import logger

if TYPE_CHECKING:
    from export_all.requests import ExportRequest

LIFETIME: Final = timedelta(seconds=900)
"""A run without a sign of life for this long is dead, and one that has not begun by then never begins. A run writes its
manifest every few seconds, however long it takes; this is all the time that Lambda gives it."""

LATEST_MINIMUM_PERCENT: Final = 50

_MOST_TRIES: Final = 10


@dataclass(frozen=True)
class Owner:
    """The run that works on an export; none has begun where the fields are empty."""

    invocation: str = ""
    attempt: str = ""
    seen: str = ""
    key: str = ""
    upload: str = ""
    tag: str = ""


class Superseded(Exception):
    """Another run has claimed this export."""


class OtherExport(Exception):
    """The export id belongs to an export of another program or format."""


class Unsettled(Exception):
    """A conditional write was refused again and again, and no other write explains it."""


class _Stored(NamedTuple):
    """A manifest as it is in S3."""

    manifest: Manifest
    owner: Owner
    etag: str

    def overdue(self, now: datetime) -> bool:
        """Whether it says running and cannot be running any more: its last sign of life is too old."""
        seen = datetime.fromisoformat(self.owner.seen or self.manifest.started_at)
        return self.manifest.status == "running" and now - seen > LIFETIME


@dataclass
class Lease:
    """One run's claim on an export. Lost at the moment another run writes the manifest."""

    _manifests: Manifests = field(repr=False)
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
        self._etag = self._manifests.overwrite(self.manifest, self.owner, self._etag)
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
        self._s3 = s3
        self._bucket = bucket
        self._prefix = prefix
        self._least_percent = least_percent
        self._watcher: Watcher = watcher or Telemetry()

    def read(self, export_id: str) -> Manifest | None:
        """A manifest as it was written; None where there is none.

        Raises:
            UnreadableManifest: something else is in its place.
        """
        stored = self._read_export(export_id)
        return stored.manifest if stored else None

    def look(self, export_id: str, now: datetime) -> Manifest | None:
        """A manifest as a reader is to see it: of a run that was killed, how it ended. None where there is none.

        What a killed run could not write is written here: the manifest of a complete object, and `latest`.

        Raises:
            UnreadableManifest: something else is in its place.
            AWS_ERRORS: S3 does not say how a killed run ended.
        """
        stored = self._read_export(export_id)
        if stored is None:
            return None
        manifest = stored.manifest
        if stored.overdue(now):
            adopted = self._adopt(stored, now)
            if adopted is None:
                return manifest.killed()
            manifest = adopted
        if manifest.status != "succeeded":
            return manifest
        try:
            return self.settled(manifest)
        except AWS_ERRORS:
            logger.exception("latest is not caught up yet", export_id=export_id)
            return manifest

    def announce(self, manifest: Manifest) -> Manifest:
        """Write the manifest of an export that is about to be run; the one that is there already, where there is one."""
        if self._write(self._key(manifest.export_id), manifest, Owner(), IfNoneMatch="*"):
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
        for _ in range(_MOST_TRIES):
            owner = Owner(invocation, uuid.uuid4().hex, rfc3339(now), key)
            stored = self._read_export(export_id)
            if stored is None:
                etag = self._write(self._key(export_id), fresh, owner, IfNoneMatch="*")
            else:
                manifest, before, etag_before = stored
                if (manifest.loyalty_id, manifest.output_format) != (request.loyalty_id, request.output_format):
                    raise OtherExport(
                        f"{export_id} is an export of program {manifest.loyalty_id} as {manifest.output_format}"
                    )
                another_runs = (
                    manifest.status == "running"
                    and not stored.overdue(now)
                    and before.invocation not in ("", invocation)
                )
                if manifest.status == "succeeded" or another_runs:
                    return manifest
                if adopted := self._adopt(stored, now):
                    return adopted
                owner = replace(owner, key=before.key or key)
                etag = self._write(self._key(export_id), fresh, owner, IfMatch=etag_before)
                if etag and before.upload:
                    self._abort(before)
            if etag:
                return Lease(self, fresh, owner, etag)
        raise Unsettled(f"the manifest of {export_id} could not be written")

    def judged(self, manifest: Manifest) -> Manifest:
        """A whole export's manifest, judged whether it is suspect compared with what `latest` has now."""
        try:
            newest = self._read_latest(manifest.loyalty_id)
        except UnreadableManifest as error:
            # Without anything to compare with nothing is certain, and what is there is not ours to replace unasked.
            logger.error(str(error), export_id=manifest.export_id)
            return replace(manifest, suspect=True)
        least, before = self._least_percent, newest.manifest if newest else None
        return replace(manifest, suspect=manifest.suspect or too_few(manifest.codes, before, least))

    def _adopt(self, stored: _Stored, now: datetime) -> Manifest | None:
        """Adopt the object of a run that was killed after publishing it and before the manifest said so."""
        manifest, owner, etag = stored
        if manifest.status != "running" or not owner.tag:
            return None
        there = stored_at(self._s3, self._bucket, owner.key)
        if there is None or there.tag != owner.tag:
            return None
        good = self.judged(replace(manifest, status="succeeded", finished_at=rfc3339(now), key=owner.key))
        if not self._write(self._key(good.export_id), good, owner, IfMatch=etag):
            return None
        self._watcher.ended(good)
        if good.withheld:
            self._watcher.suspected(good)
        return good

    def overwrite(self, manifest: Manifest, owner: Owner, etag: str) -> str:
        """Write a manifest over the one with this ETag; the new ETag.

        Raises:
            Superseded: another run has written it since.
        """
        key = self._key(manifest.export_id)
        for _ in range(_MOST_TRIES):
            if written := self._write(key, manifest, owner, IfMatch=etag):
                return written
            stored = self._read_export(manifest.export_id)
            # Where the answer to a write is lost, the SDK writes again, and that write is refused because of the first.
            if stored is None or stored.owner.attempt != owner.attempt:
                raise Superseded(manifest.export_id)
            etag = stored.etag
        raise Unsettled(f"the manifest of {manifest.export_id} could not be written")

    def settled(self, manifest: Manifest, *, accept_fewer: bool = False) -> Manifest:
        """A good export, once `latest` has moved to it where it should; its manifest, which may say suspect only now.

        Args:
            manifest: of an export that has succeeded.
            accept_fewer: whether the request of now accepts it, should it be suspect.
        """
        if accept_fewer and not manifest.accept_fewer:
            manifest = self._amend(manifest, accept_fewer=True)
        if manifest.withheld or self.publish(manifest, over_unreadable=accept_fewer):
            return manifest
        return self.read(manifest.export_id) or manifest

    def publish(self, manifest: Manifest, *, over_unreadable: bool = False) -> bool:
        """Make a good export the newest one of its program, unless a newer one is, or it is suspect; whether it is now.

        Args:
            manifest: of an export that has succeeded.
            over_unreadable: replace also what is no manifest of ours, and may have been newer.
        """
        key = latest_key(self._prefix, manifest.loyalty_id)
        for _ in range(_MOST_TRIES):
            try:
                stored = self._read_latest(manifest.loyalty_id)
                condition = {"IfMatch": stored.etag} if stored else {"IfNoneMatch": "*"}
            except UnreadableManifest as error:
                if not over_unreadable:
                    logger.error(str(error), export_id=manifest.export_id)
                    return False
                stored, condition = None, {}
            if stored is not None and stored.manifest.age >= manifest.age:
                return stored.manifest.export_id == manifest.export_id
            # Judged again by the object that the condition names: another export may have moved `latest` since.
            judged = self.judged(manifest)
            if judged.withheld:
                if not manifest.suspect:
                    self._amend(manifest, suspect=True)
                    self._watcher.suspected(judged)
                return False
            if self._write(key, judged, Owner(), **condition):
                return True
        raise Unsettled(f"{key} could not be written")

    def catch_up(self, loyalty_id: int) -> None:
        """Move `latest` to the newest good export, where the run of that one could not write it.

        Raises:
            UnreadableManifest: something else is in a manifest's place.
            AWS_ERRORS: S3 does not say, or `latest` still cannot be written.
        """
        newest = self._read_latest(loyalty_id)
        later = [
            (export_id_in(object_key), object_key)
            for folder in data_folders(self._prefix, loyalty_id)
            for object_key in self._keys_after(folder, newest.manifest if newest else None)
        ]
        for export_id, object_key in sorted(later, reverse=True):
            manifest = self.read(export_id)
            # An object without a manifest is that of a run that goes on, or was killed.
            if manifest is None or manifest.key != object_key or manifest.status != "succeeded" or manifest.withheld:
                continue
            if self.publish(manifest):
                return

    def _keys_after(self, folder: str, newest: Manifest | None) -> list[str]:
        """The data objects of a folder since the day on which an export began."""
        since = {"StartAfter": f"{folder}dt={newest.age[0]:%Y-%m-%d}"} if newest else {}
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=folder, **since)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def _amend(self, manifest: Manifest, **changes: Any) -> Manifest:
        """Change a manifest that no run works on any more."""
        for _ in range(_MOST_TRIES):
            stored = self._read_export(manifest.export_id)
            if stored is None:
                break
            amended = replace(stored.manifest, **changes)
            if self._write(self._key(manifest.export_id), amended, stored.owner, IfMatch=stored.etag):
                return amended
        raise Unsettled(f"the manifest of {manifest.export_id} could not be written")

    def _key(self, export_id: str) -> str:
        return manifest_key(self._prefix, export_id)

    def _read_export(self, export_id: str) -> _Stored | None:
        key = self._key(export_id)
        stored = self._read(key)
        if stored is not None and stored.manifest.export_id != export_id:
            raise UnreadableManifest(f"{key} is the manifest of another export")
        return stored

    def _read_latest(self, loyalty_id: int) -> _Stored | None:
        key = latest_key(self._prefix, loyalty_id)
        stored = self._read(key)
        if stored is not None and (stored.manifest.loyalty_id, stored.manifest.status) != (loyalty_id, "succeeded"):
            raise UnreadableManifest(f"{key} is not the manifest of a good export of program {loyalty_id}")
        return stored

    def _read(self, key: str) -> _Stored | None:
        try:
            found = self._s3.get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if code_of(error) in MISSING:
                return None
            raise
        body = found["Body"].read(LONGEST_MANIFEST + 1)
        return _Stored(read_manifest(body, key), _owner(found["Metadata"]), found.get("ETag", ""))

    def _write(self, key: str, manifest: Manifest, owner: Owner, **condition: str) -> str:
        """The new ETag; `""` where the condition does not hold, or the answer does not say: then look what is there."""
        try:
            written = self._s3.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=json.dumps(asdict(manifest), ensure_ascii=False).encode(),
                ContentType="application/json",
                CacheControl="no-store",
                Metadata={name: text for name, text in asdict(owner).items() if text},
                **condition,
            )
        except ClientError as error:
            # S3 answers NoSuchKey where the object to be matched is gone.
            if code_of(error) in LOST_RACE | MISSING:
                return ""
            raise
        etag: str = written.get("ETag", "")
        return etag

    def _abort(self, owner: Owner) -> None:
        try:
            self._s3.abort_multipart_upload(Bucket=self._bucket, Key=owner.key, UploadId=owner.upload)
        except ClientError as error:
            if code_of(error) != "NoSuchUpload":
                raise


def _owner(metadata: Mapping[str, str]) -> Owner:
    return Owner(**{one.name: metadata.get(one.name, "") for one in fields(Owner)})
