"""A worker thread behind a bounded queue: the step of a pipeline that runs beside the others."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """The conveyor was stopped; what was on it is lost."""


class Conveyor(Generic[T]):
    """Calls `work` for each item, in order, in a thread of its own.

    At most `depth` items are on it, the one in work included: whoever puts more waits, so that a slow step slows the ones
    before it and no memory grows. An error of `work` ends the conveyor and is raised to whoever puts or closes.
    """

    def __init__(self, name: str, work: Callable[[T], object], depth: int) -> None:
        self._work = work
        self._depth = depth
        self._waiting: deque[T] = deque()
        self._working = False
        self._changed = threading.Condition()
        self._closed = False
        self._error: BaseException | None = None
        # A daemon: a worker that hangs in a socket must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Hand over an item; waits for room.

        Raises:
            Stopped: by `stop`.
            BaseException: what `work` raised.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._error or len(self._waiting) + self._working < self._depth)
            self._raise()
            self._waiting.append(item)
            self._changed.notify_all()

    def close(self) -> None:
        """Wait until all that was handed over is worked off.

        Raises:
            Stopped: by `stop`.
            BaseException: what `work` raised.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        self._raise()

    def stop(self, seconds: float = 0) -> None:
        """End, whatever waits. The item in work is waited for, so long at the most."""
        self._fail(Stopped())
        self._thread.join(seconds)

    def _raise(self) -> None:
        if self._error:
            raise self._error

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._error = self._error or error
            self._waiting.clear()
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._error or self._waiting or self._closed)
                    if self._error or not self._waiting:
                        return
                    item = self._waiting.popleft()
                    self._working = True
                self._work(item)
                del item  # a part of megabytes must not live until the next one comes
                with self._changed:
                    self._working = False
                    self._changed.notify_all()
        except BaseException as error:
            self._fail(error)
