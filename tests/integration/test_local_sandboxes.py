"""Sandboxes: what a function sees, how it ends, and the Invoke API by which boto3 reaches it."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.application import Function
from local.functions import Functions, PayloadTooLarge, Pool
from local.http import Server
from local.lambda_api import LambdaApi
from local.sandbox import PAYLOAD_LIMIT, Result
from local.waiting import wait_until

HANDLERS = "tests.integration.handlers"

MakePool = Callable[..., Pool]


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[MakePool]:
    """Makes pools of one of the stand-in handlers; what the functions print goes to a file."""
    pools: list[Pool] = []
    log = os.open(tmp_path / "functions.log", os.O_CREAT | os.O_WRONLY)

    def make(handler: str, timeout_seconds: int = 30, sandboxes: int = 1, module: str = HANDLERS) -> Pool:
        function = Function(
            logical_id="TestFunction",
            name="test-function",
            handler=f"{module}.{handler}",
            timeout_seconds=timeout_seconds,
            memory_mb=512,
            retries=2,
            environment={"FROM_TEMPLATE": "yes"},
        )
        pools.append(Pool(function, {"AWS_ENDPOINT_URL": "http://aws"}, sandboxes, log))
        return pools[-1]

    yield make
    for one in pools:
        one.close()
    os.close(log)


def answer(result: Result) -> Any:
    assert not result.failed, result.payload
    return json.loads(result.payload)


def failure(result: Result) -> dict[str, Any]:
    assert result.failed
    error: dict[str, Any] = json.loads(result.payload)
    return error


def test_a_function_sees_the_templates_environment_and_lambdas_and_no_more(
    pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_ENGINEER", "private")
    seen = answer(pool("about").submit(b"{}").result())["environment"]
    assert seen["FROM_TEMPLATE"] == "yes"
    assert seen["AWS_ENDPOINT_URL"] == "http://aws"
    assert seen["AWS_LAMBDA_FUNCTION_NAME"] == "test-function"
    assert "OF_THE_ENGINEER" not in seen
    assert "HOME" not in seen


def test_a_function_sees_its_context(pool: MakePool) -> None:
    context = answer(pool("about", timeout_seconds=20).submit(b"{}", "request-1").result())["context"]
    assert 0 < context.pop("remaining") <= 20_000
    assert context == {
        "aws_request_id": "request-1",
        "function_name": "test-function",
        "function_version": "$LATEST",
        "invoked_function_arn": "arn:aws:lambda:eu-central-1:123456789012:function:test-function",
        "memory_limit_in_mb": "512",
    }


def test_a_sandbox_stays_warm(pool: MakePool) -> None:
    about = pool("about")
    assert [answer(about.submit(b"{}").result())["calls"] for _ in range(3)] == [1, 2, 3]


def test_an_exception_is_told_as_lambda_tells_it_and_the_sandbox_lives_on(pool: MakePool) -> None:
    failing = pool("fail")
    for request_id in ("first", "second"):
        error = failure(failing.submit(b"{}", request_id).result())
        trace = error.pop("stackTrace")
        assert error == {"errorType": "LookupError", "errorMessage": "nothing here", "requestId": request_id}
        assert 'raise LookupError("nothing here")' in trace[-1]


def test_a_function_is_killed_at_its_timeout(pool: MakePool) -> None:
    error = failure(pool("hang", timeout_seconds=1).submit(b"{}", "slow").result())
    assert error == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: slow Error: Task timed out after 1.00 seconds",
        "requestId": "slow",
    }


def test_a_process_that_dies_is_an_exit_error_and_is_replaced(pool: MakePool) -> None:
    dying = pool("die")
    for _ in range(2):
        error = failure(dying.submit(b"{}").result())
        assert error["errorType"] == "Runtime.ExitError"
        assert error["errorMessage"].endswith("Runtime exited with error: signal: SIGKILL")


def test_a_busy_sandbox_can_be_killed_from_outside(pool: MakePool) -> None:
    hanging = pool("hang")
    call = hanging.submit(b"{}")
    busy = wait_until(hanging.busy)
    os.kill(next(iter(busy)), signal.SIGKILL)
    assert failure(call.result())["errorType"] == "Runtime.ExitError"


def test_an_idle_sandbox_that_was_killed_is_replaced_before_the_next_call(pool: MakePool) -> None:
    about = pool("about")
    pid = answer(about.submit(b"{}").result())["pid"]
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert answer(about.submit(b"{}").result())["calls"] == 1


def test_calls_at_once_get_sandboxes_of_their_own_up_to_the_bound(pool: MakePool) -> None:
    hanging = pool("hang", timeout_seconds=2, sandboxes=2)
    calls = [hanging.submit(b"{}") for _ in range(3)]
    wait_until(lambda: len(hanging.busy()) == 2)
    assert not calls[2].running()
    for pid in hanging.busy():
        os.kill(pid, signal.SIGKILL)
    assert [failure(call.result())["errorType"] for call in calls] == [
        "Runtime.ExitError",
        "Runtime.ExitError",
        "Sandbox.Timedout",
    ]


@pytest.mark.parametrize(("handler", "missing"), [("missing", "missing"), ("other.handler", "other")])
def test_a_handler_that_cannot_be_imported_is_named(pool: MakePool, handler: str, missing: str) -> None:
    error = failure(pool(handler).submit(b"{}").result())
    assert error["errorType"] == "Runtime.ImportModuleError"
    assert missing in error["errorMessage"]


def test_an_answer_that_is_not_json_is_a_marshal_error(pool: MakePool) -> None:
    assert failure(pool("unspeakable").submit(b"{}").result())["errorType"] == "Runtime.MarshalError"


def test_an_answer_above_six_megabytes_is_refused(pool: MakePool) -> None:
    large = pool("large")
    most = PAYLOAD_LIMIT - len('""')
    assert len(answer(large.submit(json.dumps({"size": most}).encode()).result())) == most
    error = failure(large.submit(json.dumps({"size": most + 1}).encode()).result())
    assert error["errorType"] == "Function.ResponseSizeTooLarge"


def test_an_event_above_six_megabytes_is_refused(pool: MakePool) -> None:
    echo = pool("echo")
    most = b'"' + b"x" * (PAYLOAD_LIMIT - 2) + b'"'
    assert len(answer(echo.submit(most).result())) == PAYLOAD_LIMIT - 2
    with pytest.raises(PayloadTooLarge):
        echo.submit(most + b" ")


def test_closing_ends_calls_that_run_or_wait_and_every_process(pool: MakePool) -> None:
    hanging = pool("hang")
    running, waiting = hanging.submit(b"{}"), hanging.submit(b"{}")
    (pid,) = wait_until(hanging.busy)
    hanging.close()
    assert running.result().failed
    assert waiting.result().failed
    assert hanging.submit(b"{}").result().failed
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


# --- the Invoke API ------------------------------------------------------------------------------------------------------


@pytest.fixture
def invoke(pool: MakePool) -> Iterator[Callable[..., Any]]:
    """Invokes a stand-in handler through boto3."""
    functions = Functions()
    with Server(LambdaApi(functions)) as server:
        client = boto3.client(
            "lambda",
            endpoint_url=server.url,
            region_name="eu-central-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
            config=Config(retries={"max_attempts": 0}),
        )

        def call(handler: str, name: str = "test-function", **kwargs: Any) -> Any:
            functions.pools = {"TestFunction": pool(handler)}
            return client.invoke(FunctionName=name, **kwargs)

        yield call
        functions.close()
        client.close()


@pytest.mark.parametrize(
    "name",
    ["test-function", "test-function:live", "arn:aws:lambda:eu-central-1:123456789012:function:test-function"],
)
def test_boto3_invokes_a_function_by_name_or_arn(invoke: Callable[..., Any], name: str) -> None:
    reply = invoke("echo", name, Payload=b'{"a": 1}')
    assert (reply["StatusCode"], json.load(reply["Payload"])) == (200, {"a": 1})
    assert "FunctionError" not in reply


def test_boto3_is_told_of_an_error(invoke: Callable[..., Any]) -> None:
    reply = invoke("fail", Payload=b"{}")
    assert (reply["StatusCode"], reply["FunctionError"]) == (200, "Unhandled")
    assert json.load(reply["Payload"])["errorType"] == "LookupError"


def test_an_asynchronous_failure_is_tried_three_times_under_one_request_id(
    invoke: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local.functions.RETRY_PAUSES_SECONDS", (0.0, 0.0))
    tries = tmp_path / "tries"
    reply = invoke("fail", InvocationType="Event", Payload=json.dumps({"file": str(tries)}).encode())
    assert reply["StatusCode"] == 202
    wait_until(lambda: tries.exists() and len(tries.read_text().split()) == 3)
    assert set(tries.read_text().split()) == {reply["ResponseMetadata"]["RequestId"]}


@pytest.mark.parametrize(
    ("kwargs", "code"),
    [
        ({"name": "other"}, "ResourceNotFoundException"),
        ({"Payload": b"{"}, "InvalidRequestContentException"),
        ({"Payload": b'"' + b"x" * PAYLOAD_LIMIT + b'"'}, "RequestTooLargeException"),
    ],
)
def test_the_invoke_api_refuses_as_lambda_does(invoke: Callable[..., Any], kwargs: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError) as refused:
        invoke("echo", **kwargs)
    assert refused.value.response["Error"]["Code"] == code


def test_a_dry_run_runs_nothing(invoke: Callable[..., Any], tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    reply = invoke("fail", InvocationType="DryRun", Payload=json.dumps({"file": str(tries)}).encode())
    assert reply["StatusCode"] == 204
    assert not tries.exists()
