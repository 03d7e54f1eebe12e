"""One Lambda sandbox on this machine: a built function under the runtime interface emulator.

The emulator's HTTP status does not distinguish failures from answers, it has no memory limit, and it runs one invocation at a
time.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Self

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from tests.runtime.parts import Build, Runtime

STARTING = Retry(total=None, connect=100, read=0, backoff_factor=0.05, backoff_max=0.1, allowed_methods=None)
"""The emulator refuses connections until it has started."""


class Sandbox:
    """A running function, as a context manager. Its output and the runtime's go to `log`.

    `environment` has the variables that Lambda sets for each function: its name, timeout, region and credentials. `more` are
    folders from which modules are imported after the function's and the layer's.
    """

    def __init__(
        self,
        runtime: Runtime,
        build: Build,
        function: str,
        handler: str,
        environment: Mapping[str, str],
        log: IO[bytes],
        more: tuple[Path, ...] = (),
    ) -> None:
        self._task = build.task(function)
        port, runtime_port = _free_ports(2)
        self._url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
        # Both addresses, because by default the emulator listens on every interface.
        addresses = {"interface-emulator": f"127.0.0.1:{port}", "api": f"127.0.0.1:{runtime_port}"}
        self._command = [
            *[str(runtime.emulator), "--log-level", "info"],
            *[part for name, address in addresses.items() for part in (f"--runtime-{name}-address", address)],
            *[str(runtime.python), "-m", "awslambdaric", handler],
        ]
        self._environment = {
            "PATH": os.defpath,
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "LAMBDA_TASK_ROOT": str(self._task),
            "PYTHONPATH": os.pathsep.join(map(str, (self._task, build.layer / "python", *more))),
            "PYTHONDONTWRITEBYTECODE": "1",  # Lambda's /var/task and /opt are read-only
            **environment,
        }
        self._log = log
        self._http = requests.Session()
        self._http.mount("http://", HTTPAdapter(max_retries=STARTING))

    def invoke(self, event: bytes) -> Any:
        """Invoke with an event (JSON) and return the function's value, an error's object, or the emulator's message."""
        response = self._http.post(self._url, data=event, timeout=120)
        try:
            return response.json()
        except json.JSONDecodeError:
            return response.text

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            cwd=self._task,
            env=self._environment,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
        # The emulator does not end the function's process.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listening.getsockname()[1] for listening in sockets]
