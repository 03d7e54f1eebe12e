"""The command that checks and uploads sources, against Secrets Manager over HTTP."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from activate.presets import PRESETS
from docs.generate.sample_events import SOURCES
from local.emulator.http import Request, Response, Server
from local.engine import REGION, Aws
from ops.commands import main
from ops.commands.sources import PASTE, PASTE_FOR_REVERSALS, checked, instructions
from ops.errors import Unusable

GOOD: dict[str, Any] = {"platform": "shopify", "secrets": ["hush-hush"], "loyalty_id": 5}


@pytest.fixture
def secret(aws: Aws) -> str:
    name = f"sources-{uuid.uuid4()}"
    aws.client("secretsmanager").create_secret(Name=name, SecretString="{}")
    return name


@pytest.fixture
def stored(aws: Aws, secret: str) -> Any:
    return lambda: aws.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]


def sources(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["sources", *map(str, arguments)])


def run(file: Path, aws: Aws, secret: str, *options: str) -> Result:
    """Run the command against a fake of the embedded stack's entry point."""
    ready = {
        "aws_endpoint_url": aws.endpoint_url,
        "aws_region": REGION,
        "sources_secret_id": secret,
        "api_url": "http://127.0.0.1:3000",
    }
    with Server(lambda _: Response(200, json.dumps(ready).encode())) as server:
        return sources(file, "--local", server.url, *options)


def test_given_a_good_document_then_it_is_uploaded_and_addresses_are_printed(
    aws: Aws, secret: str, stored: Any
) -> None:
    answer = run(SOURCES, aws, secret)
    assert answer.exit_code == 0
    assert stored() == SOURCES.read_text()
    out = answer.stdout
    for name, settings in json.loads(SOURCES.read_text()).items():
        assert f"http://127.0.0.1:3000/webhooks/{name}" in out
        assert not [value for value in settings["secrets"] if value in out]
    assert "/webhooks/tilda?token=SECRET" in out


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not an object"),
        (json.dumps({"shop": {**GOOD, "loyalty_id": "5"}}), "source shop, setting loyalty_id: write a whole number"),
        (
            json.dumps({"shop": {**GOOD, "capture": r"(?<=x)y"}}),
            "source shop, setting capture: not a regular expression",
        ),
        (
            json.dumps({"shop": {**GOOD, "fetch": {"host": "169.254.169.254", "path": "/{id}"}}}),
            "source shop, setting fetch.host: write the public name of one host",
        ),
        (
            json.dumps({"shop": {**GOOD, "fecth": {}}}),
            "source shop, setting fecth: there is no such setting; there are",
        ),
        (json.dumps({"my shop": GOOD}), "source my shop, write a name"),
        ('{"shop": {}, "shop": {}}', "shop: comes twice"),
        (json.dumps({"shop": {**GOOD, "secrets": ["x" * 70_000]}}), "a secret holds 65536"),
    ],
)
def test_given_a_bad_document_then_the_fault_is_reported_and_nothing_is_uploaded(
    aws: Aws, secret: str, stored: Any, tmp_path: Path, document: str, message: str
) -> None:
    file = tmp_path / "sources.json"
    file.write_text(document)
    answer = run(file, aws, secret)
    assert answer.exit_code == 1
    assert message in answer.stderr
    assert stored() == "{}"


def test_given_several_faults_then_each_has_a_line(tmp_path: Path) -> None:
    document = {"a": {**GOOD, "case": "?", "paid": "("}, "b": {**GOOD, "secrets": "hush-hush"}, "c": GOOD}
    with pytest.raises(Unusable) as raised:
        checked(json.dumps(document))
    lines = str(raised.value).splitlines()
    assert sorted(line.partition(":")[0] for line in lines) == [
        "source a, setting case",
        "source a, setting paid",
        "source b, setting secrets",
    ]
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_given_no_readable_file_then_the_error_says_so(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "sources.json"
    if content:
        file.write_bytes(content)
    answer = sources(file)
    assert answer.exit_code == 1
    assert str(file) in answer.stderr


def test_given_no_file_then_the_command_is_shown() -> None:
    answer = sources()
    assert answer.exit_code == 2
    assert "make sources FILE=sources.json" in answer.stderr


def test_given_no_running_stack_then_the_remedy_is_shown(aws: Aws) -> None:
    with Server(lambda _: Response(200, b"not a stack")) as server:
        answers = [sources(SOURCES, "--local", server.url)]
    answers += [sources(SOURCES, "--local", server.url)]
    assert [answer.exit_code for answer in answers] == [1, 1]
    assert all("no `make local` answers" in answer.stderr for answer in answers)


def test_given_explain_then_a_source_that_reads_no_sample_stops_the_upload(
    aws: Aws, secret: str, stored: Any, tmp_path: Path
) -> None:
    file = tmp_path / "sources.json"
    file.write_text(json.dumps({"shop": {**GOOD, "paid": "finacial_status == 'paid'"}}))
    answer = run(file, aws, secret, "--explain")
    assert answer.exit_code == 1
    assert "shop: shopify.json: unrecognised: paid: " in answer.stdout
    assert "nothing is uploaded" in answer.stderr
    assert stored() == "{}"
    assert run(SOURCES, aws, secret, "--explain").exit_code == 0
    assert stored() == SOURCES.read_text()


class TestDeployedStack:
    """CloudFormation's answers are a stub's, because the embedded AWS has none.

    Source: AWS CloudFormation API Reference, DescribeStacks.
    """

    @staticmethod
    def described(monkeypatch: pytest.MonkeyPatch, outputs: dict[str, str], stack: str = "shop") -> Result:
        members = "".join(
            f"<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>"
            for key, value in outputs.items()
        )
        answer = f"""<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult>
            <Stacks><member><StackName>shop</StackName><CreationTime>2026-11-22T08:30:00Z</CreationTime>
            <StackStatus>CREATE_COMPLETE</StackStatus><Outputs>{members}</Outputs></member></Stacks>
            </DescribeStacksResult></DescribeStacksResponse>"""
        missing = """<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code>
            <Message>Stack with id other does not exist</Message></Error></ErrorResponse>"""

        def cloudformation(request: Request) -> Response:
            exists = b"StackName=shop" in request.body
            return Response(
                200 if exists else 400, (answer if exists else missing).encode(), [("Content-Type", "text/xml")]
            )

        with Server(cloudformation) as server:
            monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", server.url)
            return sources(SOURCES, "--stack", stack)

    def test_given_the_stack_then_its_secret_is_set_and_its_addresses_are_printed(
        self, secret: str, stored: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        outputs = {"SourcesSecretId": secret, "WebhookUrl": "https://api.example.com/v1/webhooks/"}
        answer = self.described(monkeypatch, outputs)
        assert answer.exit_code == 0
        assert stored() == SOURCES.read_text()
        assert "https://api.example.com/v1/webhooks/eu-shop\n" in answer.stdout

    def test_given_no_such_stack_or_another_application_then_the_error_says_so(
        self, secret: str, stored: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        missing = self.described(monkeypatch, {}, "other")
        assert missing.exit_code == 1
        assert "STACK=" in missing.stderr
        other = self.described(monkeypatch, {"WebhookUrl": "https://api.example.com/"})
        assert other.exit_code == 1
        assert "SourcesSecretId" in other.stderr
        assert stored() == "{}"


def test_given_a_missing_secret_then_the_error_says_so(aws: Aws) -> None:
    answer = run(SOURCES, aws, "nowhere")
    assert answer.exit_code == 1
    assert "was not uploaded" in answer.stderr


def test_given_a_source_of_events_alone_then_no_address_is_printed() -> None:
    document = json.dumps(
        {"bus": {"platform": "shopify", "event_source": "aws.partner/shopify.com/1/x", "loyalty_id": 5}}
    )
    message = instructions(document, checked(document), "https://api.example.com/webhooks/")
    assert "https://" not in message
    assert "aws.partner/shopify.com/1/x" in message


def test_given_every_platform_then_the_place_to_paste_is_named() -> None:
    assert set(PASTE) == set(PRESETS)
    assert set(PASTE_FOR_REVERSALS) <= {platform for platform, preset in PRESETS.items() if "reversed" in preset}


@pytest.mark.parametrize(("on_reversal", "shown"), [("ignore", False), ("deactivate", True)])
def test_given_a_source_that_gives_codes_back_then_what_else_it_needs_is_named(on_reversal: str, shown: bool) -> None:
    text = json.dumps({"shop": {**GOOD, "on_reversal": on_reversal}})
    out = instructions(text, checked(text), "https://api.example.com/webhooks/")
    assert ("Order cancellation" in out) is shown
