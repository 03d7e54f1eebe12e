"""Both functions as they are built, in Lambda's own Python runtime, against the embedded AWS and Altcraft."""

import base64
import json
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec
import pytest

from local.emulator import Emulator
from local.emulator.faults import AnyFault, Delay, Late, Page, Refuse
from local.emulator.settings import Settings
from local.stack import SOURCES, Stack
from tests.e2e.conftest import EVENTS
from tests.e2e.samples import FILES, PRECEDING, SAMPLES, check, fill
from tests.runtime.parts import ROOT, Build, Missing, Runtime
from tests.runtime.sandbox import Sandbox

INSIDE = ROOT / "tests/runtime/inside"
PACKAGES = {"ActivateFunction": "activate", "ExportAllFunction": "export_all"}

RUNTIME_VERSION = (3, 13)

Start = Callable[..., Sandbox]


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    """Lambda's runtime. Asked for once in `make test`, where the tests too run on the Lambda's Python."""
    if sys.version_info[:2] != RUNTIME_VERSION:
        pytest.skip("the runtime is tried where the tests run on its own version of Python")
    try:
        return Runtime.find()
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def build(runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """What `make build` ships, for this machine's processor."""
    return Build.make(tmp_path_factory.mktemp("sam") / "build")


@pytest.fixture
def log() -> Iterator[IO[bytes]]:
    """What the sandboxes of a test print; shown where the test fails."""
    with tempfile.TemporaryFile() as printed:
        yield printed
        printed.seek(0)
        print(printed.read().decode())


@pytest.fixture
def start(runtime: Runtime, build: Build, stack: Stack, emulator: Emulator, log: IO[bytes]) -> Start:
    """Makes a sandbox of a function, by its logical id, with the environment that the template gives it.

    But with an Altcraft and a memory of redemptions of the test's own, which the stack's worker of the queue does not share.
    """
    fill(emulator)
    own = {"ALTCRAFT_URL": emulator.url, "REDEMPTIONS_TABLE": _table_like(stack, "ActivateFunction")}

    def make(function: str, handler: str = "", timeout_seconds: int = 60, **probe: str) -> Sandbox:
        declared = configuration(stack, function)
        variables = declared["Environment"]["Variables"]
        environment = {
            **stack.aws.environment,
            "AWS_ENDPOINT_URL_LAMBDA": stack.ready.lambda_endpoint_url,
            **variables,
            **{name: value for name, value in own.items() if name in variables},
            **probe,
            "AWS_LAMBDA_FUNCTION_NAME": declared["FunctionName"],
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout_seconds),
        }
        more = (INSIDE,) if probe else ()
        return Sandbox(runtime, build, function, handler or declared["Handler"], environment, log, more)

    return make


def configuration(stack: Stack, function: str) -> Any:
    """What the stack's Lambda knows of a function, by its logical id."""
    return stack.aws.client("lambda").get_function_configuration(FunctionName=stack.ready.functions[function])


def _table_like(stack: Stack, function: str) -> str:
    """A new table of the same shape as the one this function was given."""
    dynamodb = stack.aws.client("dynamodb")
    given = configuration(stack, function)["Environment"]["Variables"]["REDEMPTIONS_TABLE"]
    shape = dynamodb.describe_table(TableName=given)["Table"]
    name = f"redemptions-{uuid.uuid4()}"
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        **{key: shape[key] for key in ("KeySchema", "AttributeDefinitions")},
    )
    return name


def event(file: str) -> bytes:
    return (EVENTS / file).read_bytes()


def starts(log: IO[bytes]) -> list[bool]:
    """Of each invocation that logged, whether the function says it was a cold start."""
    log.seek(0)
    lines = [json.loads(line) for line in log if line.startswith(b"{")]
    found = {line["function_request_id"]: line["cold_start"] for line in lines if "cold_start" in line}
    return list(found.values())


@pytest.mark.parametrize("file", FILES)
def test_a_sample_event_runs_in_a_new_sandbox_and_again_in_the_same(
    start: Start, emulator: Emulator, file: str
) -> None:
    function, *_ = SAMPLES[file]
    with start(function) as sandbox:
        if file in PRECEDING:
            sandbox.invoke(event(PRECEDING[file]))
        for _ in range(2):
            fill(emulator)
            check(file, sandbox.invoke(event(file)))


def test_given_a_sandbox_when_invoked_twice_then_the_second_is_warm(start: Start, log: IO[bytes]) -> None:
    with start("ActivateFunction") as sandbox:
        sandbox.invoke(event("webhook-shopify.json"))
        sandbox.invoke(event("webhook-woocommerce.json"))
    assert starts(log) == [True, False]


def test_given_altcraft_hangs_when_the_time_is_up_then_lambda_says_so_and_the_next_invocation_starts_anew(
    start: Start, emulator: Emulator, log: IO[bytes]
) -> None:
    emulator.faults.set([Delay(endpoints=frozenset({"activate"}), seconds=30)])
    with start("ActivateFunction", timeout_seconds=3) as sandbox:
        assert "Task timed out after 3.00 seconds" in sandbox.invoke(event("direct-activate.json"))
        fill(emulator)
        check("webhook-shopify.json", sandbox.invoke(event("webhook-shopify.json")))
    assert starts(log) == [True]


def test_given_a_wrong_event_when_invoked_directly_then_lambda_tells_the_error_by_its_name(start: Start) -> None:
    with start("ActivateFunction") as sandbox:
        error = sandbox.invoke(b'{"code": "Code-1", "loyalty_id": "five"}')
    assert error["errorType"] == "InvalidField"
    assert "loyalty_id" in error["errorMessage"]


@pytest.mark.parametrize("function", PACKAGES)
def test_given_every_sample_has_run_then_nothing_was_imported_from_outside_what_is_shipped(
    start: Start, runtime: Runtime, build: Build, emulator: Emulator, function: str
) -> None:
    with start(function, "probe.handler", PROBED_HANDLER=f"{PACKAGES[function]}.app.handler") as sandbox:
        for file in (PRECEDING.get(file, file) for file in FILES if SAMPLES[file][0] == function):
            fill(emulator)
            check(file, sandbox.invoke(event(file)))
        report = sandbox.invoke(b'"modules"')
    modules, standard_library = report["modules"], Path(report["standard_library"])

    files = {name: Path(module["file"]) for name, module in modules.items()}
    expected = {PACKAGES[function]: build.task(function), "altcraft": build.layer, "urllib3": build.layer}
    expected |= {"lambda_support": build.layer, "botocore": runtime.python.parents[1]}
    assert {name: folder for name, folder in expected.items() if not files[name].is_relative_to(folder)} == {}
    lambdas_own = (build.task(function), build.layer, runtime.python.parents[1], standard_library)
    assert [file for file in files.values() if not any(file.is_relative_to(folder) for folder in lambdas_own)] == []
    ours = [name for name, file in files.items() if file.is_relative_to(build.folder) and file.suffix == ".py"]
    assert [name for name in ours if not Path(modules[name]["bytecode"]).exists()] == []


# --- secrets -------------------------------------------------------------------------------------------------------------

TOKEN = "canary-of-the-token"
FOUND_OUT: list[AnyFault] = [
    Refuse(error=401, error_text=f"no such token: {TOKEN}"),
    Refuse(error=400, error_text=f"{TOKEN} may not do this"),
    Page(status=500, body=f"<html>{TOKEN}</html>"),
    Page(content_type="application/json", status=200, body=f'{{"{TOKEN}": 1, "{TOKEN}": 2}}'),
    Page(content_type="application/json", status=200, body=f'{{"error": 0, "data": "{TOKEN}"}}'),
    Page(content_type="application/json", status=200, body=f'{{"error": "{TOKEN}", "data": {{"{TOKEN}": []}}}}'),
    Page(content_type="application/json", status=200, body=f'{{"error": 0, "data": [{{"{TOKEN}": 1, "{TOKEN}": 2}}]}}'),
    Page(content_type="application/xml", status=200, body=f"<xml><{TOKEN}></xml>"),
    Page(content_type="application/xml", status=200, body=f"<xml><data><{TOKEN}>&{TOKEN};</{TOKEN}></data></xml>"),
    Late(endpoints=frozenset({"export_all"}), rows=1, error=400, error_text=f"{TOKEN} may not export more"),
]
"""Ways in which Altcraft can quote the token that it was sent."""


def forged(file: str) -> bytes:
    """A sample whose body is another than the one that was signed."""
    delivery = json.loads(event(file))
    delivery["body"] = base64.b64encode(b'{"id": 666}').decode()
    return json.dumps(delivery).encode()


@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
@pytest.mark.parametrize(("function", "direct"), [("ActivateFunction", "activate"), ("ExportAllFunction", "export")])
def test_given_any_log_level_when_secrets_are_read_used_refused_and_quoted_then_none_is_printed_or_answered(
    start: Start, stack: Stack, emulator: Emulator, log: IO[bytes], level: str, function: str, direct: str
) -> None:
    # Given secrets that are known when they are seen
    manager = stack.aws.client("secretsmanager")
    secret = manager.create_secret(Name=f"token-{uuid.uuid4()}", SecretString=json.dumps({"token": TOKEN}))["Name"]
    emulator.settings = Settings(tokens=frozenset({TOKEN}))
    shops = [canary for source in json.loads(SOURCES.read_text()).values() for canary in source.get("secrets", ())]
    variables = {
        "ALTCRAFT_SECRET_ID": secret,
        "AWS_LAMBDA_LOG_LEVEL": level,
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "POWERTOOLS_LOG_LEVEL": level,
    }
    answers = []

    # When the function does all that it can do, and all that can go wrong with the token goes wrong
    with start(function, **variables) as sandbox:
        for file in FILES:
            if SAMPLES[file][0] == function:
                fill(emulator)
                if file in PRECEDING:
                    sandbox.invoke(event(PRECEDING[file]))
                answers.append(sandbox.invoke(event(file)))
                check(file, answers[-1])
            if file.startswith("webhook-") and function == "ActivateFunction":
                answers.append(sandbox.invoke(forged(file)))
        for fault in FOUND_OUT:
            emulator.faults.set([msgspec.structs.replace(fault, calls=None)])
            answers.append(sandbox.invoke(event(f"direct-{direct}.json")))
            if direct == "activate":
                answers.append(sandbox.invoke(event("activate-api-json.json")))
        emulator.faults.set([])
        emulator.settings = Settings(tokens=frozenset({"another"}))
        manager.put_secret_value(SecretId=secret, SecretString=json.dumps({"tokn": TOKEN}))
        answers.append(sandbox.invoke(event(f"direct-{direct}.json")))

    # Then the log and the answers hold much, and none of them
    log.seek(0)
    printed = log.read().decode()
    levels = {json.loads(line).get("level") for line in printed.splitlines() if line.startswith("{")}
    assert {"INFO", "ERROR" if direct == "export" else "WARNING"} <= levels
    assert all(answers)
    seen = printed + json.dumps(answers)
    assert [canary for canary in (TOKEN, *shops) if canary in seen] == []
