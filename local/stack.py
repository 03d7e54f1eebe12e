"""The embedded stack: an Altcraft, an AWS, and the template's functions behind its API, its queue and its schedules."""

import contextlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from local.application import Application, QueueSource
from local.aws import Aws
from local.control import Control, Ready
from local.emulator import Emulator, Settings
from local.functions import Functions, Pool
from local.gateway import BODY_LIMIT, Gateway
from local.http import Server
from local.lambda_api import LambdaApi
from local.queues import Poller
from local.resources import Resources
from local.template import read

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "template.yaml"
SOURCES = ROOT / "events" / "sources.json"
STANDARD_ERROR = 2


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a stack is to be started. Every default is what `make local` starts, but for `port`: 0 is any free one.

    `altcraft_url` of None starts the emulator. `sources` is the JSON document of webhook sources. `parameters` override
    the template's; `environment` is added to what the functions see. `sandboxes` is the most there are of one function.
    `log` is the file descriptor for what the functions print.
    """

    host: str = "127.0.0.1"
    port: int = 0
    altcraft_url: str | None = None
    altcraft_token: str = "local-altcraft-token"  # noqa: S105 - the emulator's
    altcraft_wire: Literal["json", "xml"] = "json"
    sources: str = field(default_factory=SOURCES.read_text)
    api_key: str = "local-api-key"
    sandboxes: int = 4
    template: Path = TEMPLATE
    parameters: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    log: int = STANDARD_ERROR


class Stack:
    """A running stack, from `start` to `stop` or as a context manager.

    `ready` says where everything is; `emulator` is None where another Altcraft was named; `functions` are the sandboxes.
    """

    ready: Ready

    def __init__(self, options: Options | None = None) -> None:
        self._options = options or Options()
        self._running = contextlib.ExitStack()
        self.emulator: Emulator | None = None
        self.aws = Aws(self._options.host)
        self.functions = Functions()

    def start(self) -> Self:
        """Start every part and return when all of them serve.

        Raises OSError where the port is taken, TemplateError where the template cannot be followed.
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
        # Taken at the end, but if it cannot be had nothing need be started.
        socket.create_server((options.host, options.port)).close()
        altcraft_url = options.altcraft_url or self._start_emulator(running)
        running.enter_context(self.aws)
        document = read(options.template)
        parameters = {"AltcraftUrl": altcraft_url, "AltcraftWire": options.altcraft_wire, "LoyaltyIds": "5,6"}
        secrets = {"AltcraftSecret": options.altcraft_token, "SourcesSecret": options.sources}
        resources = Resources(self.aws, document, {**parameters, **options.parameters}, secrets)
        resources.make_all()
        application = Application(resources.template, document.get("Globals", {}))

        lambda_api = running.enter_context(Server(LambdaApi(self.functions), options.host))
        seen = {**self.aws.environment, "AWS_ENDPOINT_URL_LAMBDA": lambda_api.url, **options.environment}
        for name in application.function_ids():
            pool = Pool(application.function(name), seen, options.sandboxes, options.log)
            self.functions.pools[name] = pool
        gateway = Gateway(application.routes(), self.functions.pools, options.api_key, application.gateway_responses())
        control = Control(gateway, self.functions, application.schedules())
        api = Server(control, options.host, options.port, max_body=BODY_LIMIT, too_long=gateway.too_long)
        running.enter_context(api)
        for source in application.queue_sources():
            running.enter_context(self._poller(source))
        # The last to start is the first to stop: whoever waits for a function then waits no longer.
        running.callback(self.functions.close)
        control.ready = Ready(
            api_url=api.url,
            aws_endpoint_url=self.aws.endpoint_url,
            altcraft_url=altcraft_url,
            api_key=options.api_key,
            export_bucket=resources.name("ExportBucket"),
            activation_queue_url=resources.name("ActivationQueue"),
            dead_letter_queue_url=resources.name("DeadLetterQueue"),
            lambda_endpoint_url=lambda_api.url,
            sources_secret_id=resources.name("SourcesSecret"),
            functions={name: pool.function.name for name, pool in self.functions.pools.items()},
            schedules=sorted(control.schedules),
        )
        return control.ready

    def _start_emulator(self, running: contextlib.ExitStack) -> str:
        settings = Settings(tokens=frozenset({self._options.altcraft_token}))
        self.emulator = running.enter_context(Emulator(settings, host=self._options.host))
        return self.emulator.url

    def _poller(self, source: QueueSource) -> Poller:
        # One sandbox is left to the API, whatever the queue holds.
        most = max(1, self._options.sandboxes - 1)
        concurrency = min(source.maximum_concurrency or most, most)
        return Poller(source, self.aws, self.functions.pools[source.function], concurrency)
