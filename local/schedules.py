"""EventBridge Scheduler's part: sends a schedule's event to its function when it is told that the time has come.

Source: EventBridge Scheduler User Guide, "Adding context attributes".
"""

from datetime import UTC, datetime

from local.application import Schedule
from local.functions import Functions


def fire(schedule: Schedule, functions: Functions) -> str:
    """Fire a schedule as if now were its time, and return the invocation's request id."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    event = schedule.input.replace("<aws.scheduler.scheduled-time>", now)
    return functions.invoke_later(functions.pools[schedule.function], event.encode())
