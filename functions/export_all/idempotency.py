"""Idempotency keys: the same key is the same export, however often and in however many requests at once a caller sends it.

    {prefix}exports/_{SHA-256 of the key}.json      the first request that came with the key, and the id of its export

The record is written under S3's condition that there is none: of several requests at once, one decides the id for all.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Final

from export_all import objects
from export_all.keys import record_key
from export_all.manifest_store import MOST_TRIES, Unsettled
from export_all.requests import ExportRequest, export_id_from
from lambda_support.fields import InvalidField

_LONGEST_RECORD: Final = 4 << 10
"""Bytes of a record; ours have less than 300."""


class KeyReused(Exception):
    """The key came with another request before. The message says what to do."""


class UnreadableRecord(Exception):
    """An object in the place of a key's record is none that this version understands. The message names it."""


class IdempotencyKeys:
    """The keys of one stack, whoever sends them: its callers share its exports.

    Args:
        s3: a botocore client.
        bucket: where they are recorded.
        prefix: what every key of S3 begins with.
    """

    def __init__(self, s3: Any, bucket: str, prefix: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._prefix = prefix

    def claim(self, key: str, request: ExportRequest, export_id: str) -> str:
        """The id of the key's export: this one, if the key is new.

        Raises:
            KeyReused: the key is that of another request.
            UnreadableRecord: something else is in its record's place.
            AWS_ERRORS: S3 does not say.
        """
        for _ in range(MOST_TRIES):
            if self._write(key, request, export_id):
                return export_id
            recorded = self._read(key)
            if recorded is None:
                continue
            first, first_id = recorded
            if first != request:
                raise KeyReused(
                    "Idempotency-Key: this key came before with another body. Send that body again for the same export, or a "
                    "new key for another one."
                )
            return first_id
        raise Unsettled(f"the record {record_key(self._prefix, key)}")

    def _write(self, key: str, request: ExportRequest, export_id: str) -> bool:
        """Record a key, if it is new; whether that is certain."""
        record = {"idempotency_key": key, "export_id": export_id, **asdict(request)}
        at = record_key(self._prefix, key)
        return bool(objects.write(self._s3, self._bucket, at, record, {}, IfNoneMatch="*"))

    def _read(self, key: str) -> tuple[ExportRequest, str] | None:
        """The first request with a key and its export's id; None where there is none."""
        at = record_key(self._prefix, key)
        found = objects.find(self._s3, self._bucket, at)
        if found is None:
            return None
        try:
            fields = json.loads(found["Body"].read(_LONGEST_RECORD))
            if not isinstance(fields, dict) or fields.get("idempotency_key") != key:
                raise InvalidField("idempotency_key", "is not the one that the object is named for")
            request = ExportRequest.from_fields(fields, besides=("idempotency_key", "export_id"))
            return request, export_id_from(fields.get("export_id"))
        except (ValueError, RecursionError) as error:  # InvalidField is a ValueError, and so is what is not JSON
            raise UnreadableRecord(f"{at} is no record of an idempotency key") from error
