"""The rows of an export's JSON reply, decoded as they arrive.

A block that begins at a record is cut where a record seems to end, and `[` + block + `]` is decoded. That cannot accept a
wrong cut: one inside a text, inside a nested value or after the end of the array leaves unbalanced brackets or quotes, and
fails to decode. Then the exact decoder, which takes one record after the other, finds where they really end.
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

_USUAL_SEPARATOR: Final = b'},{"'
_WHITE: Final = re.compile(r"[ \t\n\r]*")

_decode = msgspec.json.Decoder(list[Record]).decode
_decode_rows = msgspec.json.Decoder(list[dict[str, Any]]).decode
_encode_lines = msgspec.json.Encoder().encode_lines


def read_json(chunks: Iterable[bytes]) -> Generator[Batch, None, bytes]:
    """Yield the records of a reply, wherever its bytes are cut into chunks; return the reply without them, its envelope.

    The caller has to check the envelope's outcome: until then no record is known to be good.

    Raises:
        IncoherentReply: a record is not an object with a text `code`, it has a repeated key, or the rows are truncated.
    """
    source = iter(chunks)
    head, pending = _until_rows(source)
    if not head:
        return pending
    ended = False
    separator = _USUAL_SEPARATOR
    after_comma = False
    next_try = 0
    while not ended:
        chunk = next(source, None)
        pending += chunk or b""
        # The record is unfinished. Decoding it only when its length has doubled keeps the work linear in its length.
        if chunk is not None and len(pending) < next_try:
            check_record(pending)
            continue
        cut = pending.rfind(b"}]" if chunk is None else separator) + 1
        if cut and (batch := plain_batch(pending[:cut])):
            yield batch
            delimiter, pending = _split_delimiter(pending[cut:])
            ended = delimiter == b"]"
            after_comma = True
            next_try = 0
        else:
            decoded = _decode_exactly(pending, after_comma=after_comma, final=chunk is None)
            if decoded.rows:
                yield batch_of(decoded.lines(), decoded.rows)
                after_comma = True
            separator = decoded.separator or separator
            pending = decoded.rest
            ended = decoded.ended
            next_try = 2 * len(pending)
        check_record(pending)
    check_envelope(pending)
    for chunk in source:
        pending += chunk
        check_envelope(pending)
    return head + b"]" + pending


def plain_batch(block: bytes) -> Batch | None:
    """Decode a block of records, separated by commas, in one call; None if that is not possible."""
    return usual_batch(block) or flat_batch(block)


def usual_batch(block: bytes) -> Batch | None:
    """Decode a block of records, separated by commas, if all of them have the usual shape; otherwise None.

    Usual are the documented fields, each at most once, timestamps that are set, and texts in their shortest spelling. Mostly a
    regular expression proves that. Where it does not match, because of white space or non-ASCII letters, the proof is to write
    the records again: if that gives as many bytes as the block has without its white space, no field was dropped, repeated or
    spelled otherwise, as each of these would make the block longer.
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
    """Decode a block of records, separated by commas, if they hold no objects and no escapes; otherwise None.

    Without escapes, a quote followed by a colon is the end of a key, or a text that begins with a colon. So counting these
    detects repeated keys, which a dict would hide; and a brace in a text only makes the count of records fail.
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
    """Decode a block of complete records, separated by commas, in any legal spelling.

    Raises:
        IncoherentReply: as `read_json`.
    """
    decoded = _decode_exactly(block + b"]", after_comma=False, final=True)
    if decoded.rest:
        raise IncoherentReply("Altcraft's export holds something other than a record after a record")
    return batch_of(decoded.lines(), decoded.rows)


class _Decoded(NamedTuple):
    """The result of the exact decoder for the beginning of a block."""

    each: list[bytes]
    """The rows as lines without their ends."""
    rows: list[dict[str, Any]]
    rest: bytes
    """The bytes after the last delimiter."""
    ended: bool
    """Whether that delimiter was the end of the array."""
    separator: bytes | None
    """The bytes from the end of a record to the first key of the next."""

    def lines(self) -> bytes:
        """The rows as JSON Lines."""
        return b"\n".join((*self.each, b""))


def _decode_exactly(block: bytes, *, after_comma: bool, final: bool) -> _Decoded:
    text, used = _as_text(block, final=final)
    lines: list[bytes] = []
    rows: list[dict[str, Any]] = []
    separator = None
    position = end = 0
    delimiter = ""
    while delimiter != "]":
        start = _white_end(text, position)
        if text.startswith("]", start) and not after_comma and not rows:
            position, delimiter = start + 1, "]"
            break
        try:
            row, record_end = _exact.raw_decode(text, start)
        except JSONDecodeError:
            break  # it is unfinished, or broken: then no further block completes it, and the reply's end raises
        except (RecursionError, ValueError) as error:  # nested too deeply; a number of thousands of digits
            raise IncoherentReply("Altcraft's export holds a record that cannot be read") from error
        after = _white_end(text, record_end)
        delimiter = text[after : after + 1]
        if not delimiter:
            break
        if delimiter not in ",]":
            raise IncoherentReply("Altcraft's export holds something other than a comma between two records")
        row = _checked(row)
        if rows:
            separator = text[end - 1 : text.index('"', start) + 1].encode()
        rows.append(row)
        end = record_end
        lines.append(_line(text[start:end]))
        position = after + 1
    if final and delimiter != "]":
        raise IncoherentReply("Altcraft's export is truncated, or holds a record that is not JSON")
    return _Decoded(lines, rows, text[position:].encode() + block[used:], delimiter == "]", separator)


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
    """Read up to the bracket that opens `data`; return the reply including the bracket, and what has arrived after it.

    A reply without rows is all in the second part.
    """
    pending = b""
    next_try = 0
    while (chunk := next(source, None)) is not None:
        pending += chunk
        if len(pending) >= next_try:
            start = _rows_start(pending)
            check_envelope(pending[:start] if start else pending)
            if start:
                return pending[:start], pending[start:]
            next_try = min(2 * len(pending), LONGEST_ENVELOPE + 1)
    start = _rows_start(pending)
    return pending[:start], pending[start:]


def _rows_start(reply: bytes) -> int:
    """The offset at which the first row of `data` may begin; 0 if it has not arrived (yet)."""
    text, _ = _as_text(reply, final=False)
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
        # It is unfinished, or broken: reading the envelope will report that.
        return 0
    return 0


def _as_text(block: bytes, *, final: bool) -> tuple[str, int]:
    try:
        return utf_8_decode(block, "strict", final)
    except UnicodeDecodeError as error:
        raise IncoherentReply("Altcraft's export is not UTF-8") from error


def _split_delimiter(rest: bytes) -> tuple[bytes, bytes]:
    rest = rest.lstrip(b" \t\n\r")
    return rest[:1], rest[1:]


def _white_end(text: str, position: int) -> int:
    match = _WHITE.match(text, position)
    assert match is not None  # noqa: S101 - the pattern matches the empty text, too
    return match.end()


def _without_double_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise IncoherentReply("Altcraft's export holds a record with a repeated key")
    return fields


def _no_constant(name: str) -> None:
    raise IncoherentReply(f"Altcraft's export holds {name}, which is not JSON")


_exact: Final = JSONDecoder(object_pairs_hook=_without_double_keys, parse_constant=_no_constant)
