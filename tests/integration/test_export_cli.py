"""`make export`, as a person at a laptop runs it."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.emulator import Emulator
from local.emulator.faults import Late
from tests.integration.test_export import Bucket, bucket

__all__ = ["bucket"]  # the fixture


def export(emulator: Emulator, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it against this Altcraft."""
    known = {"ALTCRAFT_URL": emulator.url, "ALTCRAFT_TOKEN": "local-altcraft-token", "LOYALTY_ID": "6"}
    return subprocess.run(
        [sys.executable, "-m", "local.export_cli"],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | known | variables,
        timeout=60,
    )


@pytest.mark.parametrize("wire", ["json", "xml"])
def test_a_program_lands_in_a_folder(emulator: Emulator, tmp_path: Path, wire: str) -> None:
    emulator.programs.create(6, generated=1000)

    done = export(emulator, TO=str(tmp_path), ALTCRAFT_WIRE=wire)

    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.iterdir()
    assert done.stdout.splitlines()[0] == str(file)
    assert len([json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]) == 1000
    assert "1,000 codes" in done.stderr


def test_a_program_lands_in_s3(emulator: Emulator, bucket: Bucket) -> None:
    emulator.programs.create(6, generated=1000)

    done = export(emulator, TO=f"s3://{bucket.name}/crm/", FORMAT="parquet")

    assert done.returncode == 0, done.stderr
    export_id = bucket.latest()
    assert done.stdout.startswith(f"s3://{bucket.name}/crm/promocodes/parquet/loyalty_id=6/")
    assert f"{export_id}.parquet" in done.stdout


def test_a_failed_export_leaves_no_file(emulator: Emulator, tmp_path: Path) -> None:
    emulator.programs.create(6, generated=1000)
    emulator.faults.set([Late(rows=900, error=402, error_text="Tariff limit reached")])

    done = export(emulator, TO=str(tmp_path))

    assert done.returncode == 1
    assert "Tariff limit reached" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"LOYALTY_ID": "five"}, "loyalty_id: "),
        ({"LOYALTY_ID": ""}, "loyalty_id: "),
        ({"FORMAT": "xlsx"}, "output_format: "),
        ({"ALTCRAFT_WIRE": "yaml"}, "ALTCRAFT_WIRE: "),
        ({"ALTCRAFT_TOKEN": ""}, "ALTCRAFT_TOKEN: "),
        ({"ALTCRAFT_URL": "example.altcraft.com"}, "ALTCRAFT_URL "),
        ({"ALTCRAFT_URL": "", "PORT": "1"}, "make local"),
        ({"TO": "s3://bucket/no-slash"}, "TO: "),
        ({"TO": "s3:"}, "TO: "),
        ({"TO": "s3://no-such-bucket/"}, "EXPORT_BUCKET"),
    ],
)
def test_a_wrong_variable_is_named(aws: object, emulator: Emulator, variables: dict[str, str], words: str) -> None:
    done = export(emulator, **variables)

    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
