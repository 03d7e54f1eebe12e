"""Exports without the entry points: an Altcraft over HTTP, an S3 over HTTP, in both wire formats."""

import gzip
import hashlib
import json
import os
import re
import secrets
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import msgspec
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from botocore.session import Session

from altcraft.errors import Refused
from altcraft.export_json import usual_batch
from altcraft.wire import Wire
from export_all.aws_errors import detail_of
from export_all.exporter import Exporter
from export_all.formats.registry import OUTPUT_FORMATS, OutputFormat
from export_all.manifest import Manifest, UnreadableManifest, begun, rfc3339
from export_all.manifests import LIFETIME, Lease, Manifests, OtherExport
from export_all.requests import ExportRequest
from export_all.upload import Unconfirmed, part_bytes
from local.emulator import Emulator
from local.emulator.faults import AnyFault, Cut, Drop, Late, Page, Refuse
from local.emulator.http import Request, Response
from local.engine import Aws
from tests.integration.exporters import ID, REQUEST, Bucket, exporter_of, run
from tests.proxy import PassOn, proxy
from tests.secret import Secret

SOON = timedelta(seconds=60)


@pytest.fixture(params=get_args(Wire))
def exporter(request: pytest.FixtureRequest, bucket: Bucket, emulator: Emulator) -> Exporter:
    emulator.programs.create(6, generated=1000)
    return exporter_of(bucket, emulator.url, request.param)


def test_a_program_lands_in_s3(exporter: Exporter, bucket: Bucket) -> None:
    manifest = run(exporter)

    rows = bucket.rows(manifest)
    assert [row["code"] for row in rows] == [f"GEN-{number:09}" for number in range(1000)]
    assert (manifest.status, manifest.error, manifest.finished_at is not None) == ("succeeded", None, True)
    assert (manifest.codes, manifest.attached, manifest.activated, manifest.expired) == (1000, 500, 250, 250)
    data = bucket.read(manifest.key or "")
    assert (manifest.bytes_out, manifest.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert manifest.bytes_in > len(b"".join(json.dumps(row, separators=(",", ":")).encode() for row in rows))
    assert manifest.key == f"crm/promocodes/loyalty_id=6/dt={manifest.started_at[:10]}/{ID}.jsonl.gz"
    assert json.loads(bucket.read(f"crm/exports/{ID}.json")) == asdict(manifest)
    assert json.loads(bucket.read("crm/latest/loyalty_id=6.json")) == asdict(manifest)


@pytest.mark.parametrize("output_format", OUTPUT_FORMATS)
def test_every_format_lands_under_its_own_name(bucket: Bucket, emulator: Emulator, output_format: OutputFormat) -> None:
    emulator.programs.create(6, generated=10)

    manifest = run(exporter_of(bucket, emulator.url), order=ExportRequest(6, output_format))

    assert (manifest.status, manifest.codes) == ("succeeded", 10)
    suffix = {"jsonl": "jsonl.gz", "csv": "csv.gz", "parquet": "parquet"}[output_format]
    assert bucket.keys("crm/promocodes/") == [manifest.key]
    assert str(manifest.key).endswith(f"{ID}.{suffix}")
    media_type = "application/vnd.apache.parquet" if output_format == "parquet" else "application/gzip"
    assert bucket.s3.head_object(Bucket=bucket.name, Key=manifest.key)["ContentType"] == media_type


@pytest.mark.parametrize("null", [True, False])
def test_an_empty_program_is_an_empty_object(
    exporter: Exporter, bucket: Bucket, emulator: Emulator, null: bool
) -> None:
    emulator.settings = msgspec.structs.replace(emulator.settings, empty_export_as_null=null)
    emulator.programs.create(7)

    manifest = run(exporter, order=ExportRequest(7))

    assert (manifest.status, manifest.codes, bucket.rows(manifest)) == ("succeeded", 0, [])


FAULTS: dict[str, tuple[AnyFault, str, bool]] = {
    "refused at once": (Refuse(error=901, error_text="no"), "refused", False),
    "failing at once": (Refuse(error=440, error_text="no"), "altcraft_failing", True),
    "token refused": (Refuse(error=401, error_text="API token required", calls=None), "token_refused", True),
    "refused after the rows": (Late(rows=900, error=901, error_text="no"), "refused", False),
    "failing after the rows": (Late(rows=900, error=500, error_text="no"), "altcraft_failing", True),
    "cut off": (Cut(after=30_000), "altcraft_incoherent", True),
    "no reply": (Drop(), "altcraft_unreachable", True),
    "a page": (Page(status=200), "altcraft_incoherent", True),
    "a page instead of service": (Page(status=503), "altcraft_unreachable", True),
    "too many requests": (Page(status=429, body="slow down"), "altcraft_unreachable", True),
}


@pytest.mark.parametrize(("fault", "type_", "retryable"), FAULTS.values(), ids=FAULTS.keys())
def test_a_failed_export_leaves_only_its_reason(
    exporter: Exporter, bucket: Bucket, emulator: Emulator, fault: AnyFault, type_: str, retryable: bool
) -> None:
    emulator.faults.set([fault])

    manifest = run(exporter)

    assert manifest.status == "failed"
    assert manifest.error is not None
    assert (manifest.error["type"], manifest.error["retryable"]) == (type_, retryable)
    assert "local-altcraft-token" not in json.dumps(asdict(manifest))
    assert bucket.keys() == [f"crm/exports/{ID}.json"]
    assert json.loads(bucket.read(bucket.keys()[0])) == asdict(manifest)
    # And the next try of the same export is a good one
    emulator.faults.set([])
    assert run(exporter, request="another").status == "succeeded"


def test_altcrafts_error_text_is_kept(exporter: Exporter, emulator: Emulator) -> None:
    emulator.faults.set([Refuse(error=402, error_text="Tariff limit reached")])

    error = run(exporter).error

    assert error is not None
    assert error["altcraft"] == {"error": 402, "error_text": "Tariff limit reached"}


def test_a_refused_token_is_counted_for_its_alarm(
    exporter: Exporter, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    emulator.faults.set([Refuse(error=401, error_text="API token required", calls=None)])

    run(exporter)

    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert [metric["TokenRefused"] for metric in metrics if "TokenRefused" in metric] == [[1.0]]


def test_a_new_token_is_read_when_the_old_one_is_refused(bucket: Bucket, emulator: Emulator) -> None:
    emulator.programs.create(6, generated=3)

    manifest = run(exporter_of(bucket, emulator.url, secret=Secret(cached="an-old-token")))

    assert (manifest.status, manifest.codes) == ("succeeded", 3)


def test_repeating_an_export_returns_the_first_one(exporter: Exporter, bucket: Bucket, emulator: Emulator) -> None:
    first = run(exporter)
    emulator.programs.create(6, generated=5)

    assert run(exporter, request="second") == first
    assert len(bucket.keys("crm/promocodes/")) == 1


def test_concurrent_runs_of_an_export_make_one_export(exporter: Exporter, bucket: Bucket) -> None:
    manifests: list[Manifest] = []
    threads = [
        threading.Thread(target=lambda name: manifests.append(run(exporter, request=name)), args=(f"request {number}",))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # The other run got the manifest of the running export
    assert len([manifest for manifest in manifests if manifest.status == "succeeded"]) >= 1
    assert {manifest.status for manifest in manifests} <= {"running", "succeeded"}
    assert len(bucket.keys("crm/promocodes/")) == 1
    assert bucket.half_uploads() == []


def test_an_export_id_belongs_to_one_request(exporter: Exporter) -> None:
    run(exporter)

    with pytest.raises(OtherExport):
        run(exporter, order=ExportRequest(7))


# --- killed runs, by what they leave ----------------------------------------------------------------------------------


def left_behind(exporter: Exporter, *, request: str, began: datetime, key: str = "") -> Lease:
    """What a run leaves that was killed: its hold."""
    claimed = exporter.manifests.claim(ID, REQUEST, key, request, began)
    assert isinstance(claimed, Lease)
    return claimed


def test_a_live_run_is_not_taken_over(exporter: Exporter) -> None:
    left_behind(exporter, request="first", began=datetime.now(UTC))

    assert run(exporter, request="second").status == "running"


@pytest.mark.parametrize(
    ("age", "request_id"),
    [(timedelta(), "first"), (LIFETIME + SOON, "second")],
    ids=["the next try of the same request", "a run that is older than a function lives"],
)
def test_a_killed_run_is_run_again(exporter: Exporter, bucket: Bucket, age: timedelta, request_id: str) -> None:
    left_behind(exporter, request="first", began=datetime.now(UTC) - age)

    assert run(exporter, request=request_id).status == "succeeded"
    assert bucket.latest() == ID


def test_the_half_upload_of_a_killed_run_is_aborted(exporter: Exporter, bucket: Bucket) -> None:
    # Given a run that was killed in the middle of an upload
    key = f"crm/promocodes/loyalty_id=6/dt=2026-11-21/{ID}.jsonl.gz"
    upload = bucket.s3.create_multipart_upload(Bucket=bucket.name, Key=key)["UploadId"]
    left_behind(exporter, request="first", began=datetime.now(UTC), key=key).save(upload=upload)
    assert len(bucket.half_uploads()) == 1

    # When it is tried again, on the next day
    manifest = run(exporter)

    # Then nothing is left of the upload, and the object keeps its day
    assert bucket.half_uploads() == []
    assert manifest.key == key


class Killed(BaseException):
    """Ends a run as SIGKILL does: no `except Exception` of the code runs."""


@dataclass(frozen=True)
class DyingS3:
    """An S3 that kills the run as soon as its data object exists."""

    s3: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.s3, name)

    def put_object(self, **call: Any) -> Any:
        answer = self.s3.put_object(**call)
        if call["Key"].startswith("crm/promocodes/"):
            raise Killed
        return answer


@pytest.fixture
def object_without_manifest(exporter: Exporter, bucket: Bucket) -> None:
    """What a run leaves that was killed between its object and its manifest."""
    with pytest.raises(Killed):
        run(replace(exporter, s3=DyingS3(bucket.s3)))
    assert json.loads(bucket.read(f"crm/exports/{ID}.json"))["status"] == "running"
    assert len(bucket.keys("crm/promocodes/")) == 1


@pytest.mark.usefixtures("object_without_manifest")
def test_the_object_of_a_killed_run_is_adopted_by_the_next_try_without_altcraft(
    exporter: Exporter, bucket: Bucket, emulator: Emulator
) -> None:
    emulator.faults.set([Page(calls=None)])

    manifest = run(exporter)

    assert (manifest.status, manifest.codes, bucket.latest()) == ("succeeded", 1000, ID)
    assert hashlib.sha256(bucket.read(manifest.key or "")).hexdigest() == manifest.sha256
    assert len(bucket.rows(manifest)) == 1000


@pytest.mark.usefixtures("object_without_manifest")
def test_the_object_of_a_killed_run_is_adopted_by_a_status_request(exporter: Exporter, bucket: Bucket) -> None:
    now = datetime.now(UTC)
    assert (young := exporter.manifests.look(ID, now)) is not None
    assert young.status == "running"

    assert (old := exporter.manifests.look(ID, now + LIFETIME + SOON)) is not None

    assert (old.status, old.codes, bucket.latest()) == ("succeeded", 1000, ID)
    assert exporter.manifests.read(ID) == old


def test_an_object_that_was_never_announced_is_replaced(exporter: Exporter, bucket: Bucket) -> None:
    # Given a run that was killed between its object and its manifest
    key = f"crm/promocodes/loyalty_id=6/dt=2026-11-21/{ID}.jsonl.gz"
    bucket.s3.put_object(Bucket=bucket.name, Key=key, Body=gzip.compress(b'{"code":"A"}\n'))
    left_behind(exporter, request="first", began=datetime.now(UTC), key=key)

    manifest = run(exporter)

    assert bucket.keys("crm/promocodes/") == [key]
    assert len(bucket.rows(manifest)) == manifest.codes == 1000


def test_latest_is_updated_after_a_kill(exporter: Exporter, bucket: Bucket) -> None:
    # Given a run that was killed between its manifest and `latest`
    run(exporter)
    bucket.s3.delete_object(Bucket=bucket.name, Key="crm/latest/loyalty_id=6.json")

    run(exporter)

    assert bucket.latest() == ID


def test_a_run_without_a_recent_update_is_reported_as_failed(exporter: Exporter) -> None:
    now = datetime.now(UTC)
    left_behind(exporter, request="first", began=now)

    young, old = (exporter.manifests.look(ID, moment) for moment in (now + SOON, now + LIFETIME + SOON))

    assert young is not None
    assert young.status == "running"
    assert old is not None
    assert (old.status, (old.error or {})["type"]) == ("failed", "killed")


def test_a_run_longer_than_a_functions_timeout_is_not_taken_over_while_it_updates_its_manifest(
    exporter: Exporter,
) -> None:
    # Given a run that began an hour ago, on a machine without a deadline, and wrote its counts just now
    began = datetime.now(UTC) - timedelta(hours=1)
    left_behind(exporter, request="first", began=began).save(codes=5)

    assert run(exporter, request="second").status == "running"
    seen = exporter.manifests.look(ID, datetime.now(UTC))
    assert seen is not None
    assert (seen.status, seen.codes) == ("running", 5)


# --- the claim, and latest --------------------------------------------------------------------------------------------


class Rows:
    """An Altcraft that waits before its last row for the test."""

    bytes_in = 0

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def __iter__(self) -> Iterator[Any]:
        yield usual_batch(b'{"code":"A"}')
        self.reached.set()
        self.go_on.wait()
        yield usual_batch(b'{"code":"B"}')


def test_a_run_that_was_superseded_publishes_nothing(bucket: Bucket) -> None:
    # Given a slow run whose request Lambda has given to another sandbox
    rows = Rows()
    exporter = Exporter(bucket.s3, bucket.name, "crm/", lambda _: rows, progress_seconds=60)
    seen: list[Manifest] = []
    slow = threading.Thread(target=lambda: seen.append(run(exporter)))
    slow.start()
    assert rows.reached.wait(10)
    second = left_behind(exporter, request="first", began=datetime.now(UTC))

    # When the slow one ends
    rows.go_on.set()
    slow.join()

    # Then the export still belongs to the other
    assert seen == [second.manifest]
    assert bucket.keys("crm/promocodes/") == []
    assert second.save(codes=5).codes == 5


def test_a_run_that_reaches_its_deadline_fails(bucket: Bucket) -> None:
    rows = Rows()
    exporter = Exporter(bucket.s3, bucket.name, "crm/", lambda _: rows)

    manifest = run(exporter, seconds=0.5)

    assert manifest.status == "failed"
    assert (manifest.error or {})["type"] == "deadline"
    assert bucket.keys() == [f"crm/exports/{ID}.json"]
    rows.go_on.set()


def test_a_run_reports_its_progress(bucket: Bucket) -> None:
    rows = Rows()
    exporter = Exporter(bucket.s3, bucket.name, "crm/", lambda _: rows, progress_seconds=0.01)
    running = threading.Thread(target=run, args=(exporter,))
    running.start()
    assert rows.reached.wait(10)

    while (manifest := exporter.manifests.read(ID)) is None or manifest.codes == 0:
        assert running.is_alive()

    assert (manifest.status, manifest.codes) == ("running", 1)
    rows.go_on.set()
    running.join()


def test_latest_never_goes_backwards(bucket: Bucket) -> None:
    manifests = Manifests(bucket.s3, bucket.name, "crm/")
    now = datetime.now(UTC)
    older, newer = (
        replace(begun(name, REQUEST, moment), status="succeeded", codes=1)
        for name, moment in (("older", now - timedelta(seconds=1)), ("newer", now))
    )

    assert manifests.latest.publish(newer)
    assert not manifests.latest.publish(older)
    assert bucket.latest() == "newer"
    assert manifests.latest.publish(newer)


def test_latest_is_the_newest_of_many_at_once(bucket: Bucket) -> None:
    now = datetime.now(UTC)
    exports = [
        replace(begun(f"export-{n}", REQUEST, now + timedelta(seconds=n)), status="succeeded", codes=1)
        for n in range(8)
    ]
    threads = [
        threading.Thread(target=Manifests(bucket.s3, bucket.name, "crm/").latest.publish, args=(manifest,))
        for manifest in exports
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert bucket.latest() == "export-7"


# --- the guard over latest --------------------------------------------------------------------------------------------


def export(exporter: Exporter, emulator: Emulator, codes: int, name: str, *, accept_fewer: bool = False) -> Manifest:
    """Export program 6 with this number of codes."""
    emulator.programs.create(6, generated=codes)
    return run(exporter, name, ExportRequest(6, accept_fewer=accept_fewer), request=name)


@pytest.mark.parametrize(
    ("before", "after", "suspect"),
    [(100, 50, False), (100, 49, True), (100, 0, True), (1, 1, False), (3, 2, False), (3, 1, True), (0, 5, False)],
)
def test_an_export_that_shrank_is_kept_and_latest_does_not_move(
    bucket: Bucket, emulator: Emulator, before: int, after: int, suspect: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    exporter = exporter_of(bucket, emulator.url)
    export(exporter, emulator, before, "export-1", accept_fewer=True)
    capsys.readouterr()

    manifest = export(exporter, emulator, after, "export-2")

    assert (manifest.status, manifest.codes, manifest.suspect) == ("succeeded", after, suspect)
    assert len(bucket.rows(manifest)) == after
    assert exporter.manifests.read("export-2") == manifest
    assert bucket.latest() == ("export-1" if suspect else "export-2")
    # And the metric for the alarm is recorded, once
    counted = [line for line in capsys.readouterr().out.splitlines() if '"SuspectExports":[1.0]' in line]
    assert len(counted) == suspect
    # And a status request moves nothing
    assert exporter.manifests.look("export-2", datetime.now(UTC)) == manifest
    assert bucket.latest() == ("export-1" if suspect else "export-2")


def test_the_percentage_is_the_operators(bucket: Bucket, emulator: Emulator) -> None:
    exporter = replace(exporter_of(bucket, emulator.url), least_percent=100)
    export(exporter, emulator, 100, "export-1")

    assert export(exporter, emulator, 99, "export-2").suspect
    assert not export(exporter, emulator, 100, "export-3").suspect
    assert bucket.latest() == "export-3"


def test_a_first_export_without_codes_leaves_no_latest(bucket: Bucket, emulator: Emulator) -> None:
    manifest = export(exporter_of(bucket, emulator.url), emulator, 0, "export-1")

    assert (manifest.status, manifest.suspect) == ("succeeded", True)
    assert bucket.keys("crm/latest/") == []


def test_a_suspect_export_is_accepted_by_its_request(bucket: Bucket, emulator: Emulator) -> None:
    exporter = exporter_of(bucket, emulator.url)
    export(exporter, emulator, 100, "export-1")

    manifest = export(exporter, emulator, 3, "export-2", accept_fewer=True)

    assert (manifest.suspect, bucket.latest()) == (True, "export-2")
    # And the next export is compared with it
    assert not export(exporter, emulator, 2, "export-3").suspect


def test_a_suspect_export_can_be_accepted_afterwards_without_a_new_one(bucket: Bucket, emulator: Emulator) -> None:
    exporter = exporter_of(bucket, emulator.url)
    export(exporter, emulator, 100, "export-1")
    suspect = export(exporter, emulator, 3, "export-2")

    accepted = export(exporter, emulator, 7, "export-2", accept_fewer=True)

    assert accepted == replace(suspect, accept_fewer=True) == exporter.manifests.read("export-2")
    assert bucket.latest() == "export-2"


def test_an_export_that_was_overtaken_is_judged_by_what_latest_has_by_then(bucket: Bucket, emulator: Emulator) -> None:
    # Given two exports that were compared with `latest` at the same time, the older of them with far more codes
    exporter = exporter_of(bucket, emulator.url)
    export(exporter, emulator, 10, "export-1")
    small, now = export(exporter, emulator, 9, "export-3"), datetime.now(UTC)
    bucket.s3.delete_object(Bucket=bucket.name, Key="crm/latest/loyalty_id=6.json")
    large = replace(small, export_id="export-2", codes=1000, started_at=rfc3339(now - timedelta(hours=1)))

    assert exporter.manifests.latest.publish(large)
    assert not exporter.manifests.latest.publish(small)

    assert (bucket.latest(), exporter.manifests.read("export-3")) == ("export-2", replace(small, suspect=True))


STRANGE_MANIFESTS = {
    "by hand": b"program 6: see the shared folder",
    "by hand, as JSON": b'["export-1"]',
    "without its time": b'{"export_id": "export-1", "loyalty_id": 6, "status": "succeeded", "output_format": "jsonl"}',
    "of a version with texts for numbers": (
        b'{"export_id": "export-1", "loyalty_id": 6, "status": "succeeded", "output_format": "jsonl", '
        b'"started_at": "2026-11-22T03:00:00.000Z", "codes": "100"}'
    ),
    "of another program": (
        b'{"export_id": "export-1", "loyalty_id": 5, "status": "succeeded", "output_format": "jsonl", '
        b'"started_at": "2026-11-22T03:00:00.000Z"}'
    ),
    "of an export that failed": (
        b'{"export_id": "export-1", "loyalty_id": 6, "status": "failed", "output_format": "jsonl", '
        b'"started_at": "2026-11-22T03:00:00.000Z"}'
    ),
    "empty": b"",
    "endless": b" " * 100_000,
}


@pytest.mark.parametrize("strange", STRANGE_MANIFESTS.values(), ids=STRANGE_MANIFESTS.keys())
def test_an_unreadable_latest_is_replaced_only_if_an_operator_accepts_it(
    bucket: Bucket, emulator: Emulator, strange: bytes
) -> None:
    key = "crm/latest/loyalty_id=6.json"
    bucket.s3.put_object(Bucket=bucket.name, Key=key, Body=strange)
    exporter = exporter_of(bucket, emulator.url)

    manifest = export(exporter, emulator, 100, "export-2")

    assert (manifest.status, manifest.suspect, bucket.read(key)) == ("succeeded", True, strange)
    assert export(exporter, emulator, 100, "export-3", accept_fewer=True).status == "succeeded"
    assert bucket.latest() == "export-3"
    # And a status request does not change it, whether the export is accepted or good
    good = export(exporter, emulator, 100, "export-4")
    bucket.s3.put_object(Bucket=bucket.name, Key=key, Body=strange)
    assert exporter.manifests.look("export-3", datetime.now(UTC)) == exporter.manifests.read("export-3")
    assert exporter.manifests.look("export-4", datetime.now(UTC)) == good
    assert (good.suspect, bucket.read(key)) == (False, strange)


def test_a_latest_of_a_newer_version_can_be_read(bucket: Bucket, emulator: Emulator) -> None:
    key = "crm/latest/loyalty_id=6.json"
    newer = asdict(replace(begun("export-1", REQUEST, datetime.now(UTC)), status="succeeded", codes=1000)) | {
        "shards": 5
    }
    bucket.s3.put_object(Bucket=bucket.name, Key=key, Body=json.dumps(newer).encode())
    exporter = exporter_of(bucket, emulator.url)

    assert export(exporter, emulator, 100, "export-2").suspect
    assert bucket.latest() == "export-1"


@pytest.mark.parametrize("strange", [b"by hand", b'{"export_id": "another"}'])
def test_an_unreadable_manifest_is_named_and_not_changed(exporter: Exporter, bucket: Bucket, strange: bytes) -> None:
    key = f"crm/exports/{ID}.json"
    bucket.s3.put_object(Bucket=bucket.name, Key=key, Body=strange)

    with pytest.raises(UnreadableManifest, match=re.escape(f"{key} is no manifest")):
        run(exporter)
    with pytest.raises(UnreadableManifest, match=re.escape(f"{key} is no manifest")):
        exporter.manifests.look(ID, datetime.now(UTC))
    assert bucket.read(key) == strange
    assert bucket.keys("crm/promocodes/") == []


def test_a_killed_run_that_is_suspect_is_adopted_and_latest_does_not_move(bucket: Bucket, emulator: Emulator) -> None:
    exporter = exporter_of(bucket, emulator.url)
    export(exporter, emulator, 100, "export-1")
    with pytest.raises(Killed):
        export(replace(exporter, s3=DyingS3(bucket.s3)), emulator, 3, "export-2")

    seen = exporter.manifests.look("export-2", datetime.now(UTC) + LIFETIME + SOON)

    assert seen is not None
    assert (seen.status, seen.codes, seen.suspect, bucket.latest()) == ("succeeded", 3, True, "export-1")


def test_times_are_rfc_3339_in_utc() -> None:
    assert rfc3339(datetime(2026, 11, 22, 3, 0, tzinfo=UTC)) == "2026-11-22T03:00:00.000Z"


# --- large exports ----------------------------------------------------------------------------------------------------


class ManyRows:
    """An Altcraft with 300,000 codes that hardly compress, so that their file has more than one part."""

    bytes_in = 0
    batch = usual_batch(",".join(f'{{"code":"{secrets.token_hex(32)}"}}' for _ in range(1000)).encode())

    def __init__(self, end: Exception | None = None) -> None:
        self._end = end

    def __iter__(self) -> Iterator[Any]:
        yield from (self.batch for _ in range(300))
        if self._end:
            raise self._end


class BrokenS3:
    """An S3 that accepts no part of an upload."""

    def __init__(self, s3: Any) -> None:
        self._s3 = s3

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)

    def upload_part(self, **_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="s3")


def test_a_large_export_is_uploaded_in_parts(bucket: Bucket) -> None:
    manifest = run(Exporter(bucket.s3, bucket.name, "crm/", lambda _: ManyRows()))

    assert (manifest.status, manifest.codes) == ("succeeded", 300_000)
    assert manifest.bytes_out > part_bytes(1)
    data = bucket.read(manifest.key or "")
    assert hashlib.sha256(data).hexdigest() == manifest.sha256
    assert gzip.decompress(data).count(b"\n") == 300_000
    assert bucket.half_uploads() == []


def test_a_large_export_that_was_never_announced_is_replaced(bucket: Bucket) -> None:
    key = f"crm/promocodes/loyalty_id=6/dt=2026-11-21/{ID}.jsonl.gz"
    bucket.s3.put_object(Bucket=bucket.name, Key=key, Body=b"an earlier try's")
    exporter = Exporter(bucket.s3, bucket.name, "crm/", lambda _: ManyRows())
    left_behind(exporter, request="first", began=datetime.now(UTC), key=key)

    manifest = run(exporter)

    assert hashlib.sha256(bucket.read(key)).hexdigest() == manifest.sha256
    assert bucket.half_uploads() == []


def test_a_large_export_that_fails_at_its_end_leaves_no_half_upload(bucket: Bucket) -> None:
    refused = Refused(402, "Tariff limit reached")

    manifest = run(Exporter(bucket.s3, bucket.name, "crm/", lambda _: ManyRows(refused)))

    assert (manifest.status, (manifest.error or {})["type"]) == ("failed", "refused")
    assert bucket.keys("crm/promocodes/") == []
    assert bucket.half_uploads() == []


def test_an_error_of_the_uploading_thread_ends_the_export(bucket: Bucket) -> None:
    manifest = run(Exporter(BrokenS3(bucket.s3), bucket.name, "crm/", lambda _: ManyRows()))

    assert (manifest.status, (manifest.error or {})["type"]) == ("failed", "storage_unavailable")
    assert bucket.keys("crm/promocodes/") == []
    assert bucket.half_uploads() == []


@dataclass
class Forgetful:
    """An S3 whose answer to one call is lost; the SDK's next try is answered by `again`."""

    s3: Any
    call: str
    again: Exception

    def __getattr__(self, name: str) -> Any:
        return self._lost if name == self.call else getattr(self.s3, name)

    def _lost(self, **request: Any) -> None:
        getattr(self.s3, self.call)(**request)
        raise self.again


def answered(code: str, call: str) -> ClientError:
    return ClientError({"Error": {"Code": code}}, call)


@pytest.mark.parametrize(
    "again",
    [
        ReadTimeoutError(endpoint_url="s3"),
        answered("NoSuchUpload", "CompleteMultipartUpload"),
        answered("PreconditionFailed", "CompleteMultipartUpload"),
    ],
    ids=["nothing", "no such upload", "there is one"],
)
def test_an_object_is_good_although_the_answer_to_its_completion_is_lost(bucket: Bucket, again: Exception) -> None:
    s3 = Forgetful(bucket.s3, "complete_multipart_upload", again)

    manifest = run(Exporter(s3, bucket.name, "crm/", lambda _: ManyRows()))

    assert manifest.status == "succeeded"
    assert hashlib.sha256(bucket.read(manifest.key or "")).hexdigest() == manifest.sha256
    assert bucket.latest() == ID


@dataclass
class Proxied:
    """An S3 in front of which a proxy answers some calls itself: HTTP 200, without S3's fields."""

    s3: Any
    calls: frozenset[str]
    passed_on: bool = False
    """Whether the call reaches S3 nevertheless."""

    def __getattr__(self, name: str) -> Any:
        return self._answered(name) if name in self.calls else getattr(self.s3, name)

    def _answered(self, name: str) -> Any:
        def answer(**request: Any) -> dict[str, Any]:
            # Manifests pass, because the test reads them.
            if not request["Key"].startswith("crm/promocodes/"):
                return dict(getattr(self.s3, name)(**request))
            if self.passed_on:
                getattr(self.s3, name)(**request)
            return {"ResponseMetadata": {"HTTPStatusCode": 200}}

        return answer


COMPLETIONS = {
    "one part": ("put_object", usual_batch(b'{"code":"A"}')),
    "many parts": ("complete_multipart_upload", None),
}


@pytest.mark.parametrize("passed_on", [True, False], ids=["it was done", "it was not done"])
@pytest.mark.parametrize(("call", "batch"), COMPLETIONS.values(), ids=COMPLETIONS.keys())
def test_an_answer_without_an_etag_is_no_success(bucket: Bucket, call: str, batch: Any, passed_on: bool) -> None:
    rows = Batches([batch]) if batch else ManyRows()
    proxied = Proxied(bucket.s3, frozenset({call}), passed_on)

    manifest = run(Exporter(proxied, bucket.name, "crm/", lambda _: rows))

    if passed_on:
        assert (manifest.status, bucket.keys("crm/promocodes/"), bucket.latest()) == ("succeeded", [manifest.key], ID)
    else:
        assert (manifest.status, (manifest.error or {})["type"]) == ("failed", "storage_unavailable")
        assert "proxy" in str((manifest.error or {})["detail"])
        assert bucket.keys() == [f"crm/exports/{ID}.json"]
    assert bucket.half_uploads() == []


PAGES = {"empty": b"", "HTML": b"<!DOCTYPE html><html><body>Welcome</body></html>", "text": b"OK"}


@pytest.mark.parametrize("passed_on", [True, False], ids=["it was done", "it was not done"])
@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES.keys())
@pytest.mark.parametrize(
    "completion", [r"POST .*\?uploadId=.*", r"PUT .*/promocodes/.*"], ids=["many parts", "one part"]
)
def test_a_proxys_page_is_not_taken_for_a_completion(
    aws: Aws, bucket: Bucket, completion: str, page: bytes, passed_on: bool
) -> None:
    def answer(request: Request, pass_on: PassOn) -> Response:
        mine = re.fullmatch(completion, f"{request.method} {request.target}")
        reply = pass_on() if passed_on or not mine else Response(200)
        return Response(200, page) if mine else reply

    rows = ManyRows() if completion.startswith("POST") else Batches([usual_batch(b'{"code":"A"}')])
    with proxy(aws.endpoint_url, answer) as between:
        quick = Config(retries={"mode": "standard", "total_max_attempts": 2})
        s3 = Session().create_client("s3", endpoint_url=between.url, config=quick)

        manifest = run(Exporter(s3, bucket.name, "crm/", lambda _: rows))

    if passed_on:
        assert (manifest.status, bucket.keys("crm/promocodes/"), bucket.latest()) == ("succeeded", [manifest.key], ID)
        assert hashlib.sha256(bucket.read(manifest.key or "")).hexdigest() == manifest.sha256
    else:
        assert (manifest.status, (manifest.error or {})["type"]) == ("failed", "storage_unavailable")
        assert bucket.keys() == [f"crm/exports/{ID}.json"]
    assert bucket.half_uploads() == []


@pytest.mark.parametrize("call", ["create_multipart_upload", "upload_part"])
def test_an_unconfirmed_part_fails_the_export(bucket: Bucket, call: str) -> None:
    manifest = run(Exporter(Proxied(bucket.s3, frozenset({call})), bucket.name, "crm/", lambda _: ManyRows()))

    assert (manifest.status, (manifest.error or {})["type"]) == ("failed", "storage_unavailable")
    assert bucket.keys() == [f"crm/exports/{ID}.json"]


class Batches(list[Any]):
    """An Altcraft with these batches."""

    bytes_in = 0


@dataclass
class Blind:
    """An S3 that loses its answer to a completion, and then refuses to return the object."""

    s3: Any
    done: bool
    blind: bool = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.s3, name)

    def complete_multipart_upload(self, **request: Any) -> None:
        if self.done:
            self.s3.complete_multipart_upload(**request)
        raise ReadTimeoutError(endpoint_url="s3")

    def get_object(self, **request: Any) -> Any:
        if self.blind and request["Key"].startswith("crm/promocodes/"):
            raise answered("AccessDenied", "GetObject")
        return self.s3.get_object(**request)

    def head_object(self, **_: Any) -> None:
        raise answered("403", "HeadObject")


@pytest.mark.parametrize("done", [True, False], ids=["it was done", "it was not done"])
def test_an_object_that_cannot_be_looked_up_is_neither_announced_nor_discarded(bucket: Bucket, done: bool) -> None:
    # Given a completion whose answer is lost, and an object that cannot be looked up
    blind = Blind(bucket.s3, done)
    exporter = Exporter(blind, bucket.name, "crm/", lambda _: ManyRows())
    with pytest.raises(Unconfirmed, match="ask for the export's status later"):
        run(exporter)
    assert (exporter.manifests.read(ID) or begun(ID, REQUEST, datetime.now(UTC))).status == "running"

    # Then the next try does not export again as long as it cannot look the object up
    with pytest.raises(ClientError):
        run(exporter)
    with pytest.raises(ClientError):
        exporter.manifests.look(ID, datetime.now(UTC) + LIFETIME + SOON)

    # And as soon as it can, it does
    blind.blind = False
    manifest = run(replace(exporter, s3=bucket.s3))
    assert (manifest.status, bucket.keys("crm/promocodes/"), bucket.latest()) == ("succeeded", [manifest.key], ID)
    assert bucket.half_uploads() == []


@dataclass
class LatestDenied:
    """An S3 that refuses writes below `latest/`."""

    s3: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.s3, name)

    def put_object(self, **request: Any) -> Any:
        if request["Key"].startswith("crm/latest/"):
            raise answered("SlowDown", "PutObject")
        return self.s3.put_object(**request)


@pytest.fixture
def export_without_latest(bucket: Bucket, emulator: Emulator) -> Exporter:
    """A good export whose `latest` could not be written in three tries."""
    exporter = exporter_of(bucket, emulator.url)
    for _ in range(3):
        with pytest.raises(ClientError):
            export(replace(exporter, s3=LatestDenied(bucket.s3)), emulator, 10, "export-1")
    manifest = exporter.manifests.read("export-1")
    assert manifest is not None
    assert (manifest.status, bucket.keys("crm/latest/")) == ("succeeded", [])
    return exporter


def test_latest_is_updated_by_a_status_request(export_without_latest: Exporter, bucket: Bucket) -> None:
    denied = replace(export_without_latest, s3=LatestDenied(bucket.s3))
    now = datetime.now(UTC)

    # A status request while it cannot be written gets the manifest nevertheless
    assert (seen := denied.manifests.look("export-1", now)) is not None
    assert (seen.status, bucket.keys("crm/latest/")) == ("succeeded", [])
    assert export_without_latest.manifests.look("export-1", now) == seen
    assert bucket.latest() == "export-1"


def test_latest_is_updated_by_the_next_run(export_without_latest: Exporter, bucket: Bucket, emulator: Emulator) -> None:
    # Given that the next run of the program fails, or is suspect
    emulator.faults.set([Page()])
    assert export(export_without_latest, emulator, 10, "export-2").status == "failed"

    assert bucket.latest() == "export-1"


def test_a_defect_is_recorded_and_raised(bucket: Bucket) -> None:
    defect = ZeroDivisionError("of ours")
    exporter = Exporter(bucket.s3, bucket.name, "crm/", lambda _: ManyRows(defect))

    with pytest.raises(ZeroDivisionError):
        run(exporter)

    manifest = exporter.manifests.read(ID)
    assert manifest is not None
    assert (manifest.status, (manifest.error or {})["type"]) == ("failed", "internal_error")
    assert "of ours" not in json.dumps(asdict(manifest))


def test_a_missing_bucket_is_reported(bucket: Bucket) -> None:
    missing = Exporter(bucket.s3, "no-such-bucket", "", lambda _: ManyRows())

    with pytest.raises(ClientError) as caught:
        run(missing)

    assert detail_of(caught.value) == "the bucket does not exist: EXPORT_BUCKET must name one"


# --- SIGKILL ----------------------------------------------------------------------------------------------------------


def settings_of(aws: Aws, emulator: Emulator, bucket: Bucket) -> dict[str, str]:
    """The function's environment, with its secret."""
    secret_id = f"token-{uuid.uuid4()}"
    secrets_manager: Any = aws.client("secretsmanager")
    secrets_manager.create_secret(Name=secret_id, SecretString="local-altcraft-token")
    return {
        "ALTCRAFT_URL": emulator.url,
        "ALTCRAFT_SECRET_ID": secret_id,
        "EXPORT_BUCKET": bucket.name,
        "EXPORT_PREFIX": "crm/",
        "POWERTOOLS_SERVICE_NAME": "export_all",
        "POWERTOOLS_METRICS_NAMESPACE": "Altcraft/test",
        "AWS_LAMBDA_FUNCTION_NAME": "export_all",
    }


@pytest.mark.parametrize("moment", ["at its start", "in the middle of its upload"])
def test_an_export_killed_at_any_moment_leaves_no_data_and_can_be_repeated(
    bucket: Bucket, emulator: Emulator, aws: Aws, moment: str
) -> None:
    # Given an export in its own process, of a program that takes minutes to read
    emulator.programs.create(6, generated=100_000_000)
    settings = settings_of(aws, emulator, bucket)
    event = json.dumps({"loyalty_id": 6, "export_id": ID})
    command = [sys.executable, "-m", "tests.integration.export_process", event]
    with subprocess.Popen(command, env=os.environ | settings, stdout=subprocess.DEVNULL) as process:

        def owner() -> dict[str, str]:
            try:
                answer = bucket.s3.head_object(Bucket=bucket.name, Key=f"crm/exports/{ID}.json")
            except ClientError:
                return {}
            metadata: dict[str, str] = answer["Metadata"]
            return metadata

        # When it is killed
        while not owner() if moment == "at its start" else "upload" not in owner():
            assert process.poll() is None
        process.kill()

    # Then there is no data
    assert bucket.keys("crm/promocodes/") == []
    assert bucket.keys("crm/latest/") == []
    # And Lambda's retry of the request makes the export, and nothing is left of the first
    manifest = run(Exporter(bucket.s3, bucket.name, "crm/", lambda _: ManyRows()))
    assert manifest.status == "succeeded"
    assert bucket.half_uploads() == []
    assert bucket.latest() == ID


# --- a function that is not set up -------------------------------------------------------------------------------------


def invoke(settings: dict[str, str], event: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run the handler in its own process."""
    command = [sys.executable, "-m", "tests.integration.export_process", json.dumps(event)]
    environment = {name: text for name, text in (os.environ | settings).items() if text}
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=60)


def post(body: dict[str, Any]) -> dict[str, Any]:
    path = "/promocodes/export_all"
    context = {"path": f"/v1{path}", "requestId": "1"}
    return {"httpMethod": "POST", "resource": path, "headers": {}, "requestContext": context, "body": json.dumps(body)}


@pytest.mark.parametrize(
    ("wrong", "name", "words"),
    [
        ({"ALTCRAFT_SECRET_ID": "no-such-secret"}, "token_unreadable", "no-such-secret"),
        ({"ALTCRAFT_URL": "altcraft.example"}, "not_configured", "ALTCRAFT_URL"),
    ],
    ids=["an unreadable secret", "no address"],
)
def test_a_missing_setting_is_named_in_the_manifest(
    aws: Aws, emulator: Emulator, bucket: Bucket, wrong: dict[str, str], name: str, words: str
) -> None:
    done = invoke(settings_of(aws, emulator, bucket) | wrong, {"loyalty_id": 6})

    manifest = json.loads(done.stdout.splitlines()[-1])
    assert (manifest["status"], manifest["error"]["type"]) == ("failed", name)
    assert words in manifest["error"]["detail"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"EXPORT_BUCKET": "no-such-bucket"}, "EXPORT_BUCKET must name one"),
        ({"EXPORT_BUCKET": ""}, "EXPORT_BUCKET"),
        ({"ALTCRAFT_WIRE": "yaml"}, "ALTCRAFT_WIRE"),
        ({"LATEST_MINIMUM_PERCENT": "0"}, "LATEST_MINIMUM_PERCENT must be a whole number from 1 to 100"),
        ({"LATEST_MINIMUM_PERCENT": "101"}, "LATEST_MINIMUM_PERCENT must be a whole number from 1 to 100"),
    ],
)
@pytest.mark.parametrize("event", [{"loyalty_id": 6}, post({"loyalty_id": 6})], ids=["direct", "API"])
def test_a_wrong_setting_is_named(
    aws: Aws, emulator: Emulator, bucket: Bucket, wrong: dict[str, str], words: str, event: dict[str, Any]
) -> None:
    done = invoke(settings_of(aws, emulator, bucket) | wrong, event)

    if "httpMethod" in event:
        answer = json.loads(done.stdout.splitlines()[-1])
        assert answer["statusCode"] == 503
        assert words in json.loads(answer["body"])["detail"]
    else:
        assert words in done.stderr.splitlines()[-1]


def test_an_export_that_cannot_be_begun_is_not_reported_as_running(
    aws: Aws, emulator: Emulator, bucket: Bucket
) -> None:
    # Given a Lambda that does not answer
    nowhere = {"AWS_ENDPOINT_URL_LAMBDA": "http://127.0.0.1:9"}

    done = invoke(settings_of(aws, emulator, bucket) | nowhere, post({"loyalty_id": 6}))

    assert json.loads(done.stdout.splitlines()[-1])["statusCode"] == 503
    (key,) = bucket.keys("crm/exports/")
    assert json.loads(bucket.read(key))["status"] == "failed"


def test_ten_thousand_parts_hold_the_largest_object() -> None:
    sizes = [part_bytes(number) for number in range(1, 10_001)]

    assert sum(sizes) >= 5 << 40
    assert max(sizes) <= 5 << 30
    assert sizes == sorted(sizes)
