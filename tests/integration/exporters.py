"""What the tests of exports share: a bucket, and an exporter that reads an Altcraft and writes into it."""

import gzip
import json
import time
from dataclasses import dataclass
from typing import Any

from altcraft.client import Client, Timeouts
from altcraft.export import Export
from altcraft.token import Token
from altcraft.wire import Wire
from export_all.exporter import Exporter
from export_all.manifest import Manifest
from export_all.requests import ExportRequest
from tests.secret import Secret

REQUEST = ExportRequest(6)
ID = "20261122T030000Z-0123456789abcdef0123"


@dataclass
class Bucket:
    """A bucket, and what is in it."""

    s3: Any
    name: str

    def keys(self, prefix: str = "") -> list[str]:
        found = self.s3.list_objects_v2(Bucket=self.name, Prefix=prefix)
        return [item["Key"] for item in found.get("Contents", [])]

    def read(self, key: str) -> bytes:
        body: bytes = self.s3.get_object(Bucket=self.name, Key=key)["Body"].read()
        return body

    def rows(self, manifest: Manifest) -> list[dict[str, Any]]:
        assert manifest.key is not None
        return [json.loads(line) for line in gzip.decompress(self.read(manifest.key)).splitlines()]

    def latest(self, loyalty_id: int = 6) -> str:
        newest: str = json.loads(self.read(f"crm/latest/loyalty_id={loyalty_id}.json"))["export_id"]
        return newest

    def half_uploads(self) -> list[Any]:
        uploads: list[Any] = self.s3.list_multipart_uploads(Bucket=self.name).get("Uploads", [])
        return uploads


def exporter_of(bucket: Bucket, url: str, wire: Wire = "json", secret: Secret | None = None) -> Exporter:
    secret = secret or Secret()

    def source(loyalty_id: int) -> Export:
        return Client(url, Token(secret), wire, Timeouts(connect=1, read=5)).export_all(loyalty_id)

    return Exporter(bucket.s3, bucket.name, "crm/", source, progress_seconds=0.01)


def run(
    exporter: Exporter, export_id: str = ID, order: ExportRequest = REQUEST, request: str = "first", seconds: float = 60
) -> Manifest:
    return exporter.run(order, export_id, request, time.monotonic() + seconds)
