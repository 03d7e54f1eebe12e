"""The stack that a command works on; and a deployed stack, whose CloudFormation, Scheduler and Lambda are stubs over HTTP."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from click.testing import CliRunner, Result

from docs.generate.sample_events import SOURCES
from local.emulator import Emulator
from local.emulator.http import Request, Response, Server
from local.engine import Aws
from ops.commands import main
from ops.errors import Unusable
from ops.target import Deployed
from tests.integration.exporters import Bucket

FUNCTION = "arn:aws:lambda:eu-central-1:123456789012:function:shop-ExportAllFunction"
SCHEDULES = {
    "ExportScheduleEntry": (FUNCTION, '{"loyalty_ids": [5], "scheduled_at": "<aws.scheduler.scheduled-time>"}'),
    "LedgerExportEntry": ("arn:aws:scheduler:::aws-sdk:dynamodb:exportTableToPointInTime", "{}"),
}


def members(kind: str, values: Mapping[str, str]) -> str:
    return "".join(
        f"<member><{kind}Key>{key}</{kind}Key><{kind}Value>{value}</{kind}Value></member>"
        for key, value in values.items()
    )


class Account:
    """An AWS account with the stack `shop`, and the API of that stack.

    Source: API references of CloudFormation (DescribeStacks, ListStackResources), Scheduler (GetSchedule), Lambda (Invoke), API
    Gateway (GetApiKey).
    """

    def __init__(self) -> None:
        self.outputs: dict[str, str] = {}
        self.parameters: dict[str, str] = {}
        self.schedules: Mapping[str, tuple[str, str]] = SCHEDULES
        self.invoked: list[tuple[str, dict[str, Any]]] = []
        self.qualifiers: list[str | None] = []
        self.delivered: list[Request] = []
        self.answer = Response(202, b"", [("x-amzn-RequestId", "the-request")])

    def __call__(self, request: Request) -> Response:
        xml = [("Content-Type", "text/xml")]
        if b"Action=DescribeStacks" in request.body:
            return Response(200, self._described().encode(), xml)
        if b"Action=ListStackResources" in request.body:
            return Response(200, self._resources().encode(), xml)
        if request.path.startswith("/schedules/shop-"):
            arn, event = self.schedules[request.path.removeprefix("/schedules/shop-")]
            return Response(200, json.dumps({"Target": {"Arn": arn, "Input": event}}).encode())
        if request.path == "/apikeys/the-key-id":
            shown = {"value": "the-key"} if request.query.get("includeValue") == "true" else {}
            return Response(200, json.dumps({"id": "the-key-id", **shown}).encode())
        if request.path.endswith("/invocations"):
            self.invoked.append((request.path.split("/")[3], json.loads(request.body)))
            self.qualifiers.append(request.query.get("Qualifier"))
            return self.answer
        if request.path.startswith("/apikeys/"):
            return Response(404, b'{"message": "Invalid API Key identifier specified"}')
        self.delivered.append(request)
        return Response(200, b'{"accepted":1}')

    def _described(self) -> str:
        return f"""<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult>
            <Stacks><member><StackName>shop</StackName><CreationTime>2026-11-22T08:30:00Z</CreationTime>
            <StackStatus>CREATE_COMPLETE</StackStatus><Outputs>{members("Output", self.outputs)}</Outputs>
            <Parameters>{members("Parameter", self.parameters)}</Parameters>
            </member></Stacks></DescribeStacksResult></DescribeStacksResponse>"""

    def _resources(self) -> str:
        kinds = dict.fromkeys(self.schedules, "AWS::Scheduler::Schedule") | {"Api": "AWS::ApiGateway::RestApi"}
        resources = "".join(
            f"""<member><LogicalResourceId>{name}</LogicalResourceId><PhysicalResourceId>shop-{name}</PhysicalResourceId>
            <ResourceType>{kind}</ResourceType><ResourceStatus>CREATE_COMPLETE</ResourceStatus>
            <LastUpdatedTimestamp>2026-11-22T08:30:00Z</LastUpdatedTimestamp></member>"""
            for name, kind in kinds.items()
        )
        return f"""<ListStackResourcesResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><ListStackResourcesResult>
            <StackResourceSummaries>{resources}</StackResourceSummaries></ListStackResourcesResult></ListStackResourcesResponse>"""


@pytest.fixture
def account(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    account = Account()
    with Server(account) as server:
        for service in ("CLOUDFORMATION", "SCHEDULER", "LAMBDA", "API_GATEWAY"):
            monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", server.url)
        account.outputs = {"ApiUrl": f"{server.url}/v1", "WebhookUrl": f"{server.url}/v1/webhooks/"}
        yield account


def secret(aws: Aws, text: str) -> str:
    name = f"secret-{uuid.uuid4()}"
    aws.client("secretsmanager").create_secret(Name=name, SecretString=text)
    return name


def run(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(main, arguments, env=variables)


def export(**variables: str) -> subprocess.CompletedProcess[str]:
    """In its own process, because it changes signal handlers and the log."""
    command = [sys.executable, "-m", "ops", "export"]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | variables, timeout=60)


# --- a deployed stack ---------------------------------------------------------------------------------------------------


def test_given_a_deployed_stack_then_a_delivery_is_signed_by_its_sources_and_sent_to_its_api(
    aws: Aws, account: Account
) -> None:
    account.outputs["SourcesSecretId"] = secret(aws, SOURCES.read_text())

    sent = run("webhook", "--stack", "shop", SOURCE="eu-shop")

    assert (sent.exit_code, sent.output) == (0, '200 {"accepted":1}\n')
    (delivery,) = account.delivered
    assert delivery.path == "/v1/webhooks/eu-shop"
    assert delivery.body == (SOURCES.parent / "bodies" / "shopify.json").read_bytes()


def test_given_a_deployed_stack_then_its_api_key_is_read_or_given(account: Account) -> None:
    account.outputs["ApiKeyId"] = "the-key-id"
    assert Deployed("shop").api_key == "the-key"
    account.outputs["ApiKeyId"] = "another"
    with pytest.raises(Unusable, match="give API_KEY instead"):
        _ = Deployed("shop").api_key


def test_given_a_deployed_stack_then_its_schedule_of_exports_is_fired_and_no_other(account: Account) -> None:
    fired = run("schedule", STACK="shop")

    assert (fired.exit_code, fired.output) == (0, 'ExportScheduleEntry 202 {"request_id": "the-request"}\n')
    ((function, event),) = account.invoked
    assert function == FUNCTION
    assert event["loyalty_ids"] == [5]
    assert event["scheduled_at"].endswith("Z")


def test_given_a_stack_without_a_schedule_then_the_error_says_so(account: Account) -> None:
    account.schedules = {}
    fired = run("schedule", STACK="shop")
    assert fired.exit_code == 1
    assert "LoyaltyIds" in fired.stderr


def lookup(**variables: str) -> Result:
    return run("lookup", CODE="Code-1", LOYALTY_ID="5", **variables)


def test_given_a_deployed_stack_then_a_code_is_looked_up_by_its_functions_alias(account: Account) -> None:
    account.outputs["ActivateFunctionName"] = "shop-ActivateFunction"
    facts = {"code": "Code-1", "loyalty_id": 5, "redeemable": True}
    account.answer = Response(200, json.dumps(facts).encode())

    found = lookup(STACK="shop")

    assert (found.exit_code, json.loads(found.stdout)) == (0, facts)
    assert account.invoked == [("shop-ActivateFunction", {"action": "get", "code": "Code-1", "loyalty_id": 5})]
    assert account.qualifiers == ["live"]


def test_given_a_stack_of_another_application_then_nothing_is_looked_up(account: Account) -> None:
    found = lookup(STACK="shop")

    assert found.exit_code == 1
    assert "it has no ActivateFunctionName" in found.stderr


def test_given_facts_that_are_not_known_now_then_the_lookup_says_why(account: Account) -> None:
    account.outputs["ActivateFunctionName"] = "shop-ActivateFunction"
    failure = {"errorType": "TryAgain", "errorMessage": "Altcraft answered HTTP 503 without a reason"}
    account.answer = Response(200, json.dumps(failure).encode(), [("X-Amz-Function-Error", "Unhandled")])

    found = lookup(STACK="shop")

    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr == "not looked up (TryAgain): Altcraft answered HTTP 503 without a reason\n"


def test_given_a_deployed_stack_then_an_export_uses_its_altcraft_and_bucket(
    aws: Aws, account: Account, emulator: Emulator, bucket: Bucket
) -> None:
    # Given a stack that uses XML, keeps its exports under a prefix, and accepts no shrunk program
    account.parameters = {
        "AltcraftUrl": emulator.url,
        "AltcraftWire": "xml",
        "ExportPrefix": "crm/",
        "LatestMinimumPercent": "100",
    }
    account.outputs |= {
        "ExportBucketName": bucket.name,
        "AltcraftSecretId": secret(aws, '{"token": "local-altcraft-token"}'),
    }
    emulator.programs.create(6, generated=100)

    # When a program is exported to its bucket
    done = export(STACK="shop", LOYALTY_ID="6", TO="s3:")

    # Then it is the stack's newest good export
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"s3://{bucket.name}/crm/promocodes/loyalty_id=6/")
    good = bucket.latest()
    # And the stack's percentage decides which export is suspect
    emulator.programs.create(6, generated=99)
    assert "suspect: 99 codes" in export(STACK="shop", LOYALTY_ID="6", TO="s3:").stdout
    assert bucket.latest() == good


def test_given_a_secret_that_cannot_be_read_then_the_variable_in_its_place_is_named(account: Account) -> None:
    account.outputs["SourcesSecretId"] = "nowhere"
    sent = run("webhook", STACK="shop", SOURCE="eu-shop")
    assert sent.exit_code == 1
    assert "give SOURCES instead" in sent.stderr


def test_given_aws_region_alone_then_it_is_the_region(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    assert run("schedule", STACK="shop").exit_code == 0


def test_given_no_region_then_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    moved = run("redrive", STACK="shop")
    assert moved.exit_code == 1
    assert "region" in moved.stderr


# --- which stack --------------------------------------------------------------------------------------------------------

NOWHERE = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("arguments", "variables", "asked"),
    [
        (["redrive"], {}, "the stack altcraft-promocodes"),
        (["redrive"], {"STACK": "shop"}, "the stack shop"),
        (["redrive"], {"LOCAL": NOWHERE, "STACK": "shop"}, NOWHERE),
        (["redrive", "--stack", "shop"], {"LOCAL": NOWHERE}, "the stack shop"),
        (["redrive", "--local", f"{NOWHERE}/"], {"STACK": "shop"}, NOWHERE),
        (["redrive"], {"URL": NOWHERE, "PORT": "9"}, "the stack altcraft-promocodes"),
        (["schedule"], {"PORT": "9"}, NOWHERE),
        (["schedule"], {"URL": NOWHERE, "PORT": "10"}, NOWHERE),
        (["schedule"], {"STACK": "shop", "PORT": "9"}, "the stack shop"),
        (["webhook"], {"STACK": "shop", "SOURCE": "eu-shop"}, "the stack shop"),
        (["lookup"], {"STACK": "shop", "CODE": "Code-1", "LOYALTY_ID": "5"}, "the stack shop"),
        (["lookup"], {"PORT": "9", "CODE": "Code-1", "LOYALTY_ID": "5"}, NOWHERE),
    ],
)
def test_given_flags_and_variables_then_the_nearest_names_the_stack(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], variables: dict[str, str], asked: str
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_CLOUDFORMATION"):
        monkeypatch.setenv(name, NOWHERE)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    answer = run(*arguments, **variables)
    assert answer.exit_code == 1
    assert asked in answer.stderr


def test_given_two_targets_then_it_asks_for_one() -> None:
    answer = run("redrive", "--stack", "shop", "--local", NOWHERE)
    assert answer.exit_code == 2
    assert "name one" in answer.stderr


def test_given_something_else_at_the_address_then_it_is_not_a_stack() -> None:
    for body in (b"[]", b"{}", b"not json"):
        with Server(lambda _, body=body: Response(200, body)) as server:  # type: ignore[misc]
            answer = run("redrive", LOCAL=server.url)
        assert answer.exit_code == 1
        assert "`make local`" in answer.stderr
        assert not isinstance(answer.exception, TypeError)
