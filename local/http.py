"""A small threaded HTTP/1.1 server which runs one function per request.

The gateway and the emulator need what a WSGI server hides: repeated headers in their order, the target as it was sent,
and a connection that breaks where a test wants it broken.
"""

import logging
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import responses
from http.server import BaseHTTPRequestHandler
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

log = logging.getLogger(__name__)

DRAIN_BLOCK = 1 << 16
_WITHOUT_BODY = frozenset({204, 304})


class HangUp(Exception):
    """Raised by an application, or by the body it streams, to break the connection there and then."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came over the wire; `body` holds its exact bytes."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    peer: str

    def header(self, name: str) -> str | None:
        """Return the last value sent under `name`, whatever its case, or None."""
        wanted = name.lower()
        return next((value for key, value in reversed(self.headers) if key.lower() == wanted), None)

    @property
    def raw_path(self) -> str:
        """The path as sent, percent signs and all."""
        return urlsplit(self.target).path

    @property
    def path(self) -> str:
        """The decoded path."""
        return unquote(self.raw_path)

    @property
    def query(self) -> list[tuple[str, str]]:
        """The decoded query parameters, in their order, repeated ones included."""
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)


@dataclass(frozen=True, slots=True)
class Response:
    """A reply. A body that is an iterator is sent in chunks, unless the headers state a Content-Length."""

    status: int
    body: bytes | Iterator[bytes] = b""
    headers: list[tuple[str, str]] = field(default_factory=list)


Application = Callable[[Request], Response]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "_Sockets"

    def _serve(self) -> None:
        try:
            chunked = "chunked" in self.headers.get("Transfer-Encoding", "").lower()
            body = self._read_chunks() if chunked else self._read_length(int(self.headers.get("Content-Length") or 0))
        except ValueError:
            # Where the body ends, and the next request begins, nobody can know.
            self.close_connection = True
            self._send(Response(400, b"the body's length cannot be read", [("Connection", "close")]))
            return
        if body is None:
            self._send(self.server.too_long)
            return
        headers = tuple((name, str(value)) for name, value in self.headers.items())
        request = Request(self.command, self.path, headers, body, str(self.client_address[0]))
        try:
            self._send(self.server.application(request))
        except HangUp:
            self.close_connection = True

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Serve every method alike: the base class looks for `do_GET`, `do_POST` and so on."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _read_length(self, length: int) -> bytes | None:
        """Read the body, or read past it and return None where it is longer than the server takes."""
        if length < 0:
            raise ValueError(f"a body of {length} bytes")
        if length <= self.server.max_body:
            return self.rfile.read(length)
        while length > 0 and (block := self.rfile.read(min(length, DRAIN_BLOCK))):
            length -= len(block)
        return None

    def _read_chunks(self) -> bytes | None:
        body = bytearray()
        too_long = False
        while size := int(self.rfile.readline().split(b";")[0], 16):
            if size < 0:
                raise ValueError(f"a chunk of {size} bytes")
            chunk = self.rfile.read(size)
            self.rfile.readline()
            too_long = too_long or len(body) + size > self.server.max_body
            if not too_long:
                body += chunk
        while self.rfile.readline().strip():
            pass  # trailers
        return None if too_long else bytes(body)

    def _send(self, response: Response) -> None:
        whole = response.body if isinstance(response.body, bytes) else None
        names = {name.lower() for name, _ in response.headers}
        chunked = whole is None and "content-length" not in names
        head = [f"HTTP/1.1 {response.status} {responses.get(response.status, '')}"]
        head += [f"{name}: {value}" for name, value in response.headers]
        if "date" not in names:
            head.append(f"Date: {self.date_time_string()}")
        if chunked:
            head.append("Transfer-Encoding: chunked")
        elif whole is not None and "content-length" not in names and response.status not in _WITHOUT_BODY:
            head.append(f"Content-Length: {len(whole)}")
        if self.command == "HEAD":
            whole, chunked = b"", False
        # Head and body in one write: one packet, and one wake-up of the client.
        self.wfile.write("\r\n".join([*head, "\r\n"]).encode("latin-1") + (whole or b""))
        if isinstance(response.body, bytes) or self.command == "HEAD":
            return
        for block in response.body:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block) if chunked else block)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Keep the standard library's line per request out of stderr, but for whoever asks."""
        log.debug(format, *args)


class _Sockets(socketserver.ThreadingTCPServer):
    """The listening socket and the open connections, so that a stop ends them all at once."""

    allow_reuse_address = True
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], application: Application, max_body: int, too_long: Response) -> None:
        self.application = application
        self.max_body = max_body
        self.too_long = too_long
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        if isinstance(request, socket.socket):
            with self._lock:
                self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        if isinstance(request, socket.socket):
            with self._lock:
                self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Break every open connection, so that no thread waits for a client that says nothing."""
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # the client was faster

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that leave, and everything of an application that failed."""
        level = logging.DEBUG if isinstance(sys.exception(), ConnectionError) else logging.ERROR
        log.log(level, "the connection of %s broke", client_address, exc_info=True)


def address(host: str, port: int) -> str:
    """Return the URL at which this machine reaches a server that listens on `host`."""
    everywhere = host == "0.0.0.0"  # noqa: S104 - asked about, not listened on
    return f"http://{'127.0.0.1' if everywhere else host}:{port}"


class Server:
    """Serve `application` on `host` and `port` (0: any free one) in a thread of its own.

    A body longer than `max_body` bytes is read past and answered with `too_long`. Raises OSError where the port is
    taken. Use it as a context manager, or call `start` and `stop`.
    """

    def __init__(
        self,
        application: Application,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        max_body: int = 1 << 30,
        too_long: Response | None = None,
    ) -> None:
        self._sockets = _Sockets((host, port), application, max_body, too_long or Response(413))
        self.host = host
        self.port: int = self._sockets.server_address[1]
        self._thread = threading.Thread(target=self._sockets.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def url(self) -> str:
        """Where the server is reached from this machine."""
        return address(self.host, self.port)

    def start(self) -> Self:
        """Begin to serve."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening, break open connections, and wait for their threads."""
        self._sockets.shutdown()
        self._sockets.hang_up()
        self._sockets.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
