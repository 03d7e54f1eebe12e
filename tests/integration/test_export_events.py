"""The end of an export on an event bus: once its manifest is final, and again by each run that finds it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from export_all.events import Publisher
from export_all.exporter import Exporter
from export_all.manifest import Manifest
from export_all.manifests import LIFETIME, Lease
from export_all.requests import ExportRequest
from export_all.telemetry import Telemetry
from local.emulator import Emulator
from local.emulator.faults import Page, Refuse
from tests.buses import FakeBus, fake_bus
from tests.event_schemas import faults
from tests.integration.exporters import ID, REQUEST, Bucket, exporter_of, run


class Killed(BaseException):
    """Ends a run as SIGKILL does: no `except Exception` of the code runs."""


@pytest.fixture
def fake() -> Iterator[FakeBus]:
    with fake_bus() as serving:
        yield serving


@pytest.fixture
def silent(bucket: Bucket, emulator: Emulator) -> Exporter:
    """An exporter that publishes nothing."""
    emulator.programs.create(6, generated=10)
    return exporter_of(bucket, emulator.url)


@pytest.fixture
def exporter(silent: Exporter, fake: FakeBus) -> Exporter:
    return replace(silent, watcher=Publisher(fake.bus()))


def published(fake: FakeBus) -> list[tuple[str, dict[str, Any]]]:
    """The detail-type and the detail of every accepted event, each as its schema says."""
    found = [(entry["DetailType"], json.loads(entry["Detail"])) for entry in fake.accepted]
    assert [faults(*one) for one in found] == [[]] * len(found)
    return found


def test_given_an_export_that_succeeds_then_its_manifest_is_published(
    exporter: Exporter, bucket: Bucket, fake: FakeBus
) -> None:
    manifest = run(exporter)

    ((detail_type, detail),) = published(fake)
    stored = json.loads(bucket.read(f"crm/exports/{ID}.json"))
    assert detail_type == "Export Succeeded"
    assert detail == stored | {"event_id": detail["event_id"], "occurred_at": manifest.finished_at}
    assert bucket.latest() == ID


def test_given_an_export_that_fails_then_each_try_is_published(
    exporter: Exporter, emulator: Emulator, fake: FakeBus
) -> None:
    emulator.faults.set([Page(calls=1), Refuse(error=5, error_text="no such program", calls=1)])

    tries = [run(exporter) for _ in range(3)]

    found = published(fake)
    assert [detail_type for detail_type, _ in found] == ["Export Failed", "Export Failed", "Export Succeeded"]
    assert [detail["error"] for _, detail in found] == [one.error for one in tries]
    assert len(set(fake.ids)) == 3


def test_given_an_export_that_was_run_when_it_is_run_again_then_it_is_published_again_under_the_same_id(
    exporter: Exporter, fake: FakeBus
) -> None:
    run(exporter)
    run(exporter, request="second")

    first, second = published(fake)
    assert first == second


def test_given_a_run_that_is_killed_before_it_publishes_then_the_next_one_does(
    silent: Exporter, exporter: Exporter, fake: FakeBus
) -> None:
    class Dying(Telemetry):
        def finished(self, manifest: Manifest) -> None:
            raise Killed

    with pytest.raises(Killed):
        run(replace(silent, watcher=Dying()))

    run(exporter)

    assert [detail["export_id"] for _, detail in published(fake)] == [ID]


@dataclass(frozen=True)
class Refusing:
    """An S3 that takes nothing below a prefix, or kills the run once it has taken it."""

    s3: Any
    prefix: str
    kills: bool = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.s3, name)

    def put_object(self, **call: Any) -> Any:
        refused = call["Key"].startswith(self.prefix)
        if refused and not self.kills:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, "PutObject")
        answer = self.s3.put_object(**call)
        if refused:
            raise Killed
        return answer


def test_given_a_killed_run_when_its_object_is_adopted_then_the_reader_of_its_status_publishes_it_once(
    silent: Exporter, exporter: Exporter, fake: FakeBus
) -> None:
    with pytest.raises(Killed):
        run(replace(silent, s3=Refusing(silent.s3, "crm/promocodes/", kills=True)))
    later = datetime.now(UTC) + 2 * LIFETIME

    for _ in range(2):
        found = exporter.manifests.look(ID, later)

    assert found
    assert found.status == "succeeded"
    assert [(detail_type, detail["export_id"]) for detail_type, detail in published(fake)] == [("Export Succeeded", ID)]


def test_given_an_export_that_another_run_works_on_then_nothing_is_published(exporter: Exporter, fake: FakeBus) -> None:
    claimed = exporter.manifests.claim(ID, REQUEST, "", "first", datetime.now(UTC))
    assert isinstance(claimed, Lease)

    assert run(exporter, request="second").status == "running"

    assert published(fake) == []


def test_given_that_latest_cannot_be_written_then_the_export_is_published_all_the_same(
    exporter: Exporter, fake: FakeBus
) -> None:
    with pytest.raises(ClientError):
        run(replace(exporter, s3=Refusing(exporter.s3, "crm/latest/")))

    assert [detail_type for detail_type, _ in published(fake)] == ["Export Succeeded"]


def test_given_a_defect_then_the_failure_is_published_and_raised(bucket: Bucket, fake: FakeBus) -> None:
    def broken(_: int) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(Exporter(bucket.s3, bucket.name, "crm/", broken, watcher=Publisher(fake.bus())))

    ((detail_type, detail),) = published(fake)
    assert (detail_type, detail["error"]["type"]) == ("Export Failed", "internal_error")


def test_given_a_suspect_export_when_an_operator_accepts_it_then_that_is_another_event(
    exporter: Exporter, emulator: Emulator, fake: FakeBus
) -> None:
    run(exporter, "20261122T030000Z-0")
    emulator.programs.create(6, generated=1)

    run(exporter)
    run(exporter, order=ExportRequest(6, accept_fewer=True))

    _, shrunk, accepted = (detail for _, detail in published(fake))
    assert (shrunk["suspect"], shrunk["accept_fewer"]) == (True, False)
    assert (accepted["suspect"], accepted["accept_fewer"]) == (True, True)
    assert shrunk["event_id"] != accepted["event_id"]


@pytest.mark.parametrize(
    "settings",
    [{"denied": "AccessDeniedException"}, {"silent": True}, {"refuse": lambda _: "InternalFailure"}],
    ids=["denied", "silent", "refused"],
)
def test_given_an_ill_bus_then_the_export_succeeds_and_what_was_not_sent_is_counted_and_logged(
    silent: Exporter,
    bucket: Bucket,
    settings: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with fake_bus(**settings) as fake:
        manifest = run(replace(silent, watcher=Publisher(fake.bus())))

    assert manifest.status == "succeeded"
    assert bucket.latest() == ID
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["EventsNotSent"] for line in lines if "EventsNotSent" in line] == [[1.0]]
    (error,) = [vars(one) for one in caplog.records if one.levelname == "ERROR"]
    assert error["export_id"] == ID
    assert error["reason"]
    # A run after the bus has recovered makes up for it.
    with fake_bus() as recovered:
        run(replace(silent, watcher=Publisher(recovered.bus())), request="second")
    assert recovered.ids == [error["event_id"]]
