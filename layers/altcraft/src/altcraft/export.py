"""The export of a loyalty program: one reply of any size, decoded as it arrives.

Source: Altcraft documentation, "Promo codes: export_all" (API v1.1): the whole program in one reply, without pages, and its
outcome, `error`, after the data. So an export is good only if it has been read to its end without an exception.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Final

from urllib3.exceptions import HTTPError, ReadTimeoutError

from altcraft.errors import ErrorReply, IncoherentReply, Unreachable
from altcraft.export_batch import Batch, check_envelope
from altcraft.export_json import read_json
from altcraft.export_xml import read_xml

if TYPE_CHECKING:
    import requests

    from altcraft.token import Token

__all__ = ["Batch", "Export", "read_rows", "unpacked"]

CHUNK_BYTES: Final = 128 << 10
"""Bytes decoded at a time: large enough for Python's overhead per chunk not to matter, small enough for a CPU's cache."""

PACKED_CHUNK_BYTES: Final = 16 << 10
"""Bytes decompressed at a time, into pieces of `CHUNK_BYTES`."""

_GZIP: Final = 31
"""zlib's `wbits` for a gzip file with the largest window."""

_BOM_AND_WHITE: Final = b"\xef\xbb\xbf \t\r\n"


class Export:
    """The codes of one program, from `Client.export_all`. Iterating reads the reply: `Batch` after `Batch`.

    Only if the iteration ends without an exception, the batches are complete and good. It keeps one batch at most in memory.

    Args:
        send: sends the request with a token and returns the reply, its body still to be read.
        token: read again once, if Altcraft refuses before the first row; an export changes nothing, so that is safe.
        read_envelope: takes the envelope, the HTTP status and the token; returns `data` or raises the exception of `error`.
    """

    def __init__(
        self,
        send: Callable[[str], requests.Response],
        token: Token,
        read_envelope: Callable[[bytes, int, str], object],
    ) -> None:
        self._send = send
        self._token = token
        self._read_envelope = read_envelope
        self.bytes_in = 0
        """Bytes of the reply's body read so far, decompressed."""
        self.codes = 0
        """Codes yielded so far."""
        self.bytes_expected: int | None = None
        """The length of the reply's body in bytes; None if it is not known."""

    def __iter__(self) -> Iterator[Batch]:
        """Read the reply.

        Raises:
            Refused, TokenRefused, NotUnderstood: `error` is not 0, even after any number of good rows.
            Unreachable: no reply, a reply that stalls, or an overloaded Altcraft.
            IncoherentReply: the reply is truncated, has more data after its end, or is not what Altcraft documents.
        """
        try:
            yield from self._read(self._token.value())
        except ErrorReply:
            if self.codes or not self._token.renew():
                raise
        else:
            return
        yield from self._read(self._token.value())

    def _read(self, token: str) -> Iterator[Batch]:
        self.bytes_in = self.codes = 0
        with self._send(token) as response:
            length = response.headers.get("Content-Length", "")
            if length.isdecimal() and "Content-Encoding" not in response.headers:
                self.bytes_expected = int(length)
            try:
                envelope = yield from self._counted(read_rows(self._chunks(response)))
            except IncoherentReply as error:
                if not self.codes and (response.status_code == 429 or response.status_code >= 500):
                    raise Unreachable(f"Altcraft answered HTTP {response.status_code} without a reason") from error
                raise
            data = self._read_envelope(envelope, response.status_code, token)
        # The rows are no longer in the envelope: JSON leaves an empty array, XML nothing at all.
        empty_element = isinstance(data, str) and not data.strip()
        if data not in (None, []) and (not empty_element or self.codes):
            raise IncoherentReply("Altcraft's export holds `data` that is not a list of records")

    def _counted(self, batches: Generator[Batch, None, bytes]) -> Generator[Batch, None, bytes]:
        while True:
            try:
                batch = next(batches)
            except StopIteration as end:
                envelope: bytes = end.value
                return envelope
            self.codes += len(batch)
            yield batch

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        try:
            for chunk in _body(response):
                self.bytes_in += len(chunk)
                yield chunk
        except ReadTimeoutError as error:
            raise Unreachable("Altcraft stopped sending its export") from error
        except (HTTPError, zlib.error) as error:
            raise IncoherentReply(f"Altcraft's export is truncated ({type(error).__name__})") from error


def _body(response: requests.Response) -> Iterator[bytes]:
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    # Any other encoding was not requested, and urllib3 would decode it without a bound.
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise IncoherentReply("Altcraft's export has a Content-Encoding that was not requested")
    packed = encoding.endswith("gzip")
    size = PACKED_CHUNK_BYTES if packed else CHUNK_BYTES
    chunks = iter(lambda: response.raw.read(size, decode_content=False), b"")
    return unpacked(chunks) if packed else chunks


def unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress gzip strictly: urllib3 accepts a file without its checksum, and ignores data after it.

    All pieces but the last have `CHUNK_BYTES`, however the reply is compressed: a decompression bomb and a reply of many small
    files cost no more than a plain reply of the same length.

    Raises:
        IncoherentReply: the data is truncated.
        zlib.error: it is not gzip, its checksum is wrong, or other data follows it.
    """
    member = zlib.decompressobj(_GZIP)
    pieces: list[bytes] = []
    size = 0
    for chunk in chain(chunks, (b"",)):
        rest = chunk
        while True:
            if member.eof and rest:
                member = zlib.decompressobj(_GZIP)
            if data := member.decompress(rest, CHUNK_BYTES - size):
                pieces.append(data)
                size += len(data)
            if size == CHUNK_BYTES:
                yield b"".join(pieces)
                pieces.clear()
                size = 0
            rest = member.unused_data if member.eof else member.unconsumed_tail
            # Even without input left, the decompressor may still hold output for which the full piece had no room.
            if not rest and not data:
                break
    if pieces:
        yield b"".join(pieces)
    if not member.eof:
        raise IncoherentReply("Altcraft's export is truncated (gzip)")


def read_rows(chunks: Iterable[bytes]) -> Generator[Batch, None, bytes]:
    """Yield the records of a reply in either format, by its first character; return the reply without them.

    The format is not taken from the request, because an error may come in another than was requested.
    """
    source = iter(chunks)
    start = bytearray()
    first = b""
    while not first and (chunk := next(source, None)) is not None:
        start += chunk
        first = chunk.lstrip(_BOM_AND_WHITE)[:1]
        check_envelope(start[: len(start) - len(chunk.lstrip(_BOM_AND_WHITE))])
    read = read_xml if first == b"<" else read_json
    return (yield from read(chain((bytes(start),), source)))
