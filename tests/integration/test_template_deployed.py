"""The template, built and deployed like an operator does it: `make build`, and the questions of `make deploy`.

SAM uploads the artefacts, makes a change set and executes it; the engine does the transform and creates the resources.
Two things are removed from the built template first, because the engine has neither and would refuse it: saved queries
of CloudWatch Logs, and alarms over several metrics. `tests/unit/test_template_translated.py` checks these. The functions do not
run here: the engine has another Python than Lambda, and `tests/e2e/test_runtime.py` runs the build in Lambda's own runtime.
"""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import pytest
import requests
import yaml

from local.engine import REGION, Aws
from local.template import read
from local.waiting import wait_until
from tests.terminal import Terminal
from tests.unit.synthesis import LEAST, TEMPLATE, document, synthesise

ROOT: Final = TEMPLATE.parent
ARCHITECTURE: Final = "arm64"
STACK: Final = "altcraft-promocodes"
DEPLOYED: Final = {**LEAST, "AlarmEmail": "operator@example.com"}

pytestmark = pytest.mark.long


def _is_left_out(resource: Mapping[str, Any]) -> bool:
    return resource["Type"] == "AWS::Logs::QueryDefinition" or (
        resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]
    )


@dataclass(frozen=True)
class Site:
    """An AWS, and the folder of an operator who deploys to it: the build, and a samconfig.toml."""

    aws: Aws
    folder: Path

    def deploy(self, **variables: str) -> str:
        """Run `make deploy` with these variables where nobody can answer, and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "ops.deploy", *self._arguments],
            env=os.environ | self._variables | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def package(self, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run `make package` with these variables."""
        return subprocess.run(
            [sys.executable, "-m", "ops.release", "--template-file", str(self.folder / "build" / "template.json")],
            env=os.environ | self._variables | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def terminal(self) -> Terminal:
        """`make deploy` in front of a terminal."""
        return Terminal("ops.deploy", *self._arguments, variables=self._variables, patience=300)

    @property
    def _arguments(self) -> list[str]:
        template, configuration = self.folder / "build" / "template.json", self.folder / "samconfig.toml"
        return ["--config-file", str(configuration), "--", "--template-file", str(template)]

    @property
    def _variables(self) -> dict[str, str]:
        return {**self.aws.environment, "SAM_CLI_TELEMETRY": "0", "SAM_CLI_POLL_DELAY": "0.2"}

    def resources(self, stack: str) -> dict[str, dict[str, Any]]:
        """The resources of a stack by logical id."""
        found = self.aws.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
        return {one["LogicalResourceId"]: one for one in found}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The output of `make build`, and an empty AWS."""
    folder = tmp_path_factory.mktemp("operator")
    subprocess.run(["make", "build", f"ARCH={ARCHITECTURE}", f"BUILD_DIR={folder / 'build'}"], cwd=ROOT, check=True)
    built = read(folder / "build" / "template.yaml")
    for name, resource in list(built["Resources"].items()):
        if _is_left_out(resource):
            del built["Resources"][name]
    (folder / "build" / "template.json").write_text(json.dumps(built))
    shutil.copy(ROOT / "samconfig.toml", folder)
    with (folder / "aws.log").open("wb") as log, Aws(log=log.fileno()) as aws:
        yield Site(aws, folder)


ANSWERS: Final = (
    ("Stack name [altcraft-promocodes]: ", ""),
    ("Region", "Frankfurt"),
    ("must be the code of a region, such as eu-central-1", REGION),
    ("AltcraftUrl: ", LEAST["AltcraftUrl"] + "/"),
    ("must be https:// and a host", LEAST["AltcraftUrl"]),
    ("AlarmEmail: ", "operator@example.com"),
    ("Deploy this changeset?", "y"),
)
"""What is on the screen, and what the operator then types: Enter for a default, and two answers that are none."""


@pytest.fixture(scope="module")
def said(site: Site) -> str:
    """What `make deploy` printed for an operator at a terminal."""
    with site.terminal() as screen:
        for question, answer in ANSWERS:
            screen.shown(question)
            screen.type(answer)
        shown = screen.shown(f"make doctor STACK={STACK}")
        assert screen.process.wait(60) == 0
    return shown


def test_given_the_answers_then_the_stack_is_created_and_nothing_else_is_asked(site: Site, said: str) -> None:
    (stack,) = site.aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]

    assert "CloudFormation stack changeset" in said
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}.items() >= DEPLOYED.items()
    assert "authentication" not in said


def test_given_the_stack_then_it_has_every_resource_of_the_translated_template(site: Site, said: str) -> None:
    expected = [one for one in synthesise(DEPLOYED).deployed["Resources"].values() if not _is_left_out(one)]

    created = site.resources(STACK).values()

    assert {one["ResourceStatus"] for one in created} == {"CREATE_COMPLETE"}
    assert Counter(one["ResourceType"] for one in created) == Counter(one["Type"] for one in expected)


def test_given_the_end_of_the_deployment_then_it_prints_what_a_person_needs_next(site: Site, said: str) -> None:
    (stack,) = site.aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    assert outputs.keys() == synthesise(LEAST).deployed["Outputs"].keys()
    assert all(re.search(rf"\bKey +{name}\b", said) for name in outputs)


def _packed(url: str) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(requests.get(url, timeout=30).content)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


def _built(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("function", ["ActivateFunction", "ExportAllFunction"])
def test_given_a_deployed_function_then_it_is_what_was_built(site: Site, said: str, function: str) -> None:
    lambdas = site.aws.client("lambda")

    deployed = lambdas.get_function(FunctionName=site.resources(STACK)[function]["PhysicalResourceId"])

    configuration = deployed["Configuration"]
    assert (configuration["Runtime"], configuration["Architectures"]) == ("python3.13", [ARCHITECTURE])
    assert _packed(deployed["Code"]["Location"]) == _built(site.folder / "build" / function)
    (layer,) = configuration["Layers"]
    assert layer["CodeSize"] > 1_000_000


def test_given_the_deployed_activate_then_its_callers_reach_a_version_by_the_alias(site: Site, said: str) -> None:
    function = site.resources(STACK)["ActivateFunction"]["PhysicalResourceId"]
    lambdas = site.aws.client("lambda")

    alias = lambdas.get_alias(FunctionName=function, Name="live")
    (mapping,) = lambdas.list_event_source_mappings()["EventSourceMappings"]

    assert alias["FunctionVersion"] == "1"
    assert mapping["FunctionArn"] == alias["AliasArn"]


def test_given_the_saved_answers_when_deployed_again_then_nothing_is_asked_and_nothing_changes(
    site: Site, said: str
) -> None:
    kept = (site.folder / "samconfig.toml").read_text()
    assert LEAST["AltcraftUrl"] in kept
    assert kept.startswith((ROOT / "samconfig.toml").read_text().partition("\n")[0])

    again = site.deploy()

    assert f"Stack {STACK} is up to date" in again
    assert (site.folder / "samconfig.toml").read_text() == kept


def test_given_a_new_value_when_deployed_again_then_it_is_deployed_unseen_and_kept(site: Site, said: str) -> None:
    site.deploy(PARAMETERS='QuarantineDays=7 ExportSchedule="cron(0 4 * * ? *)"', YES="1")
    try:
        (stack,) = site.aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        values = {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}
        assert values.items() >= {**DEPLOYED, "QuarantineDays": "7", "ExportSchedule": "cron(0 4 * * ? *)"}.items()
        assert f"Stack {STACK} is up to date" in site.deploy()
    finally:
        site.deploy(PARAMETERS="QuarantineDays=30", YES="1")


def test_given_a_version_then_its_link_leads_to_a_template_with_the_code_that_was_built(site: Site) -> None:
    s3 = site.aws.client("s3")
    s3.create_bucket(Bucket=f"releases-{REGION}", CreateBucketConfiguration={"LocationConstraint": REGION})
    release = site.folder / "release"

    for _ in range(2):  # the second time nothing is changed
        published = site.package(BUCKET="releases", REGIONS=REGION, VERSION="v1.2.3", TO=str(release))
        assert published.returncode == 0, published.stdout

    (link,) = re.findall(rf"\[{REGION}\]\((.+)\)", (release / "quick-create.md").read_text())
    assert link.startswith(
        f"https://{REGION}.console.aws.amazon.com/cloudformation/home?region={REGION}#/stacks/quickcreate?"
    )
    (template_url,) = parse_qs(link.partition("quickcreate?")[2])["templateURL"]
    template = requests.get(template_url, timeout=30).json()
    assert template == json.loads((release / f"template-{REGION}.json").read_text())
    assert template["Parameters"]["Architecture"]["AllowedValues"] == [ARCHITECTURE]
    uri = template["Resources"]["ActivateFunction"]["Properties"]["CodeUri"]
    assert uri.startswith(f"s3://releases-{REGION}/v1.2.3/")
    code = s3.generate_presigned_url(
        "get_object", Params=dict(zip(("Bucket", "Key"), uri[5:].split("/", 1), strict=True))
    )
    assert _packed(code) == _built(site.folder / "build" / "ActivateFunction")


@pytest.mark.parametrize(
    ("variables", "status", "message"),
    [
        ({"VERSION": "latest"}, 2, "VERSION: must be like v1.0.0"),
        ({"REGIONS": "Frankfurt"}, 2, "REGIONS: must be codes of regions"),
        ({"REGIONS": " "}, 2, "REGIONS: names no region"),
        ({"BUCKET": "nowhere"}, 1, f"nowhere-{REGION}: cannot be read"),
    ],
)
def test_given_a_release_that_cannot_be_made_then_it_is_named(
    site: Site, variables: dict[str, str], status: int, message: str
) -> None:
    done = site.package(**{"BUCKET": "releases", "REGIONS": REGION, "VERSION": "v9.9.9", **variables})
    assert done.returncode == status
    assert message in " ".join(done.stdout.split())


def test_given_a_first_deployment_that_fails_then_nothing_is_left_but_the_accounts_role_for_logs(
    site: Site, said: str
) -> None:
    cloudformation, s3 = site.aws.client("cloudformation"), site.aws.client("s3")
    data = [name for name, one in document()["Resources"].items() if "DeletionPolicy" in one and "Condition" not in one]
    broken = yaml.safe_load(cloudformation.get_template(StackName=STACK, TemplateStage="Original")["TemplateBody"])
    broken["Resources"]["NotAnAlarm"] = {
        "Type": "AWS::CloudWatch::Alarm",
        "DependsOn": [*data, "ApiLogsAccount"],
        "Properties": {
            "Metrics": [{"Id": "nothing", "Expression": "("}],
            "ComparisonOperator": "LessThanThreshold",
            "EvaluationPeriods": 1,
            "Threshold": 1,
        },
    }
    s3.create_bucket(Bucket="broken", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="broken", Key="template.json", Body=json.dumps(broken).encode())

    cloudformation.create_stack(
        StackName="failing",
        TemplateURL=f"{site.aws.endpoint_url}/broken/template.json",
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in LEAST.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )

    wait_until(lambda: _status(cloudformation, "failing").endswith("_COMPLETE"), 60)
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName="failing")
    # SAM retains each version of a function, but it is deleted with the function.
    events = [one for page in pages for one in page["StackEvents"] if one["ResourceType"] != "AWS::Lambda::Version"]
    by_status = {
        status: {one["LogicalResourceId"] for one in events if one["ResourceStatus"] == status}
        for status in ("CREATE_COMPLETE", "DELETE_COMPLETE", "DELETE_SKIPPED")
    }
    assert _status(cloudformation, "failing") == "ROLLBACK_COMPLETE"
    assert by_status["CREATE_COMPLETE"] >= set(data)
    assert by_status["DELETE_COMPLETE"] >= set(data)
    assert by_status["DELETE_SKIPPED"] == {"ApiLogsAccount", "ApiLogsRole"}


def _status(cloudformation: Any, stack: str) -> str:
    (found,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    status: str = found["StackStatus"]
    return status
