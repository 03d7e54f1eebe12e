"""The processes of a running stack, seen from outside by Linux's own account."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import Stack

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in Linux's /proc")


def _parents() -> Iterator[tuple[int, int]]:
    """Each process with its parent."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended as we looked
            yield int(stat.parent.name), int(stat.read_text().rpartition(")")[2].split()[1])


def descendants(pid: int) -> list[int]:
    """The processes under this one, at any depth."""
    found, parents = [pid], list(_parents())
    for parent in found:
        found += [child for child, of in parents if of == parent]
    return found[1:]


def command_line(pid: int) -> list[str]:
    """What a process runs; nothing of one that has ended, waited for or not."""
    try:
        return [part for part in Path(f"/proc/{pid}/cmdline").read_text().split("\0") if part]
    except (FileNotFoundError, ProcessLookupError):
        return []


def environment(pid: int) -> dict[str, str]:
    """The variables that a process was started with."""
    pairs = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if pair)


def alive(pid: int) -> bool:
    """Whether a process still runs, so that its parent cannot see its end yet.

    One that is killed loses its command line before that; and while one of its threads still ends, it has not ended.
    """
    process = Path(f"/proc/{pid}")
    try:
        state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        return state not in "ZX" or len(list((process / "task").iterdir())) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False


def sandboxes(stack: Stack) -> list[int]:
    """The processes that run a stack's functions."""
    return [pid for pid in descendants(stack.aws.pid) if "local.bootstrap" in command_line(pid)]
