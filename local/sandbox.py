"""One Lambda sandbox: a process that holds one warm handler, runs one invocation at a time and is killed at its timeout."""

import json
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

from local.runtime import ANSWER

INIT_SECONDS = 60  # Lambda gives 10; a laptop may start several processes at once
PAYLOAD_LIMIT = 6 * 1024 * 1024  # Lambda quotas: invocation payload, request and response, synchronous


@dataclass(frozen=True, slots=True)
class Result:
    """What an invocation gave: JSON, and whether it is an error instead of the handler's answer."""

    payload: bytes
    failed: bool = False


class Sandbox:
    """A process for invocations of one handler.

    `environment` is all the process sees; `log` is the file descriptor that takes what the function prints.
    """

    def __init__(self, environment: dict[str, str], log: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "local.runtime", str(theirs.fileno())],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the stack, which then ends this process
            )
        self._connection = Connection(ours.detach())
        self._initialised = False

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs; once it does not, it is of no more use."""
        return self._process.poll() is None

    def invoke(self, request_id: str, event: bytes, timeout_seconds: float) -> Result:
        """Run the handler on an event (JSON). Never raises for what the function does: that is a failed Result."""
        try:
            if not self._initialised:
                failure = self._await_initialisation()
                if failure:
                    return failure
            deadline = time.time() + timeout_seconds
            self._connection.send_bytes(b"%s\n%d\n%s" % (request_id.encode(), int(deadline * 1000), event))
            if not self._connection.poll(timeout_seconds):
                self.close()
                message = f"RequestId: {request_id} Error: Task timed out after {timeout_seconds:.2f} seconds"
                return failed("Sandbox.Timedout", message, request_id)
            return self._receive(request_id)
        except (EOFError, ConnectionError):
            self.close()
            message = f"RequestId: {request_id} Error: Runtime exited with error: {self._exit()}"
            return failed("Runtime.ExitError", message, request_id)

    def _await_initialisation(self) -> Result | None:
        if not self._connection.poll(INIT_SECONDS):
            self.close()
            return failed("Sandbox.Timedout", f"the handler was not imported in {INIT_SECONDS} seconds")
        message = self._connection.recv_bytes()
        if not message.startswith(ANSWER):
            self.close()
            return Result(message[1:], failed=True)
        self._initialised = True
        return None

    def _receive(self, request_id: str) -> Result:
        message = self._connection.recv_bytes()
        if len(message) - 1 > PAYLOAD_LIMIT:
            text = f"Response payload size exceeded maximum allowed payload size ({PAYLOAD_LIMIT} bytes)."
            return failed("Function.ResponseSizeTooLarge", text, request_id)
        return Result(message[1:], failed=not message.startswith(ANSWER))

    def _exit(self) -> str:
        code = self._process.returncode
        return f"signal: {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"

    def kill(self) -> None:
        """Kill the process, from any thread; an invocation under way then ends as failed."""
        self._process.kill()

    def retire(self) -> None:
        """Let an idle process end by itself, its exit handlers run."""
        self._connection.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.kill()
        self.close()

    def close(self) -> None:
        """Kill the process and wait for its end; only for the thread that invokes."""
        self.kill()
        self._process.communicate()
        self._connection.close()


def failed(kind: str, message: str, request_id: str = "") -> Result:
    """Return an error in Lambda's own words."""
    error = {"errorType": kind, "errorMessage": message, "requestId": request_id}
    return Result(json.dumps(error).encode(), failed=True)
