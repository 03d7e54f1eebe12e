"""A proxy between a client and a server, at which a test decides what becomes of each request and of its reply."""

from collections.abc import Callable

import urllib3

from local.emulator.http import Request, Response, Server

PassOn = Callable[[], Response]
"""Sends the request on, and returns the server's reply."""

_HOP_BY_HOP = frozenset({"connection", "expect", "keep-alive", "transfer-encoding"})


def proxy(url: str, answer: Callable[[Request, PassOn], Response]) -> Server:
    """Stand in front of the server at `url`: `answer` replies to each request, with or without passing it on."""
    server = urllib3.PoolManager(retries=False, maxsize=20)

    def serve(request: Request) -> Response:
        def pass_on() -> Response:
            headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP]
            reply = server.urlopen(
                request.method,
                url + request.target,
                body=request.body,
                headers=urllib3.HTTPHeaderDict(headers),
                redirect=False,
                decode_content=False,
            )
            kept = [(name, value) for name, value in reply.headers.items() if name.lower() not in _HOP_BY_HOP]
            return Response(reply.status, reply.data, kept)

        return answer(request, pass_on)

    return Server(serve)
