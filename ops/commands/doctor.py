"""`make doctor`: what a stack still lacks, one line each with the next step."""

from __future__ import annotations

import click

from ops import terminal
from ops.diagnosis import CHECKS, State
from ops.errors import Unusable
from ops.target import Target, with_target

_UNUSABLE = 2


@click.command("doctor")
@with_target()
def command(target: Target) -> None:
    """Check a stack, and say what is missing next, with the remedy.

    It changes nothing. Exits with 0 if all is well, with 1 if something is missing, with 2 if the stack cannot be looked at.
    """
    try:
        target.names("api_url")
        target.names("activation_queue_url")
    except Unusable as error:
        terminal.complain(str(error))
        raise SystemExit(_UNUSABLE) from error
    missing = 0
    for check in CHECKS:
        for finding in check.findings(target):
            missing += finding.state is State.MISSING
            remedy = f". Next: {finding.remedy}" if finding.remedy else ""
            terminal.say(f"{finding.state:<8} {check.name:<13} {finding.text}{remedy}")
    terminal.say(f"Missing: {missing}. Begin with the first." if missing else "All well.")
    raise SystemExit(1 if missing else 0)
