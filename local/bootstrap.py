"""The functions' runtime on the laptop: imports a handler and passes it one event after the other from Lambda's runtime API.

Source: AWS Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes".
"""

import http.client
import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, NoReturn

PAYLOAD_LIMIT: Final = 6 * 1024 * 1024
"""Lambda's quota for a response, in bytes."""

LOOK_FOR_PARENT_SECONDS: Final = 1.0


class Context:
    """The context that a handler gets beside the event."""

    identity = None
    client_context = None

    def __init__(self, headers: http.client.HTTPMessage) -> None:
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME", f"/aws/lambda/{self.function_name}")
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self._deadline_ms = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds left before Lambda ends this process."""
        return max(0, self._deadline_ms - time.time_ns() // 1_000_000)


def call(method: str, path: str, body: bytes | None = None) -> tuple[http.client.HTTPMessage, bytes]:
    """Call the runtime API on a new connection: on a kept one, a delayed TCP acknowledgement slows each answer."""
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        connection.request(method, f"/2018-06-01/runtime/{path}", body)
        reply = connection.getresponse()
        answer = reply.read()
    except (OSError, http.client.HTTPException):
        sys.exit()  # the engine has ended
    if reply.status >= HTTPStatus.MULTIPLE_CHOICES:
        sys.exit()
    return reply.headers, answer


def unprocessed(event: Any, answer: Any) -> bool:
    """Whether the batch of a stream must come again. The engine takes only an error for that, and no `batchItemFailures`."""
    match event, answer:
        case {"Records": [{"eventSource": "aws:dynamodb"}, *_]}, {"batchItemFailures": [_, *_]}:
            return True
    return False


def run(handler: Callable[[Any, Context], Any], context: Context, event: Any) -> tuple[str, bytes]:
    """Call the handler; return what to report, `response` or `error`, and its JSON."""
    try:
        answered = handler(event, context)
        answer = json.dumps(answered).encode()
    except Exception as error:  # Lambda reports any exception of a handler
        return "error", described(error, type(error).__name__)
    if unprocessed(event, answered):
        return "error", json.dumps({"errorType": "Unprocessed", "errorMessage": answer.decode()}).encode()
    if len(answer) > PAYLOAD_LIMIT:
        text = f"Response payload size exceeded maximum allowed payload size ({PAYLOAD_LIMIT} bytes)."
        return "error", json.dumps({"errorType": "Function.ResponseSizeTooLarge", "errorMessage": text}).encode()
    return "response", answer


def described(error: BaseException, kind: str) -> bytes:
    """Print an error, and return it in the form that Lambda reports."""
    print(f"[ERROR] {kind}: {error}", *traceback.format_exception(error), sep="\n", flush=True)
    stack = traceback.format_tb(error.__traceback__)
    return json.dumps({"errorMessage": str(error), "errorType": kind, "stackTrace": stack}).encode()


def at_the_domain(event: Any) -> Any:
    """The event as API Gateway sends it for a custom domain, as which `make local` serves the API: its paths have no stage."""
    match event:
        case {"path": str(path), "requestContext": {"path": str()} as context}:
            context["path"] = path
    return event


def end_with(parent: int) -> None:
    """End this process soon after its parent ends or is killed."""
    while os.getppid() == parent:
        time.sleep(LOOK_FOR_PARENT_SECONDS)
    os._exit(1)


def main() -> NoReturn:
    """Serve the handler that `_HANDLER` names."""
    threading.Thread(target=end_with, args=[os.getppid()], daemon=True).start()
    module, _, name = os.environ["_HANDLER"].rpartition(".")
    try:
        handler = getattr(importlib.import_module(module), name)
    except Exception as error:  # Lambda reports any exception of an import
        call("POST", "init/error", described(error, "Runtime.ImportModuleError"))
        sys.exit(1)
    while True:
        # While waiting, exit in order, with exit handlers; in the middle of an invocation, end at once, as Lambda does.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        headers, event = call("GET", "invocation/next")
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        context = Context(headers)
        kind, answer = run(handler, context, at_the_domain(json.loads(event)))
        sys.stdout.flush()
        call("POST", f"invocation/{context.aws_request_id}/{kind}", answer)


if __name__ == "__main__":
    main()
