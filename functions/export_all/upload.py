"""One object in S3 that is published whole or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from botocore.exceptions import ClientError

from export_all.aws_errors import AWS_ERRORS, LOST_RACE, MISSING, StorageUnavailable, UnreadableAnswer, code_of

FIRST_PART_BYTES: Final = 8 << 20
_PARTS_OF_ONE_SIZE: Final = 1000


def part_bytes(number: int) -> int:
    """The size of part `number`, from 1. Doubling every 1,000 parts, S3's 10,000 parts hold 8 TB; the largest has 4 GB."""
    return FIRST_PART_BYTES << (number - 1) // _PARTS_OF_ONE_SIZE


_TAG: Final = "made-by"


class Found(NamedTuple):
    """An object that is at a key."""

    etag: str
    tag: str
    """The ownership tag of the upload that made it; `""` where none of ours did."""


def found_at(s3: Any, bucket: str, key: str) -> Found | None:
    """The object at a key; None where there is certainly none.

    Raises:
        AWS_ERRORS: S3 does not say.
    """
    try:
        # Not HEAD: its refusals have no body, so that they all look the same.
        found = s3.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if code_of(error) in MISSING:
            return None
        raise
    found["Body"].close()
    return Found(_required(found, "ETag", "GetObject"), found["Metadata"].get(_TAG, ""))


def _required(answer: Mapping[str, Any], member: str, operation: str) -> str:
    """A member that S3 sends with every success of an operation."""
    if not answer.get(member):
        raise UnreadableAnswer(operation=operation)
    return str(answer[member])


class AlreadyThere(Exception):
    """The key holds an object that this upload may not replace. `etag` is that object's."""

    def __init__(self, key: str, etag: str) -> None:
        super().__init__(key)
        self.etag = etag


class Unconfirmed(StorageUnavailable):
    """S3 does not say whether the object is there. It may be, so the export must not be reported as failed."""


class Upload:
    """An object in the making. Nobody sees it before `complete`, and nothing is left of it after `abort`.

    Every part is sent with its CRC-32, which S3 checks: botocore computes that one without further libraries.
    """

    def __init__(self, s3: Any, bucket: str, key: str, media_type: str = "application/octet-stream") -> None:
        self._s3 = s3
        self._object: Final = {"Bucket": bucket, "Key": key}
        self.tag: Final = uuid.uuid4().hex
        """The ownership tag: by it the object is known as ours, where S3's answer is lost or the run is killed after it."""
        self._about: Final = {"ContentType": media_type, "Metadata": {_TAG: self.tag}}
        self._parts: list[dict[str, object]] = []
        self._only_part = b""
        self.id = ""
        """S3's id of a multipart upload; `""` where none was begun."""

    def add(self, part: bytes) -> None:
        """Send one more part, of the size that `part_bytes` says.

        Raises:
            AWS_ERRORS: S3 did not take it, or did not say so.
        """
        if not self.id:
            begun = self._s3.create_multipart_upload(**self._object, **self._about, ChecksumAlgorithm="CRC32")
            self.id = _required(begun, "UploadId", "CreateMultipartUpload")
        number = len(self._parts) + 1
        sent = self._s3.upload_part(
            **self._object, UploadId=self.id, PartNumber=number, Body=part, ChecksumAlgorithm="CRC32"
        )
        checks = {member: _required(sent, member, "UploadPart") for member in ("ETag", "ChecksumCRC32")}
        self._parts.append({"PartNumber": number, **checks})

    def add_last(self, part: bytes) -> None:
        """Send the last part, of any size. An object of one part needs no multipart upload: it is sent by `complete`."""
        if self.id:
            self.add(part)
        else:
            self._only_part = part

    def complete(self, *, instead_of: str = "") -> None:
        """Publish the object. Believed only where S3 names the object's ETag, or the object is there.

        Args:
            instead_of: the ETag of the object that it may replace; without it, there must be none.

        Raises:
            AlreadyThere: another object is at the key.
            Unconfirmed: S3 does not say what is at the key.
            AWS_ERRORS: nothing of this upload is at the key.
        """
        condition = {"IfMatch": instead_of} if instead_of else {"IfNoneMatch": "*"}
        try:
            if self.id:
                answer = self._s3.complete_multipart_upload(
                    **self._object, UploadId=self.id, MultipartUpload={"Parts": self._parts}, **condition
                )
            else:
                answer = self._s3.put_object(
                    **self._object, **self._about, Body=self._only_part, ChecksumAlgorithm="CRC32", **condition
                )
            _required(answer, "ETag", "CompleteMultipartUpload" if self.id else "PutObject")
        except AWS_ERRORS as error:
            self._settle(error)

    def _settle(self, lost: Exception) -> None:
        """Look whether the object is there: where S3's answer is lost, the SDK tries again, and that try is refused."""
        key = self._object["Key"]
        try:
            there = found_at(self._s3, self._object["Bucket"], key)
        except AWS_ERRORS as error:
            if _is_refusal(lost):
                raise lost from error
            raise Unconfirmed(f"S3 does not say whether {key} is there: ask for the export's status later") from error
        if there is not None and there.tag == self.tag:
            return
        if there is not None and isinstance(lost, ClientError) and code_of(lost) in LOST_RACE:
            raise AlreadyThere(key, there.etag) from lost
        raise lost

    def abort(self) -> None:
        """Remove what was sent."""
        if not self.id:
            return
        try:
            self._s3.abort_multipart_upload(**self._object, UploadId=self.id)
        except ClientError as error:
            if code_of(error) != "NoSuchUpload":
                raise


def _is_refusal(error: Exception) -> bool:
    """Whether S3 has certainly done nothing: it refuses, and not because an earlier try of the same call succeeded."""
    if not isinstance(error, ClientError) or code_of(error) in LOST_RACE | {"NoSuchUpload"}:
        return False
    status: int = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    return 400 <= status < 500
