"""Lambda's invocation service: sandboxes for every function, synchronous and asynchronous invocations.

Source: AWS Lambda Developer Guide, "Understanding the execution environment lifecycle" and "Asynchronous invocation".
"""

import os
import threading
import uuid
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from local.application import Function
from local.resources import function_arn
from local.sandbox import PAYLOAD_LIMIT, Result, Sandbox, failed

RETRY_PAUSES_SECONDS = (1.0, 2.0)  # Lambda waits a minute, then two: longer than anybody watches a laptop

_STOPPED = failed("Runtime.ExitError", "the stack has stopped")


class PayloadTooLarge(Exception):
    """The event is larger than Lambda takes."""


class Pool:
    """The sandboxes of one function: started on demand, up to `sandboxes` at once, the last used first.

    `aws` is what the function needs to reach AWS. Invocations beyond the sandboxes wait their turn.
    """

    def __init__(self, function: Function, aws: Mapping[str, str], sandboxes: int, log: int) -> None:
        self.function = function
        self._environment = _environment(function, aws)
        self._log = log
        self._lock = threading.Lock()
        self._idle: list[Sandbox] = []
        self._busy: dict[Sandbox, str] = {}
        self._closing = False
        self._threads = ThreadPoolExecutor(sandboxes, thread_name_prefix=function.name)

    def submit(self, event: bytes, request_id: str | None = None) -> Future[Result]:
        """Invoke with an event (JSON); the future's result comes when a sandbox has run it. Raises PayloadTooLarge."""
        if len(event) > PAYLOAD_LIMIT:
            raise PayloadTooLarge(f"{len(event)} bytes; Lambda takes {PAYLOAD_LIMIT}")
        with self._lock:
            if not self._closing:
                return self._threads.submit(self._invoke, event, request_id or str(uuid.uuid4()))
        stopped: Future[Result] = Future()
        stopped.set_result(_STOPPED)
        return stopped

    def busy(self) -> dict[int, str]:
        """Return the process ids of the sandboxes that run an invocation now, each with its request id."""
        with self._lock:
            return {sandbox.pid: request_id for sandbox, request_id in self._busy.items()}

    def close(self) -> None:
        """End every sandbox; invocations that still run or wait end as failed."""
        with self._lock:
            self._closing = True
            for sandbox in self._busy:
                sandbox.kill()
        self._threads.shutdown()
        for sandbox in self._idle:
            sandbox.retire()

    def _invoke(self, event: bytes, request_id: str) -> Result:
        with self._lock:
            if self._closing:
                return _STOPPED
            sandbox = self._idle_sandbox() or Sandbox(self._environment, self._log)
            self._busy[sandbox] = request_id
        result = sandbox.invoke(request_id, event, self.function.timeout_seconds)
        with self._lock:
            del self._busy[sandbox]
            self._idle.append(sandbox)
        return result

    def _idle_sandbox(self) -> Sandbox | None:
        while self._idle:
            sandbox = self._idle.pop()
            if sandbox.alive:
                return sandbox
            sandbox.close()
        return None


class Functions:
    """The functions of a stack, `pools` by logical id, with asynchronous invocations tried again as Lambda does."""

    def __init__(self) -> None:
        self.pools: dict[str, Pool] = {}
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._tries: set[threading.Thread] = set()

    def named(self, name: str) -> Pool | None:
        """Return the pool of a function named as the Invoke API allows: name, ARN, or either with a qualifier.

        Its logical id is good too: that is what `sam local` tells a function for its own name.
        """
        parts = name.split(":")
        plain = parts[6] if name.startswith("arn:") and len(parts) > 6 else parts[0]
        return next(
            (pool for logical_id, pool in self.pools.items() if plain in (logical_id, pool.function.name)), None
        )

    def invoke_later(self, pool: Pool, event: bytes) -> str:
        """Accept an asynchronous invocation and return its request id; it fails only in the log. Raises PayloadTooLarge."""
        request_id = str(uuid.uuid4())
        first = pool.submit(event, request_id)
        thread = threading.Thread(target=self._see_through, args=(pool, event, request_id, first))
        with self._lock:
            self._tries.add(thread)
        thread.start()
        return request_id

    def _see_through(self, pool: Pool, event: bytes, request_id: str, running: Future[Result]) -> None:
        for pause in RETRY_PAUSES_SECONDS[: pool.function.retries]:
            if not running.result().failed or self._stopping.wait(pause):
                break
            running = pool.submit(event, request_id)
        with self._lock:
            self._tries.discard(threading.current_thread())

    def close(self) -> None:
        """End every sandbox and give up retries."""
        self._stopping.set()
        with self._lock:
            tries = list(self._tries)
        for pool in self.pools.values():
            pool.close()
        for thread in tries:
            thread.join()


def _environment(function: Function, aws: Mapping[str, str]) -> dict[str, str]:
    """Return exactly what Lambda puts into a sandbox, and what a laptop's Python needs to run there."""
    host = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TMPDIR") if name in os.environ}
    return {
        **host,
        **aws,
        **function.environment,
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local/[$LATEST]",
        "LANG": "en_US.UTF-8",
        "LOCAL_FUNCTION_ARN": function_arn(function.name),
        "TZ": ":UTC",
        "_HANDLER": function.handler,
    }
