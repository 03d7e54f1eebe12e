"""Files of items to send, and beside each the result file with what became of its items.

An outcome is appended at once. So a run that ends anywhere, even by SIGKILL, is continued by the next: an item
without an outcome is sent again, which activates nothing twice.
"""

from __future__ import annotations

import csv
import fcntl
import io
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

from ops.errors import Unusable

RETRY: Final = "retry"
"""In place of an outcome: it was sent, and there is none yet."""
TO_RETRY: Final = "to retry"
"""The same of an earlier run."""
NOT_SENT: Final = "not sent"

_MOST_FAULTS: Final = 20
"""That are named; a file of another kind has one in each line."""


class BadFile(Unusable):
    """A file cannot be used, and nothing was sent. The message names every line at fault, and the remedy."""

    exit_code = 2


class Fault(NamedTuple):
    """A line of the file that cannot be sent. The first is 1."""

    line: int
    message: str


class Item(NamedTuple):
    """What is to be sent of one line. `cells`: what identifies it, one for each of `Job.columns`, as in the result file."""

    line: int
    cells: tuple[str, ...]
    body: bytes = b""


class Answer(NamedTuple):
    """What became of an item: the outcome; or RETRY, with the reason as the detail and a pause in seconds."""

    outcome: str
    detail: str = ""
    retry_after: float = 0.0

    def __str__(self) -> str:
        detail = f"({self.detail})" if self.outcome in {RETRY, TO_RETRY} else self.detail
        return f"{self.outcome} {detail}".rstrip()


@dataclass(frozen=True, kw_only=True)
class Job:
    """A file to send.

    `unique` of the `columns`, the first ones, must differ in all items. `good` is the outcome that is wanted. `items` reads the
    file anew. `send` is called in threads; it raises Unusable if every item would be refused.
    """

    file: Path
    unit: str
    columns: tuple[str, ...]
    unique: int = 0
    good: str
    items: Callable[[], Iterator[Item | Fault]]
    send: Callable[[Item], Answer]


class Results:
    """The newest answer to each item."""

    def __init__(self, job: Job) -> None:
        """Check the whole file.

        Raises:
            BadFile: it cannot be used.
        """
        self.path = job.file.with_name(f"{job.file.stem}.result.csv")
        self.foreign = 0
        """Rows of the result file that belong to no item. They stay in it."""
        self._job = job
        self._columns = ["line", *job.columns, "outcome", "detail"]
        self._answers = dict.fromkeys(_checked(job), Answer(NOT_SENT))
        self._known = dict[Answer, Answer]()  # items are many, and their answers few
        self._counts = Counter({Answer(NOT_SENT): len(self._answers)})

    def __len__(self) -> int:
        return len(self._answers)

    def __str__(self) -> str:
        return ", ".join(f"{number:,} {answer}" for answer, number in self._counts.most_common() if number)

    def count(self, *outcomes: str) -> int:
        """How many items have one of these outcomes."""
        return sum(number for answer, number in self._counts.items() if answer.outcome in outcomes)

    @property
    def done(self) -> int:
        """How many items have an outcome."""
        return len(self) - self.count(NOT_SENT, TO_RETRY, RETRY)

    def waiting(self, *outcomes: str) -> Iterator[Item]:
        """The items with one of these outcomes, in the file's order."""
        for item in self._job.items():
            # Whoever changes the file meanwhile gets nothing sent that was not checked.
            if isinstance(item, Item) and self._answers.get(_digest(item.cells), Answer("")).outcome in outcomes:
                yield item

    def read(self) -> int:
        """Read the result file, if there is one. Returns the size of it up to the last outcome.

        Raises:
            BadFile: it is none of this command.
        """
        size = at = 0
        with self.path.open("rb") if self.path.exists() else io.BytesIO() as file:
            for number, line in enumerate(file, 1):
                at += len(line)
                row = _cells(line) if line.endswith(b"\n") else None  # else it was not written to its end
                if number == 1 and row not in (None, self._columns):
                    raise BadFile(f"{self.path}: is no result file of this command; rename it")
                if number > 1 and row and len(row) == len(self._columns):
                    answer = Answer(TO_RETRY if row[-2] == RETRY else row[-2], row[-1])
                    self.foreign += self._take(_digest(row[1:-2]), answer) is None
                if row and row[-2:-1] != [RETRY]:
                    size = at
        return size

    @contextmanager
    def appending(self) -> Iterator[Callable[[Item, Answer], bool]]:
        """Yield what takes an answer, appends it if it is an outcome, and returns whether it is another one than before.

        Items without an outcome that were sent are appended at the end.

        Raises:
            Unusable: another process writes the file, or it is none of this command.
            OSError: it cannot be written.
        """
        with self.path.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Unusable(f"{self.path}: another run is writing it") from None
            if not file.truncate(self.read()):
                file.write(_line(self._columns))

            def add(item: Item, answer: Answer) -> bool:
                answer = Answer(answer.outcome, answer.detail)
                if answer.outcome != RETRY:
                    file.write(_line((str(item.line), *item.cells, *answer[:2])))
                    file.flush()
                return self._take(_digest(item.cells), answer) != answer

            yield add
            for item in self.waiting(TO_RETRY, RETRY) if self.count(TO_RETRY, RETRY) else ():
                file.write(_line((str(item.line), *item.cells, RETRY, self._answers[_digest(item.cells)].detail)))
            file.flush()
            os.fsync(file.fileno())

    def _take(self, key: bytes, answer: Answer) -> Answer | None:
        """Take an item's answer, and return the one before; None if there is no such item."""
        if before := self._answers.get(key):
            self._counts[before] -= 1
            self._counts[answer] += 1
            self._answers[key] = self._known.setdefault(answer, answer)
        return before


def _line(cells: Iterable[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()


def _cells(line: bytes) -> list[str]:
    """What `_line` wrote; nothing of any other line."""
    try:
        return next(csv.reader([line.decode()], strict=True))
    except (UnicodeDecodeError, csv.Error):
        return []


def _digest(cells: Iterable[str]) -> bytes:
    return blake2b("\0".join(cells).encode(), digest_size=16).digest()


def _checked(job: Job) -> Iterator[bytes]:
    """The digest of each item. Raises BadFile at the end, with every fault."""
    faults, first, items = list[Fault](), dict[bytes, int](), 0
    for item in job.items():
        if isinstance(item, Fault):
            faults.append(item)
            continue
        if job.unique and (line := first.setdefault(_digest(item.cells[: job.unique]), item.line)) != item.line:
            faults.append(Fault(item.line, f"has the code of line {line} again; leave only the order that used it"))
        items += 1
        yield _digest(item.cells)
    if not items and not faults:
        raise BadFile(f"{job.file}: holds nothing to send")
    if faults:
        named = [f"{job.file}: line {fault.line}: {fault.message}" for fault in faults[:_MOST_FAULTS]]
        more = [f"{len(faults) - _MOST_FAULTS:,} more lines have faults."] * (len(faults) > _MOST_FAULTS)
        raise BadFile("\n".join([*named, *more, "Nothing was sent."]))
