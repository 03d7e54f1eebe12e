"""The reply of export_all, written as it is sent, so that a program of any size costs no memory."""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from local.emulator.endpoints import row
from local.emulator.programs import Code
from local.emulator.settings import Refusal, Wire
from local.emulator.wire import to_json, to_xml

BLOCK = 1000  # records written at once

# A generated program repeats four records: free, attached, used, expired; 68 bytes each in JSON.
_ATTACHED, _ACTIVATED, _EXPIRED = "2024-04-01T14:02:05Z", "2024-04-01T14:04:12Z", "2024-05-01T00:00:00Z"
_GENERATED: tuple[dict[str, str], ...] = (
    {"code": "GEN-%09d"},
    {"code": "GEN-%09d", "attached": _ATTACHED},
    {"code": "GEN-%09d", "attached": _ATTACHED, "activated": _ACTIVATED},
    {"code": "GEN-%09d", "expire_date": _EXPIRED, "expired": _EXPIRED},
)


def export(
    stored: list[Code], generated: int, outcome: Refusal, wire: Wire, now: datetime, *, null_when_empty: bool
) -> Iterator[bytes]:
    """Yield the reply with these records and, after them, `outcome`."""
    blocks = _blocks(stored, generated, wire, now)
    closing = {"error": outcome.error, "error_text": outcome.error_text}
    if wire == "xml":
        yield b"<xml>"
        yield from blocks
        # The end of a message without data is its closing fields and the closing tag.
        yield to_xml("xml", closing).removeprefix(b"<xml>")
        return
    first = next(blocks, None)
    if first is None and null_when_empty:
        yield to_json({"data": None} | closing)
        return
    yield b'{"data":[' + (first or b"")
    for block in blocks:
        yield b"," + block
    yield b"]," + to_json(closing).removeprefix(b"{")


def _blocks(stored: list[Code], generated: int, wire: Wire, now: datetime) -> Iterator[bytes]:
    """Yield runs of whole records: in JSON joined by commas, in XML one after the other."""
    separator = b"," if wire == "json" else b""
    records = (_write(row(code, now), wire) for code in stored)
    while block := list(islice(records, BLOCK)):
        yield separator.join(block)
    pattern = [_write(one, wire).decode() for one in _GENERATED]
    for start in range(0, generated, BLOCK):
        numbers = range(start, min(start + BLOCK, generated))
        template = separator.decode().join(pattern[number % len(pattern)] for number in numbers)
        yield (template % tuple(numbers)).encode()


def _write(record: dict[str, str], wire: Wire) -> bytes:
    return to_json(record) if wire == "json" else to_xml("data", record)
