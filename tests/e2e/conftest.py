"""The whole embedded stack, started once, and a caller of its API."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from local.emulator import Emulator
from local.stack import Options, Stack

EVENTS = Path(__file__).parents[2] / "events"


@dataclass(frozen=True)
class Api:
    """Calls the deployed API as a shop's back end does."""

    url: str
    key: str

    def post(self, path: str, body: object, **headers: str) -> requests.Response:
        """POST a body: bytes and text as they are, everything else as JSON."""
        data = body if isinstance(body, bytes | str) else json.dumps(body)
        known = {"x-api-key": self.key, "Content-Type": "application/json"}
        return requests.post(self.url + path, data=data, headers=known | headers, timeout=30)

    def get(self, path: str, **headers: str) -> requests.Response:
        return requests.get(self.url + path, headers={"x-api-key": self.key} | headers, timeout=30)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The embedded stack with the sources of `events/`."""
    measured = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    with Stack(Options(sources=(EVENTS / "sources.json").read_text(), environment=measured)) as running:
        yield running


@pytest.fixture
def altcraft(stack: Stack) -> Iterator[Emulator]:
    """The stack's Altcraft, empty and well."""
    emulator = stack.emulator
    assert emulator is not None
    usual = emulator.settings
    emulator.programs.clear()
    emulator.faults.set([])
    emulator.journal.clear()
    yield emulator
    emulator.settings = usual
    emulator.faults.set([])


@pytest.fixture
def api(stack: Stack) -> Api:
    return Api(stack.ready.api_url, stack.ready.api_key)


def problem(response: requests.Response, status: int) -> dict[str, Any]:
    """The problem details of a response, which must have this status and all the members of one."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    members: dict[str, Any] = response.json()
    assert members["status"] == status
    assert {"type", "title", "detail", "retryable"} <= members.keys()
    return members
