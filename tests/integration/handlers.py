"""Small Lambda handlers for the tests of the embedded stack's own parts."""

import base64
import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

_calls = 0


def about(event: Any, context: Any) -> dict[str, Any]:
    """Answer with what the sandbox shows of itself, and how often this process was called."""
    global _calls
    _calls += 1
    return {
        "calls": _calls,
        "pid": os.getpid(),
        "environment": dict(os.environ),
        "context": {
            "aws_request_id": context.aws_request_id,
            "function_name": context.function_name,
            "function_version": context.function_version,
            "invoked_function_arn": context.invoked_function_arn,
            "memory_limit_in_mb": context.memory_limit_in_mb,
            "remaining": context.get_remaining_time_in_millis(),
        },
    }


def proxy(event: Any, context: Any) -> dict[str, Any]:
    """Answer an API request with the body it brought, byte for byte."""
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "application/octet-stream"},
        "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]},
        "body": base64.b64encode(base64.b64decode(event["body"] or "")).decode(),
        "isBase64Encoded": True,
    }


def mirror(event: Any, context: Any) -> dict[str, Any]:
    """Answer an API request with its own event."""
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(event)}


def fail(event: Any, context: Any) -> None:
    """Raise an error, and leave a line in the file that the event names, if it names one."""
    if "file" in event:
        with Path(event["file"]).open("a") as file:
            file.write(context.aws_request_id + "\n")
    raise LookupError("nothing here")


def hang(event: Any, context: Any) -> None:
    """Never answer."""
    threading.Event().wait()


def die(event: Any, context: Any) -> None:
    """Kill the process in the middle."""
    os.kill(os.getpid(), signal.SIGKILL)


def unspeakable(event: Any, context: Any) -> object:
    """Answer with something that is not JSON."""
    return object()


def large(event: Any, context: Any) -> str:
    """Answer with so many characters."""
    return "x" * int(event["size"])


def queue(event: Any, context: Any) -> dict[str, Any]:
    """Note each record in the file that its body names, and fail those that say so, or the whole batch, or the process."""
    failures = []
    for record in event["Records"]:
        order = json.loads(record["body"])
        with Path(order["file"]).open("a") as file:
            file.write(record["messageId"] + "\n")
        if order.get("raise"):
            raise LookupError("the whole batch")
        if order.get("fail_until", 0) > int(record["attributes"]["ApproximateReceiveCount"]):
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}
