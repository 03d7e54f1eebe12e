"""`make export`, run like a person at a laptop runs it."""

import gzip
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from altcraft.client import Client
from altcraft.token import Token
from export_all.exporter import Exporter
from export_all.requests import ExportRequest
from local.emulator import Emulator
from local.emulator.faults import Late
from local.waiting import wait_until
from ops.commands.export import Watch, export_to_s3
from ops.progress import Progress
from tests.buses import fake_bus
from tests.integration.exporters import Bucket
from tests.secret import Secret

COMMAND = [sys.executable, "-m", "ops", "export"]
STOPPED = "Stopped; nothing was exported.\n"


def environment(emulator: Emulator, **variables: str) -> dict[str, str]:
    known = {"ALTCRAFT_URL": emulator.url, "ALTCRAFT_TOKEN": "local-altcraft-token", "LOYALTY_ID": "6"}
    return os.environ | known | variables


def export(emulator: Emulator, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it against this Altcraft."""
    return subprocess.run(
        COMMAND, check=False, capture_output=True, text=True, env=environment(emulator, **variables), timeout=60
    )


@contextmanager
def exporting(emulator: Emulator, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run it on a program that takes minutes to read; it is ended after the block at the latest."""
    emulator.programs.create(6, generated=100_000_000)
    with subprocess.Popen(
        COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(emulator, **variables)
    ) as process:
        yield process
        process.kill()


def parts(folder: Path) -> list[Path]:
    """The unfinished files that already hold data."""
    found = []
    for part in folder.glob(".*.part"):
        with suppress(FileNotFoundError):  # finished or removed meanwhile
            found += [part] * (part.stat().st_size > 0)
    return found


def in_bash(script: str, emulator: Emulator, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script that runs the command, which exports into a folder."""
    return subprocess.run(
        ["bash", "-c", script],
        check=False,
        capture_output=True,
        text=True,
        env=environment(emulator, TO=str(folder)),
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


def test_a_program_that_has_shrunk_is_reported_and_can_be_accepted(emulator: Emulator, bucket: Bucket) -> None:
    to = f"s3://{bucket.name}/crm/"
    emulator.programs.create(6, generated=1000)
    assert export(emulator, TO=to).returncode == 0
    good = bucket.latest()
    emulator.programs.create(6, generated=700)

    done = export(emulator, TO=to, LATEST_MINIMUM_PERCENT="71")

    assert (done.returncode, bucket.latest()) == (0, good)
    assert "suspect: 700 codes" in done.stdout
    accepted = export(emulator, TO=to, LATEST_MINIMUM_PERCENT="71", ACCEPT_FEWER="true")
    assert (accepted.returncode, "suspect" in accepted.stdout) == (0, False)
    assert bucket.latest() in accepted.stdout


def test_a_failed_export_leaves_no_file(emulator: Emulator, tmp_path: Path) -> None:
    emulator.programs.create(6, generated=1000)
    emulator.faults.set([Late(rows=900, error=402, error_text="Tariff limit reached")])

    done = export(emulator, TO=str(tmp_path))

    assert done.returncode == 1
    assert "Tariff limit reached" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_the_disk_cannot_hold_is_an_error_and_no_file(emulator: Emulator, tmp_path: Path) -> None:
    emulator.programs.create(6, generated=10_000)

    # The last write is the one that is cut short: the file would be taken for a whole one.
    done = in_bash(f"ulimit -f 4; exec {shlex.join(COMMAND)}", emulator, tmp_path)

    assert (done.returncode, done.stdout) == (1, "")
    assert "File too large" in done.stderr.splitlines()[-1]
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
        ({"ACCEPT_FEWER": "perhaps"}, "accept_fewer: "),
        ({"ACCEPT_FEWER": "true"}, "ACCEPT_FEWER: "),
        ({"LATEST_MINIMUM_PERCENT": "0"}, "LATEST_MINIMUM_PERCENT: "),
        ({"LATEST_MINIMUM_PERCENT": "101"}, "LATEST_MINIMUM_PERCENT: "),
        ({"LATEST_MINIMUM_PERCENT": "half"}, "LATEST_MINIMUM_PERCENT: "),
        ({"TO": "/dev/null/folder"}, "/dev/null"),
    ],
)
def test_a_wrong_variable_is_named(aws: object, emulator: Emulator, variables: dict[str, str], words: str) -> None:
    done = export(emulator, **variables)

    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


# --- stopped, or killed -----------------------------------------------------------------------------------------------


def catches(process: subprocess.Popen[str], number: signal.Signals) -> bool:
    """Whether the process has a handler for the signal by now."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)


linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="It looks into /proc, or writes to /dev/full")


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_while_it_starts_it_prints_one_line(emulator: Emulator, tmp_path: Path, number: signal.Signals) -> None:
    with exporting(emulator, TO=str(tmp_path)) as process:
        wait_until(lambda: catches(process, signal.SIGTERM), 30)
        process.send_signal(number)
        said = process.communicate(timeout=30)

    assert (process.returncode, said) == (128 + number, ("", STOPPED))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle_it_prints_one_line_and_leaves_nothing(
    emulator: Emulator, tmp_path: Path, number: signal.Signals
) -> None:
    with exporting(emulator, TO=str(tmp_path)) as process:
        wait_until(lambda: parts(tmp_path), 30)
        process.send_signal(number)
        out, said = process.communicate(timeout=30)

    progress = [line for line in said.splitlines(keepends=True) if " codes/s" in line]
    assert (process.returncode, out, said.removeprefix("".join(progress))) == (128 + number, "", STOPPED)
    assert list(tmp_path.iterdir()) == []


def test_killed_it_leaves_a_part_file_that_the_next_run_removes(emulator: Emulator, tmp_path: Path) -> None:
    # Given a part file of a killed run, one of a live run, and a file of another program
    other = tmp_path / ".notes.part"
    other.write_text("not ours")
    with exporting(emulator, TO=str(tmp_path)) as killed:
        wait_until(lambda: set(parts(tmp_path)) - {other}, 30)
        killed.kill()
        killed.wait()
        (abandoned,) = set(parts(tmp_path)) - {other}
        with exporting(emulator, TO=str(tmp_path)) as living:
            wait_until(lambda: set(parts(tmp_path)) - {other, abandoned}, 30)
            # Then the live run has removed the first
            (written,) = set(parts(tmp_path)) - {other}
            assert written != abandoned
            # And a third removes no part file of a live run
            emulator.programs.create(7, generated=10)
            assert export(emulator, TO=str(tmp_path), LOYALTY_ID="7").returncode == 0
            assert written.exists()
            assert living.poll() is None


def test_an_export_to_s3_that_is_stopped_has_failed(emulator: Emulator, bucket: Bucket) -> None:
    def uploading() -> bool:
        return bool(bucket.half_uploads())

    with exporting(emulator, TO=f"s3://{bucket.name}/crm/") as process:
        wait_until(uploading, 60)
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=60)

    assert (process.returncode, out, said.splitlines()[-1]) == (130, "", STOPPED.strip())
    assert "Traceback" not in said
    (key,) = bucket.keys()
    manifest = json.loads(bucket.read(key))
    assert (manifest["status"], manifest["error"]["type"]) == ("failed", "stopped")
    assert bucket.half_uploads() == []


# --- streams that nobody reads ----------------------------------------------------------------------------------------


@linux
@pytest.mark.parametrize(
    ("redirection", "shown"),
    [
        (">&-", True),
        ("2>&-", True),
        (">&- 2>&-", False),
        ("> /dev/full", True),
        ("2> /dev/full", True),
        ("> >(exec true)", True),
        ("2> >(exec true)", True),
        ("<&- >&- 2>&-", False),
    ],
)
def test_closed_streams_neither_stop_the_export_nor_hide_its_file(
    emulator: Emulator, tmp_path: Path, redirection: str, shown: bool
) -> None:
    emulator.programs.create(6, generated=200_000)

    done = in_bash(f"exec {shlex.join(COMMAND)} {redirection}", emulator, tmp_path)

    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.iterdir()
    assert gzip.decompress(file.read_bytes()).count(b"\n") == 200_000
    # If a stream is open, the file's path is printed on it
    assert (str(file) in done.stdout + done.stderr) == shown
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr


def test_an_ill_bus_is_reported_and_fails_no_export(
    emulator: Emulator, bucket: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    emulator.programs.create(6, generated=10)
    reply = Client(emulator.url, Token(Secret())).export_all(6)
    with fake_bus(denied="AccessDeniedException") as fake, Progress("B") as progress:
        watch = Watch(reply, progress)
        watch.bus = fake.bus()
        exporter = Exporter(bucket.s3, bucket.name, "crm/", lambda _: reply, watcher=watch)

        where = export_to_s3(ExportRequest(6), exporter)

    assert bucket.latest() in where
    assert "AccessDeniedException" in capsys.readouterr().err
