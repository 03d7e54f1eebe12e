"""The one way in which a command says that it cannot do what was asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import click

from ops import terminal


class Unusable(click.ClickException):
    """A command cannot go on, and exits 1. The message names what is at fault, by its variable if any, and the remedy."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message as it is: several faults are several lines."""
        terminal.complain(self.message)


@contextmanager
def refused_by_aws(what: str) -> Iterator[None]:
    """Raise AWS's refusals, and its silence, as Unusable: `what` failed, and why."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise Unusable(f"{what}: {error}") from error
