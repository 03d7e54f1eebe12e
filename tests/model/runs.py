"""Runs that stop before each of their calls, so that a test decides which run continues, and how its call ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

Fate = Callable[[Callable[[], Any]], Any]
"""How a call ends: a function that takes the call, may carry it out, and returns or raises what the run gets."""


class Killed(BaseException):
    """Ends a run as SIGKILL does: no `except Exception` of the code runs."""


class Run:
    """A function in its own thread, which runs only from `start` or `step` to its next call."""

    def __init__(self, work: Callable[[Run], None]) -> None:
        self._go = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)
        self._fate: Fate | None = None
        self._failure: BaseException | None = None
        self.pending = ""
        """The name of the waiting call; "" once the run has ended."""
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)

    def start(self) -> None:
        """Run up to the first call."""
        self._thread.start()
        self._wait()

    def call(self, name: str, carry_out: Callable[[], Any]) -> Any:
        """Make a call, from within the run: waits until a step decides how the call ends."""
        self.pending = name
        self._stopped.release()
        self._go.acquire()
        assert self._fate is not None
        return self._fate(carry_out)

    def step(self, fate: Fate) -> None:
        """End the pending call as `fate` decides, and run up to the next call or to the end."""
        self._fate = fate
        self._go.release()
        self._wait()

    def _wait(self) -> None:
        self._stopped.acquire()
        if self._failure is not None:
            raise self._failure

    def _run(self, work: Callable[[Run], None]) -> None:
        try:
            work(self)
        except Killed:
            pass
        except BaseException as failure:
            self._failure = failure
        self.pending = ""
        self._stopped.release()
