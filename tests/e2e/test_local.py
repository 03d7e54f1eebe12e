"""`make local` as a process: what it prints, how it stops, what it refuses; and the tools beside it."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from click.testing import CliRunner

from local.emulator import Emulator, Settings
from local.stack import Stack
from local.waiting import wait_until
from ops.commands import main
from ops.commands.webhook import send
from ops.target import Laptop
from tests.e2e.conftest import EVENTS
from tests.e2e.processes import alive, command_line, descendants, environment, needs_proc

pytestmark = pytest.mark.long

Start = Callable[..., "subprocess.Popen[str]"]

# What DESIGN names; more may be there.
CONTRACT = {
    "api_url",
    "aws_endpoint_url",
    "aws_region",
    "altcraft_url",
    "api_key",
    "export_bucket",
    "activation_queue_url",
    "dead_letter_queue_url",
    "redemptions_table",
    "event_bus_name",
}


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `python -m local` with these variables, on a free port unless PORT says otherwise."""
    processes: list[subprocess.Popen[str]] = []

    def run(**variables: str) -> "subprocess.Popen[str]":
        environment = {**os.environ, "PORT": "0", **variables}
        process = subprocess.Popen(
            [sys.executable, "-m", "local"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def ready(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """The one line of a stack that serves."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("ready "), process.stderr and process.stderr.read()
    where: dict[str, Any] = json.loads(line.removeprefix("ready "))
    return where


def folder(process: "subprocess.Popen[str]") -> tuple[list[int], Path]:
    """The processes under a stack, the AWS first, and the folder in which they may write."""
    found = descendants(process.pid)
    found.sort(key=lambda pid: not any(part.endswith("engine_process.py") for part in command_line(pid)))
    return found, Path(environment(found[0])["TMPDIR"])


def activate(where: dict[str, Any], code: str) -> requests.Response:
    body = {"code": code, "loyalty_id": 5}
    return requests.post(
        f"{where['api_url']}/promocodes/activate", json=body, headers={"x-api-key": where["api_key"]}, timeout=30
    )


def ended(pids: list[int], written: Path) -> bool:
    """Whether nothing is left of a stack."""
    return not any(map(alive, pids)) and not written.exists()


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_says_where_it_is_in_one_line_serves_and_stops_when_told(start: Start, number: signal.Signals) -> None:
    process = start()
    where = ready(process)
    assert where.keys() >= CONTRACT
    assert activate(where, "Code-1").json()["outcome"] == "activated"
    pids, written = folder(process)
    assert any("local.bootstrap" in command_line(pid) for pid in pids)
    assert written.is_dir()
    process.send_signal(number)
    rest, _ = process.communicate(timeout=30)
    assert (process.returncode, rest) == (0, "")
    assert ended(pids, written)


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told_before_it_serves(start: Start, number: signal.Signals) -> None:
    process = start()
    # The engine has begun, or what it is deployed by: from its process on, for as long as it takes to serve.
    wait_until(lambda: [pid for pid in descendants(process.pid) if "TMPDIR" in environment(pid)])
    pids, written = folder(process)
    process.send_signal(number)
    printed, _ = process.communicate(timeout=30)
    assert (process.returncode, printed) == (0, "")
    assert ended(pids, written)


@needs_proc
def test_nothing_outlives_a_stack_that_was_killed(start: Start) -> None:
    process = start()
    assert activate(ready(process), "Code-1").ok
    pids, written = folder(process)
    process.kill()
    process.wait()
    wait_until(lambda: ended(pids, written))


@needs_proc
def test_no_sandbox_outlives_the_aws_that_was_killed(start: Start) -> None:
    process = start()
    assert activate(ready(process), "Code-1").ok
    pids, written = folder(process)
    os.kill(pids[0], signal.SIGKILL)
    wait_until(lambda: not any(map(alive, pids)))
    process.terminate()
    assert process.wait(timeout=30) == 0
    assert not written.exists()


@needs_proc
def test_it_stops_when_the_make_that_started_it_was_killed() -> None:
    command = f"{sys.executable} -m local --with-parent; true"
    with subprocess.Popen(
        ["sh", "-c", command], env={**os.environ, "PORT": "0"}, stdout=subprocess.PIPE, text=True
    ) as make:
        ready(make)
        pids = descendants(make.pid)
        make.kill()
        wait_until(lambda: not any(map(alive, pids)))


@needs_proc
def test_it_stops_when_its_terminal_is_closed() -> None:
    # Given a terminal whose first process is not the stack, and does not tell it
    terminal, inside = pty.openpty()
    with subprocess.Popen(
        ["sh", "-c", f"trap '' HUP; {sys.executable} -m local; true"],
        env={**os.environ, "PORT": "0"},
        stdin=inside,
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as shell:
        os.close(inside)
        ready(shell)
        pids, written = folder(shell)
        os.close(terminal)
        wait_until(lambda: ended(pids, written))


def test_two_run_beside_each_other(start: Start) -> None:
    stacks = [ready(process) for process in (start(), start())]
    for where in stacks:
        assert activate(where, "Code-1").json()["outcome"] == "activated"


def test_what_it_names_is_there_for_any_credentials(start: Start) -> None:
    where = ready(start())
    # Given those that an engineer makes up
    given = {
        "endpoint_url": where["aws_endpoint_url"],
        "region_name": where["aws_region"],
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
    }
    sqs, s3, dynamodb = boto3.client("sqs", **given), boto3.client("s3", **given), boto3.client("dynamodb", **given)
    names = ["VisibilityTimeout", "RedrivePolicy"]
    queue = sqs.get_queue_attributes(QueueUrl=where["activation_queue_url"], AttributeNames=names)["Attributes"]
    dead = sqs.get_queue_attributes(QueueUrl=where["dead_letter_queue_url"], AttributeNames=["QueueArn"])["Attributes"]
    assert int(queue["VisibilityTimeout"]) >= 6 * 60
    assert json.loads(queue["RedrivePolicy"])["deadLetterTargetArn"] == dead["QueueArn"]
    assert s3.head_bucket(Bucket=where["export_bucket"])["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert dynamodb.describe_table(TableName=where["redemptions_table"])["Table"]["TableStatus"] == "ACTIVE"


@pytest.mark.parametrize("wire", ["json", "xml"])
def test_it_speaks_to_the_altcraft_it_is_given(start: Start, tmp_path: Path, wire: str) -> None:
    # Given an Altcraft of the operator's own, with its token, and a source that only the operator has
    sources = tmp_path / "sources.json"
    sources.write_text('{"mine": {"platform": "shopify", "secrets": ["s"], "loyalty_id": 5}}')
    with Emulator(Settings(tokens=frozenset({"of-the-operator"}))) as altcraft:
        altcraft.programs.add(5, "MINE-1", attached=True)
        where = ready(
            start(ALTCRAFT_URL=altcraft.url, ALTCRAFT_TOKEN="of-the-operator", ALTCRAFT_WIRE=wire, SOURCES=str(sources))
        )
        # When a code is activated, then it is that Altcraft's, and the sources are those of the file
        assert activate(where, "MINE-1").status_code == 200
        assert altcraft.programs.activations[5, "MINE-1"] == 1
        assert where["altcraft_url"] == altcraft.url
    assert requests.post(f"{where['api_url']}/webhooks/mine", b"{}", timeout=30).status_code == 401
    assert requests.post(f"{where['api_url']}/webhooks/eu-shop", b"{}", timeout=30).status_code == 404


def test_a_port_that_is_taken_is_named(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(PORT=str(port))
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert err == f"port {port} is taken: choose another one, for example `make local PORT={port + 1}`\n"


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("PORT", "http", "PORT must be a number"),
        ("PORT", "65536", "PORT must be a number"),
        ("HOST", "no such host", "HOST and PORT must be an address to listen on"),
        ("HOST", "192.0.2.250", "HOST and PORT must be an address to listen on"),
        ("ALTCRAFT_WIRE", "yaml", "ALTCRAFT_WIRE must be json or xml"),
        ("SOURCES", "/nowhere/sources.json", "SOURCES must name a JSON file"),
    ],
)
def test_a_setting_that_cannot_be_is_named(start: Start, variable: str, value: str, message: str) -> None:
    process = start(**{variable: value})
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert err.startswith(message)


# --- the tools beside it -------------------------------------------------------------------------------------------------


def tool(name: str, stack: Stack, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "URL": stack.ready.api_url, **variables}
    return subprocess.run(
        [sys.executable, "-m", "ops", name],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("source", json.loads((EVENTS / "sources.json").read_text()))
def test_the_webhook_tool_delivers_the_sample_of_any_source(stack: Stack, altcraft: Emulator, source: str) -> None:
    answer = send(Laptop(stack.ready.api_url), source)
    assert answer.status_code == 200
    assert answer.json()["accepted"] > 0


def test_the_webhook_tool_prints_the_answer(stack: Stack) -> None:
    sent = tool("webhook", stack, SOURCE="eu-shop")
    assert (sent.returncode, sent.stdout, sent.stderr) == (0, '200 {"accepted":1}\n', "")


def test_the_webhook_tool_signs_by_a_file_of_sources(stack: Stack, tmp_path: Path) -> None:
    sources = tmp_path / "sources.json"
    sources.write_text('{"eu-shop": {"platform": "shopify", "secrets": ["not the shops"], "loyalty_id": 5}}')
    sent = tool("webhook", stack, SOURCE="eu-shop", SOURCES=str(sources))
    assert sent.returncode == 1
    assert sent.stdout.startswith("401 ")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "SOURCE must name one of the document's sources, not ''"),
        ({"SOURCE": "eu-shop", "FILE": "/nowhere/order.json"}, "FILE must name a file that can be read"),
        ({"SOURCE": "eu-shop", "FILE": "order.pdf"}, "FILE must end in .json, .xml, .form"),
        ({"SOURCE": "eu-shop", "URL": "http://127.0.0.1:9"}, "no `make local` answers at http://127.0.0.1:9"),
    ],
)
def test_the_webhook_tool_names_what_is_missing(stack: Stack, variables: dict[str, str], message: str) -> None:
    answer = CliRunner().invoke(main, ["webhook"], env={"URL": stack.ready.api_url, **variables})
    assert answer.exit_code == 1
    assert message in answer.stderr


def test_the_schedule_can_be_fired(stack: Stack, altcraft: Emulator) -> None:
    # Given the two programs that the embedded stack's schedule names
    for program in (5, 6):
        altcraft.programs.create(program, generated=program * 10)

    # When it is fired
    fired = tool("schedule", stack)
    assert (fired.returncode, fired.stderr) == (0, "")
    assert fired.stdout.startswith("ExportScheduleEntry 202 ")

    # Then each program's newest good export is the one it began
    s3 = stack.aws.client("s3")

    def newest(program: int) -> dict[str, Any]:
        try:
            key = f"latest/loyalty_id={program}.json"
            manifest: dict[str, Any] = json.load(s3.get_object(Bucket=stack.ready.export_bucket, Key=key)["Body"])
        except s3.exceptions.NoSuchKey:
            return {}
        return manifest if manifest["codes"] == program * 10 else {}

    for program in (5, 6):
        assert wait_until(partial(newest, program), seconds=60)["status"] == "succeeded"


def test_the_control_door_says_where_everything_is(stack: Stack) -> None:
    assert requests.get(f"{stack.ready.api_url}/_local", timeout=10).json() == asdict(stack.ready)


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/_local"), ("POST", "/_local/schedules/Other"), ("GET", "/_local/x")]
)
def test_the_control_door_shows_what_there_is(stack: Stack, method: str, path: str) -> None:
    reply = requests.request(method, stack.ready.api_url + path, timeout=10)
    assert (reply.status_code, reply.json()["schedules"]) == (404, stack.ready.schedules)
