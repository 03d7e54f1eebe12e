"""EventBridge Scheduler's part: sends a schedule's event to its function when it is told that the time has come.

Source: EventBridge Scheduler User Guide, "Adding context attributes".
"""

from datetime import UTC, datetime

from local.application import Schedule
from local.functions import Functions


def fire(schedule: Schedule, functions: Functions, moment: datetime | None = None) -> str:
    """Fire a schedule as of `moment` (default: now) and return the invocation's request id."""
    at = (moment or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    event = schedule.input.replace("<aws.scheduler.scheduled-time>", at)
    return functions.invoke_later(functions.pools[schedule.function], event.encode())
