"""`Client.export_all` against a server that sends, byte for byte, what the test sets."""

import gzip
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from altcraft.client import Client, Timeouts
from altcraft.errors import AltcraftError, IncoherentReply, NotUnderstood, Refused, TokenRefused, Unreachable
from altcraft.token import Token
from altcraft.wire import Wire
from local.emulator.http import HangUp, Request, Response, Server
from tests.secret import Secret

ROWS = b'{"data":[{"code":"A"},{"code":"B"}],'
XML_ROWS = b"<xml><data><code>A</code></data><data><code>B</code></data>"
GOOD = ROWS + b'"error":0,"error_text":"ok"}'


@dataclass
class Answer:
    """The server's answer to the next requests."""

    body: bytes = GOOD
    status: int = 200
    encoding: str = ""
    chunk: int = 0
    """Bytes of a chunk; 0 for a Content-Length instead."""
    cut: bool = False
    """Whether the connection ends before the body does."""
    silent: bool = False
    """Whether the body is withheld until the test ends."""


class Altcraft(Server):
    """Gives every request the same answer, and notes what it was asked."""

    def __init__(self) -> None:
        super().__init__(self._respond)
        self.answer = Answer()
        self.asked: list[bytes] = []
        self._over = threading.Event()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        super().__exit__()

    def _respond(self, request: Request) -> Response:
        answer = self.answer
        self.asked.append(request.body)
        headers = [("Content-Encoding", answer.encoding)] if answer.encoding else []
        if not answer.chunk:
            headers.append(("Content-Length", str(len(answer.body) + answer.cut + answer.silent)))
        return Response(answer.status, self._pieces(answer), headers)

    def _pieces(self, answer: Answer) -> Iterator[bytes]:
        size = answer.chunk or len(answer.body) or 1
        for begin in range(0, len(answer.body), size):
            yield answer.body[begin : begin + size]
        if answer.silent:
            self._over.wait()
        if answer.cut:
            raise HangUp


@pytest.fixture
def server() -> Iterator[Altcraft]:
    with Altcraft() as serving:
        yield serving


def codes(server: Altcraft, wire: Wire = "json", secret: Secret | None = None, read: float = 5) -> list[str]:
    """All codes of an export, read to its end."""
    client = Client(server.url, Token(secret or Secret("s3cret")), wire, Timeouts(connect=1, read=read))
    return [row["code"] for batch in client.export_all(6) for row in batch]


@pytest.mark.parametrize("wire", ["json", "xml"])
@pytest.mark.parametrize("error_text", [b"ok", "Успех".encode()])
@pytest.mark.parametrize("chunk", [0, 1, 7])
def test_a_whole_reply_gives_every_code(server: Altcraft, wire: Wire, error_text: bytes, chunk: int) -> None:
    ends = {
        "json": ROWS + b'"error":0,"error_text":"' + error_text + b'"}',
        "xml": XML_ROWS + b"<error>0</error><error_text>" + error_text + b"</error_text></xml>",
    }
    server.answer = Answer(ends[wire], chunk=chunk)

    assert codes(server, wire) == ["A", "B"]


GOOD_REPLIES = {
    "the outcome first": b'{"error":0,"error_text":"ok","data":[{"code":"A"},{"code":"B"}]}',
    "a BOM": b"\xef\xbb\xbf" + GOOD,
    "white space around": b"\r\n " + GOOD + b" \n",
    "unknown fields": b'{"meta":{"data":[{"code":"C"}]},' + GOOD[1:-1] + b',"more":[1]}',
    "XML with a BOM": b'\xef\xbb\xbf<?xml version="1.0"?>' + XML_ROWS + b"<error>0</error></xml>\n<!-- end -->",
    "XML, the outcome first": b"<xml><error>0</error>" + XML_ROWS[5:] + b"</xml>",
}


@pytest.mark.parametrize("body", GOOD_REPLIES.values(), ids=GOOD_REPLIES.keys())
def test_any_legal_spelling_is_read(server: Altcraft, body: bytes) -> None:
    server.answer = Answer(body, chunk=5)

    assert codes(server) == ["A", "B"]


@pytest.mark.parametrize("chunk", [0, 3])
def test_a_packed_reply_is_unpacked(server: Altcraft, chunk: int) -> None:
    # In one piece, and in two, as gzip allows
    for body in (gzip.compress(GOOD), gzip.compress(GOOD[:20]) + gzip.compress(GOOD[20:])):
        server.answer = Answer(body, encoding="gzip", chunk=chunk)
        assert codes(server) == ["A", "B"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":null,"error":0}',
        b'{"error":0}',
        b'{"data":[],"error":0}',
        b"<xml><data/><error>0</error></xml>",
        b"<xml>\n  <data>\n  </data>\n  <error>0</error>\n</xml>\n",
    ],
)
def test_a_program_without_codes_is_no_error(server: Altcraft, body: bytes) -> None:
    server.answer = Answer(body)

    assert codes(server) == []


INCOHERENT = {
    "no outcome": ROWS[:-1] + b"}",
    "the outcome is true": ROWS + b'"error":true}',
    "the outcome is false": ROWS + b'"error":false}',
    "the outcome is 0.0": ROWS + b'"error":0.0}',
    "the outcome is null": ROWS + b'"error":null}',
    "two outcomes, bad and good": ROWS + b'"error":7,"error":0}',
    "two lists": ROWS + b'"data":[{"code":"C"}],"error":0}',
    "data is a text": b'{"data":"none","error":0}',
    "data is an object": b'{"data":{"code":"A"},"error":0}',
    "data is false": b'{"data":false,"error":0}',
    "bytes after the end": GOOD + b"x",
    "two envelopes": GOOD + GOOD,
    "a list": b'[{"code":"A"}]',
    "nothing": b"",
    "a page": b"<!DOCTYPE html><html><body>Technical works</body></html>",
    "another root": b"<html><data><code>A</code></data><error>0</error></html>",
    "XML, two outcomes": XML_ROWS + b"<error>7</error><error>0</error></xml>",
    "XML, an empty record": XML_ROWS + b"<data/><error>0</error></xml>",
    "XML, a record of white space": XML_ROWS + b"<data> </data><error>0</error></xml>",
    "XML, a text between records": XML_ROWS + b"text<error>0</error></xml>",
    "XML, two envelopes": (XML_ROWS + b"<error>0</error></xml>") * 2,
    "not UTF-8 after the rows": ROWS + b'"error":0,"error_text":"\xff"}',
}


@pytest.mark.parametrize("body", INCOHERENT.values(), ids=INCOHERENT.keys())
@pytest.mark.parametrize("chunk", [0, 1])
def test_what_is_no_envelope_is_incoherent(server: Altcraft, body: bytes, chunk: int) -> None:
    server.answer = Answer(body, chunk=chunk)

    with pytest.raises(IncoherentReply):
        codes(server)


@pytest.mark.parametrize("chunk", [0, 10])
def test_a_reply_that_breaks_off_is_incoherent_wherever_it_does(server: Altcraft, chunk: int) -> None:
    for length in range(len(GOOD)):
        server.answer = Answer(GOOD[:length], cut=True, chunk=chunk)
        with pytest.raises(IncoherentReply):
            codes(server)


@pytest.mark.parametrize("encoding", ["deflate", "gzip, gzip", "br", "zstd", "gzip, deflate"])
def test_a_packing_that_was_not_asked_for_is_refused_unopened(server: Altcraft, encoding: str) -> None:
    server.answer = Answer(zlib.compress(GOOD), encoding=encoding)

    with pytest.raises(IncoherentReply, match="not requested"):
        codes(server)


PACKED = gzip.compress(GOOD)
BROKEN_GZIP = {
    "noise inside": PACKED[:20] + b"\xff" * 20 + PACKED[40:],
    "a wrong checksum": PACKED[:-8] + bytes([PACKED[-8] ^ 1]) + PACKED[-7:],
    "noise after the end": PACKED + b"noise",
    "zeros after the end": PACKED + bytes(20),
    "two envelopes": PACKED * 2,
    "not packed": GOOD,
    "nothing": b"",
}


@pytest.mark.parametrize("body", BROKEN_GZIP.values(), ids=BROKEN_GZIP.keys())
@pytest.mark.parametrize("chunk", [0, 1])
def test_a_broken_packing_is_incoherent(server: Altcraft, body: bytes, chunk: int) -> None:
    server.answer = Answer(body, encoding="gzip", chunk=chunk)

    with pytest.raises(IncoherentReply):
        codes(server)


def test_a_packing_that_lacks_its_end_is_incoherent_wherever_it_breaks_off(server: Altcraft) -> None:
    # Also where all rows and the outcome have arrived, and only the checksum has not
    for length in range(len(PACKED)):
        server.answer = Answer(PACKED[:length], encoding="gzip")
        with pytest.raises(IncoherentReply):
            codes(server)


@pytest.mark.parametrize("rows", [ROWS, b'{"data":null,'])
@pytest.mark.parametrize("wire", ["json", "xml"])  # an error may come in another format than was asked for
def test_a_refusal_is_told_with_its_words(server: Altcraft, rows: bytes, wire: Wire) -> None:
    server.answer = Answer(rows + b'"error":901,"error_text":"limit"}')

    with pytest.raises(Refused) as caught:
        codes(server, wire)

    assert (caught.value.error, caught.value.error_text, caught.value.retryable) == (901, "limit", False)


@pytest.mark.parametrize("error", [402, 429, 440, 500])
def test_an_error_that_says_nothing_of_the_program_may_pass(server: Altcraft, error: int) -> None:
    server.answer = Answer(ROWS + b'"error":%d,"error_text":"limit"}' % error)

    with pytest.raises(NotUnderstood) as caught:
        codes(server)

    assert (caught.value.error, caught.value.retryable) == (error, True)


@pytest.mark.parametrize("status", [201, 400, 404])
def test_an_outcome_of_0_is_success_whatever_the_status(server: Altcraft, status: int) -> None:
    server.answer = Answer(GOOD, status=status)

    assert codes(server) == ["A", "B"]


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("body", [b"<html>busy</html>", GOOD])
def test_an_overloaded_server_is_unreachable(server: Altcraft, status: int, body: bytes) -> None:
    server.answer = Answer(body, status=status)

    with pytest.raises(Unreachable):
        codes(server)


def test_a_server_that_falls_silent_is_unreachable(server: Altcraft) -> None:
    server.answer = Answer(ROWS, silent=True)

    with pytest.raises(Unreachable):
        codes(server, read=0.2)


def test_a_refused_token_is_read_again_once(server: Altcraft) -> None:
    server.answer = Answer(b'{"data":null,"error":401,"error_text":"API token required"}')

    with pytest.raises(TokenRefused):
        codes(server, secret=Secret("new", cached="old"))

    assert [b'"token":"old"' in asked for asked in server.asked] == [True, False]
    assert b'"token":"new"' in server.asked[1]


def test_a_refusal_behind_rows_is_not_asked_again(server: Altcraft) -> None:
    server.answer = Answer(ROWS + b'"error":401,"error_text":"API token required"}')

    with pytest.raises(TokenRefused):
        codes(server, secret=Secret("new", cached="old"))

    assert len(server.asked) == 1


def test_no_message_holds_the_token(server: Altcraft) -> None:
    for body in [
        *INCOHERENT.values(),
        ROWS + b'"error":440,"error_text":"bad token s3cret"}',
        b's3cret {"token": "s3cret"}',
    ]:
        server.answer = Answer(body)
        with pytest.raises(AltcraftError) as caught:
            codes(server)
        error: Any = caught.value
        while error:
            assert "s3cret" not in f"{error} {error!r}"
            error = error.__cause__


def test_progress_can_be_seen(server: Altcraft) -> None:
    export = Client(server.url, Token(Secret("s3cret")), "json", Timeouts()).export_all(6)

    assert sum(map(len, export)) == 2

    assert (export.bytes_in, export.bytes_expected, export.codes) == (len(GOOD), len(GOOD), 2)
