"""Sending the items of a job at a bounded rate until each has an outcome: what `backfill` and `activate` share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import click
import requests

from ops import interruption, terminal
from ops.errors import Unusable
from ops.jobs import NOT_SENT, RETRY, TO_RETRY, Answer, Item, Job, Results
from ops.progress import Progress

AT_ONCE: Final = 10
"""The most items under way at the same time; a session of requests keeps as many connections."""

_OF_ONE_CODE: Final = frozenset({"refused", "unconfirmed", "unsettled", "in_progress"})
"""The reasons for no outcome that say nothing of other codes; docs/api.md lists all."""

_LOOK_SECONDS: Final = 0.2
_TIMEOUTS: Final = (10, 40)  # API Gateway itself answers within 29 s
_PAUSE_SECONDS: Final = 1.0
"""Before a retry, where the answer does not say how long; and the first pause while nothing succeeds."""


class _Run:
    """One run: first the items that were never sent; then those without an outcome, at last again and again."""

    def __init__(self, job: Job, results: Results, rate: float, patience: float, stopped: Callable[[], int]) -> None:
        self.fault: Unusable | None = None
        """Why nothing more was sent."""
        self._job, self._results, self._stopped = job, results, stopped
        self._interval, self._patience = 1 / rate, patience
        self._under_way: dict[Future[Answer], Item] = {}
        self._retrying = False
        self._failures = 0
        """In a row, for reasons that concern all items."""
        self._next_at = self._again_at = self._shown_at = 0.0
        self._succeeded_at = time.monotonic()

    def send_all(self, add: Callable[[Item, Answer], bool], progress: Progress) -> None:
        """Send until each item has an outcome, or a signal, a fault or the end of the patience."""
        self._add, self._progress = add, progress
        with ThreadPoolExecutor(AT_ONCE) as pool:
            going = self._send(pool, NOT_SENT) and self._send(pool, TO_RETRY)
            while going and self._results.count(RETRY):
                self._retrying, self._next_at = True, max(self._next_at, self._again_at)
                going = self._send(pool, RETRY)
        self._show(last=True)

    def _send(self, pool: ThreadPoolExecutor, outcome: str) -> bool:
        """Send each item that has this outcome; False if nothing may be sent any more."""
        going = not self._retrying
        for item in self._results.waiting(outcome):
            if not (going := self._waits()):
                break
            self._next_at = max(self._next_at, time.monotonic()) + self._interval
            self._under_way[pool.submit(self._job.send, item)] = item
        while self._under_way:
            self._collect(_LOOK_SECONDS)
        return going

    def _waits(self) -> bool:
        """Wait until the next item may be sent; False if none may be any more."""
        while not (self._stopped() or self.fault):
            now, under_way = time.monotonic(), len(self._under_way)
            failing = self._retrying or self._failures >= AT_ONCE
            if failing and not under_way and max(now, self._next_at) >= self._succeeded_at + self._patience:
                return False
            if now >= self._next_at and under_way < AT_ONCE:
                return True
            self._collect(_LOOK_SECONDS if under_way == AT_ONCE else min(self._next_at - now, _LOOK_SECONDS))
        return False

    def _collect(self, seconds: float) -> None:
        if not self._under_way:
            time.sleep(seconds)
        for future in wait(self._under_way, seconds, FIRST_COMPLETED).done:
            item, now = self._under_way.pop(future), time.monotonic()
            try:
                answer = future.result()
            except Unusable as fault:
                self.fault = fault
                continue
            if self._add(item, answer) and str(answer) != self._job.good:
                self._progress.say(f"line {item.line}: {answer}")
            if answer.outcome != RETRY:
                self._failures, self._succeeded_at = 0, now
                continue
            self._again_at = max(self._again_at, now + max(answer.retry_after, _PAUSE_SECONDS))
            self._failures += answer.detail not in _OF_ONE_CODE
            if self._failures >= AT_ONCE:
                pause = _PAUSE_SECONDS * 2 ** min(self._failures // AT_ONCE - 1, 4)
                self._next_at = max(self._next_at, now + pause)
        self._show()

    def _show(self, *, last: bool = False) -> None:
        if last or time.monotonic() >= self._shown_at + _LOOK_SECONDS:
            self._shown_at = time.monotonic()
            self._progress.show(self._results.done, len(self._results), str(self._results), last=last)


def catch_up(job: Job, rate: float, patience: float) -> int:
    """Send what has no outcome yet, `rate` items a second, until nothing has succeeded for `patience` seconds.

    Returns the status to exit with: 0 if each item has the outcome that is wanted.

    Raises:
        Unusable: the file, the result file or the API cannot be used.
    """
    results = Results(job)
    with interruption.in_order("Stopped at once.") as stopped, _unwritable(results.path), results.appending() as add:
        if results.foreign:
            terminal.complain(f"{job.file} has changed: {results.foreign:,} rows of {results.path} are not in it")
        run = _Run(job, results, rate, patience, stopped)
        with Progress(job.unit, results.done) as progress:
            run.send_all(add, progress)
    terminal.say(f"{results}; see {results.path}")
    if run.fault:
        raise run.fault
    if stopped():
        terminal.complain("Stopped; run it again to go on.")
    elif results.done < len(results):
        terminal.complain(f"Given up, as nothing succeeded for {patience:g} seconds; run it again to go on.")
    return stopped() or int(results.count(job.good) < len(results))


@contextmanager
def _unwritable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        remedy = "the next run sends again what has no row in it, which is harmless"
        raise Unusable(f"{error.filename or path}: {error.strerror}; {remedy}") from error


def ask(
    post: Callable[..., requests.Response],
    url: str,
    understood: Callable[[int, Mapping[str, Any]], Answer | None],
    **request: Any,
) -> Answer:
    """Send a request; `understood` reads an outcome from the status and the members of the reply, if that has one.

    Raises:
        Unusable: every such request is refused.
    """
    try:
        reply = post(url, timeout=_TIMEOUTS, allow_redirects=False, **request)
    except requests.RequestException:
        return Answer(RETRY, "no_answer")
    try:
        members = dict(reply.json())
    except (ValueError, TypeError):
        members = {}
    if answer := understood(reply.status_code, members):
        return answer
    reason = str(members.get("type", "")).rpartition(":")[2] or f"http_{reply.status_code}"
    throttled = reply.status_code == HTTPStatus.TOO_MANY_REQUESTS
    if not (throttled or reply.status_code < 300 or reply.status_code >= 500):
        said = ". ".join(str(members[name]) for name in ("title", "detail") if members.get(name))
        raise Unusable(f"{url} answered {reply.status_code} {reason}{said and f': {said}'}")
    if throttled:
        time.sleep(_PAUSE_SECONDS)  # of this thread alone: what is sent a second adapts to what is taken
    after = reply.headers.get("Retry-After", "")
    return Answer(RETRY, reason, float(after) if after.isascii() and after.isdigit() else 0.0)


def with_pace(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `file`, `rate`, `patience` and `dry_run`."""
    file, number = click.Path(path_type=Path, exists=True, dir_okay=False), click.FloatRange
    for option in (
        click.option("--dry-run", envvar="DRY_RUN", is_flag=True, help="Send nothing."),
        click.option(
            "--patience",
            envvar="PATIENCE",
            type=number(0),
            default=300,
            show_default=True,
            help="Seconds without a success until it gives up.",
        ),
        click.option(
            "--rate", envvar="RATE", type=number(0.01, 1000), default=20, show_default=True, help="The most a second."
        ),
        click.option("--file", envvar="FILE", required=True, type=file, help="What to send."),
    ):
        command = option(command)
    return command
