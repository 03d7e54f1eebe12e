"""The embedded stack: template.yaml, deployed to an emulated AWS on this machine, and an emulated Altcraft."""

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from local.address import reachable
from local.deploy import STACK, Values, deploy
from local.emulator import Emulator, Settings
from local.engine import REGION, STANDARD_ERROR, Aws
from local.front import Front, Ready

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "template.yaml"
SOURCES = ROOT / "events" / "sources.json"
EVENT_BUS = "promocodes"
"""The bus on which the stack publishes, unless its parameters name another one or none."""

_END = b"\0the end\0"


class Unavailable(Exception):
    """The API's address cannot be listened on; the message names the remedy."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a stack is started. The defaults are those of `make local`, except `port`, whose default 0 is any free one.

    `altcraft_url` of None starts the emulator. `sources` is the JSON document of webhook sources. `parameters` override
    the template's; `environment` is added to the functions' variables. `log` is the file descriptor for the functions' output.
    """

    host: str = "127.0.0.1"
    port: int = 0
    altcraft_url: str | None = None
    altcraft_token: str = "local-altcraft-token"  # noqa: S105 - the emulator's
    altcraft_wire: Literal["json", "xml"] = "json"
    sources: str = field(default_factory=SOURCES.read_text)
    api_key: str = "local-api-key-not-secret"
    template: Path = TEMPLATE
    parameters: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    log: int = STANDARD_ERROR


class Stack:
    """A running stack, from `start` to `stop` or as a context manager.

    `ready` has the addresses of all parts; `emulator` is None when `altcraft_url` is given; `aws` is its engine.
    """

    ready: Ready

    def __init__(self, options: Options | None = None) -> None:
        self._options = options or Options()
        self._running = contextlib.ExitStack()
        self.emulator: Emulator | None = None
        self.aws = Aws(self._options.host, self._options.log)

    def start(self) -> Self:
        """Start every part and return when all of them serve.

        Raises:
            Unavailable: the port is taken, or HOST is not an address of this machine.
            EngineError: the AWS does not start.
            TemplateError, DeployError: the template cannot be deployed.
        """
        with contextlib.ExitStack() as starting:
            self.ready = self._start(starting)
            self._running = starting.pop_all()
        return self

    def stop(self) -> None:
        """Stop every part and wait for its processes."""
        self._running.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self, running: contextlib.ExitStack) -> Ready:
        options = self._options
        # First, so that a taken port is reported before anything starts. Early requests wait until everything serves.
        listening = running.enter_context(_listening(options.host, options.port))
        altcraft_url = options.altcraft_url or self._start_emulator(running)
        running.enter_context(self.aws)
        log = self.aws.folder / "log"
        running.enter_context(_copied(log, options.log))
        values = Values(
            parameters={
                "AltcraftUrl": altcraft_url,
                "AltcraftWire": options.altcraft_wire,
                "LoyaltyIds": "5,6",
                "EventBusName": EVENT_BUS,
                **options.parameters,
            },
            api_key=options.api_key,
            secrets={"AltcraftSecret": options.altcraft_token, "SourcesSecret": options.sources},
            environment=options.environment,
            log=log,
        )
        self.aws.client("events").create_event_bus(Name=EVENT_BUS)
        deployed = deploy(self.aws, options.template, values)
        resources = deployed.resources
        ready = Ready(
            api_url=f"http://{reachable(options.host)}:{listening.getsockname()[1]}",
            aws_endpoint_url=self.aws.endpoint_url,
            aws_region=REGION,
            altcraft_url=altcraft_url,
            api_key=options.api_key,
            export_bucket=resources["ExportBucket"],
            activation_queue_url=resources["ActivationQueue"],
            dead_letter_queue_url=resources["DeadLetterQueue"],
            redemptions_table=resources["RedemptionsTable"],
            event_bus_name=values.parameters["EventBusName"],
            stack_name=STACK,
            lambda_endpoint_url=self.aws.endpoint_url,
            altcraft_secret_id=resources["AltcraftSecret"],
            sources_secret_id=resources["SourcesSecret"],
            functions=deployed.functions,
            schedules=list(deployed.schedules),
        )
        running.enter_context(Front(listening, deployed, ready))
        return ready

    def _start_emulator(self, running: contextlib.ExitStack) -> str:
        settings = Settings(tokens=frozenset({self._options.altcraft_token}))
        self.emulator = running.enter_context(Emulator(settings, host=self._options.host))
        return self.emulator.url


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=512)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            taken = f"port {port} is taken: choose another one, for example `make local PORT={port + 1}`"
            raise Unavailable(taken) from error
        raise Unavailable(f"HOST and PORT must be an address to listen on, not {host}:{port}: {error}") from error


@contextlib.contextmanager
def _copied(pipe: Path, log: int) -> Iterator[None]:
    """Make a named pipe, and copy what is written into it to the file descriptor `log`."""
    os.mkfifo(pipe)
    # Open for writing too: it then stays open when a function ends, and the end can be written here.
    held = os.open(pipe, os.O_RDWR)

    def copy() -> None:
        while not (printed := os.read(held, 65_536)).endswith(_END):
            # A log that nobody reads any more must not block the functions.
            with contextlib.suppress(OSError):
                os.write(log, printed)

    copying = threading.Thread(target=copy, name="log", daemon=True)
    copying.start()
    try:
        yield
    finally:
        os.write(held, _END)
        copying.join()
        os.close(held)
