"""An entry point's cold start loads only what it needs; `make bench-cold-start` measures how long that takes."""

import json
import subprocess
import sys

import pytest

from tests.benchmarks.cold_start import ACTIVATE, ENVIRONMENT, EXPORT, WEBHOOK

STATUS = "from export_all import app; app._manifests()"

# entry point → the code that makes it ready, and the libraries that must not be loaded
ENTRY_POINTS = {
    "webhook": (WEBHOOK, ("boto3", "requests", "xmltodict", "msgspec", "isal", "pyarrow")),
    "activate": (ACTIVATE, ("boto3", "altcraft.export", "msgspec", "xmltodict", "isal", "pyarrow")),
    "export": (EXPORT, ("boto3", "xmltodict", "pyarrow")),
    "export status": (STATUS, ("boto3", "requests", "xmltodict", "msgspec", "isal", "pyarrow")),
}
NOWHERE = (
    "pydantic",
    "aws_xray_sdk",
    "aws_lambda_powertools.utilities.idempotency",
    "aws_lambda_powertools.utilities.parameters",
    "aws_lambda_powertools.event_handler",
)


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_given_an_entry_point_when_it_is_ready_then_only_what_it_needs_is_loaded(entry_point: str) -> None:
    code, unwanted = ENTRY_POINTS[entry_point]
    show = "import json, sys; print(json.dumps(list(sys.modules)))"
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}; {show}"], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(ran.stdout))
    assert "botocore.client" in loaded
    assert loaded & {*unwanted, *NOWHERE} == set()
