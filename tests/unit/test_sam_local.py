"""The input of `sam local`: the functions' variables as a container needs them, and a template that declares them."""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from local.sam_local import environments, from_inside, with_variables
from local.stack import ROOT
from local.template import read


@pytest.mark.parametrize(
    ("value", "replaced"),
    [
        ("http://127.0.0.1:5000/123456789012/queue", "http://host.docker.internal:5000/123456789012/queue"),
        ("http://localhost", "http://host.docker.internal"),
        ("http://172.17.0.1:5000", "http://172.17.0.1:5000"),
        ("https://example.altcraft.com", "https://example.altcraft.com"),
        ("arn:aws:secretsmanager:eu-central-1:123456789012:secret:local", None),
        ("127.0.0.1", None),
        ("", None),
    ],
)
def test_only_addresses_of_this_machine_are_replaced(value: str, replaced: str | None) -> None:
    assert environments({"F": {"NAME": value}}) == {"F": {"NAME": value if replaced is None else replaced}}
    assert from_inside(from_inside(value)) == from_inside(value)


def test_given_the_template_when_variables_are_added_then_every_function_has_them_and_keeps_its_own() -> None:
    document = read(ROOT / "template.yaml")
    changed = with_variables(document, {"AWS_ENDPOINT_URL": "http://172.17.0.1:1"})
    assert json.loads(json.dumps(changed)) == changed, "SAM is to read it as JSON"
    for function in ("ActivateFunction", "ExportAllFunction"):
        before, after = (_variables(one, function) for one in (document, changed))
        assert after == {**before, "AWS_ENDPOINT_URL": "http://172.17.0.1:1"}


def _variables(document: Mapping[str, Any], function: str) -> dict[str, Any]:
    own = document["Resources"][function]["Properties"]["Environment"]["Variables"]
    return {**document["Globals"]["Function"]["Environment"]["Variables"], **own}


def test_given_no_docker_when_asked_to_run_then_the_message_names_the_remedies() -> None:
    command = [sys.executable, "-m", "local.sam_local", "sam", "build", "start-api"]
    ended = subprocess.run(command, env={"PATH": ""}, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("there is no `docker` here: install Docker")
    assert "make local" in ended.stderr
