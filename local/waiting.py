"""Waiting for what another process does."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_EVERY_SECONDS = 0.02


def wait_until(look: Callable[[], T], seconds: float = 30) -> T:
    """Look again and again until what is seen is true, and return it. Raises TimeoutError."""
    pause = threading.Event()
    until = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > until:
            raise TimeoutError(f"not seen within {seconds} seconds; last seen: {seen!r}")
        pause.wait(LOOK_EVERY_SECONDS)
    return seen
