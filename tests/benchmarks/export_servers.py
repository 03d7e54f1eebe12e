"""Minimal servers for both ends of an export: an Altcraft, and an S3 that stores nothing.

    python -m tests.benchmarks.export_servers

prints its two ports and serves until its standard input ends. The reply of `/{wire}/{codes}/...` has that number of codes: a
hundred thousand different ones, repeated, which is far more than gzip's window. `/slow/...` is the S3 that answers in 100 ms.
"""

from __future__ import annotations

import random
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

RECORDS: Final = 100_000
_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_SLOWNESS: Final = 0.1
_END: Final = {
    "json": b'],"error":0,"error_text":"Successful operation"}',
    "xml": b"<error>0</error><error_text>Successful operation</error_text></xml>",
}
_BEGIN: Final = {"json": b'{"data":[', "xml": b"<xml>"}


@cache
def records(wire: str) -> bytes:
    """A hundred thousand codes, a third of them attached, an eighth used; 39 bytes each in JSON, as Altcraft sends them."""
    chance = random.Random(0)  # noqa: S311 - the same in every run

    def moment() -> str:
        return "2024-{:02}-{:02}T{:02}:{:02}:{:02}Z".format(
            *(chance.randint(1, 12), chance.randint(1, 28), chance.randint(0, 23)),
            *(chance.randint(0, 59), chance.randint(0, 59)),
        )

    def record() -> dict[str, str]:
        fate = chance.random()
        fields = {"code": "".join(chance.choices(_LETTERS, k=10))}
        if fate < 0.35:
            fields["attached"] = moment()
        if fate < 0.12:
            fields["activated"] = moment()
        return fields

    rows = [record() for _ in range(RECORDS)]
    if wire == "json":
        return ",".join(
            "{" + ",".join(f'"{name}":"{text}"' for name, text in row.items()) + "}" for row in rows
        ).encode()
    fields = ("".join(f"<{name}>{text}</{name}>" for name, text in sorted(row.items())) for row in rows)
    return "".join(f"<data>{row}</data>" for row in fields).encode()


def reply(wire: str, codes: int) -> Iterator[bytes]:
    """A complete reply; `codes` is a multiple of ten thousand."""
    separator = b"," if wire == "json" else b""
    block = records(wire)
    yield _BEGIN[wire]
    for start in range(0, codes, RECORDS):
        left = codes - start
        if left < RECORDS:
            block = _first(wire, left)
        yield (separator if start else b"") + block
    yield _END[wire]


def _first(wire: str, count: int) -> bytes:
    end = b"}" if wire == "json" else b"</data>"
    return b"".join(part + end for part in records(wire).split(end)[:count])


def reply_bytes(wire: str, codes: int) -> int:
    """The length of a reply."""
    separators = -(-codes // RECORDS) - 1 if wire == "json" else 0
    whole, rest = divmod(codes, RECORDS)
    size = whole * len(records(wire)) + (len(_first(wire, rest)) if rest else 0)
    return len(_BEGIN[wire]) + size + separators + len(_END[wire])


def _altcraft(method: str, path: str, send: Callable[[bytes], None]) -> None:
    _, wire, codes, *_ = path.split("/")
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/{wire}\r\nContent-Length: {reply_bytes(wire, int(codes))}\r\n\r\n"
    send(head.encode())
    for block in reply(wire, int(codes)):
        send(block)


def _s3(method: str, path: str, send: Callable[[bytes], None]) -> None:
    if path.startswith("/slow"):
        threading.Event().wait(_SLOWNESS)
    extra, body, status = 'ETag: "e"\r\n', b"", "200 OK"
    if method == "GET" and "list-type=2" in path:
        body = b"<ListBucketResult/>"
    elif method == "GET":
        status, body = "404 Not Found", b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>"
    elif method == "PUT":
        extra += "x-amz-checksum-crc32: AAAAAA==\r\n"
    elif method == "POST" and path.endswith("?uploads"):
        body = b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
    elif method == "POST":
        body = b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"
    send(f"HTTP/1.1 {status}\r\n{extra}Content-Length: {len(body)}\r\n\r\n".encode() + body)


def _converse(connection: socket.socket, answer: Callable[[str, str, Callable[[bytes], None]], None]) -> None:
    incoming = connection.makefile("rb")
    scratch = bytearray(1 << 20)
    try:
        while line := incoming.readline():
            method, path, _ = line.decode().split(" ", 2)
            head = b""
            while (line := incoming.readline()) not in (b"\r\n", b""):
                head += line.lower()
            if b"expect: 100-continue" in head:
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            length = re.search(rb"content-length: *(\d+)", head)
            left = int(length[1]) if length else 0
            while left and (read := incoming.readinto(memoryview(scratch)[: min(left, len(scratch))])):
                left -= read
            answer(method, path, connection.sendall)
    except ConnectionError:
        pass  # the client has disconnected
    finally:
        connection.close()


def _listen(answer: Callable[[str, str, Callable[[bytes], None]], None]) -> int:
    server = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            connection, _ = server.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_converse, args=(connection, answer), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    port: int = server.getsockname()[1]
    return port


if __name__ == "__main__":
    records("json"), records("xml")
    print(_listen(_altcraft), _listen(_s3), flush=True)
    sys.stdin.read()
