"""The schedules of exports. One is fired by invoking its function with its event now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

_SCHEDULED_TIME: Final = "<aws.scheduler.scheduled-time>"


def targets(scheduler: Any, schedules: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The target of each schedule that invokes a function; another one is AWS's own export of the table.

    Args:
        scheduler: a boto3 client of EventBridge Scheduler.
        schedules: their physical ids by logical id.
    """
    found = {
        logical_id: scheduler.get_schedule(Name=name.rpartition("/")[2])["Target"]
        for logical_id, name in schedules.items()
    }
    return {logical_id: target for logical_id, target in found.items() if ":function:" in target["Arn"]}


def fire(functions: Any, target: Mapping[str, Any]) -> Any:
    """Invoke a schedule's function with its event, and return Lambda's answer. `functions`: a boto3 client of Lambda."""
    event = target["Input"].replace(_SCHEDULED_TIME, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
    return functions.invoke(FunctionName=target["Arn"], InvocationType="Event", Payload=event.encode())
