"""The workflows of GitHub Actions: their make targets exist, they hold no key, and they have only the permissions they need."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

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
