"""Manifests as objects in S3, each with the run that works on it, and written under conditions only.

    {prefix}exports/{export_id}.json           the manifest: running, then succeeded or failed
    {prefix}latest/loyalty_id={id}.json        the manifest of the newest good export

The run that works on an export is named in the object's metadata, not in the manifest: `invocation` (its id, which Lambda keeps
when it tries again), `attempt` (one try of it), `seen` (its last sign of life), `key` and `upload` (a multipart upload that a
dead try may have left), and `tag` (the ownership tag of the data object that a try was about to publish).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, NamedTuple

from botocore.exceptions import ClientError

from export_all import objects
from export_all.aws_errors import code_of
from export_all.formats.registry import OUTPUT_FORMATS
from export_all.keys import data_folder, latest_key, manifest_key
from export_all.manifest import LONGEST_MANIFEST, Manifest, UnreadableManifest, read_manifest
from export_all.upload import Found, found_at

MOST_TRIES: Final = 10
"""Of a conditional write that another write keeps refusing."""


class Superseded(Exception):
    """Another run has claimed this export."""


class Unsettled(Exception):
    """A conditional write was refused again and again, and no other write explains it."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} could not be written")


@dataclass(frozen=True)
class Owner:
    """The run that works on an export; none has begun where the fields are empty."""

    invocation: str = ""
    attempt: str = ""
    seen: str = ""
    key: str = ""
    upload: str = ""
    tag: str = ""


class Stored(NamedTuple):
    """A manifest as it is in S3."""

    manifest: Manifest
    owner: Owner
    etag: str


class ManifestStore:
    """The manifests under one prefix of a bucket.

    Args:
        s3: a botocore client.
        bucket: where they are.
        prefix: what every key begins with.
    """

    def __init__(self, s3: Any, bucket: str, prefix: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._prefix = prefix

    def find(self, export_id: str) -> Stored | None:
        """An export's manifest; None where there is none.

        Raises:
            UnreadableManifest: something else is in its place.
        """
        key = manifest_key(self._prefix, export_id)
        stored = self._read(key)
        if stored is not None and stored.manifest.export_id != export_id:
            raise UnreadableManifest(f"{key} is the manifest of another export")
        return stored

    def find_latest(self, loyalty_id: int) -> Stored | None:
        """The manifest of a program's newest good export; None where there is none.

        Raises:
            UnreadableManifest: something else is in its place.
        """
        key = latest_key(self._prefix, loyalty_id)
        stored = self._read(key)
        if stored is not None and (stored.manifest.loyalty_id, stored.manifest.status) != (loyalty_id, "succeeded"):
            raise UnreadableManifest(f"{key} is not the manifest of a good export of program {loyalty_id}")
        return stored

    def write(self, manifest: Manifest, owner: Owner, **condition: str) -> str:
        """Write an export's manifest under a condition of S3's.

        Returns:
            The new ETag; `""` where the condition does not hold, or S3's answer does not say: then look what is there.
        """
        return self._write(manifest_key(self._prefix, manifest.export_id), manifest, owner, **condition)

    def write_latest(self, manifest: Manifest, **condition: str) -> str:
        """Write the manifest of a program's newest good export, as `write` does."""
        return self._write(latest_key(self._prefix, manifest.loyalty_id), manifest, Owner(), **condition)

    def overwrite(self, manifest: Manifest, owner: Owner, etag: str) -> str:
        """Write a manifest over the one with this ETag; the new ETag.

        Raises:
            Superseded: another run has written it since.
        """
        for _ in range(MOST_TRIES):
            if written := self.write(manifest, owner, IfMatch=etag):
                return written
            stored = self.find(manifest.export_id)
            # Where the answer to a write is lost, the SDK writes again, and that write is refused because of the first.
            if stored is None or stored.owner.attempt != owner.attempt:
                raise Superseded(manifest.export_id)
            etag = stored.etag
        raise Unsettled(f"the manifest of {manifest.export_id}")

    def amend(self, export_id: str, **changes: Any) -> Manifest:
        """Change a manifest that no run works on any more."""
        for _ in range(MOST_TRIES):
            stored = self.find(export_id)
            if stored is None:
                break
            amended = replace(stored.manifest, **changes)
            if self.write(amended, stored.owner, IfMatch=stored.etag):
                return amended
        raise Unsettled(f"the manifest of {export_id}")

    def data_keys(self, loyalty_id: int, day: str = "") -> Iterator[str]:
        """The data objects of a program's exports that began on a day (`2026-11-22`) or later; without one, all of them."""
        for output_format in OUTPUT_FORMATS:
            folder = data_folder(self._prefix, loyalty_id, output_format)
            since = {"StartAfter": f"{folder}dt={day}"} if day else {}
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=folder, **since)
            yield from (found["Key"] for page in pages for found in page.get("Contents", []))

    def published(self, key: str) -> Found | None:
        """The data object at a key; None where there is certainly none."""
        return found_at(self._s3, self._bucket, key)

    def abort_upload(self, owner: Owner) -> None:
        """Remove what a dead try has left of its upload."""
        try:
            self._s3.abort_multipart_upload(Bucket=self._bucket, Key=owner.key, UploadId=owner.upload)
        except ClientError as error:
            if code_of(error) != "NoSuchUpload":
                raise

    def _read(self, key: str) -> Stored | None:
        found = objects.find(self._s3, self._bucket, key)
        if found is None:
            return None
        body = found["Body"].read(LONGEST_MANIFEST + 1)
        return Stored(read_manifest(body, key), _owner(found["Metadata"]), found.get("ETag", ""))

    def _write(self, key: str, manifest: Manifest, owner: Owner, **condition: str) -> str:
        metadata = {name: text for name, text in asdict(owner).items() if text}
        return objects.write(self._s3, self._bucket, key, asdict(manifest), metadata, **condition)


def _owner(metadata: Mapping[str, str]) -> Owner:
    return Owner(**{one.name: metadata.get(one.name, "") for one in fields(Owner)})
