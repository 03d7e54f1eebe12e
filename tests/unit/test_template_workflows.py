"""The workflows of GitHub Actions: their make targets exist, they hold no key, and they have only the permissions they need."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.template import read
from ops import release

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def _read(path: Path) -> dict[str, Any]:
    workflow: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return workflow


def _jobs(path: Path) -> dict[str, dict[str, Any]]:
    jobs: dict[str, dict[str, Any]] = _read(path)["jobs"]
    return jobs


@each_workflow
def test_given_a_step_that_calls_make_then_there_is_such_a_target(path: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    called = {
        target
        for job in _jobs(path).values()
        for step in job.get("steps", [])
        for target in re.findall(r"^make ([a-z-]+)", step.get("run", ""))
    }

    assert called <= targets
    assert called


@each_workflow
def test_given_a_workflow_then_it_may_only_read_by_default_and_has_a_timeout(path: Path) -> None:
    assert _read(path)["permissions"] == {"contents": "read"}
    for name, job in _jobs(path).items():
        assert "uses" in job or job["timeout-minutes"] <= 45, name


def test_given_the_deployment_then_it_authenticates_by_oidc_after_the_checks_and_without_a_key() -> None:
    path = ROOT / ".github" / "workflows" / "deploy.yml"
    job = _jobs(path)["deploy"]

    assert job["needs"] == "check"
    assert job["permissions"] == {"contents": "read", "id-token": "write"}
    assert "secrets." not in path.read_text(encoding="utf-8")
    (credentials,) = [step for step in job["steps"] if "configure-aws-credentials" in step.get("uses", "")]
    assert credentials["with"]["role-to-assume"] == "${{ vars.AWS_DEPLOY_ROLE_ARN }}"


def test_given_a_fork_without_a_role_then_no_step_touches_aws() -> None:
    steps = _jobs(ROOT / ".github" / "workflows" / "deploy.yml")["deploy"]["steps"]
    touching = [step for step in steps if "aws-actions" in step.get("uses", "") or "make deploy" in step.get("run", "")]

    assert len(touching) == 2
    assert all(step["if"] == "vars.AWS_DEPLOY_ROLE_ARN != ''" for step in touching)


HOSTILE = [
    'AltcraftUrl=https://altcraft.example.com ExportSchedule="cron(0 3 * * ? *)" LoyaltyIds=5,6',
    "AltcraftUrl=https://altcraft.example.com ExportPrefix=$(touch pwned)`touch pwned`;touch pwned",
    "",
]
"""Values of the variable PARAMETERS that a shell would interpret."""


@pytest.mark.parametrize("parameters", HOSTILE, ids=["brackets and spaces", "commands", "none"])
def test_given_any_parameters_then_sam_gets_them_as_they_are(parameters: str, tmp_path: Path) -> None:
    (step,) = [
        step
        for step in _jobs(ROOT / ".github" / "workflows" / "deploy.yml")["deploy"]["steps"]
        if "make deploy" in step.get("run", "")
    ]
    calls = tmp_path / "calls"
    sam, make = tmp_path / "sam", tmp_path / "make"
    sam.write_text(
        f"#!{sys.executable}\nimport json, sys\nopen({str(calls)!r}, 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n"
    )
    make.write_text(f'#!/bin/sh\nexec {shutil.which("make")} SAM={sam} --old-file=.venv-sam/stamp "$@"\n')
    for program in (sam, make):
        program.chmod(0o755)

    subprocess.run(
        ["bash", "-eo", "pipefail", "-c", step["run"]],
        cwd=ROOT,
        env=os.environ
        | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "ARCH": "x86_64", "STACK": "shop", "PARAMETERS": parameters},
        check=True,
    )

    built, deployed = map(json.loads, calls.read_text().splitlines())
    assert built == ["build", "--parameter-overrides", "Architecture=x86_64"]
    assert deployed[deployed.index("--stack-name") + 1] == "shop"
    assert deployed[deployed.index("--parameter-overrides") + 1 :] == [f"Architecture=x86_64 {parameters}"]
    assert not (ROOT / "pwned").exists()


def test_given_the_documented_parameters_then_each_is_one_of_the_template_and_may_have_its_value() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^ *\| `PARAMETERS` \| `(.+)` \|$", page, re.MULTILINE)
    declared = read(ROOT / "template.yaml")["Parameters"]

    for pair in shlex.split(example):
        name, _, value = pair.partition("=")
        assert re.fullmatch(declared[name]["AllowedPattern"], value), pair


def test_given_the_stacks_name_then_it_is_one_wherever_it_is_a_default() -> None:
    (step,) = [
        step
        for step in _jobs(ROOT / ".github" / "workflows" / "deploy.yml")["deploy"]["steps"]
        if "make deploy" in step.get("run", "")
    ]
    pages = [ROOT / "README.md", ROOT / "docs" / "deploy.md"]
    named = {name for page in pages for name in re.findall(r"\bSTACK=([\w-]+)", page.read_text(encoding="utf-8"))}
    prompted = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))["default"]["global"]["parameters"]

    assert {prompted["stack_name"]} == named
    assert f"'{prompted['stack_name']}'" in step["env"]["STACK"]
    assert read(ROOT / ".github" / "deploy-role.yaml")["Parameters"]["StackName"]["Default"] == prompted["stack_name"]


def test_given_the_release_then_it_needs_a_role_and_the_checks_and_its_values_reach_no_shell() -> None:
    path = ROOT / ".github" / "workflows" / "release.yml"
    jobs = _jobs(path)

    assert jobs["check"]["if"] == "vars.AWS_RELEASE_ROLE_ARN != ''"
    assert (jobs["package"]["needs"], jobs["publish"]["needs"]) == ("check", "package")
    assert jobs["package"]["permissions"] == {"contents": "read", "id-token": "write"}
    assert "secrets." not in path.read_text(encoding="utf-8")
    steps = [step for job in jobs.values() for step in job.get("steps", [])]
    assert not [step for step in steps if "${{" in step.get("run", "")]
    (package,) = [step for step in steps if step.get("run", "").startswith("make package")]
    variables = {option.envvar for option in release.command.params}
    assert package["env"].keys() <= variables


def test_given_the_release_then_its_page_has_each_variable() -> None:
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8").partition("### Publishing quick-create links")[2]
    assert {f"`{name}`" for name in re.findall(r"vars\.(\w+)", text)} == set(
        re.findall(r"^ *\| (`[A-Z_]+`) \|", page, re.MULTILINE)
    )
