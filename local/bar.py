"""A bar that says how far something is."""

from typing import Final

WIDTH: Final = 30


def bar(done: float) -> str:
    """A bar and the percentage of what is done, a number from 0 to 1."""
    done = min(max(done, 0.0), 1.0)
    return f"[{'=' * int(done * WIDTH):<{WIDTH}}] {done:>4.0%}"


def moving(seconds: float) -> str:
    """Something that moves, where nobody knows how much there is to do."""
    place = int(seconds * 8) % WIDTH
    return f"[{' ' * place}>{' ' * (WIDTH - 1 - place)}]     "
