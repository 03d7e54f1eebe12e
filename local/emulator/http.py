"""HTTP for the emulator, on the standard library's threaded server: one function answers every request.

A WSGI server hides what the faults need: the connection itself, kept open between requests, and broken at a chosen byte.
"""

import contextlib
import logging
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit
from weakref import WeakSet

from local.address import reachable

log = logging.getLogger(__name__)


class HangUp(Exception):
    """Raised by an application, or by the body it streams, to break the connection at that point."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request: `target` as it was sent, `headers` by their names in any case, `body` as exact bytes."""

    method: str
    target: str
    headers: Message
    body: bytes

    @property
    def path(self) -> str:
        """The decoded path."""
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        """The decoded query parameters."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Response:
    """A reply. A body that is an iterator is sent in chunks, unless the headers state a Content-Length."""

    status: int
    body: bytes | Iterator[bytes] = b""
    headers: list[tuple[str, str]] = field(default_factory=list)


Application = Callable[[Request], Response]

_CHUNKED = ("Transfer-Encoding", "chunked")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16  # the head and a short body leave as one packet
    server: "Server"

    def _serve(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            # The end of the body is unknown, and with it the beginning of the next request.
            self._send(Response(HTTPStatus.LENGTH_REQUIRED, headers=[("Connection", "close")]))
            return
        request = Request(self.command, self.path, self.headers, self.rfile.read(int(length)))
        try:
            self._send(self.server.application(request))
        except HangUp:
            self.close_connection = True

    do_GET = do_HEAD = do_OPTIONS = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the base class's names

    def handle_expect_100(self) -> bool:
        """Let the client send its body."""
        expected = super().handle_expect_100()
        self.wfile.flush()
        return expected

    def _send(self, response: Response) -> None:
        if isinstance(response.body, bytes):
            blocks, framing = iter((response.body,)), ("Content-Length", str(len(response.body)))
        else:
            blocks, framing = response.body, _CHUNKED
        defaults = [framing, ("Date", self.date_time_string())]
        given = {name.lower() for name, _ in response.headers}
        if "content-length" in given:
            defaults.remove(framing)
        headers = [*response.headers, *(default for default in defaults if default[0].lower() not in given)]
        self.send_response_only(response.status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        chunked = _CHUNKED in headers
        for block in filter(None, blocks):  # an empty chunk would be the end
            self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block) if chunked else block)
            self.wfile.flush()
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Log each request at debug level, and not on standard error."""
        log.debug(format, *args)


class Server(socketserver.ThreadingTCPServer):
    """Serve `application` on `host` and `port` (0: any free one), in threads, as a context manager.

    Raises OSError where the port is taken. Based on TCPServer, because HTTPServer looks its host up in the DNS first.
    """

    allow_reuse_address = True
    request_queue_size = 512

    def __init__(self, application: Application, host: str = "127.0.0.1", port: int = 0) -> None:
        self.application = application
        self._open: WeakSet[socket.socket] = WeakSet()
        super().__init__((host, port), _Handler)
        self.port: int = self.server_address[1]
        self.url = f"http://{reachable(host)}:{self.port}"
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        for connection in self._open:
            with contextlib.suppress(OSError):  # it has ended already
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()  # waits for the threads
        self._thread.join()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection, and note it as one to be broken at the end."""
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def handle_error(self, request: object, client_address: object) -> None:
        """Log a client that left at debug level, and a failure of the application as an error."""
        level = logging.DEBUG if isinstance(sys.exception(), ConnectionError) else logging.ERROR
        log.log(level, "the connection of %s broke", client_address, exc_info=True)
