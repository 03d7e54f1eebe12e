"""The export of a loyalty program: one reply of any size, decoded as it arrives.

Source: Altcraft documentation, "Promo codes: export_all" (API v1.1): the whole program in one reply, without pages, and its
outcome, `error`, behind the data. So an export is good only once it has been read to its end without an exception.
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
"""What is decoded at once: large enough that Python's own work per chunk does not show, small enough for a CPU's cache."""

PACKED_CHUNK_BYTES: Final = 16 << 10
"""What is taken to be unpacked at once, into pieces of `CHUNK_BYTES`."""

_GZIP: Final = 31
"""zlib's `wbits` for a gzip file with the largest window."""

_BOM_AND_WHITE: Final = b"\xef\xbb\xbf \t\r\n"


class Export:
    """The codes of one program, as `Client.export_all` asks for them. Iterating reads the reply: `Batch` after `Batch`.

    The batches are all of the program, and good, only if the iteration ends by itself. It holds no more than one batch.

    Args:
        ask: sends the request with a token and returns the reply, its body still to be read.
        token: read again once, when Altcraft refuses before the first row; an export changes nothing, so that is safe.
        judge: takes the envelope, HTTP's status and the token; returns `data` or raises what `error` means.
    """

    def __init__(
        self,
        ask: Callable[[str], requests.Response],
        token: Token,
        judge: Callable[[bytes, int, str], object],
    ) -> None:
        self._ask = ask
        self._token = token
        self._judge = judge
        self.bytes_in = 0
        """Bytes of the reply's body read so far, unpacked where it came packed."""
        self.codes = 0
        """Codes handed out so far."""
        self.bytes_expected: int | None = None
        """Bytes that the reply's body will have; None where Altcraft does not say."""

    def __iter__(self) -> Iterator[Batch]:
        """Read the reply.

        Raises:
            Refused, TokenRefused, NotUnderstood: `error` is not 0, be it behind any number of good rows.
            Unreachable: no reply, none any more, or an overloaded Altcraft.
            IncoherentReply: the reply breaks off, goes on behind its end, or is not what Altcraft documents.
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
        with self._ask(token) as response:
            length = response.headers.get("Content-Length", "")
            if length.isdecimal() and "Content-Encoding" not in response.headers:
                self.bytes_expected = int(length)
            try:
                envelope = yield from self._counted(read_rows(self._chunks(response)))
            except IncoherentReply as error:
                if not self.codes and (response.status_code == 429 or response.status_code >= 500):
                    raise Unreachable(f"Altcraft answered HTTP {response.status_code} without saying why") from error
                raise
            data = self._judge(envelope, response.status_code, token)
        # The rows are out of the envelope by now: what is left is the empty array of JSON, and in XML nothing at all.
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
            raise IncoherentReply(f"Altcraft's export breaks off ({type(error).__name__})") from error


def _body(response: requests.Response) -> Iterator[bytes]:
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    # Anything else was not asked for, and urllib3 would unpack it without a bound.
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise IncoherentReply("Altcraft's export came in a Content-Encoding that was not asked for")
    packed = encoding.endswith("gzip")
    size = PACKED_CHUNK_BYTES if packed else CHUNK_BYTES
    chunks = iter(lambda: response.raw.read(size, decode_content=False), b"")
    return unpacked(chunks) if packed else chunks


def unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Unpack gzip, strictly: urllib3 takes a file for whole that lacks its checksum, and drops whatever follows it.

    The pieces have `CHUNK_BYTES`, but for the last, however the reply is packed: a bomb and a reply of many small files
    cost no more than a plain one of the same length.

    Raises:
        IncoherentReply: it breaks off.
        zlib.error: it is not gzip, its checksum is wrong, or something else follows it.
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
            # Without input left, what a full piece had no room for is still to come.
            if not rest and not data:
                break
    if pieces:
        yield b"".join(pieces)
    if not member.eof:
        raise IncoherentReply("Altcraft's export breaks off (gzip)")


def read_rows(chunks: Iterable[bytes]) -> Generator[Batch, None, bytes]:
    """Yield the records of a reply in either format, told by its first character; return the reply without them.

    The format is the reply's own, because an error may come in another than was asked for.
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
