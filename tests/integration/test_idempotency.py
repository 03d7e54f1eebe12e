"""Idempotency keys over S3: one export for each key, whichever of its requests is killed or comes at the same time."""

import json
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from export_all.aws_errors import StorageUnavailable
from export_all.begin import begin_once
from export_all.idempotency import IdempotencyKeys, KeyReused, UnreadableRecord
from export_all.keys import record_key
from export_all.manifests import Manifests
from export_all.requests import ExportRequest
from local.emulator import Emulator
from local.emulator.faults import Refuse
from tests.integration.exporters import REQUEST, Bucket, exporter_of, run

KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"


@dataclass
class Posts:
    """Requests with a key, and the invocations that they make."""

    bucket: Bucket
    invoked: list[Any] = field(default_factory=list)

    @property
    def keys(self) -> IdempotencyKeys:
        return IdempotencyKeys(self.bucket.s3, self.bucket.name, "crm/")

    @property
    def manifests(self) -> Manifests:
        return Manifests(self.bucket.s3, self.bucket.name, "crm/")

    def invoke(self, event: Mapping[str, object]) -> None:
        self.invoked.append(event["export_id"])

    def post(self, key: str = KEY, request: ExportRequest = REQUEST) -> str:
        return begin_once(key, request, datetime.now(UTC), self.manifests, self.keys, self.invoke)


@pytest.fixture
def posts(bucket: Bucket) -> Posts:
    return Posts(bucket)


def test_a_new_key_begins_an_export_and_is_recorded_with_it(posts: Posts, bucket: Bucket) -> None:
    export_id = posts.post()

    assert posts.invoked == [export_id]
    manifest = posts.manifests.read(export_id)
    assert manifest is not None
    assert (manifest.status, manifest.loyalty_id) == ("running", 6)
    assert json.loads(bucket.read(record_key("crm/", KEY))) == {
        "idempotency_key": KEY,
        "export_id": export_id,
        "loyalty_id": 6,
        "output_format": "jsonl",
        "accept_fewer": False,
    }


def test_another_key_is_another_export(posts: Posts) -> None:
    assert posts.post() != posts.post("another")


def test_an_export_that_no_run_has_taken_up_is_begun_again(posts: Posts) -> None:
    export_id = posts.post()

    assert posts.post() == export_id
    assert posts.invoked == [export_id, export_id]


def test_a_request_that_was_killed_after_recording_its_key_is_completed_by_the_next(posts: Posts) -> None:
    posts.keys.claim(KEY, REQUEST, "20261122T030000Z-of-the-killed-one")

    assert posts.post() == "20261122T030000Z-of-the-killed-one"
    assert posts.invoked == ["20261122T030000Z-of-the-killed-one"]


def test_an_export_that_could_not_be_begun_is_begun_by_the_same_request_again(posts: Posts, bucket: Bucket) -> None:
    def throttled(event: Mapping[str, object]) -> None:
        raise EndpointConnectionError(endpoint_url="https://lambda")

    with pytest.raises(StorageUnavailable):
        begin_once(KEY, REQUEST, datetime.now(UTC), posts.manifests, posts.keys, throttled)

    export_id = posts.post()
    manifest = posts.manifests.read(export_id)
    assert manifest is not None
    assert manifest.error is not None
    assert manifest.error["type"] == "not_begun"
    assert posts.invoked == [export_id]


def test_an_export_that_has_succeeded_is_not_run_again(posts: Posts, bucket: Bucket, emulator: Emulator) -> None:
    emulator.programs.add(6, "Code-1")
    export_id = posts.post()
    assert run(exporter_of(bucket, emulator.url), export_id).status == "succeeded"

    assert posts.post() == export_id
    assert posts.invoked == [export_id]


def test_an_export_that_has_failed_is_not_run_again(posts: Posts, bucket: Bucket, emulator: Emulator) -> None:
    emulator.faults.set([Refuse(error=402, error_text="Tariff limit reached", calls=None)])
    export_id = posts.post()
    assert run(exporter_of(bucket, emulator.url), export_id).status == "failed"

    assert posts.post() == export_id
    assert posts.invoked == [export_id]


def test_an_export_that_was_accepted_later_is_still_its_keys(posts: Posts, bucket: Bucket, emulator: Emulator) -> None:
    """Accepting it changes its manifest, but not what was requested under the key."""
    emulator.programs.create(6)
    export_id = posts.post()
    exporter = exporter_of(bucket, emulator.url)
    assert run(exporter, export_id).suspect
    assert run(exporter, export_id, ExportRequest(6, accept_fewer=True)).accept_fewer

    assert posts.post() == export_id


def test_where_the_manifest_is_removed_the_key_begins_its_export_anew(posts: Posts, bucket: Bucket) -> None:
    export_id = posts.post()
    bucket.s3.delete_object(Bucket=bucket.name, Key=f"crm/exports/{export_id}.json")

    assert posts.post() == export_id
    assert posts.manifests.read(export_id) is not None


@pytest.mark.parametrize(
    "other", [ExportRequest(7), ExportRequest(6, "csv"), ExportRequest(6, accept_fewer=True)], ids=str
)
def test_a_key_with_another_request_is_refused_and_nothing_is_begun(posts: Posts, other: ExportRequest) -> None:
    export_id = posts.post()

    with pytest.raises(KeyReused, match=r"^Idempotency-Key: "):
        posts.post(KEY, other)

    assert posts.invoked == [export_id]
    assert posts.post() == export_id


def test_of_many_at_once_one_decides_the_id_for_all(posts: Posts) -> None:
    with ThreadPoolExecutor(20) as pool:
        ids = [pool.submit(posts.keys.claim, KEY, REQUEST, f"id-{secrets.token_hex(4)}") for _ in range(20)]

    assert len({one.result() for one in ids}) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"see the shared folder",
        b"[]",
        b"\xff",
        b"{}",
        json.dumps({"idempotency_key": "another", "export_id": "1", "loyalty_id": 6}).encode(),
        json.dumps({"idempotency_key": KEY, "export_id": "../1", "loyalty_id": 6}).encode(),
        json.dumps({"idempotency_key": KEY, "export_id": "1", "loyalty_id": "six"}).encode(),
        json.dumps({"idempotency_key": KEY, "export_id": "1", "loyalty_id": 6, "newer": 1}).encode(),
        b"[" * 100_000,
    ],
)
def test_something_in_the_place_of_a_record_is_named(posts: Posts, bucket: Bucket, body: bytes) -> None:
    at = record_key("crm/", KEY)
    bucket.s3.put_object(Bucket=bucket.name, Key=at, Body=body)

    with pytest.raises(UnreadableRecord, match=f"^{at} is no record"):
        posts.post()

    assert posts.invoked == []
