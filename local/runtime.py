"""The process inside a sandbox: imports one handler, then runs one invocation after the other, as Lambda's runtime does.

Started by `local.sandbox` as `python -m local.runtime FD`; FD is a socket on which both sides speak in whole messages:
    runtime → sandbox   b"+" once the handler is imported, or b"-" and an error
    sandbox → runtime   the request id, the deadline (epoch milliseconds) and the event, one to a line
    runtime → sandbox   b"+" and the handler's answer as JSON, or b"-" and an error
An error is the JSON object that Lambda gives: errorMessage, errorType, requestId, stackTrace.
"""

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from local.lifeline import end_with_parent

ANSWER, ERROR = b"+", b"-"


@dataclass(frozen=True)
class Context:
    """What Lambda's Python runtime passes to a handler beside the event."""

    aws_request_id: str
    deadline_ms: int
    function_name: str = field(default_factory=lambda: os.environ["AWS_LAMBDA_FUNCTION_NAME"])
    function_version: str = field(default_factory=lambda: os.environ["AWS_LAMBDA_FUNCTION_VERSION"])
    memory_limit_in_mb: str = field(default_factory=lambda: os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"])
    log_group_name: str = field(default_factory=lambda: os.environ["AWS_LAMBDA_LOG_GROUP_NAME"])
    log_stream_name: str = field(default_factory=lambda: os.environ["AWS_LAMBDA_LOG_STREAM_NAME"])
    invoked_function_arn: str = field(default_factory=lambda: os.environ["LOCAL_FUNCTION_ARN"])
    identity: None = None
    client_context: None = None

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds left before the sandbox is killed."""
        return max(0, self.deadline_ms - time.time_ns() // 1_000_000)


def serve(connection: Connection) -> None:
    """Import the handler that `_HANDLER` names and run invocations until the sandbox closes the connection."""
    module, _, name = os.environ["_HANDLER"].rpartition(".")
    try:
        handler = getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever an import raises is reported as Lambda reports it
        connection.send_bytes(ERROR + _describe(error, "Runtime.ImportModuleError"))
        return
    connection.send_bytes(ANSWER)
    while True:
        try:
            request_id, deadline, event = connection.recv_bytes().split(b"\n", 2)
        except EOFError:
            return
        connection.send_bytes(_run(handler, Context(request_id.decode(), int(deadline)), event))


def _run(handler: Callable[[Any, Context], Any], context: Context, event: bytes) -> bytes:
    try:
        answer = handler(json.loads(event), context)
    except Exception as error:  # whatever a handler raises is the function's answer
        return ERROR + _describe(error, type(error).__name__, context.aws_request_id)
    finally:
        sys.stdout.flush()
    try:
        return ANSWER + json.dumps(answer).encode()
    except (TypeError, ValueError) as error:
        return ERROR + _describe(error, "Runtime.MarshalError", context.aws_request_id)


def _describe(error: BaseException, kind: str, request_id: str = "") -> bytes:
    print(f"[ERROR] {kind}: {error}", *traceback.format_exception(error), sep="\n", flush=True)
    return json.dumps(
        {
            "errorMessage": str(error),
            "errorType": kind,
            "requestId": request_id,
            "stackTrace": traceback.format_tb(error.__traceback__),
        }
    ).encode()


def main() -> None:
    """Serve on the file descriptor named by the one argument."""
    end_with_parent()
    with Connection(int(sys.argv[1])) as connection:
        serve(connection)


if __name__ == "__main__":
    main()
