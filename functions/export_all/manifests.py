"""The manifests of exports in S3: what each export is, who is at it, and which good one is the newest.

Every write is conditional, so that of two who run the same export only one goes on, and `latest` never goes backwards:

    {prefix}exports/{export_id}.json           the manifest: running, then succeeded or failed
    {prefix}latest/loyalty_id={id}.json        the manifest of the newest good export

Who is at it stands in the object's metadata, not in the manifest: `request` (the invocation's id, which Lambda keeps when it
tries again), `attempt` (one try of it), `key` and `upload` (what a dead try may have left half uploaded), and `mark` (by which
the data object is known that a try was about to let be seen).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from botocore.exceptions import ClientError

from export_all.storage import LOST_RACE, code_of
from export_all.upload import is_marked

if TYPE_CHECKING:
    from export_all.orders import Order

LIFETIME: Final = timedelta(seconds=900)
"""What Lambda gives a run at the most; one that has not ended by then never will."""

_MISSING: Final = frozenset({"NoSuchKey", "404"})
_MOST_TRIES: Final = 10


@dataclass(frozen=True)
class Manifest:
    """What is known of an export. Times are RFC 3339, UTC; sizes in bytes; the counts are those so far while it runs."""

    export_id: str
    loyalty_id: int
    status: Literal["running", "succeeded", "failed"]
    output_format: str
    started_at: str
    finished_at: str | None = None
    codes: int = 0
    attached: int = 0
    activated: int = 0
    expired: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    key: str | None = None
    sha256: str | None = None
    error: dict[str, object] | None = None

    def overdue(self, now: datetime) -> bool:
        """Whether it says running and cannot be any more."""
        return self.status == "running" and now - datetime.fromisoformat(self.started_at) > LIFETIME

    def as_seen(self, now: datetime) -> Manifest:
        """The manifest as a reader is to see it: a run that was killed has failed."""
        if not self.overdue(now):
            return self
        killed: dict[str, object] = {
            "type": "killed",
            "detail": "The run ended without a word: it was killed, or never began. Export again.",
            "retryable": True,
        }
        return replace(self, status="failed", error=killed)


def begun(export_id: str, order: Order, now: datetime) -> Manifest:
    """The manifest of an export that begins."""
    return Manifest(export_id, order.loyalty_id, "running", order.output_format, rfc3339(now))


def rfc3339(moment: datetime) -> str:
    """A moment in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Owner:
    """Who is at an export; nobody yet, where the fields are empty."""

    request: str = ""
    attempt: str = ""
    key: str = ""
    upload: str = ""
    mark: str = ""


class Superseded(Exception):
    """Another run has taken this export over."""


class OtherExport(Exception):
    """The export id belongs to an export of something else."""


class Unsettled(Exception):
    """A conditional write was lost again and again, and nothing says to whom."""


@dataclass
class Lease:
    """One run's hold on an export. Lost at the moment another run writes the manifest."""

    _manifests: Manifests = field(repr=False)
    manifest: Manifest
    owner: Owner
    _etag: str

    def save(self, *, upload: str = "", mark: str = "", **changes: Any) -> Manifest:
        """Change the manifest's fields, and say what is being uploaded.

        Raises:
            Superseded: the hold is lost.
        """
        self.manifest = replace(self.manifest, **changes)
        self.owner = replace(self.owner, upload=upload, mark=mark)
        self._etag = self._manifests.overwrite(self.manifest, self.owner, self._etag)
        return self.manifest


class Manifests:
    """The manifests under one prefix of a bucket."""

    def __init__(self, s3: Any, bucket: str, prefix: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._prefix = prefix

    def read(self, export_id: str) -> Manifest | None:
        """A manifest as it was written; None where there is none."""
        stored = self._read(self._key(export_id))
        return stored[0] if stored else None

    def look(self, export_id: str, now: datetime) -> Manifest | None:
        """A manifest as a reader is to see it: of a run that was killed, what came of it. None where there is none."""
        stored = self._read(self._key(export_id))
        if stored is None:
            return None
        manifest = stored[0]
        if manifest.overdue(now) and (adopted := self._adopt(stored, now)):
            self.publish(adopted)
            return adopted
        return manifest.as_seen(now)

    def announce(self, manifest: Manifest) -> Manifest:
        """Write the manifest of an export that is about to be run; give back the one that is there already."""
        if self._write(self._key(manifest.export_id), manifest, Owner(), IfNoneMatch="*"):
            return manifest
        return self.read(manifest.export_id) or manifest

    def claim(self, export_id: str, order: Order, key: str, request: str, now: datetime) -> Lease | Manifest:
        """Take hold of an export, to run it; or the manifest, where it has succeeded or another run is at it.

        A hold can be taken of what nobody has begun, of what has failed or was killed, and by Lambda's next try of the same
        request. A run that still lives notices at its next write.

        Args:
            export_id: the export's.
            order: what it exports.
            key: where its data is to be; an earlier try's key goes before, so that no two tries leave two objects.
            request: the invocation's id.
            now: when the run begins.

        Raises:
            OtherExport: the id is that of another order's export.
        """
        fresh = begun(export_id, order, now)
        for _ in range(_MOST_TRIES):
            owner = Owner(request, uuid.uuid4().hex, key)
            stored = self._read(self._key(export_id))
            if stored is None:
                etag = self._write(self._key(export_id), fresh, owner, IfNoneMatch="*")
            else:
                manifest, before, etag_before = stored
                if (manifest.loyalty_id, manifest.output_format) != (order.loyalty_id, order.output_format):
                    raise OtherExport(
                        f"{export_id} is an export of program {manifest.loyalty_id} as {manifest.output_format}"
                    )
                others = (
                    manifest.status == "running" and not manifest.overdue(now) and before.request not in ("", request)
                )
                if manifest.status == "succeeded" or others:
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

    def _adopt(self, stored: tuple[Manifest, Owner, str], now: datetime) -> Manifest | None:
        """Make an export good whose run was killed after its object could be seen and before the manifest said so."""
        manifest, owner, etag = stored
        if (
            manifest.status != "running"
            or not owner.mark
            or not is_marked(self._s3, self._bucket, owner.key, owner.mark)
        ):
            return None
        good = replace(manifest, status="succeeded", finished_at=rfc3339(now), key=owner.key)
        return good if self._write(self._key(good.export_id), good, owner, IfMatch=etag) else None

    def overwrite(self, manifest: Manifest, owner: Owner, etag: str) -> str:
        """Write a manifest over the one with this ETag; the new ETag.

        Raises:
            Superseded: another run has written it since.
        """
        key = self._key(manifest.export_id)
        for _ in range(_MOST_TRIES):
            if written := self._write(key, manifest, owner, IfMatch=etag):
                return written
            stored = self._read(key)
            # A write whose answer was lost is made again by the SDK, and then loses against itself.
            if stored is None or stored[1].attempt != owner.attempt:
                raise Superseded(manifest.export_id)
            etag = stored[2]
        raise Unsettled(f"the manifest of {manifest.export_id} could not be written")

    def publish(self, manifest: Manifest) -> bool:
        """Make a good export the newest one of its program, unless a newer one is; whether it is now."""
        key = f"{self._prefix}latest/loyalty_id={manifest.loyalty_id}.json"
        for _ in range(_MOST_TRIES):
            stored = self._read(key)
            if stored is not None and _age(stored[0]) >= _age(manifest):
                return stored[0].export_id == manifest.export_id
            condition = {"IfMatch": stored[2]} if stored else {"IfNoneMatch": "*"}
            if self._write(key, manifest, Owner(), **condition):
                return True
        raise Unsettled(f"{key} could not be written")

    def _key(self, export_id: str) -> str:
        return f"{self._prefix}exports/{export_id}.json"

    def _read(self, key: str) -> tuple[Manifest, Owner, str] | None:
        try:
            found = self._s3.get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if code_of(error) in _MISSING:
                return None
            raise
        return Manifest(**json.loads(found["Body"].read())), _owner(found["Metadata"]), found["ETag"]

    def _write(self, key: str, manifest: Manifest, owner: Owner, **condition: str) -> str:
        """The new ETag; `""` where the condition does not hold."""
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
            if code_of(error) in LOST_RACE | _MISSING:
                return ""
            raise
        etag: str = written["ETag"]
        return etag

    def _abort(self, owner: Owner) -> None:
        try:
            self._s3.abort_multipart_upload(Bucket=self._bucket, Key=owner.key, UploadId=owner.upload)
        except ClientError as error:
            if code_of(error) != "NoSuchUpload":
                raise


def _owner(metadata: Mapping[str, str]) -> Owner:
    return Owner(**{name: metadata.get(name, "") for name in ("request", "attempt", "key", "upload", "mark")})


def _age(manifest: Manifest) -> tuple[datetime, str]:
    return datetime.fromisoformat(manifest.started_at).astimezone(UTC), manifest.export_id
