"""A process that runs one export, for the tests that kill it: `python -m tests.integration.export_process EVENT`."""

import json
import sys
from types import SimpleNamespace
from typing import Any

from export_all.app import handler


def context(request_id: str, seconds: float = 60) -> Any:
    """Lambda's context of an invocation with this many seconds left."""
    return SimpleNamespace(
        aws_request_id=request_id,
        function_name="export_all",
        function_version="$LATEST",
        invoked_function_arn="arn:aws:lambda:eu-central-1:123456789012:function:export_all",
        memory_limit_in_mb=1769,
        get_remaining_time_in_millis=lambda: int(seconds * 1000),
    )


if __name__ == "__main__":
    print(json.dumps(handler(json.loads(sys.argv[1]), context("first", 900))))
