"""A door's start loads what the door needs and nothing else; how long that takes is `make bench-cold-start`'s to say."""

import json
import subprocess
import sys

import pytest

from tests.benchmarks.cold_start import ACTIVATE, ENVIRONMENT, EXPORT, WEBHOOK

STATUS = "from export_all import app; app._manifests()"

# entry point → what makes it ready, and libraries that are there and must not be loaded
DOORS = {
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


@pytest.mark.parametrize("door", DOORS)
def test_given_a_door_when_it_is_ready_then_only_what_it_needs_is_loaded(door: str) -> None:
    code, besides = DOORS[door]
    show = "import json, sys; print(json.dumps(list(sys.modules)))"
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}; {show}"], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(ran.stdout))
    assert "botocore.client" in loaded
    assert loaded & {*besides, *NOWHERE} == set()
