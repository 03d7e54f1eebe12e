"""`make doctor` on the embedded stack; and on the same stack as one that is deployed, with metrics as CloudWatch has them."""

import json
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lambda_support.telemetry import Metric
from local.emulator import Emulator
from local.emulator.http import Response, Server
from local.emulator.settings import Settings
from local.stack import Stack
from local.template import read
from ops.commands import main
from ops.diagnosis import CHECKS, Finding, State
from ops.target import Deployed
from tests.e2e.api import Api

ROOT = Path(__file__).parents[2]
NAMESPACE = "Altcraft/local"


def doctor(stack: Stack) -> Result:
    return CliRunner().invoke(main, ["doctor", "--local", stack.ready.api_url])


def lines(answer: Result, check: str) -> list[str]:
    """The lines of one check, with single blanks."""
    found = [" ".join(line.split()) for line in answer.stdout.splitlines() if line[9:22].strip() == check]
    assert found, answer.output
    return found


def findings(check: str) -> list[Finding]:
    """What a check finds in the stack, as one that is deployed."""
    (found,) = [one for one in CHECKS if one.name == check]
    return [*found.findings(Deployed("local"))]


@pytest.fixture
def deployed(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The credentials and the region of the stack's AWS, by which the tools find it as a deployed one."""
    for name, value in stack.aws.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def nothing_known(stack: Stack) -> None:
    """A ledger without an item, as of a new stack."""
    dynamodb, table = stack.aws.client("dynamodb"), stack.ready.redemptions_table
    for page in dynamodb.get_paginator("scan").paginate(TableName=table, ProjectionExpression="loyalty_id, code"):
        for key in page["Items"]:
            dynamodb.delete_item(TableName=table, Key=key)


@pytest.fixture
def known(nothing_known: None, api: Api, altcraft: Emulator) -> str:
    """A code that Altcraft has activated for an order."""
    code = f"Code-{uuid.uuid4()}"
    altcraft.programs.add(5, code, attached=True)
    answer = api.post("/promocodes/activate", {"code": code, "loyalty_id": 5, "order_id": code})
    assert answer.status_code == 200
    return code


# --- the laptop's -------------------------------------------------------------------------------------------------------


def test_given_a_stack_that_has_all_it_can_have_then_all_is_well(stack: Stack, known: str) -> None:
    answer = doctor(stack)

    assert answer.exit_code == 0, answer.output
    assert lines(answer, "token") == ["ok token readable, and Altcraft accepts it"]
    assert lines(answer, "sources")[0].startswith("ok sources all ")
    assert "keeps no metrics" in lines(answer, "deliveries")[0]
    assert lines(answer, "queue")[0].startswith("ok queue 0 messages wait")
    assert lines(answer, "dead letters") == ["ok dead letters codes that were given up: 0"]
    assert lines(answer, "alarms") == ["- alarms nobody is notified: this is a laptop"]
    assert "`make schedule` fires it" in lines(answer, "schedule")[0]
    assert answer.stdout.endswith("All well.\n")
    secrets = [one for source in json.loads(_sources(stack)).values() for one in source["secrets"]]
    assert not [one for one in [*secrets, "local-altcraft-token"] if one in answer.output]


def test_given_no_code_that_altcraft_has_returned_then_nothing_is_proved(
    stack: Stack, nothing_known: None, altcraft: Emulator
) -> None:
    answer = doctor(stack)

    assert answer.exit_code == 1
    (line,) = lines(answer, "token")
    assert line.startswith("MISSING token nothing is proved yet: the ledger has no code yet")
    assert f"make lookup LOCAL={stack.ready.api_url}" in line
    assert answer.stdout.endswith("Missing: 1. Begin with the first.\n")


def test_given_a_code_that_altcraft_has_lost_then_nothing_is_decided_by_its_refusal(
    stack: Stack, known: str, altcraft: Emulator
) -> None:
    altcraft.programs.clear()
    answer = doctor(stack)
    assert answer.exit_code == 1
    assert f"nothing is proved yet: Altcraft no longer returns {known} of the program 5" in lines(answer, "token")[0]


@pytest.mark.parametrize("ledger", ["nothing_known", "known"])
def test_given_a_token_that_altcraft_refuses_then_it_is_to_be_replaced(
    stack: Stack, altcraft: Emulator, request: pytest.FixtureRequest, ledger: str
) -> None:
    request.getfixturevalue(ledger)
    altcraft.settings = Settings(tokens=frozenset({"another"}))
    answer = doctor(stack)
    assert answer.exit_code == 1
    (line,) = lines(answer, "token")
    assert line.startswith("MISSING token token_refused: ")
    assert f"make token LOCAL={stack.ready.api_url}" in line


def test_given_dead_letters_then_the_remedy_is_to_redrive_them(stack: Stack, known: str) -> None:
    sqs, url = stack.aws.client("sqs"), stack.ready.dead_letter_queue_url
    sqs.send_message(QueueUrl=url, MessageBody="{}")
    try:
        answer = doctor(stack)
    finally:
        sqs.purge_queue(QueueUrl=url)
    assert answer.exit_code == 1
    (line,) = lines(answer, "dead letters")
    assert line.startswith("MISSING dead letters codes that were given up: 1. Next: ")
    assert f"make redrive LOCAL={stack.ready.api_url}" in line


def _sources(stack: Stack) -> str:
    secrets = stack.aws.client("secretsmanager")
    return str(secrets.get_secret_value(SecretId=stack.ready.sources_secret_id)["SecretString"])


@pytest.fixture
def document(stack: Stack) -> Iterator[None]:
    usual = _sources(stack)
    yield
    _put_sources(stack, usual)


def _put_sources(stack: Stack, text: str) -> None:
    stack.aws.client("secretsmanager").put_secret_value(SecretId=stack.ready.sources_secret_id, SecretString=text)


GOOD = {"platform": "shopify", "secrets": ["hush-hush"], "loyalty_id": 5}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{}", ["no webhook source yet"]),
        ("[]", ["not an object"]),
        ("{", ["not JSON"]),
        (
            json.dumps({"a": {**GOOD, "case": "?"}, "b": {**GOOD, "paid": "("}, "c": GOOD}),
            ["source a, setting case", "source b, setting paid"],
        ),
    ],
)
def test_given_sources_that_cannot_be_used_then_each_fault_has_a_line(
    stack: Stack, known: str, document: None, text: str, found: list[str]
) -> None:
    _put_sources(stack, text)
    answer = doctor(stack)
    assert answer.exit_code == 1
    shown = lines(answer, "sources")
    assert len(shown) == len(found)
    assert all(part in line for part, line in zip(found, shown, strict=True))
    assert all(f"make sources FILE=sources.json LOCAL={stack.ready.api_url}" in line for line in shown)
    assert "hush" not in answer.output


def test_given_no_stack_then_it_cannot_be_looked_at(deployed: None) -> None:
    for where in (["--local", "http://127.0.0.1:9"], ["--stack", "nowhere"]):
        answer = CliRunner().invoke(main, ["doctor", *where])
        assert (answer.exit_code, answer.stdout) == (2, "")
        assert where[1] in answer.stderr


# --- a deployed one -----------------------------------------------------------------------------------------------------


def put(stack: Stack, source: str, *deliveries: tuple[str, int]) -> None:
    """Record deliveries of a source: the result, and how many hours ago."""
    stack.aws.client("cloudwatch").put_metric_data(
        Namespace=NAMESPACE,
        MetricData=[
            {
                "MetricName": Metric.INTAKE.value,
                "Dimensions": [
                    {"Name": "service", "Value": "activate"},
                    {"Name": "source", "Value": source},
                    {"Name": "result", "Value": result},
                ],
                "Timestamp": datetime.now(UTC) - timedelta(hours=hours),
                "Value": 1,
            }
            for result, hours in deliveries
        ],
    )


def test_given_metrics_then_each_source_s_last_delivery_is_shown(stack: Stack, deployed: None, document: None) -> None:
    names = ("good", "silent", "wrong", "never-understood")
    _put_sources(stack, json.dumps(dict.fromkeys(names, GOOD)))
    put(stack, "good", ("bad_signature", 30), ("accepted", 5), ("not_paid", 29))
    put(stack, "wrong", ("accepted", 50), ("bad_signature", 3))
    put(stack, "never-understood", ("unrecognised", 2))

    found = dict(zip(names, findings("deliveries"), strict=True))

    hour = f"{datetime.now(UTC) - timedelta(hours=5):%Y-%m-%d %H}:00"
    assert found["good"] == Finding(State.WELL, f"good: last in the hour from {hour} UTC: accepted")
    assert found["silent"].state is State.MISSING
    assert found["silent"].text == "silent: none in 14 days"
    assert found["wrong"].state is State.MISSING
    assert f"understood: {datetime.now(UTC) - timedelta(hours=50):%Y-%m-%d %H}:00" in found["wrong"].text
    assert "secret" in found["wrong"].remedy
    assert found["never-understood"].text.endswith("unrecognised; the last that was understood: none in 14 days")
    assert "make explain" in found["never-understood"].remedy


def test_given_a_code_that_has_waited_for_long_then_it_is_missing_a_remedy(stack: Stack, deployed: None) -> None:
    assert [one.state for one in findings("queue")] == [State.WELL, State.WELL]
    stack.aws.client("cloudwatch").put_metric_data(
        Namespace=NAMESPACE,
        MetricData=[
            {
                "MetricName": Metric.MESSAGE_AGE.value,
                "Dimensions": [{"Name": "service", "Value": "activate"}],
                "Timestamp": datetime.now(UTC) - timedelta(minutes=6),
                "Value": 7_200,
            }
        ],
    )
    assert findings("queue")[1].text.endswith(": 120 minutes")
    assert findings("queue")[1].state is State.MISSING


def test_given_a_topic_then_only_a_confirmed_subscriber_is_one(stack: Stack, deployed: None) -> None:
    sns, (topic,) = stack.aws.client("sns"), Deployed("local").resources("AWS::SNS::Topic").values()
    (nobody,) = findings("alarms")
    assert nobody.state is State.MISSING
    assert "ALARM_EMAIL" in nobody.remedy
    arn = sns.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:eu-central-1:123456789012:a", ReturnSubscriptionArn=True
    )["SubscriptionArn"]
    try:
        assert findings("alarms") == [Finding(State.WELL, "subscribers who are notified: 1")]
    finally:
        sns.unsubscribe(SubscriptionArn=arn)


def test_given_a_schedule_that_somebody_has_switched_off_then_it_is_missing(stack: Stack, deployed: None) -> None:
    (found,) = findings("schedule")
    assert found.state is State.MISSING
    assert "off, though ExportScheduleState is ENABLED" in found.text


def test_given_access_denied_then_the_permission_is_named_and_the_other_checks_go_on(
    stack: Stack, deployed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = b"""<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type>
        <Code>AuthorizationError</Code><Message>User: you is not authorized to perform it</Message></Error></ErrorResponse>"""
    with Server(lambda _: Response(403, denied, [("Content-Type", "text/xml")])) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", server.url)
        answer = CliRunner().invoke(main, ["doctor", "--stack", "local"])
    assert answer.exit_code == 1
    (line,) = lines(answer, "alarms")
    assert line.startswith("MISSING alarms not checked: ")
    assert line.endswith("give yourself the permission sns:ListSubscriptionsByTopic, or ask who has it")
    assert lines(answer, "schedule")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_given_any_check_when_aws_does_not_answer_then_it_is_a_line(
    stack: Stack, deployed: None, monkeypatch: pytest.MonkeyPatch, check: object
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    target = Deployed("local")
    assert target.values
    for service in ("DYNAMODB", "SECRETS_MANAGER", "SQS", "CLOUDFORMATION", "SNS", "SCHEDULER", "CLOUDWATCH"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", "http://127.0.0.1:9")
    (found,) = [one for one in CHECKS if one is check]
    lines = [*found.findings(target)]
    assert [one.state for one in lines] == [State.MISSING]
    assert lines[0].text.startswith("not checked: ")


def test_given_the_template_then_its_metrics_are_where_they_are_looked_for() -> None:
    template = read(ROOT / "template.yaml")
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["POWERTOOLS_METRICS_NAMESPACE"] == {"Fn::Sub": "Altcraft/${AWS::StackName}"}
    assert int(template["Parameters"]["OldestMessageMinutes"]["Default"]) == 60


def test_given_the_page_then_it_has_the_permissions_of_each_check() -> None:
    page = (ROOT / "docs" / "ops.md").read_text().partition("\n## doctor\n")[2].partition("\n## ")[0]
    documented = dict(re.findall(r"^\| `([a-z ]+)` \|.+\| ([^|]+) \|$", page, re.MULTILINE))
    assert {name: set(re.findall(r"`([^`]+)`", cell)) for name, cell in documented.items()} == {
        check.name: {*check.permissions.values()} for check in CHECKS
    }
