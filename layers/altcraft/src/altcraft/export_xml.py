"""The rows of an export's XML reply, decoded as they arrive.

The rows are cut out at `</data>` and turned into JSON by replacing the separators, the runs of tags between two texts, of which
a program has only a few different ones. A wrong cut, or anything other than plain fields, leaves a tag or is not valid JSON;
then the exact reader takes one element after the other.

Every byte is checked to be part of a well-formed document without a document type. Complete rows of the usual shape are checked
by a regular expression, in a quarter of expat's time; expat reads the rest, which is well formed without these rows if it is
with them.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from typing import Any, Final, NamedTuple, NoReturn
from xml.parsers import expat

import msgspec

from altcraft.errors import IncoherentReply
from altcraft.export_batch import LONGEST_ENVELOPE, Batch, batch_of, check_envelope, check_record
from altcraft.export_json import exact_batch, plain_batch
from altcraft.export_shape import xml_rows
from altcraft.wire import MalformedMessage, decode

_ROW_END: Final = b"</data>"
_WHITE: Final = b" \t\r\n"
_SEPARATOR: Final = re.compile(rb"</?[A-Za-z_][\w.-]*/?>(?:[ \t\r\n]*</?[A-Za-z_][\w.-]*/?>)*")
_TAG: Final = re.compile(rb"<(/?)([\w.-]+)(/?)>([ \t\r\n]*)")
MOST_SEPARATORS: Final = 100
# Possessive, so that an incomplete tag fails in one pass.
_MARKUP: Final = re.compile(
    rb"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>"
    rb"|<(?P<close>/)?(?P<name>[^\s/>!?]++)(?:[^>\"'/]++|/(?!>)|\"[^\"]*+\"|'[^']*+')*+(?P<empty>/)?>",
    re.DOTALL,
)

# The JSON for a tag, and the position after it, by the position before it: between rows, in a row without a field yet, in a
# row after a field, in a text.
_TAGS_AS_JSON: Final = {
    ("rows", b"data"): (b",{", "new row"),
    ("new row", b"field"): (b'"%s":"', "text"),
    ("new row", b"field/"): (b'"%s":""', "row"),
    ("new row", b"/data"): (b"}", "rows"),
    ("row", b"field"): (b',"%s":"', "text"),
    ("row", b"field/"): (b',"%s":""', "row"),
    ("row", b"/data"): (b"}", "rows"),
    ("text", b"/field"): (b'"', "row"),
}
_ENTITIES: Final = ((b"&lt;", b"<"), (b"&gt;", b">"), (b"&apos;", b"'"), (b"&quot;", b'\\"'), (b"&amp;", b"&"))


def read_xml(chunks: Iterable[bytes]) -> Generator[Batch, None, bytes]:
    """Yield the records of a reply, wherever its bytes are cut into chunks; return the reply without them, its envelope.

    The caller has to check the envelope's outcome: until then no record is known to be good. A `<data/>` that is empty or
    holds only white space stays in the envelope.

    Raises:
        IncoherentReply: it is not one well-formed document, or a record has no text `code`.
    """
    document = _Document()
    separators: dict[bytes, bytes] = {}
    envelope = pending = b""
    next_try = 0
    for chunk in chunks:
        pending += chunk
        # The element is unfinished. Reading it only when its length has doubled keeps the work linear in its length.
        if len(pending) < next_try:
            check_record(pending)
            continue
        if not envelope:
            document.check(pending)
            start = _root_start(pending)
            check_envelope(pending[:start] if start else pending)
            envelope, pending = pending[:start], pending[start:]
            document.take(start)
            if not envelope:
                next_try = min(2 * len(pending), LONGEST_ENVELOPE + 1)
                continue
        last = pending.rfind(_ROW_END)
        cut = last + len(_ROW_END) if last >= 0 else 0
        rows = pending[:cut]
        if rows and (batch := _usual_rows(rows, separators)):
            document.check_rows(rows)
            yield batch
            next_try = 0
        else:
            document.check(pending)
            part = _read_exactly(pending)
            if part.rows:
                yield _batch(part.rows)
            envelope += part.envelope
            cut = len(pending) - len(part.rest)
            next_try = 2 * len(part.rest)
        pending = pending[cut:]
        document.take(cut)
        check_record(pending)
        check_envelope(envelope)
    document.check(pending, final=True)
    part = _read_exactly(pending)
    if part.rows:
        yield _batch(part.rows)
    return envelope + part.envelope + part.rest


class _Document:
    """Checks that the document is well formed, as it arrives: pieces are checked first, then taken from the beginning.

    Every method raises `IncoherentReply` if it is not.
    """

    def __init__(self) -> None:
        self._parser = expat.ParserCreate("UTF-8")
        self._parser.StartDoctypeDeclHandler = _refuse_doctype
        self._checked = 0
        """Bytes that were checked and not yet taken."""

    def check(self, pending: bytes, *, final: bool = False) -> None:
        """Check all pending bytes; `final`: the document ends there."""
        try:
            self._parser.Parse(pending[self._checked :], final)
        except expat.ExpatError as error:
            raise IncoherentReply(f"Altcraft's export is not well-formed XML ({error})") from error
        self._checked = max(self._checked, len(pending))

    def check_rows(self, rows: bytes) -> None:
        """Check complete rows, valid UTF-8, at the beginning of the pending bytes."""
        if self._checked or not xml_rows().fullmatch(rows):
            self.check(rows)

    def take(self, size: int) -> None:
        """Take checked bytes from the beginning."""
        self._checked = max(self._checked - size, 0)


def _refuse_doctype(*_: object) -> NoReturn:
    raise IncoherentReply("Altcraft's export has a document type, which is not accepted")


def _usual_rows(block: bytes, separators: dict[bytes, bytes]) -> Batch | None:
    """Decode successive complete `<data>` elements with plain fields, each at most once; None for any other."""
    rows = _rows_as_json(block, separators)
    if rows is None:
        return None
    try:
        return plain_batch(rows) or exact_batch(rows)
    except IncoherentReply:
        return None  # the exact reader decides


def _rows_as_json(block: bytes, separators: dict[bytes, bytes]) -> bytes | None:
    """Turn rows into JSON objects, separated by commas; None if they hold more than plain fields.

    `separators` are those found so far, each with its JSON; new ones are added.
    """
    text = block.lstrip(b" \t\r\n")
    if b'"' in text or b"\\" in text:
        text = text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    first = _SEPARATOR.match(text)
    if first is None:
        return None
    begin, place = _separator_as_json(first.group(), "rows")
    text = text[first.end() :]
    if place == "rows":
        return begin[1:] if not text else None
    if place != "text":
        return None
    for separator, json in separators.items():
        text = text.replace(separator, json)
    # The block's last `</data>` is part of no separator, so there is a tag to find.
    while (found := _SEPARATOR.match(text, text.index(b"<"))) and found.end() < len(text):
        json, place = _separator_as_json(found.group(), "text")
        if place != "text" or len(separators) >= MOST_SEPARATORS:
            return None
        separators[found.group()] = json
        text = text.replace(found.group(), json)
    if found is None:
        return None
    end, place = _separator_as_json(found.group(), "text")
    if place != "rows":
        return None
    text = text[: found.start()]
    if b"&" in text:
        if b"&#" in text:
            return None
        for entity, character in _ENTITIES:
            text = text.replace(entity, character)
    return begin[1:] + text + end


def _separator_as_json(separator: bytes, place: str) -> tuple[bytes, str]:
    """The JSON of a separator at the position `place`, and the position after it; `""` if it is not allowed there."""
    json = b""
    tags = _TAG.findall(separator)
    for number, (close, name, empty, white) in enumerate(tags, 1):
        kind = close + (b"data" if name == b"data" else b"field") + empty
        if (place, kind) not in _TAGS_AS_JSON:
            return b"", ""
        written, place = _TAGS_AS_JSON[place, kind]
        json += written % name if b"%" in written else written
        if place == "text" and white and number < len(tags):
            return b"", ""  # a text of white space
    return json, place


class _Part(NamedTuple):
    """The result of the exact reader for the beginning of a block."""

    rows: list[dict[str, Any]]
    envelope: bytes
    """The text between the rows."""
    rest: bytes
    """An unfinished element, or the end of the root."""


def _read_exactly(block: bytes) -> _Part:
    """Read the complete children of the root. expat has checked that `block`, inside the root, is well formed so far."""
    rows: list[bytes] = []
    others: list[bytes] = []
    depth = used = begin = 0
    for markup in _markup(block):
        if markup["name"] is None:
            continue
        if not markup["close"]:
            if depth == 0:
                begin, name = markup.start(), markup["name"]
            depth += 1
        if markup["close"] or markup["empty"]:
            depth -= 1
        if depth < 0:
            break
        if depth == 0:
            others.append(block[used:begin].strip(_WHITE))  # or pretty printing would fill the envelope
            (rows if name == b"data" else others).append(block[begin : markup.end()])
            used = markup.end()
    values = _values(rows)
    others += [row for row, value in zip(rows, values, strict=True) if value == ""]
    return _Part([_checked(value) for value in values if value != ""], b"".join(others), block[used:])


def _root_start(document: bytes) -> int:
    """The offset at which the root's content begins; 0 if it has not arrived yet."""
    for markup in _markup(document):
        if markup["name"] is not None:
            return 0 if markup["empty"] else markup.end()
    return 0


def _markup(block: bytes) -> Generator[re.Match[bytes], None, None]:
    """The tags, comments and the like of a block that begins outside of them, up to the first incomplete one."""
    end = 0
    while (start := block.find(b"<", end)) >= 0 and (markup := _MARKUP.match(block, start)):
        yield markup
        end = markup.end()


def _values(rows: list[bytes]) -> list[Any]:
    if not rows:
        return []
    try:
        data = decode(b"".join((b"<xml>", *rows, b"</xml>")), "xml")["data"]
    except MalformedMessage as error:
        raise IncoherentReply(f"Altcraft's export holds a record that cannot be read: {error}") from error
    values = data if isinstance(data, list) else [data]
    return ["" if isinstance(value, str) and not value.strip() else value for value in values]


def _checked(row: object) -> dict[str, Any]:
    if not isinstance(row, dict) or not isinstance(row.get("code"), str):
        raise IncoherentReply("Altcraft's export holds a record without a text `code`")
    return row


def _batch(rows: list[dict[str, Any]]) -> Batch:
    return batch_of(msgspec.json.Encoder().encode_lines(rows), rows)
