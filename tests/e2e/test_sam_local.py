"""`make invoke-activate`, `make invoke-export` and `make start-api`, as an engineer types them, with a real Docker engine."""

import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from local.sam_local import host
from local.stack import Options, Stack
from ops.errors import Unusable
from tests.e2e.conftest import EVENTS
from tests.e2e.samples import FILES, PRECEDING, SAMPLES, check, fill
from tests.runtime.parts import ROOT

pytestmark = pytest.mark.docker

TARGETS = {"ActivateFunction": "invoke-activate", "ExportAllFunction": "invoke-export"}


@pytest.fixture(scope="module")
def reachable() -> Iterator[Stack]:
    """A stack that listens where containers find it."""
    try:
        address = host()
    except Unusable as unusable:
        pytest.skip(str(unusable))
    if "DOCKER_TESTS" not in os.environ:
        pytest.skip("`make test-docker` runs these: they take minutes")
    with Stack(Options(host=address)) as running:
        yield running


def make(stack: Stack, *arguments: str) -> list[str]:
    """The command that an engineer types."""
    return ["make", "--silent", *arguments, f"URL={stack.ready.api_url}"]


def invoke(stack: Stack, file: str) -> object:
    function, *_ = SAMPLES[file]
    command = make(stack, TARGETS[function], f"EVENT=events/{file}")
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    answer: object = json.loads(ran.stdout)
    return answer


@pytest.mark.parametrize("file", FILES)
def test_a_sample_event_runs(reachable: Stack, file: str) -> None:
    assert reachable.emulator is not None
    fill(reachable.emulator)
    if file in PRECEDING:
        invoke(reachable, PRECEDING[file])
    check(file, invoke(reachable, file))


@pytest.fixture
def api(reachable: Stack) -> Iterator[str]:
    """The address of a running `make start-api`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryFile() as log:
        command = make(reachable, "start-api", f"API_PORT={port}")
        serving = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        yield f"http://127.0.0.1:{port}"
        os.killpg(serving.pid, signal.SIGINT)  # as Ctrl-C does: SAM then removes its containers
        serving.wait(timeout=60)
        log.seek(0)
        print(log.read().decode())


def test_given_the_api_is_served_then_a_code_is_activated_and_a_signed_delivery_taken(
    reachable: Stack, api: str
) -> None:
    assert reachable.emulator is not None
    reachable.emulator.programs.add(5, "Api-1", attached=True)
    http = requests.Session()
    # Building and starting the containers takes that long, and meanwhile nobody listens.
    waiting = Retry(total=None, connect=240, read=0, backoff_factor=0.5, backoff_max=0.5, allowed_methods=None)
    http.mount("http://", HTTPAdapter(max_retries=waiting))
    order = {"code": "Api-1", "loyalty_id": 5, "order_id": "start-api"}
    answer = http.post(f"{api}/promocodes/activate", json=order, timeout=60)
    assert (answer.status_code, answer.json()) == (200, {"code": "Api-1", "loyalty_id": 5, "outcome": "activated"})

    delivery = json.loads((EVENTS / "webhook-shopify.json").read_text())
    body = (EVENTS / "bodies/shopify.json").read_bytes()
    answer = http.post(f"{api}{delivery['path']}", body, headers=delivery["headers"], timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["accepted"] > 0
