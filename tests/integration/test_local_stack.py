"""What the laptop's stack does with any template: its API, its functions, its queue, as whoever uses them sees them."""

import http.client
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from local.deploy import DeployError
from local.stack import Options, Stack
from local.waiting import wait_until
from tests.e2e.processes import alive, environment, needs_proc, sandboxes

pytestmark = pytest.mark.long

TEMPLATE = Path(__file__).with_name("handlers.yaml")
MEGABYTE = 1024 * 1024

Invoke = Callable[..., Any]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stand-in handlers, deployed; what they print goes to a file."""
    log = os.open(tmp_path_factory.mktemp("stack") / "functions.log", os.O_CREAT | os.O_WRONLY)
    with pytest.MonkeyPatch.context() as engineer:
        engineer.setenv("OF_THE_ENGINEER", "private")
        with Stack(Options(template=TEMPLATE, altcraft_url="http://127.0.0.1:9", log=log)) as running:
            yield running
    os.close(log)


@pytest.fixture
def invoke(stack: Stack) -> Invoke:
    """Invokes a function by its logical id; the answer, or the error of one that failed."""
    client = stack.aws.client("lambda", retries={"max_attempts": 0})

    def call(function: str, event: object = None, **options: str) -> Any:
        name = stack.ready.functions[function]
        reply = client.invoke(FunctionName=name, Payload=json.dumps(event or {}).encode(), **options)
        payload = reply["Payload"].read()
        assert ("FunctionError" in reply) is (b"errorType" in payload)
        return json.loads(payload or "null")

    return call


def post(stack: Stack, path: str, body: bytes = b"", **headers: str) -> requests.Response:
    return requests.post(stack.ready.api_url + path, body, headers=headers, timeout=60)


def refused(response: requests.Response, status: int) -> None:
    """Check that the API has answered in its own name, in the template's words."""
    assert response.status_code == status, response.text
    assert response.json() == {"title": "the template's own words"}
    assert (response.headers["Content-Type"], response.headers["Retry-After"]) == ("application/problem+json", "7")


# --- the API -------------------------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(st.binary(max_size=300))
def test_signed_bytes_survive_both_ways_with_a_type_and_without(stack: Stack, body: bytes) -> None:
    for headers in ({}, {"Content-Type": "application/x-www-form-urlencoded"}):
        response = post(stack, "/proxy", body, **headers)
        assert (response.status_code, response.content) == (200, body)


def test_a_chunked_body_arrives_whole(stack: Stack) -> None:
    response = requests.post(f"{stack.ready.api_url}/proxy", iter([b"first", b"second", b"third"]), timeout=30)
    assert (response.status_code, response.content) == (200, b"firstsecondthird")


def test_repeated_headers_of_an_answer_are_sent_one_by_one(stack: Stack) -> None:
    connection = http.client.HTTPConnection(urlsplit(stack.ready.api_url).netloc, timeout=30)
    connection.request("POST", "/proxy", b"x")
    assert connection.getresponse().headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    connection.close()


def test_the_event_is_that_of_a_rest_api_at_a_custom_domain(stack: Stack) -> None:
    url = f"{stack.ready.api_url}/orders/a%20b%2Fc?size=1&size=2&flag="
    event = requests.get(url, headers={"X-Shop": "eu"}, timeout=30).json()
    assert event["resource"] == "/orders/{order}"
    assert event["requestContext"]["path"] == event["path"]
    assert event["httpMethod"] == "GET"
    assert event["multiValueQueryStringParameters"] == {"size": ["1", "2"], "flag": [""]}
    assert event["queryStringParameters"]["size"] in {"1", "2"}
    assert (event["body"], event["isBase64Encoded"]) == (None, False)
    headers = {name.lower(): value for name, value in event["headers"].items()}
    assert headers["x-shop"] == "eu"
    assert headers["host"] == urlsplit(stack.ready.api_url).netloc
    assert headers["x-forwarded-proto"] == "http"
    assert event["requestContext"]["identity"]["sourceIp"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/proxy"), ("POST", "/"), ("GET", "/orders"), ("GET", "/orders/1/2")]
)
def test_an_unknown_route_is_refused_in_the_templates_words(stack: Stack, method: str, path: str) -> None:
    refused(requests.request(method, stack.ready.api_url + path, timeout=30), 404)


@pytest.mark.parametrize("headers", [{}, {"x-api-key": ""}, {"x-api-key": "another-key-of-twenty-letters"}])
def test_a_route_that_wants_a_key_refuses_another(stack: Stack, headers: dict[str, str]) -> None:
    refused(post(stack, "/locked", b"x", **headers), 403)


def test_a_route_that_wants_a_key_takes_it_until_it_is_used_too_often(stack: Stack) -> None:
    answers = [post(stack, "/locked", b"x", **{"X-API-KEY": stack.ready.api_key}) for _ in range(10)]
    assert (answers[0].status_code, answers[0].content) == (200, b"x")
    refused(next(answer for answer in answers if answer.status_code != 200), 429)


@pytest.mark.parametrize("size", [10 * MEGABYTE + 1, 5 * MEGABYTE])
def test_a_body_too_large_for_the_api_or_for_lambda_is_refused(stack: Stack, size: int) -> None:
    refused(post(stack, "/proxy", b"x" * size), 413)


def test_a_body_that_lambda_takes_arrives(stack: Stack) -> None:
    body = b"x" * (4 * MEGABYTE)
    assert post(stack, "/proxy", body).content == body


def test_a_function_that_fails_is_unavailable_and_says_nothing_of_itself(stack: Stack) -> None:
    refused(post(stack, "/fail"), 503)


@pytest.mark.long
def test_a_function_that_takes_too_long_is_not_waited_for(stack: Stack) -> None:
    began = time.monotonic()
    refused(post(stack, "/slow"), 504)
    assert 29 <= time.monotonic() - began < 59


# --- functions -----------------------------------------------------------------------------------------------------------


def test_a_function_sees_the_templates_environment_and_lambdas_and_no_more(invoke: Invoke, stack: Stack) -> None:
    seen = invoke("About")["environment"]
    assert seen["FROM_TEMPLATE"] == "2"
    assert seen.items() >= {"AWS_ENDPOINT_URL": stack.ready.aws_endpoint_url, "AWS_CONFIG_FILE": os.devnull}.items()
    assert seen["AWS_LAMBDA_FUNCTION_NAME"] == stack.ready.functions["About"]
    assert seen["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.13"
    assert not seen.keys() & {"OF_THE_ENGINEER", "HOME", *stack.aws.settings}


def test_a_function_sees_its_context(invoke: Invoke, stack: Stack) -> None:
    context = invoke("About")["context"]
    name = stack.ready.functions["About"]
    assert 0 < context["remaining"] <= 30_000
    assert (context["function_name"], context["function_version"]) == (name, "$LATEST")
    assert context["invoked_function_arn"] == f"arn:aws:lambda:eu-central-1:123456789012:function:{name}"
    assert context["memory_limit_in_mb"] == "512"
    assert context["aws_request_id"]


def test_a_sandbox_stays_warm(invoke: Invoke) -> None:
    first, second = invoke("About"), invoke("About")
    assert (second["pid"], second["calls"]) == (first["pid"], first["calls"] + 1)


@needs_proc
def test_a_sandbox_that_was_killed_is_replaced_before_the_next_call(invoke: Invoke) -> None:
    killed = invoke("About")["pid"]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: not alive(killed))
    assert invoke("About")["calls"] == 1


def test_an_exception_is_reported_as_lambda_reports_it_and_the_sandbox_lives_on(invoke: Invoke) -> None:
    for _ in range(2):
        error = invoke("Fail")
        trace = error.pop("stackTrace")
        assert error == {"errorType": "LookupError", "errorMessage": "nothing here"}
        assert 'raise LookupError("nothing here")' in trace[-1]


@pytest.mark.parametrize(
    ("function", "event", "kind", "words"),
    [
        ("Hang", None, "Sandbox.Timedout", "Task timed out after 2.00 seconds"),
        ("Die", None, "Runtime.ExitError", "Runtime exited"),
        ("Missing", None, "Runtime.", "tests.integration.nowhere"),
        ("Unspeakable", None, "TypeError", "not JSON serializable"),
        ("Large", {"size": 6 * MEGABYTE}, "Function.ResponseSizeTooLarge", "6291456 bytes"),
    ],
)
def test_a_function_that_cannot_answer_is_an_error(
    invoke: Invoke, function: str, event: object, kind: str, words: str
) -> None:
    for _ in range(2):
        error = invoke(function, event)
        assert error["errorType"].startswith(kind)
        assert words in error["errorMessage"]


def test_an_asynchronous_failure_is_tried_three_times(invoke: Invoke, tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    invoke("Fail", {"file": str(tries)}, InvocationType="Event")
    wait_until(lambda: tries.exists() and len(tries.read_text().split()) == 3)


def test_what_a_function_prints_is_in_cloudwatch_logs_and_in_the_log(invoke: Invoke, stack: Stack) -> None:
    invoke("Fail")
    group = f"/aws/lambda/{stack.ready.functions['Fail']}"
    events = stack.aws.client("logs").filter_log_events(logGroupName=group)["events"]
    assert any("[ERROR] LookupError: nothing here" in event["message"] for event in events)


# --- the queue -----------------------------------------------------------------------------------------------------------


class Queue:
    """The stack's queue, and what its worker has noted."""

    def __init__(self, stack: Stack, notes: Path) -> None:
        self._sqs = stack.aws.client("sqs")
        self._ready = stack.ready
        self._notes = notes

    def send(self, **order: object) -> str:
        """Send an order, and return the message's id."""
        body = json.dumps({"file": str(self._notes), **order})
        identifier: str = self._sqs.send_message(QueueUrl=self._ready.activation_queue_url, MessageBody=body)[
            "MessageId"
        ]
        return identifier

    def given(self, message: str) -> int:
        """How often the worker was given a message."""
        return self._notes.read_text().split().count(message) if self._notes.exists() else 0

    def dead(self) -> set[str]:
        """The ids of the messages that the worker was given too often."""
        url = self._ready.dead_letter_queue_url
        found = self._sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return {message["MessageId"] for message in found.get("Messages", [])}


@pytest.fixture
def queue(stack: Stack, tmp_path: Path) -> Queue:
    return Queue(stack, tmp_path / "notes")


def test_only_what_failed_comes_again_and_with_a_higher_receive_count(queue: Queue) -> None:
    good, bad = queue.send(), queue.send(fail_until=3)
    wait_until(lambda: queue.given(bad) == 3)
    assert queue.given(good) == 1


def test_what_fails_too_often_goes_to_the_dead_letter_queue(queue: Queue) -> None:
    bad = queue.send(fail_until=9)
    wait_until(lambda: bad in queue.dead())
    assert queue.given(bad) == 3


def test_a_batch_whose_function_fails_comes_again(queue: Queue) -> None:
    message = queue.send(**{"raise": True})
    wait_until(lambda: message in queue.dead())
    assert queue.given(message) == 3


@needs_proc
def test_a_stack_stops_whatever_it_is_still_answering() -> None:
    # Given callers that keep their connections, one of whom waits for an answer
    with Stack(Options(template=TEMPLATE, altcraft_url="http://127.0.0.1:9")) as stack, requests.Session() as idle:
        idle.post(f"{stack.ready.api_url}/proxy", b"x", timeout=30)
        waiting = http.client.HTTPConnection(urlsplit(stack.ready.api_url).netloc, timeout=60)
        waiting.request("POST", "/slow")
        function = {"AWS_LAMBDA_FUNCTION_NAME": stack.ready.functions["Slow"]}
        wait_until(lambda: [pid for pid in sandboxes(stack) if environment(pid).items() >= function.items()])

        began = time.monotonic()
    assert time.monotonic() - began < 20
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        waiting.getresponse()


def test_a_resource_that_cannot_be_made_is_named_with_the_reason() -> None:
    refused_key = Options(template=TEMPLATE, altcraft_url="http://127.0.0.1:9", api_key="short")
    with pytest.raises(DeployError, match=r"ApiKey: .*at least 20 characters"):
        Stack(refused_key).start()
