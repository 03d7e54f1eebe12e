"""Exports through the gateway, the schedule and direct invocation, as those who want them ask for them."""

import gzip
import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
import xmltodict

from local.emulator import Emulator
from local.emulator.faults import Refuse
from local.stack import Stack
from local.waiting import wait_until
from tests.e2e.api import Api, problem

PATH = "/promocodes/export_all"


def finished(api: Api, export_id: str) -> dict[str, Any]:
    """The manifest of an export that has come to its end."""

    def look() -> dict[str, Any] | None:
        manifest: dict[str, Any] = api.get(f"/promocodes/exports/{export_id}").json()
        return None if manifest["status"] == "running" else manifest

    return wait_until(look) or {}


def exports(stack: Stack) -> set[str]:
    """The keys of all manifests: one is written before an export is begun."""
    pages = (
        stack.aws.client("s3")
        .get_paginator("list_objects_v2")
        .paginate(Bucket=stack.ready.export_bucket, Prefix="exports/")
    )
    return {item["Key"] for page in pages for item in page.get("Contents", [])}


def test_an_export_is_begun_asked_for_and_downloaded(api: Api, altcraft: Emulator) -> None:
    altcraft.programs.add(6, "Code-1", attached=True)
    altcraft.programs.add(6, "Code-2")

    begun = api.post(PATH, {"loyalty_id": 6})

    assert begun.status_code == 202
    answer = begun.json()
    assert answer.keys() == {"export_id", "status", "status_url"}
    assert answer["status"] == "running"
    assert begun.headers["Location"] == answer["status_url"] == f"{api.url}/promocodes/exports/{answer['export_id']}"
    manifest = finished(api, answer["export_id"])
    assert (manifest["status"], manifest["codes"], manifest["attached"]) == ("succeeded", 2, 1)
    download = requests.get(manifest["download_url"], timeout=10)
    rows = [json.loads(line) for line in gzip.decompress(download.content).splitlines()]
    assert [row["code"] for row in rows] == ["Code-1", "Code-2"]


def test_xml_is_spoken_both_ways(api: Api, altcraft: Emulator) -> None:
    altcraft.programs.add(6, "Code-1")
    wanted = "<xml><loyalty_id>6</loyalty_id><output_format>csv</output_format></xml>"

    response = api.post(PATH, wanted, **{"Content-Type": "application/xml", "Accept": "application/xml"})

    assert (response.status_code, response.headers["Content-Type"]) == (202, "application/xml")
    export_id = xmltodict.parse(response.content)["xml"]["export_id"]
    assert finished(api, export_id)["output_format"] == "csv"
    status = api.get(f"/promocodes/exports/{export_id}", Accept="application/xml")
    assert xmltodict.parse(status.content)["xml"]["codes"] == "1"


def latest(stack: Stack, program: int) -> dict[str, Any]:
    """What the bucket has as the newest good export of a program."""
    key = f"latest/loyalty_id={program}.json"
    found = stack.aws.client("s3").get_object(Bucket=stack.ready.export_bucket, Key=key)
    manifest: dict[str, Any] = json.load(found["Body"])
    return manifest


def test_a_program_that_has_shrunk_is_suspect_until_it_is_accepted(api: Api, stack: Stack, altcraft: Emulator) -> None:
    program = uuid.uuid4().int % 10**9 + 1
    altcraft.programs.create(program, generated=10)
    good = finished(api, api.post(PATH, {"loyalty_id": program}).json()["export_id"])
    altcraft.programs.create(program, generated=4)

    shrunk = finished(api, api.post(PATH, {"loyalty_id": program}).json()["export_id"])

    assert (shrunk["status"], shrunk["suspect"], shrunk["accept_fewer"]) == ("succeeded", True, False)
    assert "download_url" in shrunk
    assert latest(stack, program)["export_id"] == good["export_id"]
    # And it is accepted by the API, in either format, by a schedule, and directly
    wanted = f"<xml><loyalty_id>{program}</loyalty_id><accept_fewer>true</accept_fewer></xml>"
    begun = api.post(PATH, wanted, **{"Content-Type": "application/xml"}).json()["export_id"]
    assert finished(api, begun)["suspect"]
    assert latest(stack, program)["export_id"] == begun
    altcraft.programs.create(program, generated=1)
    (begun,) = schedule(stack, {"loyalty_ids": [program], "accept_fewer": True})
    assert finished(api, begun)["suspect"]
    assert latest(stack, program)["export_id"] == begun
    altcraft.programs.create(program)
    assert invoke(stack, {"loyalty_id": program, "accept_fewer": True})["suspect"]
    assert latest(stack, program)["codes"] == 0


def test_many_posts_with_one_key_are_one_export(api: Api, altcraft: Emulator) -> None:
    program = uuid.uuid4().int % 10**9 + 1
    altcraft.programs.create(program, generated=1000)
    key = str(uuid.uuid4())

    with ThreadPoolExecutor(20) as callers:
        posts = [callers.submit(api.post, PATH, {"loyalty_id": program}, **{"Idempotency-Key": key}) for _ in range(20)]
    answers = [post.result() for post in posts]

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == len({answer.headers["Location"] for answer in answers}) == 1
    export_id = answers[0].json()["export_id"]
    assert (finished(api, export_id)["status"], finished(api, export_id)["codes"]) == ("succeeded", 1000)
    assert altcraft.journal.calls["export_all"] == 1
    # And so it stays once it has ended: the answer is the first one's, to the letter
    assert api.post(PATH, {"loyalty_id": program}, **{"Idempotency-Key": key}).text == answers[0].text
    assert altcraft.journal.calls["export_all"] == 1


def test_a_key_is_the_same_quoted_or_bare_and_its_body_the_same_in_json_and_xml(api: Api, altcraft: Emulator) -> None:
    altcraft.programs.add(6, "Code-1")
    key = str(uuid.uuid4())
    xml = "<xml><output_format>jsonl</output_format><loyalty_id>6</loyalty_id></xml>"

    bare = api.post(PATH, b'{"loyalty_id":6}', **{"Idempotency-Key": key})
    quoted = api.post(PATH, b'{ "accept_fewer": false, "loyalty_id": "6" }', **{"Idempotency-Key": f'"{key}"'})
    in_xml = api.post(PATH, xml, **{"Idempotency-Key": key, "Content-Type": "application/xml"})

    assert [answer.status_code for answer in (bare, quoted, in_xml)] == [202, 202, 202]
    assert bare.text == quoted.text == in_xml.text
    finished(api, bare.json()["export_id"])


def test_a_key_with_another_body_is_refused(api: Api, stack: Stack, altcraft: Emulator) -> None:
    altcraft.programs.add(6, "Code-1")
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first = api.post(PATH, {"loyalty_id": 6}, **key)
    finished(api, first.json()["export_id"])
    before = exports(stack)

    members = problem(api.post(PATH, {"loyalty_id": 6, "output_format": "csv"}, **key), 422)

    assert members["type"].endswith(":key_reused")
    assert members["detail"].startswith("Idempotency-Key: ")
    assert members["retryable"] is False
    assert exports(stack) == before
    assert api.post(PATH, {"loyalty_id": 6}, **key).text == first.text


def test_a_key_does_not_make_a_bad_request_a_good_one_nor_is_it_used_up_by_it(api: Api, altcraft: Emulator) -> None:
    altcraft.programs.add(6, "Code-1")
    key = {"Idempotency-Key": str(uuid.uuid4())}

    assert problem(api.post(PATH, {"loyalty_id": "six"}, **key), 400)["detail"].startswith("loyalty_id: ")

    begun = api.post(PATH, {"loyalty_id": 6}, **key)
    assert finished(api, begun.json()["export_id"])["status"] == "succeeded"


def test_an_export_that_failed_is_answered_and_not_tried_again_by_its_key(api: Api, altcraft: Emulator) -> None:
    altcraft.faults.set([Refuse(error=402, error_text="Tariff limit reached", calls=None)])
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first = api.post(PATH, {"loyalty_id": 6}, **key)
    assert finished(api, first.json()["export_id"])["status"] == "failed"
    wait_until(lambda: altcraft.journal.calls["export_all"] == 3)  # Lambda's own tries
    altcraft.faults.set([])

    again = api.post(PATH, {"loyalty_id": 6}, **key)

    assert again.text == first.text
    assert finished(api, first.json()["export_id"])["status"] == "failed"
    assert altcraft.journal.calls["export_all"] == 3


@pytest.mark.parametrize("key", ["", '""', "a" * 65, '"a', '"a", "b"', "\xe9"])
def test_a_bad_key_is_named_and_nothing_is_begun(api: Api, stack: Stack, key: str) -> None:
    begun = exports(stack)

    members = problem(api.post(PATH, {"loyalty_id": 6}, **{"Idempotency-Key": key}), 400)

    assert members["detail"].startswith("Idempotency-Key: must be 1 to 64 ")
    assert exports(stack) == begun


def test_something_in_the_place_of_a_manifest_is_named(api: Api, stack: Stack) -> None:
    export_id = f"by-hand-{uuid.uuid4()}"
    s3: Any = stack.aws.client("s3")
    s3.put_object(Bucket=stack.ready.export_bucket, Key=f"exports/{export_id}.json", Body=b"see the shared folder")

    members = problem(api.get(f"/promocodes/exports/{export_id}"), 500)

    assert members["type"].endswith(":unreadable_manifest")
    assert members["detail"].startswith(f"exports/{export_id}.json is no manifest")


def test_a_failed_export_says_why(api: Api, altcraft: Emulator) -> None:
    altcraft.faults.set([Refuse(error=402, error_text="Tariff limit reached", calls=None)])

    manifest = finished(api, api.post(PATH, {"loyalty_id": 6}).json()["export_id"])

    assert manifest["status"] == "failed"
    assert manifest["error"]["altcraft"] == {"error": 402, "error_text": "Tariff limit reached"}
    assert "download_url" not in manifest
    # And Lambda has run it again, as often as the template says
    wait_until(lambda: altcraft.journal.calls["export_all"] == 3)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "loyalty_id"),
        ({"loyalty_id": "five"}, "loyalty_id"),
        ({"loyalty_id": -5}, "loyalty_id"),
        ({"loyalty_id": 0}, "loyalty_id"),
        ({"loyalty_id": True}, "loyalty_id"),
        ({"loyalty_id": 5.5}, "loyalty_id"),
        ({"loyalty_id": None}, "loyalty_id"),
        ({"loyalty_id": 2**63}, "loyalty_id"),
        ({"loyalty_id": [6]}, "loyalty_id"),
        ({"loyalty_id": "٦"}, "loyalty_id"),
        ({"loyalty_id": 6, "output_format": "xlsx"}, "output_format"),
        ({"loyalty_id": 6, "output_format": ["csv"]}, "output_format"),
        ({"loyalty_id": 6, "accept_fewer": "yes"}, "accept_fewer"),
        ({"loyalty_id": 6, "accept_fewer": 1}, "accept_fewer"),
        ({"loyalty_id": 6, "accept_fewer": ["true"]}, "accept_fewer"),
        ({"loyalty_id": 6, "output": "csv"}, "output"),
        ({"loyalty_id": 6, "export_id": "mine"}, "export_id"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_begun(
    api: Api, stack: Stack, fields: dict[str, object], field: str
) -> None:
    begun = exports(stack)

    members = problem(api.post(PATH, fields), 400)

    assert members["detail"].startswith(f"{field}: ")
    assert members["retryable"] is False
    assert exports(stack) == begun


@pytest.mark.parametrize("body", [b"", b"{", b"[6]", b"\xff", b'{"loyalty_id": 6, "loyalty_id": 7}'])
def test_a_body_that_cannot_be_read_is_refused(api: Api, body: bytes) -> None:
    problem(api.post(PATH, body), 400)


def test_an_unknown_export_is_not_found(api: Api) -> None:
    assert problem(api.get("/promocodes/exports/20261122T030000Z-00000000000000000000"), 404)["retryable"] is False


@pytest.mark.parametrize("export_id", ["a%20b", "%2e%2e%2fexports", "a" * 65, "-", "x.json", "%D0%BA%D0%BE%D0%B4"])
def test_an_odd_export_id_is_refused(api: Api, export_id: str) -> None:
    assert problem(api.get(f"/promocodes/exports/{export_id}"), 400)["detail"].startswith("export_id: ")


def test_an_api_key_is_required(api: Api) -> None:
    assert api.get("/promocodes/exports/any", **{"x-api-key": "wrong"}).status_code == 403
    assert api.post(PATH, {"loyalty_id": 6}, **{"x-api-key": "wrong"}).status_code == 403


def invoke(stack: Stack, event: dict[str, Any]) -> Any:
    """The answer of a synchronous invocation, which must not have failed."""
    answer = stack.aws.client("lambda").invoke(
        FunctionName=stack.ready.functions["ExportAllFunction"], Payload=json.dumps(event).encode()
    )
    payload = json.load(answer["Payload"])
    assert not answer.get("FunctionError"), payload
    return payload


def schedule(stack: Stack, event: dict[str, Any]) -> list[str]:
    answer = invoke(stack, event)
    export_ids: list[str] = answer["export_ids"]
    return export_ids


def test_a_schedule_begins_one_export_for_each_program(api: Api, stack: Stack, altcraft: Emulator) -> None:
    altcraft.programs.add(5, "Code-5")
    altcraft.programs.add(6, "Code-6")

    export_ids = schedule(stack, {"loyalty_ids": [5, 6, 5]})

    assert len(set(export_ids)) == 2
    assert [finished(api, export_id)["loyalty_id"] for export_id in export_ids] == [5, 6]


def test_a_schedule_that_comes_twice_makes_its_exports_once(api: Api, stack: Stack, altcraft: Emulator) -> None:
    program = uuid.uuid4().int % 10**9 + 1
    altcraft.programs.add(program, "Code-1")
    event = {"loyalty_ids": [program], "output_format": "csv", "scheduled_at": "2026-11-22T03:00:00Z"}

    export_ids = schedule(stack, event)
    first = finished(api, export_ids[0])
    assert schedule(stack, event) == export_ids

    assert re.fullmatch(r"20261122T030000Z-[0-9a-f]{20}", export_ids[0])
    assert finished(api, export_ids[0])["started_at"] == first["started_at"]
    assert altcraft.journal.calls["export_all"] == 1


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({"loyalty_ids": []}, "loyalty_ids"),
        ({"loyalty_ids": 5}, "loyalty_ids"),
        ({"loyalty_ids": [5, "six"]}, "loyalty_ids[1]"),
        ({"loyalty_ids": [5], "output_format": "xml"}, "output_format"),
        ({"loyalty_ids": [5], "scheduled_at": "at three"}, "scheduled_at"),
        ({"loyalty_ids": [5], "accept_fewer": "perhaps"}, "accept_fewer"),
        ({"loyalty_id": 6, "accept_fewer": 0}, "accept_fewer"),
        ({"loyalty_id": "five"}, "loyalty_id"),
        ({"loyalty_id": 6, "export_id": "../latest/loyalty_id=6"}, "export_id"),
        ({}, "loyalty_id"),
    ],
)
def test_a_wrong_event_is_an_error_that_names_the_field(stack: Stack, event: dict[str, Any], field: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(f"{field}: ")):
        invoke(stack, event)


def test_a_direct_export_is_answered_with_its_manifest(stack: Stack, altcraft: Emulator) -> None:
    altcraft.programs.add(6, "Code-1")

    manifest = invoke(stack, {"loyalty_id": 6, "output_format": "parquet"})

    assert (manifest["status"], manifest["codes"]) == ("succeeded", 1)
