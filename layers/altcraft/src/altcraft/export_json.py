"""The rows of an export's JSON reply, decoded as they arrive.

A block that begins at a record is cut where a record seems to end, and `[` + block + `]` is decoded. That cannot accept a
wrong cut: one inside a text, inside a nested value or behind the end of the array leaves something unbalanced and fails to
decode. Then the exact decoder, which takes one record after the other, finds where they really end.
"""

from __future__ import annotations

import re
from codecs import utf_8_decode
from collections.abc import Generator, Iterable, Iterator
from json import JSONDecodeError, JSONDecoder
from typing import Any, Final, NamedTuple

import msgspec

from altcraft.errors import IncoherentReply
from altcraft.export_batch import (
    LONGEST_ENVELOPE,
    Batch,
    Record,
    batch_of,
    check_envelope,
    check_record,
    usual_batch_of,
)
from altcraft.export_shape import json_rows

_USUAL_JOINT: Final = b'},{"'
_WHITE: Final = re.compile(r"[ \t\n\r]*")

_decode = msgspec.json.Decoder(list[Record]).decode
_decode_rows = msgspec.json.Decoder(list[dict[str, Any]]).decode
_encode_lines = msgspec.json.Encoder().encode_lines


def read_json(chunks: Iterable[bytes]) -> Generator[Batch, None, bytes]:
    """Yield the records of a reply, wherever its bytes are cut into chunks; return the reply without them, its envelope.

    What the envelope says is for the caller to judge: until then nothing is known to be good.

    Raises:
        IncoherentReply: a record is not an object with a text `code`, a key comes twice in it, or the rows end early.
    """
    source = iter(chunks)
    head, pending = _until_rows(source)
    if not head:
        return pending
    ended = False
    joint = _USUAL_JOINT
    behind_comma = False
    worth_trying = 0
    while not ended:
        chunk = next(source, None)
        pending += chunk or b""
        # One record goes on. Trying when it has doubled keeps the work linear in its length.
        if chunk is not None and len(pending) < worth_trying:
            check_record(pending)
            continue
        cut = pending.rfind(b"}]" if chunk is None else joint) + 1
        if cut and (batch := plain_batch(pending[:cut])):
            yield batch
            separator, pending = _split_separator(pending[cut:])
            ended = separator == b"]"
            behind_comma = True
            worth_trying = 0
        else:
            taken = _take_exactly(pending, behind_comma=behind_comma, final=chunk is None)
            if taken.rows:
                yield batch_of(taken.lines(), taken.rows)
                behind_comma = True
            joint = taken.joint or joint
            pending = taken.rest
            ended = taken.ended
            worth_trying = 2 * len(pending)
        check_record(pending)
    check_envelope(pending)
    for chunk in source:
        pending += chunk
        check_envelope(pending)
    return head + b"]" + pending


def plain_batch(block: bytes) -> Batch | None:
    """The records of a block joined by commas, if it can be decoded as one; otherwise None."""
    return usual_batch(block) or flat_batch(block)


def usual_batch(block: bytes) -> Batch | None:
    """The records of a block joined by commas, if all of them have their usual shape; otherwise None.

    Usual are the documented fields, each at most once, marks that are set, and texts in their shortest spelling. Mostly a
    regular expression says so. Where it does not, because of white space or letters that are not ASCII, the proof is that
    writing the records anew gives as many bytes as the block has without its white space: whatever was dropped, given twice
    or spelled otherwise would make the block longer.
    """
    if json_rows().fullmatch(block):
        lines = block.replace(b'},{"', b'}\n{"') + b"\n"
        return usual_batch_of(lines, lines.count(b"\n"))
    array = b"".join((b"[", block, b"]"))
    try:
        records = _decode(array)
        lines = _encode_lines(records)
        if len(lines) != len(array) - 1 and len(lines) != len(msgspec.json.format(array, indent=-1)) - 1:
            return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return usual_batch_of(lines, len(records), records)


def flat_batch(block: bytes) -> Batch | None:
    """The records of a block joined by commas, if they hold no objects and no escapes; otherwise None.

    Without escapes, a quote and a colon beside each other are the end of a key, or a text that begins with a colon. So their
    number tells of a key that comes twice, which a dict forgets; and no brace in a text is taken for a record's.
    """
    try:
        compact = msgspec.json.format(b"".join((b"[", block, b"]")), indent=-1)
        rows = _decode_rows(compact)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if (
        b"\\" in compact
        or compact.count(b"{") != len(rows)
        or compact.count(b'":') != sum(map(len, rows))
        or not all(isinstance(row.get("code"), str) for row in rows)
    ):
        return None
    return batch_of(compact[1:-1].replace(b"},{", b"}\n{") + b"\n", rows)


def exact_batch(block: bytes) -> Batch:
    """The records of a whole block, joined by commas, in any legal spelling.

    Raises:
        IncoherentReply: as `read_json`.
    """
    taken = _take_exactly(block + b"]", behind_comma=False, final=True)
    if taken.rest:
        raise IncoherentReply("Altcraft's export holds something behind a record that is none")
    return batch_of(taken.lines(), taken.rows)


class _Taken(NamedTuple):
    """What the exact decoder took from the front of a block."""

    each: list[bytes]
    """The rows as lines without their ends."""
    rows: list[dict[str, Any]]
    rest: bytes
    """Behind the last separator."""
    ended: bool
    """That separator was the end of the array."""
    joint: bytes | None
    """The bytes from the end of a record to the first key of the next."""

    def lines(self) -> bytes:
        """The rows as JSON Lines."""
        return b"\n".join((*self.each, b""))


def _take_exactly(block: bytes, *, behind_comma: bool, final: bool) -> _Taken:
    text, used = _decoded(block, final=final)
    lines: list[bytes] = []
    rows: list[dict[str, Any]] = []
    joint = None
    position = end = 0
    separator = ""
    while separator != "]":
        start = _white_end(text, position)
        if text.startswith("]", start) and not behind_comma and not rows:
            position, separator = start + 1, "]"
            break
        try:
            row, record_end = _exact.raw_decode(text, start)
        except JSONDecodeError:
            break  # it goes on in the next block, or it is broken: then there is no next block that mends it
        except (RecursionError, ValueError) as error:  # nested too deeply; a number of thousands of digits
            raise IncoherentReply("Altcraft's export holds a record that cannot be read") from error
        behind = _white_end(text, record_end)
        separator = text[behind : behind + 1]
        if not separator:
            break
        if separator not in ",]":
            raise IncoherentReply("Altcraft's export holds something else than a comma between two records")
        row = _checked(row)
        if rows:
            joint = text[end - 1 : text.index('"', start) + 1].encode()
        rows.append(row)
        end = record_end
        lines.append(_line(text[start:end]))
        position = behind + 1
    if final and separator != "]":
        raise IncoherentReply("Altcraft's export ends early, or holds a record that is not JSON")
    return _Taken(lines, rows, text[position:].encode() + block[used:], separator == "]", joint)


def _checked(row: object) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise IncoherentReply("Altcraft's export holds a record that is not an object")
    if not isinstance(row.get("code"), str):
        raise IncoherentReply("Altcraft's export holds a record without a text `code`")
    return row


def _line(record: str) -> bytes:
    try:
        line: bytes = msgspec.json.format(record, indent=-1).encode()
    except (msgspec.DecodeError, RecursionError) as error:
        raise IncoherentReply("Altcraft's export holds a text with half of a surrogate pair") from error
    return line


def _until_rows(source: Iterator[bytes]) -> tuple[bytes, bytes]:
    """The reply up to and with the bracket that opens its `data`, and what has arrived behind it.

    A reply without rows is all in the second part.
    """
    pending = b""
    worth_trying = 0
    while (chunk := next(source, None)) is not None:
        pending += chunk
        if len(pending) >= worth_trying:
            start = _rows_start(pending)
            check_envelope(pending[:start] if start else pending)
            if start:
                return pending[:start], pending[start:]
            worth_trying = min(2 * len(pending), LONGEST_ENVELOPE + 1)
    start = _rows_start(pending)
    return pending[:start], pending[start:]


def _rows_start(reply: bytes) -> int:
    """Where the first row of `data` may begin; 0 where no such place is seen (yet)."""
    text, _ = _decoded(reply, final=False)
    try:
        position = _white_end(text, int(text.startswith("\ufeff")))
        separator, wanted = text[position], "{"
        while separator == wanted:
            position = _white_end(text, position + 1)
            if text[position] != '"':
                return 0
            name, position = _exact.raw_decode(text, position)
            position = _white_end(text, position)
            if text[position] != ":":
                return 0
            position = _white_end(text, position + 1)
            if name == "data" and text[position] == "[":
                return len(text[: position + 1].encode())
            _, position = _exact.raw_decode(text, position)
            position = _white_end(text, position)
            separator, wanted = text[position], ","
    except (IndexError, ValueError, RecursionError):
        # It goes on in the next chunk, or it is broken: whoever reads the envelope says how.
        return 0
    return 0


def _decoded(block: bytes, *, final: bool) -> tuple[str, int]:
    try:
        return utf_8_decode(block, "strict", final)
    except UnicodeDecodeError as error:
        raise IncoherentReply("Altcraft's export is not UTF-8") from error


def _split_separator(rest: bytes) -> tuple[bytes, bytes]:
    rest = rest.lstrip(b" \t\n\r")
    return rest[:1], rest[1:]


def _white_end(text: str, position: int) -> int:
    match = _WHITE.match(text, position)
    assert match is not None  # noqa: S101 - the pattern matches nothing, too
    return match.end()


def _without_double_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise IncoherentReply("Altcraft's export holds a record in which a key comes twice")
    return fields


def _no_constant(name: str) -> None:
    raise IncoherentReply(f"Altcraft's export holds {name}, which is not JSON")


_exact: Final = JSONDecoder(object_pairs_hook=_without_double_keys, parse_constant=_no_constant)
