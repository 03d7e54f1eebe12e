"""How far a command is, on standard error."""

from __future__ import annotations

import shutil
import sys
import time
from typing import IO, Final, Self

from tqdm import tqdm

from ops import terminal

_LOG_SECONDS: Final = 10.0
"""Between two lines where they are not redrawn."""


class Progress:
    """A line that is redrawn on a terminal; elsewhere a line every ten seconds, and the last one.

    A context manager: after its block the cursor is in the next line.
    """

    def __init__(self, unit: str, already: int = 0) -> None:
        """`already`: units that were done before it began, which count as done and not as speed."""
        self._unit = unit
        self._already = already
        self._out: IO[str] | None = sys.stderr
        self._redraws = sys.stderr is not None and sys.stderr.isatty()
        self._began = time.monotonic()
        self._drawn = -_LOG_SECONDS

    @property
    def seconds(self) -> float:
        """Since it began; more than nothing, to divide by."""
        return max(time.monotonic() - self._began, 0.001)

    def show(self, done: int, total: int | None, note: str, *, last: bool = False) -> None:
        """Draw the line: how many units of how many (None where nobody knows) are done, and what else there is to say."""
        seconds = self.seconds
        if not (self._redraws or last or seconds >= self._drawn + _LOG_SECONDS):
            return
        self._drawn = seconds
        columns = shutil.get_terminal_size().columns - 1 if self._redraws else None
        line = tqdm.format_meter(
            done,
            total or 0,
            seconds,
            columns,
            ascii=" =",
            unit=self._unit,
            unit_scale=True,
            postfix=note,
            initial=self._already,
        )
        self._write(f"\r{line}\x1b[K" if self._redraws else f"{line}\n")

    def say(self, text: str) -> None:
        """Print a part of the result, in place of the line, which is drawn again after it."""
        if self._redraws:
            self._write("\r\x1b[K")
        terminal.say(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._redraws and self._drawn >= 0:
            self._write("\n")

    def _write(self, text: str) -> None:
        if not terminal.write(self._out, text):
            self._out = None  # nobody looks any more, which is no reason to end
