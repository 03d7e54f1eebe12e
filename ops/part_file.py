"""A file that gets its name only once it is complete, and leaves nothing otherwise, even if its process is killed.

While it is written it is `.{name}.part` in the same folder, locked by the process that writes it. So the next process that
writes into the folder can see which parts are abandoned, and removes them.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

_OURS: Final = re.compile(r"\.\d{8}T\d{6}Z-[0-9a-f]{20}\.(jsonl\.gz|csv\.gz|parquet)\.part")
"""The names of our parts: another program's are not ours to remove."""


@contextmanager
def whole_file(target: Path) -> Iterator[IO[bytes]]:
    """A file to write; it is at `target` after the block, and nowhere if the block raises.

    Raises:
        OSError: the folder cannot be made or written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(target.parent)
    part = target.with_name(f".{target.name}.part")
    with _locked(part) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            part.rename(target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def remove_abandoned(folder: Path) -> None:
    """Remove the parts that nobody writes any more."""
    for part in folder.iterdir():
        if _OURS.fullmatch(part.name) and part.is_file():
            try:
                with part.open("r+b") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    part.unlink(missing_ok=True)
            except OSError:
                continue  # somebody writes it, or has just finished or removed it, or it is not ours to write


def _locked(part: Path) -> IO[bytes]:
    while True:
        file = part.open("xb")  # buffered: a raw file only returns that a full disk took a part of a write
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # taken for abandoned before it was locked
