"""`make deploy` before it calls SAM: which answers it accepts, what it asks, and what it keeps in samconfig.toml.

`test_template_deployed.py` has the same with the real SAM. Here a program in its place notes its arguments.
"""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from local.template import read
from ops import deploy
from tests.unit.synthesis import EVERYTHING

ROOT = Path(__file__).parents[2]
URL = "https://altcraft.example.com"


class Operator:
    """A folder with a samconfig.toml, and a `sam` that notes what it is called with."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "samconfig.toml"
        self.file.write_bytes((ROOT / "samconfig.toml").read_bytes())
        self._calls = folder / "calls"
        self._sam = folder / "sam"
        self.ends_with(0)

    def ends_with(self, status: int) -> None:
        note = f"open({str(self._calls)!r}, 'a').write(json.dumps(sys.argv[1:]) + '\\n')"
        self._sam.write_text(f"#!{sys.executable}\nimport json, sys\n{note}\nsys.exit({status})\n")
        self._sam.chmod(0o755)

    def deploys(self, *answers: str, **variables: str) -> Result:
        arguments = ["--config-file", str(self.file), "--sam", str(self._sam)]
        known = dict.fromkeys(("STACK", "REGION", "AWS_REGION", "AWS_DEFAULT_REGION", "ARCH")) | variables
        return CliRunner().invoke(deploy.command, arguments, input="".join(f"{one}\n" for one in answers), env=known)

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in self._calls.read_text().splitlines()] if self._calls.exists() else []

    def kept(self, section: str = "default") -> dict[str, Any]:
        document = tomllib.loads(self.file.read_text())
        parameters: dict[str, Any] = document[section]["deploy"]["parameters"]
        return parameters


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operator:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    return Operator(tmp_path)


def test_given_four_answers_then_they_are_kept_beside_what_the_file_had(operator: Operator) -> None:
    before = operator.kept()

    answer = operator.deploys("", "eu-central-1", URL, "ops@example.com")

    assert answer.exit_code == 0, answer.output
    assert operator.kept() == before | {
        "stack_name": "altcraft-promocodes",
        "region": "eu-central-1",
        "parameter_overrides": f'AltcraftUrl="{URL}" AlarmEmail="ops@example.com"',
    }
    assert (ROOT / "samconfig.toml").read_text().splitlines()[0] in operator.file.read_text()
    (call,) = operator.calls
    assert call == [
        *("deploy", "--config-file", str(operator.file), "--config-env", "default", "--no-fail-on-empty-changeset")
    ]
    for parameter in ("AltcraftUrl", "AlarmEmail"):
        description = " ".join(read(ROOT / "template.yaml")["Parameters"][parameter]["Description"].split())
        assert f"{parameter}: {description}\n" in answer.output
    assert "make token STACK=altcraft-promocodes AWS_REGION=eu-central-1, make sources" in answer.output


def test_given_answers_when_deployed_again_then_nothing_is_asked_or_written(operator: Operator) -> None:
    operator.deploys("shop", "eu-central-1", URL, "")
    kept = operator.file.read_bytes()

    answer = operator.deploys()

    assert answer.exit_code == 0
    assert operator.file.read_bytes() == kept
    assert operator.calls[0] == operator.calls[1]
    assert ":" not in answer.output.replace("Once it is deployed: ", "")


def test_given_variables_then_nothing_is_asked(operator: Operator) -> None:
    answer = operator.deploys(
        STACK="shop",
        REGION="eu-central-1",
        ALTCRAFT_URL=URL,
        YES="1",
        ARCH="x86_64",
        PARAMETERS='LoyaltyIds=5,6 ExportSchedule="cron(0 3 * * ? *)"',
    )

    assert answer.exit_code == 0, answer.output
    assert operator.kept()["stack_name"] == "shop"
    assert operator.kept()["parameter_overrides"] == (
        f'LoyaltyIds="5,6" ExportSchedule="cron(0 3 * * ? *)" AltcraftUrl="{URL}" Architecture="x86_64" AlarmEmail=""'
    )
    assert operator.calls[0][-1] == "--no-confirm-changeset"


def test_given_the_region_of_the_profile_then_enter_takes_it(operator: Operator) -> None:
    operator.deploys("", "", URL, "", AWS_REGION="eu-west-1")
    assert operator.kept()["region"] == "eu-west-1"


def test_given_wrong_answers_then_each_is_explained_and_asked_for_again(operator: Operator) -> None:
    answer = operator.deploys("1shop", "shop", "Frankfurt", "eu-central-1", "http://x", URL, "nobody", "a@b.example")
    assert answer.exit_code == 0
    for rule in ("must begin with a letter", "code of a region", "must be https://", "must be an e-mail address"):
        assert answer.output.count(rule) == 1


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "no answer for Stack name: give it by STACK=..."),
        ({"STACK": "shop"}, "no answer for Region: give it by REGION=..."),
        ({"STACK": "shop", "REGION": "eu-central-1"}, "no answer for AltcraftUrl: give it by ALTCRAFT_URL=..."),
        ({"YES": "1", "REGION": "eu-central-1"}, "no answer for AltcraftUrl: give it by ALTCRAFT_URL=..."),
        ({"STACK": "my shop"}, "Stack name must begin with a letter"),
        ({"REGION": "Europe"}, "Region must be the code of a region"),
        ({"ALTCRAFT_URL": f"{URL}/path"}, "AltcraftUrl must be https:// and a host"),
        ({"ALARM_EMAIL": "me"}, "AlarmEmail must be an e-mail address"),
        ({"ARCH": "arm"}, "Architecture must be one of"),
        ({"PARAMETERS": "LoyaltyId=5"}, "'LoyaltyId=5' is not a parameter of the template"),
        ({"PARAMETERS": "LoyaltyIds"}, "'LoyaltyIds' is not a parameter"),
        ({"PARAMETERS": "LoyaltyIds=5, 6"}, "LoyaltyIds must be whole numbers with commas"),
        ({"PARAMETERS": "OutputFormat=xml"}, "OutputFormat must be one of jsonl, csv, parquet"),
        ({"PARAMETERS": "MaximumConcurrency=1"}, "MaximumConcurrency must be a whole number within its limits"),
        ({"PARAMETERS": "MaximumConcurrency=five"}, "MaximumConcurrency must be a whole number within its limits"),
        ({"PARAMETERS": 'ExportSchedule="cron(0'}, "PARAMETERS: No closing quotation"),
        ({"CONFIG_ENV": "a b"}, "CONFIG_ENV: must be letters"),
    ],
)
def test_given_something_that_cannot_be_used_then_it_is_named_and_nothing_is_changed(
    operator: Operator, variables: dict[str, str], message: str
) -> None:
    kept = operator.file.read_bytes()
    answer = operator.deploys(**variables)
    assert answer.exit_code == 2
    assert message in " ".join(answer.stderr.split())
    assert operator.file.read_bytes() == kept
    assert operator.calls == []


@pytest.mark.parametrize(
    "text", [b"[default", b"\xff", b'[default.deploy.parameters]\nparameter_overrides = "a=\\"b"\n']
)
def test_given_a_samconfig_that_cannot_be_read_then_it_is_left_as_it_is(operator: Operator, text: bytes) -> None:
    operator.file.write_bytes(text)
    answer = operator.deploys(STACK="shop", REGION="eu-central-1", ALTCRAFT_URL=URL, YES="1")
    assert answer.exit_code == 1
    assert "samconfig.toml" in answer.stderr
    assert operator.file.read_bytes() == text
    assert operator.calls == []


def test_given_a_full_disk_then_the_file_is_as_it_was(operator: Operator) -> None:
    kept = operator.file.read_bytes()
    operator.file.with_name(".samconfig.toml.part").symlink_to("/dev/full")
    answer = operator.deploys("shop", "eu-central-1", URL, "")
    assert answer.exit_code == 1
    assert "cannot be written: [Errno 28]" in answer.stderr
    assert operator.file.read_bytes() == kept
    assert operator.calls == []


def test_given_another_stack_then_its_answers_need_a_section_of_their_own(operator: Operator) -> None:
    operator.deploys("shop", "eu-central-1", URL, "")
    first = operator.kept()
    refused = [operator.deploys(STACK="other"), operator.deploys(REGION="eu-west-1")]
    assert [one.exit_code for one in refused] == [2, 2]
    assert all("CONFIG_ENV=" in one.stderr for one in refused)

    answer = operator.deploys("other", "eu-west-1", URL, "", CONFIG_ENV="staging")

    assert answer.exit_code == 0
    assert operator.kept() == first
    assert operator.kept("staging") == first | {"stack_name": "other", "region": "eu-west-1"}
    assert operator.calls[-1][4] == "staging"


def test_given_the_answers_of_sam_s_own_questions_then_they_are_understood(operator: Operator) -> None:
    text = operator.file.read_text()
    operator.file.write_text(
        f'{text}region = "eu-central-1"\nparameter_overrides = "AltcraftUrl=\\"{URL}\\" AlarmEmail=\\"\\""\n'
    )
    answer = operator.deploys(PARAMETERS="AlarmEmail=ops@example.com")
    assert answer.exit_code == 0, answer.output
    assert operator.kept()["parameter_overrides"] == f'AltcraftUrl="{URL}" AlarmEmail="ops@example.com"'


def test_given_a_deployment_that_fails_then_its_status_is_ours_and_the_answers_are_kept(operator: Operator) -> None:
    operator.ends_with(3)
    answer = operator.deploys("shop", "eu-central-1", URL, "")
    assert answer.exit_code == 3
    assert "make token" not in answer.output
    assert operator.kept()["stack_name"] == "shop"


def test_given_no_sam_then_the_remedy_is_named(operator: Operator, tmp_path: Path) -> None:
    (tmp_path / "sam").unlink()
    answer = operator.deploys("shop", "eu-central-1", URL, "")
    assert answer.exit_code == 1
    assert "`make deploy` installs it" in answer.stderr


def test_given_the_template_then_every_default_and_every_value_of_the_tests_is_accepted() -> None:
    declared = deploy.parameters()
    template = read(ROOT / "template.yaml")["Parameters"]
    defaults = {name: str(one["Default"]) for name, one in template.items() if "Default" in one}
    for values in (defaults, EVERYTHING):
        assert {name: declared[name].checked(value) for name, value in values.items()} == values
    assert set(template) - set(defaults) == {"AltcraftUrl"}
