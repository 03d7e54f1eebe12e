"""`make schedule`: fire the schedules of exports of a stack, as if their time had come."""

from __future__ import annotations

import click

from ops.errors import Unusable
from ops.target import Target, with_target


@click.command("schedule")
@with_target(laptop=True)
def command(target: Target) -> None:
    """Fire the schedules of exports, as if their time had come."""
    fired = False
    for line in target.fire():
        click.echo(line)
        fired = True
    if not fired:
        raise Unusable("there is no schedule of exports: the stack's parameter LoyaltyIds names no program")
