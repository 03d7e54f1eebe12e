"""Ctrl-C and SIGTERM for a command that has something to clean up: at once, as long as there is nothing; in order, afterwards.

To be imported before anything that takes time, so that the first moment is covered too.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
STOPPED: Final = "Stopped; nothing was exported."


def leave_at_once() -> None:
    """Let a signal end the process with one line, as nothing is there to be cleaned up."""
    _handle(_leave)


@contextmanager
def in_order() -> Iterator[Callable[[], int]]:
    """Let a signal be noted only, and a second one end the process; yields what returns the status to exit with, 0 before any.

    After the block the signals are ignored: there is nothing left but to say what has become of it.
    """
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if noted:
            _leave(number, frame)
        noted.append(number)

    _handle(note)
    try:
        yield lambda: 128 + noted[0] if noted else 0
    finally:
        _handle(signal.SIG_IGN)


def _handle(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in _SIGNALS:
        signal.signal(number, handler)


def _leave(number: int, _: FrameType | None) -> None:
    line = STOPPED + "\n"
    with suppress(OSError):
        os.write(2, (f"\n{line}" if os.isatty(2) else line).encode())
    os._exit(128 + number)
