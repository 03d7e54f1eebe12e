"""The API under requests that schemathesis makes up from its description: every answer is one that is described."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.emulator.faults import AnyFault, Cut, Drop, Page, Refuse
from local.example import seed
from local.stack import Options, Stack
from tests.description import DOCUMENT

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent

pytestmark = pytest.mark.long

SOURCE = {
    "platform": "generic",
    "auth": {"scheme": "token", "header": "x-fuzz"},
    "secrets": ["fuzz"],
    "paid": "`true`",
    "order_id": "'1'",
    "codes": "to_array(@)",
    "loyalty_id": 5,
}
SICK: list[AnyFault] = [
    Page(calls=None, fraction=0.2),
    Page(calls=None, fraction=0.2, status=200),
    Drop(calls=None, fraction=0.2, applied=True),
    Cut(calls=None, fraction=0.2),
    Refuse(calls=None, fraction=0.2, error=777, error_text="no"),
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    log = os.open(tmp_path_factory.mktemp("fuzz") / "functions.log", os.O_CREAT | os.O_WRONLY)
    with Stack(Options(sources=json.dumps({"fuzz": SOURCE}), log=log)) as running:
        assert running.emulator is not None
        seed(running.emulator)
        yield running
    os.close(log)


def fuzz(stack: Stack, scratch: Path, *arguments: str) -> None:
    """Run schemathesis. Fails with its report, which says how to send the request again."""
    run = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli"),
            *("--config-file", str(HERE / "schemathesis.toml")),
            *("run", str(DOCUMENT), "--url", stack.ready.api_url, "--no-color"),
            *("--header", f"x-api-key: {stack.ready.api_key}", "--header", "x-fuzz: fuzz"),
            *arguments,
        ],
        cwd=scratch,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_no_request_gets_an_answer_that_is_not_described(stack: Stack, tmp_path: Path) -> None:
    fuzz(stack, tmp_path, "--max-examples", "10")


def test_a_sick_altcraft_gets_no_answer_that_is_not_described(stack: Stack, tmp_path: Path) -> None:
    altcraft = stack.emulator
    assert altcraft is not None
    altcraft.faults.set(SICK)
    altcraft.journal.clear()
    sick = (
        "--include-operation-id activate --phases examples,fuzzing --mode positive --exclude-checks not_a_server_error"
    )
    fuzz(stack, tmp_path, *sick.split(), "--max-examples", "60")
    assert altcraft.journal.calls["activate"] > 10
