"""The command that puts the Altcraft token into the stack's secret, against Secrets Manager over HTTP."""

import json
import signal
import uuid
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from altcraft.token import Token
from local.emulator.http import Response, Server
from local.engine import REGION, Aws
from ops.commands import main
from ops.commands.export import GivenSecret
from ops.commands.token import checked, stored
from tests.terminal import Terminal

TOKEN = "a-canary-token-7Kd2"


@pytest.fixture
def secret(aws: Aws) -> str:
    """A secret without a value, as a new stack's."""
    name = f"token-{uuid.uuid4()}"
    aws.client("secretsmanager").create_secret(Name=name)
    return name


@pytest.fixture
def local(aws: Aws, secret: str) -> Iterator[str]:
    """The address of an embedded stack with this secret."""
    ready = {"aws_endpoint_url": aws.endpoint_url, "aws_region": REGION, "altcraft_secret_id": secret}
    with Server(lambda _: Response(200, json.dumps(ready).encode())) as server:
        yield server.url


@pytest.fixture
def text(aws: Aws, secret: str) -> Callable[[], str]:
    return lambda: str(aws.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"])


def token(local: str, given: str | bytes) -> Result:
    return CliRunner().invoke(main, ["token", "--local", local], input=given)


@pytest.mark.parametrize(
    "given", [TOKEN, f"{TOKEN}\n", f"{TOKEN}\r\n", f"  {TOKEN}\t\n", b"\xef\xbb\xbf" + TOKEN.encode()]
)
def test_given_a_token_on_a_pipe_then_it_alone_is_stored_and_never_printed(
    local: str, secret: str, text: Callable[[], str], given: str | bytes
) -> None:
    answer = token(local, given)
    assert answer.exit_code == 0
    assert text() == TOKEN
    assert answer.output == f"The token is in the secret {secret}, alone; the functions use it within five minutes.\n"


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ('{"token": "old"}', {"token": TOKEN}),
        ('{"owner": "crm", "token": "old"}', {"owner": "crm", "token": TOKEN}),
        ('{"owner": "crm"}', {"owner": "crm", "token": TOKEN}),
    ],
)
def test_given_a_secret_of_json_then_its_form_and_other_fields_are_kept(
    aws: Aws, local: str, secret: str, text: Callable[[], str], present: str, expected: dict[str, str]
) -> None:
    aws.client("secretsmanager").put_secret_value(SecretId=secret, SecretString=present)
    answer = token(local, TOKEN)
    assert answer.exit_code == 0
    assert json.loads(text()) == expected
    assert TOKEN not in answer.output
    assert '{"token": ...}' in answer.output


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("", "there is no token"),
        ("\n", "there is no token"),
        (" \t\n", "there is no token"),
        (f"{TOKEN}\n{TOKEN}\n", "more than one line"),
        (f"\n{TOKEN}", "more than one line"),
        (f"{TOKEN}\x0b{TOKEN}", "more than one line"),
        (f"{TOKEN}\x1b[A", "control or invisible"),
        (f"{TOKEN}\0", "control or invisible"),
        (f"{TOKEN}\u200b", "control or invisible"),
        (TOKEN.encode("utf-16"), "not text in UTF-8"),
        (f'{{"token": "{TOKEN}"}}', "give the token alone"),
        (TOKEN * 1_000, "more than 4096 characters"),
    ],
)
def test_given_something_that_is_no_token_then_nothing_is_changed_and_nothing_of_it_printed(
    aws: Aws, local: str, secret: str, text: Callable[[], str], given: str | bytes, reason: str
) -> None:
    aws.client("secretsmanager").put_secret_value(SecretId=secret, SecretString="the one before")
    answer = token(local, given)
    assert answer.exit_code == 1
    assert reason in answer.stderr
    assert TOKEN not in answer.output
    assert text() == "the one before"


def test_given_a_secret_that_does_not_exist_then_aws_s_refusal_is_shown(aws: Aws, local: str, secret: str) -> None:
    aws.client("secretsmanager").delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)
    answer = token(local, TOKEN)
    assert answer.exit_code == 1
    assert secret in answer.stderr
    assert "ResourceNotFoundException" in answer.stderr
    assert TOKEN not in answer.output


@pytest.fixture
def screen(local: str) -> Iterator[Terminal]:
    with Terminal("ops", "token", "--local", local) as shown:
        yield shown


def test_given_a_terminal_then_the_token_is_asked_for_and_not_shown(screen: Terminal, text: Callable[[], str]) -> None:
    screen.shown("Altcraft token")
    assert not screen.echoes()
    screen.type(TOKEN)
    assert TOKEN not in screen.shown("within five minutes.")
    assert screen.process.wait(60) == 0
    assert text() == TOKEN


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_given_a_signal_at_the_question_then_the_terminal_shows_again_what_is_typed(
    screen: Terminal, number: signal.Signals
) -> None:
    screen.shown("Altcraft token")
    screen.process.send_signal(number)
    assert "the secret was not changed" in screen.shown("changed.")
    assert screen.process.wait(60) == 128 + number
    assert screen.echoes()


@given(
    st.text(min_size=1, max_size=40).filter(
        lambda text: text.isprintable() and text == text.strip() and text[0] != "{"
    ),
    st.one_of(
        st.text(),
        st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none())).map(json.dumps),
    ),
)
def test_given_any_token_and_any_secret_then_the_functions_read_that_token(given_token: str, present: str) -> None:
    assert checked(f"{given_token}\n") == given_token
    assert Token(GivenSecret(stored(given_token, present))).value() == given_token
