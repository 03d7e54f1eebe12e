"""One object in S3 that is there whole or not at all."""

from __future__ import annotations

import uuid
from typing import Any, Final

from botocore.exceptions import ClientError

from export_all.storage import LOST_RACE, StorageError, code_of

FIRST_PART_BYTES: Final = 8 << 20
_PARTS_OF_ONE_SIZE: Final = 1000


def part_bytes(number: int) -> int:
    """The size of part `number`, from 1. Doubling every 1,000 parts, S3's 10,000 parts hold 8 TB; the largest has 4 GB."""
    return FIRST_PART_BYTES << (number - 1) // _PARTS_OF_ONE_SIZE


_MARK: Final = "made-by"


def is_marked(s3: Any, bucket: str, key: str, mark: str) -> bool:
    """Whether there is an object, and it is the one of the upload with this mark."""
    try:
        found = s3.head_object(Bucket=bucket, Key=key)
    except StorageError:
        return False
    return bool(found["Metadata"].get(_MARK) == mark)


class AlreadyThere(Exception):
    """The key holds an object that was not there to be replaced."""


class Upload:
    """An object in the making. Nobody sees it before `complete`, and nothing is left of it after `abort`.

    Every part goes with a CRC-32, which S3 checks: botocore computes it without more libraries.
    """

    def __init__(self, s3: Any, bucket: str, key: str) -> None:
        self._s3 = s3
        self._object: Final = {"Bucket": bucket, "Key": key}
        self.mark: Final = uuid.uuid4().hex
        """By which the object is known again, where S3's answer to `complete` is lost, or the run is killed behind it."""
        self._about: Final = {"ContentType": "application/octet-stream", "Metadata": {_MARK: self.mark}}
        self._parts: list[dict[str, object]] = []
        self._only_part = b""
        self.id = ""
        """S3's id of a multipart upload; `""` where none was begun."""

    def add(self, part: bytes) -> None:
        """Send one more part, of the size that `part_bytes` says."""
        if not self.id:
            self.id = self._s3.create_multipart_upload(**self._object, **self._about, ChecksumAlgorithm="CRC32")[
                "UploadId"
            ]
        number = len(self._parts) + 1
        sent = self._s3.upload_part(
            **self._object, UploadId=self.id, PartNumber=number, Body=part, ChecksumAlgorithm="CRC32"
        )
        self._parts.append({"PartNumber": number, "ETag": sent["ETag"], "ChecksumCRC32": sent["ChecksumCRC32"]})

    def add_last(self, part: bytes) -> None:
        """Send the last part, of any size. An object of one part needs no multipart upload: it is sent by `complete`."""
        if self.id:
            self.add(part)
        else:
            self._only_part = part

    def complete(self, *, instead_of: str = "") -> None:
        """Let the object be seen.

        Args:
            instead_of: the ETag of the object that it may replace; without it, there must be none.

        Raises:
            AlreadyThere: another object is at the key.
        """
        condition = {"IfMatch": instead_of} if instead_of else {"IfNoneMatch": "*"}
        try:
            if self.id:
                self._s3.complete_multipart_upload(
                    **self._object, UploadId=self.id, MultipartUpload={"Parts": self._parts}, **condition
                )
            else:
                self._s3.put_object(
                    **self._object, **self._about, Body=self._only_part, ChecksumAlgorithm="CRC32", **condition
                )
        except StorageError as error:
            if is_marked(self._s3, self._object["Bucket"], self._object["Key"], self.mark):
                return  # the answer was lost, and the SDK's next try found nothing more to complete, or lost to the first
            if isinstance(error, ClientError) and code_of(error) in LOST_RACE:
                raise AlreadyThere(self._object["Key"]) from error
            raise

    def there(self) -> str:
        """The ETag of the object that is at the key."""
        etag: str = self._s3.head_object(**self._object)["ETag"]
        return etag

    def abort(self) -> None:
        """Throw away what was sent."""
        if not self.id:
            return
        try:
            self._s3.abort_multipart_upload(**self._object, UploadId=self.id)
        except ClientError as error:
            if code_of(error) != "NoSuchUpload":
                raise
