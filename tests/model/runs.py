"""Runs that are stopped before each call they make, so that a test says which of them goes on, and what becomes of the call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

Fate = Callable[[Callable[[], Any]], Any]
"""What becomes of a call: it is given the call, may carry it out, and returns or raises what the run is to see."""


class Killed(BaseException):
    """Ends a run as SIGKILL does: no handler of ours takes part."""


class Run:
    """A function in a thread of its own, which moves only between `start` or `step` and its next call."""

    def __init__(self, work: Callable[[Run], None]) -> None:
        self._go = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)
        self._fate: Fate | None = None
        self._failure: BaseException | None = None
        self.pending = ""
        """The name of the call that waits; "" once the run has ended."""
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)

    def start(self) -> None:
        """Run up to the first call."""
        self._thread.start()
        self._wait()

    def call(self, name: str, carry_out: Callable[[], Any]) -> Any:
        """Make a call, from within the run: waits until a step says what becomes of it."""
        self.pending = name
        self._stopped.release()
        self._go.acquire()
        assert self._fate is not None
        return self._fate(carry_out)

    def step(self, fate: Fate) -> None:
        """Let the pending call meet its fate, and run up to the next call or to the end."""
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
