"""Standard output and standard error that may be closed, full, or a pipe whose reader has gone: never a reason to end."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import IO


def keep_numbers() -> None:
    """Occupy the numbers of streams that were closed from the start, so that no file of ours gets one and is written into."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one


def write(stream: IO[str] | None, text: str) -> bool:
    """Write a text now; whether it could be. A stream that fails is never asked again, not even as the process ends."""
    if stream is None:
        return False
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
        return False
    return True


def say(text: str) -> None:
    """Print the result, on standard error where standard output does not take it."""
    write(sys.stdout, f"{text}\n") or write(sys.stderr, f"{text}\n")


def complain(text: str) -> None:
    """Print why it failed, on standard output where standard error does not take it."""
    write(sys.stderr, f"{text}\n") or write(sys.stdout, f"{text}\n")
