"""The whole embedded stack, started once, and a caller of its API."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.emulator import Emulator
from local.stack import Options, Stack
from tests.e2e.api import Api

EVENTS = Path(__file__).parents[2] / "events"


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The embedded stack with the sources of `events/`."""
    measured = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    with Stack(Options(sources=(EVENTS / "sources.json").read_text(), environment=measured)) as running:
        yield running


@pytest.fixture
def altcraft(stack: Stack) -> Iterator[Emulator]:
    """The stack's Altcraft, empty and well; and an empty activation queue.

    Samples that earlier tests have sent name codes and shops that are not there: their messages would be retried for a day.
    """
    emulator = stack.emulator
    assert emulator is not None
    usual = emulator.settings
    emulator.programs.clear()
    emulator.faults.set([])
    emulator.journal.clear()
    stack.aws.client("sqs").purge_queue(QueueUrl=stack.ready.activation_queue_url)
    yield emulator
    emulator.settings = usual
    emulator.faults.set([])


@pytest.fixture
def api(stack: Stack) -> Api:
    return Api(stack.ready.api_url, stack.ready.api_key)
