"""How a child process of the stack ends with its parent, even one that was killed.

The parent holds the writing end of the child's standard input and never writes; when the parent is gone, the child
reads the end of the file.
"""

import os
import sys
import threading


def end_with_parent() -> None:
    """End this process as soon as its standard input ends."""
    threading.Thread(target=_watch, daemon=True, name="lifeline").start()


def _watch() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    # Nothing is left to tidy for: whoever would read it is gone.
    os._exit(1)
