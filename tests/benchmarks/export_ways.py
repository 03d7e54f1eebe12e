"""Ways to bring an export into S3, each run in its own process:

    python -m tests.benchmarks.export_ways WAY WIRE CODES ALTCRAFT_PORT S3_PORT [slow]

prints one line of JSON: CPU and wall seconds of the run itself, without the imports, the process's peak memory, and the number
of codes. The other libraries' ways are written as their documentation shows them.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import logging
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

PROGRAM: Final = 6


@dataclass(frozen=True)
class Ends:
    """The source and the destination of an export."""

    wire: str
    codes: int
    altcraft_url: str
    s3: Any

    @property
    def endpoint(self) -> str:
        """The address of export_all, for ways that do not use our client."""
        return f"{self.altcraft_url}/api/v1.1/promocodes/export_all"


class _Token:
    def value(self) -> str:
        return "token"

    def renew(self) -> bool:
        return False


def _client(ends: Ends) -> Any:
    from altcraft.client import Client, Timeouts

    token: Any = _Token()
    wire: Any = ends.wire
    return Client(ends.altcraft_url, token, wire, Timeouts(read=60))


class _Unread:
    """The reply as blocks of bytes, not decoded: the cost of reading, compressing and uploading alone."""

    bytes_in = 0

    def __init__(self, ends: Ends) -> None:
        self._ends = ends

    def __iter__(self) -> Iterator[Any]:
        import requests

        from altcraft.export import CHUNK_BYTES, Batch

        with requests.post(self._ends.endpoint, data=b"{}", stream=True, timeout=60) as response:
            while chunk := response.raw.read(CHUNK_BYTES):
                yield Batch(chunk, 0, (0, 0, 0))


def _run(ends: Ends, output_format: Any, source: Callable[[int], Any]) -> int:
    from export_all.exporter import Exporter
    from export_all.requests import ExportRequest

    exporter = Exporter(ends.s3, "bucket", "", source)
    manifest = exporter.run(ExportRequest(PROGRAM, output_format), "export", "request", time.monotonic() + 3600)
    if manifest.status != "succeeded":
        raise RuntimeError(str(manifest.error))
    return manifest.codes


def floor(ends: Ends) -> int:
    """Read, compress and upload the same bytes in the same parts, without decoding them."""
    _run(ends, "jsonl", lambda _: _Unread(ends))
    return ends.codes


def jsonl(ends: Ends) -> int:
    """Ours."""
    return _run(ends, "jsonl", _client(ends).export_all)


def csv(ends: Ends) -> int:
    """Ours."""
    return _run(ends, "csv", _client(ends).export_all)


def parquet(ends: Ends) -> int:
    """Ours."""
    return _run(ends, "parquet", _client(ends).export_all)


def in_turn(ends: Ends) -> int:
    """Ours without its threads: the same steps, one after the other."""
    from datetime import UTC, datetime

    from export_all.formats.registry import encoder_for
    from export_all.manifests import Lease, Manifests
    from export_all.requests import ExportRequest
    from export_all.upload import Upload, part_bytes

    manifests = Manifests(ends.s3, "bucket", "")
    lease = manifests.claim("export", ExportRequest(PROGRAM), "key", "request", datetime.now(UTC))
    if not isinstance(lease, Lease):
        raise TypeError("the export is another's")
    encoder, upload, codes = encoder_for("jsonl"), Upload(ends.s3, "bucket", "key"), 0
    sha256 = hashlib.sha256()
    part = io.BytesIO()
    for batch in _client(ends).export_all(PROGRAM):
        packed = encoder.pack(encoder.shape(batch))
        sha256.update(packed)
        part.write(packed)
        codes += len(batch)
        if part.tell() >= part_bytes(1):
            upload.add(part.getvalue())
            part = io.BytesIO()
    part.write(encoder.end())
    upload.add_last(part.getvalue())
    lease.save(codes=codes, sha256=sha256.hexdigest())
    upload.complete()
    manifests.latest.publish(lease.save(status="succeeded"))
    return codes


def plain(ends: Ends) -> int:
    """requests, json, gzip at level 6, put_object."""
    import requests

    rows = requests.post(ends.endpoint, json={"token": "token", "loyalty_id": PROGRAM}, timeout=60).json()["data"]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    ends.s3.put_object(Bucket="bucket", Key="key", Body=gzip.compress(lines.encode(), 6))
    return len(rows)


def xmltodict_stream(ends: Ends) -> int:
    """xmltodict in its streaming mode; msgspec and isal for the output."""
    import msgspec
    import requests
    import xmltodict

    from export_all.formats.text import Gzip

    codes = 0
    lines: list[bytes] = []
    packed: list[bytes] = []
    file = Gzip()

    def pack() -> None:
        packed.append(file.pack(b"\n".join((*lines, b""))))
        lines.clear()

    def row(path: list[tuple[str, Any]], item: Any) -> bool:
        nonlocal codes
        if path[-1][0] == "data":
            lines.append(msgspec.json.encode(item))
            codes += 1
            if len(lines) == 10_000:
                pack()
        return True

    with requests.post(ends.endpoint, data=b"<xml/>", stream=True, timeout=60) as response:
        xmltodict.parse(response.raw, item_depth=2, item_callback=row)
    pack()
    ends.s3.put_object(Bucket="bucket", Key="key", Body=b"".join((*packed, file.end())))
    return codes


def _dlt(rows: Callable[[], Iterator[Any]], file_format: Any) -> None:
    import dlt

    folder = tempfile.mkdtemp()
    os.environ.update({"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL", "DLT_DATA_DIR": folder})
    try:
        pipeline = dlt.pipeline(
            "export",
            pipelines_dir=f"{folder}/pipelines",
            destination=dlt.destinations.filesystem(bucket_url=f"file://{folder}/data"),
            dataset_name="promocodes",
        )
        pipeline.run(dlt.resource(rows, name="promocodes"), loader_file_format=file_format)
    finally:
        shutil.rmtree(folder)


def dlt_jsonl(ends: Ends) -> int:
    """dlt with a plain resource."""
    from dlt.sources.helpers import requests

    count = 0

    def rows() -> Iterator[Any]:
        nonlocal count
        data = requests.post(ends.endpoint, json={"token": "token", "loyalty_id": PROGRAM}).json()["data"]
        count = len(data)
        yield data

    _dlt(rows, "jsonl")
    return count


def dlt_arrow(ends: Ends) -> int:
    """dlt with a resource that yields Arrow, its fastest."""
    import orjson
    import pyarrow as pa
    from dlt.sources.helpers import requests

    count = 0

    def rows() -> Iterator[Any]:
        nonlocal count
        body = requests.post(ends.endpoint, json={"token": "token", "loyalty_id": PROGRAM}).content
        columns = [pa.field(name, pa.string()) for name in ("code", "attached", "activated", "expire_date", "expired")]
        table = pa.Table.from_pylist(orjson.loads(body)["data"], schema=pa.schema(columns))
        count = len(table)
        yield table

    _dlt(rows, "parquet")
    return count


WAYS: Final = {
    way.__name__: way for way in (floor, jsonl, csv, parquet, in_turn, plain, xmltodict_stream, dlt_jsonl, dlt_arrow)
}


def _ends(wire: str, codes: int, altcraft_port: str, s3_port: str, slow: str) -> Ends:
    from botocore.config import Config
    from botocore.session import Session

    s3 = Session().create_client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{s3_port}/{slow}",
        region_name="eu-central-1",
        aws_access_key_id="benchmark",
        aws_secret_access_key="benchmark",
        config=Config(s3={"addressing_style": "path"}),
    )
    return Ends(wire, codes, f"http://127.0.0.1:{altcraft_port}/{wire}/{codes}", s3)


def main(way: str, wire: str, codes: str, altcraft_port: str, s3_port: str, slow: str = "") -> None:
    """Run one way twice: a small export to load its modules, then the one that is measured."""
    logging.disable()
    run = WAYS[way]
    run(_ends(wire, 10_000, altcraft_port, s3_port, slow))
    ends = _ends(wire, int(codes), altcraft_port, s3_port, slow)
    wall, cpu = time.perf_counter(), time.process_time()
    counted = run(ends)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print("\n" + json.dumps({"cpu": cpu, "wall": wall, "peak": peak, "codes": counted}))


if __name__ == "__main__":
    main(*sys.argv[1:])
