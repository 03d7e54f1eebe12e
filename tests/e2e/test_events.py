"""Every sample event of `events/` is run by the function it is for, as `aws lambda invoke` would run it."""

import json
from typing import Any

import pytest

from local.emulator import Emulator
from local.stack import Stack
from local.waiting import wait_until
from tests.e2e.conftest import EVENTS
from tests.e2e.samples import FILES, PRECEDING, SAMPLES, check, fill


def invoke(stack: Stack, file: str) -> Any:
    """The answer of a synchronous invocation with a sample, which must not have failed."""
    function, *_ = SAMPLES[file]
    event = (EVENTS / file).read_bytes()
    answer = stack.aws.client("lambda").invoke(FunctionName=stack.ready.functions[function], Payload=event)
    payload = json.load(answer["Payload"])
    assert not answer.get("FunctionError"), payload
    return payload


@pytest.mark.parametrize("file", FILES)
def test_a_sample_event_runs(stack: Stack, altcraft: Emulator, file: str) -> None:
    fill(altcraft)
    if file in PRECEDING:
        invoke(stack, PRECEDING[file])
    answer = invoke(stack, file)
    if answer.get("batchItemFailures"):
        # Messages that other tests left may have opened the sandbox's circuit breaker: SQS would come again, too.
        answer = wait_until(lambda: _taken(invoke(stack, file)), seconds=60)
    check(file, answer)


def _taken(answer: Any) -> Any:
    """The answer, unless it names messages that are to come back."""
    return None if answer["batchItemFailures"] else answer
