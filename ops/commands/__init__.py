"""The operators' commands. Each is a module here with a click command called `command`; a new one needs a row in `COMMANDS`."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

COMMANDS: Final = (
    "token",
    "doctor",
    "sources",
    "explain",
    "redrive",
    "lookup",
    "export",
    "webhook",
    "backfill",
    "activate",
    "schedule",
)


class _Commands(click.Group):
    """Imports only the command that is run: an export's libraries are no concern of a dry run."""

    def list_commands(self, _: click.Context, /) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _: click.Context, name: str, /) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f"ops.commands.{name}").command
        return command


@click.group(cls=_Commands)
def main() -> None:
    """Commands for operators, against a deployed stack or the one that `make local` runs.

    An option --loyalty-id is the environment variable LOYALTY_ID too, and so on: `make export LOYALTY_ID=6` is
    `python -m ops export --loyalty-id 6`.
    """
