"""The API at a stable address: a proxy to the engine's API Gateway that adds what the engine lacks, and the control routes.

The paths have no stage, as with a custom domain. The limits are AWS's; the API's own answers are the template's.
Source: API Gateway Developer Guide, "Quotas" and "Gateway responses"; Lambda Developer Guide, "Quotas".

GET  /_local                    the addresses of all parts: the object that `make local` prints
GET  /_local/environment        the variables of each function, by its logical id, as the template declares them
POST /_local/schedules/{name}   fire a schedule now
"""

import asyncio
import io
import re
import socket
import threading
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Final, Self

from aiohttp import ClientError, ClientSession, TCPConnector, web
from multidict import CIMultiDict
from yarl import URL

from local.deploy import Deployment
from ops.target import CONTROL

BODY_LIMIT: Final = 10 * 1024 * 1024
EVENT_LIMIT: Final = 6 * 1024 * 1024
INTEGRATION_SECONDS: Final = 29.0
AT_ONCE: Final = 8
"""Requests sent to the engine at the same time: each may start a process of a function. The others wait."""

_ENCODED_SLASH: Final = re.compile("%(?=2f)", re.IGNORECASE)

_HOP_BY_HOP: Final = frozenset(
    {"connection", "content-length", "expect", "keep-alive", "te", "transfer-encoding", "upgrade"}
)


@dataclass(frozen=True, kw_only=True)
class Ready:
    """The addresses of a running stack. `functions` are names by logical id, `schedules` are logical ids."""

    api_url: str
    aws_endpoint_url: str
    aws_region: str
    altcraft_url: str
    api_key: str
    export_bucket: str
    activation_queue_url: str
    dead_letter_queue_url: str
    redemptions_table: str
    event_bus_name: str
    stack_name: str
    lambda_endpoint_url: str
    altcraft_secret_id: str
    sources_secret_id: str
    functions: dict[str, str]
    schedules: list[str]


class Front:
    """Serves on a listening socket, from `start` to `stop` or as a context manager.

    `ready` is what its control route returns.
    """

    def __init__(self, listening: socket.socket, deployed: Deployment, ready: Ready) -> None:
        self._listening = listening
        self._deployed = deployed
        self._ready = ready
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="front", daemon=True)

    def start(self) -> Self:
        """Start serving."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()
        return self

    def stop(self) -> None:
        """Stop serving, without waiting for answers in progress."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _open(self) -> None:
        self._engine = ClientSession(
            connector=TCPConnector(limit=AT_ONCE),
            auto_decompress=False,
            skip_auto_headers=["Accept-Encoding", "User-Agent"],
        )
        application = web.Application(client_max_size=BODY_LIMIT)
        application.add_routes(
            [
                web.get(CONTROL, self._where),
                web.get(f"{CONTROL}/environment", self._variables),
                web.post(f"{CONTROL}/schedules/{{name}}", self._schedule),
                web.route("*", f"{CONTROL}{{path:.*}}", self._no_control),
                web.route("*", "/{path:.*}", self._answer),
            ]
        )
        # To aiohttp, zero means no limit.
        self._runner = web.AppRunner(application, handle_signals=False, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.SockSite(self._runner, self._listening).start()

    async def _close(self) -> None:
        await self._runner.cleanup()
        await self._engine.close()

    # --- the API -----------------------------------------------------------------------------------------------------

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self._as_written("REQUEST_TOO_LARGE", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        headers = CIMultiDict(
            (name, value) for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP
        )
        headers["X-Forwarded-For"] = request.remote or ""
        headers["X-Forwarded-Port"] = str(request.url.port)
        headers["X-Forwarded-Proto"] = request.scheme
        # Without these headers the engine damages bytes that are not text. API Gateway's default media type is JSON.
        headers.setdefault("Accept", "*/*")
        if body:
            headers.setdefault("Content-Type", "application/json")
        # The event has the body in base64, and the headers and the path twice.
        if len(body) * 4 / 3 + 2 * sum(map(len, (*headers, *headers.values(), request.raw_path))) > EVENT_LIMIT:
            return self._as_written("REQUEST_TOO_LARGE", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        path, _, query = request.raw_path.partition("?")
        # The engine would decode an encoded slash, and find another route.
        url = URL(f"{self._deployed.api_url}{_ENCODED_SLASH.sub('%25', path)}?{query}", encoded=True)
        asked = self._engine.request(request.method, url, data=io.BytesIO(body), headers=headers, allow_redirects=False)
        try:
            async with asyncio.timeout(INTEGRATION_SECONDS), asked as reply:
                content = await reply.read()
        except TimeoutError:
            return self._as_written("INTEGRATION_TIMEOUT", HTTPStatus.GATEWAY_TIMEOUT)
        except ClientError:
            return self._as_written("DEFAULT_5XX", HTTPStatus.BAD_GATEWAY)
        if reply.status == HTTPStatus.BAD_GATEWAY:  # the function failed, or its answer is malformed
            return self._as_written("DEFAULT_5XX", reply.status)
        kept = ((name, value) for name, value in reply.headers.items() if not _dropped(name))
        return web.Response(status=reply.status, body=content, headers=CIMultiDict(kept))

    def _as_written(self, case: str, status: int) -> web.Response:
        """A gateway response of the template."""
        written = self._deployed.gateway_responses[case]
        # Static values are written in single quotes.
        headers = {name: value.strip("'") for name, value in written["ResponseParameters"]["Headers"].items()}
        body = written["ResponseTemplates"]["application/json"]
        return web.Response(status=int(written.get("StatusCode", status)), body=body.encode(), headers=headers)

    # --- the stack's own routes --------------------------------------------------------------------------------------

    async def _where(self, _: web.Request) -> web.Response:
        return web.json_response(asdict(self._ready))

    async def _variables(self, _: web.Request) -> web.Response:
        return web.json_response(self._deployed.environment)

    async def _schedule(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._ready.schedules:
            return await self._no_control(request)
        return web.json_response(
            {"request_id": await asyncio.to_thread(self._deployed.fire, name)}, status=HTTPStatus.ACCEPTED
        )

    async def _no_control(self, _: web.Request) -> web.Response:
        message = f"here are GET {CONTROL} and POST {CONTROL}/schedules/{{name}}"
        body = {"message": message, "schedules": self._ready.schedules}
        return web.json_response(body, status=HTTPStatus.NOT_FOUND)


def _dropped(header: str) -> bool:
    """Whether API Gateway would not send this header of the engine."""
    return header.lower() in _HOP_BY_HOP or header.lower().startswith("access-control-")
