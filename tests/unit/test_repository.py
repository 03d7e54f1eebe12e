"""What GitHub reads of the repository beside its workflows: the forms of issues, and what keeps the dependencies new."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
FORMS.remove(ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml")


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_given_a_form_then_github_can_show_it_and_it_asks_for_something(path: Path) -> None:
    form = _read(path)
    fields = [field for field in form["body"] if field["type"] != "markdown"]

    # "Syntax for issue forms" in GitHub's documentation.
    assert {"name", "description", "body"} <= form.keys() <= {"name", "description", "title", "labels", "body"}
    assert {field["type"] for field in fields} <= {"input", "textarea", "dropdown", "checkboxes"}
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(field["attributes"]["label"] for field in fields)
    assert all(field["attributes"]["options"] for field in fields if field["type"] == "dropdown")
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_given_the_updates_then_each_has_something_to_update() -> None:
    updates = {one["package-ecosystem"]: one for one in _read(ROOT / ".github" / "dependabot.yml")["updates"]}

    assert updates.keys() == {"github-actions", "pip"}
    locks = ROOT / updates["pip"]["directory"].strip("/")
    assert list(locks.glob("*.in"))
    # It would write locks of one platform: `make lock` does it, in the workflow `update`.
    assert updates["pip"]["open-pull-requests-limit"] == 0


def test_given_a_lock_then_make_writes_it() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nlock: ")[2].partition("\n\n")[0]
    written = re.search(r"for name in ([\w ]+);", recipe)

    assert written
    assert set(written[1].split()) == {path.stem for path in (ROOT / "requirements").glob("*.in")}


def test_given_a_job_that_may_write_then_it_runs_no_code_of_ours_or_of_a_dependency() -> None:
    jobs = [
        job
        for path in (ROOT / ".github" / "workflows").glob("*.yml")
        for job in _read(path)["jobs"].values()
        if {permission for scope, permission in job.get("permissions", {}).items() if scope != "id-token"} & {"write"}
    ]

    assert jobs
    for job in jobs:
        assert {step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step} <= {
            "actions/checkout",
            "actions/download-artifact",
        }
        commands = [line.split()[0] for step in job["steps"] for line in step.get("run", "").splitlines() if line]
        assert not {"make", "python", "python3", "pip", "uv"} & set(commands)


def test_given_the_contributors_page_then_the_files_and_commands_it_names_are_there() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = {name for name in re.findall(r"`([^`\s]+)`", page) if "/" in name}
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

    assert len(named) > 10
    assert {name for name in named if not list(ROOT.glob(name.rstrip("/")))} == set()
    assert {target for target in re.findall(r"\bmake ([a-z][a-z-]+)", page) if target not in targets} == set()
