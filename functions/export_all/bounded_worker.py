"""A worker thread that takes its items from a bounded queue: one step of a pipeline whose steps run at the same time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """The worker was stopped; the items it had not worked on are dropped."""


class BoundedWorker(Generic[T]):
    """Calls `work` for each item, in order, in a thread of its own.

    It holds at most `depth` items, the one in work included. `put` waits for room, so that a slow step slows the steps before
    it and memory stays bounded. An error of `work` ends the worker and is raised by `put` and `close`.
    """

    def __init__(self, name: str, work: Callable[[T], object], depth: int) -> None:
        self._work = work
        self._depth = depth
        self._waiting: deque[T] = deque()
        self._working = False
        self._changed = threading.Condition()
        self._closed = False
        self._error: BaseException | None = None
        # A daemon thread: one that hangs in a socket must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Add an item; waits for room.

        Raises:
            Stopped: `stop` was called.
            BaseException: what `work` raised.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._error or len(self._waiting) + self._working < self._depth)
            self._raise()
            self._waiting.append(item)
            self._changed.notify_all()

    def close(self) -> None:
        """Wait until `work` has returned for every item.

        Raises:
            Stopped: `stop` was called.
            BaseException: what `work` raised.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        self._raise()

    def stop(self, seconds: float = 0) -> None:
        """End, and drop the items in the queue. The item in work is waited for, for `seconds` at the most."""
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
                del item  # megabytes must not stay in memory until the next item comes
                with self._changed:
                    self._working = False
                    self._changed.notify_all()
        except BaseException as error:
            self._fail(error)
