"""What progress looks like: on a terminal, and where nobody redraws a line."""

import io
import os
import sys
from collections.abc import Callable

import pytest

from ops.progress import Progress


def shown(monkeypatch: pytest.MonkeyPatch, show: Callable[[Progress], None], columns: int = 100) -> str:
    """What a terminal gets."""
    controller, terminal = os.openpty()
    monkeypatch.setenv("COLUMNS", str(columns))
    with os.fdopen(terminal, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        with Progress("B") as progress:
            show(progress)
    drawn = b""
    while not drawn.endswith(b"\n"):
        drawn += os.read(controller, 65536)
    os.close(controller)
    return drawn.decode()


def test_given_a_terminal_then_one_line_is_redrawn_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def show(progress: Progress) -> None:
        progress.show(1_000_000, 4_000_000, "10 codes")
        progress.show(4_000_000, 4_000_000, "40 codes", last=True)

    first, second, rest = shown(monkeypatch, show).removeprefix("\r").split("\x1b[K")

    assert first.startswith(" 25%|==")
    assert "1.00M/4.00M" in first
    assert second.startswith("\r100%|==")
    assert second.endswith("40 codes]")
    assert rest == "\r\n"


def test_given_a_narrow_terminal_then_the_line_stays_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = shown(monkeypatch, lambda progress: progress.show(1, 4, "x" * 100), columns=40)
    assert len(drawn.strip().strip("\x1b[K")) < 40


def test_given_no_total_then_there_is_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = shown(monkeypatch, lambda progress: progress.show(1_500_000, None, "10 codes"))
    assert "1.50MB" in drawn
    assert "%" not in drawn


def test_given_no_terminal_then_there_is_a_line_at_once_one_at_the_end_and_few_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    with Progress("B") as progress:
        for done in range(100):
            progress.show(done, 100, f"{done} codes")
        progress.show(100, 100, "100 codes", last=True)
    first, last = stderr.getvalue().splitlines()
    assert "0 codes" in first
    assert "100 codes" in last


def test_given_units_that_were_done_before_then_they_count_as_done_and_not_as_speed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    with Progress(" codes", 50) as progress:
        progress.show(50, 100, "50 activated")
    assert " 50%|" in stderr.getvalue()
    assert "? codes/s" in stderr.getvalue()


def test_given_a_terminal_then_a_part_of_the_result_is_printed_in_place_of_the_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def show(progress: Progress) -> None:
        progress.show(1, 4, "1 accepted")
        progress.say("line 7: accepted 1")

    drawn = shown(monkeypatch, show)

    assert capsys.readouterr().out == "line 7: accepted 1\n"
    assert drawn.endswith("1 accepted]\x1b[K\r\x1b[K\r\n")
