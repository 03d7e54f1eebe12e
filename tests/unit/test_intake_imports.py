"""What a webhook's start-up imports: a shop waits a second for the connection, and a slow library costs half of that."""

import subprocess
import sys

SLOW = {
    "requests",
    "boto3",
    "msgspec",
    "pydantic",
    "xmltodict",
    "altcraft.client",
    "activate.activation",
    "activate.worker",
}


def test_given_the_intake_is_imported_then_nothing_slow_comes_with_it() -> None:
    code = "import sys, activate.app, activate.intake; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "activate.intake" in found
    assert not SLOW.intersection(found)
