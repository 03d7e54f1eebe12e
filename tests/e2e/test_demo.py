"""`make demo` as a newcomer sees it."""

import re
import subprocess
import sys

import pytest

from local import demo

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def shown() -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "local.demo"], capture_output=True, text=True, check=False, timeout=180
    )


def test_it_ends_well_by_itself(shown: "subprocess.CompletedProcess[str]") -> None:
    assert (shown.returncode, shown.stderr) == (0, ""), shown.stdout
    assert "All as expected" in shown.stdout


@pytest.mark.parametrize(
    "line",
    [
        r"before +Code-1 is not used",
        r"forged +401 ",
        r"delivered again +200 {\"accepted\":1}",
        r"after +Code-1 is used since \d\d:\d\d:\d\d",
        *(rf"{code} for {order} +{status} {outcome}" for code, order, status, outcome in demo.ACTIVATIONS),
        r"asked +202 ",
        r"exported +\[={30}\] 100%  10,000 codes, [\d,]+ codes/s",
        r'"status": "succeeded"',
        r'"codes": 10000',
        r"s3://\S+/promocodes/loyalty_id=6/dt=\d{4}-\d\d-\d\d/\S+\.jsonl\.gz +[\d,]+ bytes",
        r'{"code":"GEN-000000000"}',
    ],
)
def test_it_shows_each_step(shown: "subprocess.CompletedProcess[str]", line: str) -> None:
    assert re.search(line, shown.stdout)


def test_a_step_that_goes_otherwise_is_told() -> None:
    with pytest.raises(demo.Unexpected, match="the delivery: expected 200, saw 503"):
        demo.expect("the delivery", 503, 200)
