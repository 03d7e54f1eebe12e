"""SIGINT (Ctrl-C) and SIGTERM: they end a command at once with one line, or in order where there is something to clean up."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

EXPORT_STOPPED: Final = "Stopped; nothing was exported."


def leave_at_once(command: Sequence[str]) -> None:
    """Let a signal end the process with one line, as there is nothing to clean up. `command`: its name, if there is one."""
    line = EXPORT_STOPPED if [*command] == ["export"] else "Stopped."
    _handle(lambda number, _: _leave(number, line))


@contextmanager
def in_order(line: str) -> Iterator[Callable[[], int]]:
    """Only note a signal; a second one ends the process with the line.

    Yields what returns the status to exit with, 0 before any signal. After the block signals are ignored: there is nothing
    left but to report the result.
    """
    noted: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        if noted:
            _leave(number, line)
        noted.append(number)

    _handle(note)
    try:
        yield lambda: 128 + noted[0] if noted else 0
    finally:
        _handle(signal.SIG_IGN)


@contextmanager
def unwinding(line: str) -> Iterator[None]:
    """Let a signal end the process with the line after the block has cleaned up, such as a terminal's echo."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    earlier = {number: signal.signal(number, leave) for number in _SIGNALS}
    try:
        yield
    except SystemExit:
        os.write(2, f"\n{line}\n".encode())
        raise
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _handle(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in _SIGNALS:
        signal.signal(number, handler)


def _leave(number: int, line: str) -> None:
    with suppress(OSError):
        os.write(2, f"\n{line}\n".encode() if os.isatty(2) else f"{line}\n".encode())
    os._exit(128 + number)
