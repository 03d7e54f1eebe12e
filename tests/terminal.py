"""A command of ours in a process of its own, in front of a terminal."""

import os
import pty
import re
import select
import subprocess
import sys
import termios
from collections.abc import Mapping
from typing import Self


class Terminal:
    """A terminal and the process in front of it, as a context manager.

    Args:
        module, arguments: what `python -m` runs.
        variables: added to the environment.
        patience: seconds until something new is on the screen.
    """

    def __init__(
        self, module: str, *arguments: str, variables: Mapping[str, str] | None = None, patience: float = 60
    ) -> None:
        self._screen, self._keyboard = pty.openpty()
        self._patience = patience
        self._shown = b""
        self._asked = 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=self._keyboard,
            stdout=self._keyboard,
            stderr=self._keyboard,
            env=os.environ | (variables or {}),
            start_new_session=True,
        )

    def echoes(self) -> bool:
        """Whether it shows what is typed."""
        return bool(termios.tcgetattr(self._keyboard)[3] & termios.ECHO)

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self._screen, f"{line}\n".encode())

    def shown(self, until: str) -> str:
        """All text that has been on the screen, as soon as this is, after what was asked for before."""
        while until.encode() not in self._shown[self._asked :]:
            assert select.select([self._screen], [], [], self._patience)[0], self._shown.decode()
            self._shown += os.read(self._screen, 4_096)
        self._asked = self._shown.index(until.encode(), self._asked) + len(until)
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._shown.decode())  # without colours

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._screen)
        os.close(self._keyboard)
