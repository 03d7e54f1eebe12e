"""The rows of an export's XML reply, decoded as they arrive.

The rows are cut out at `</data>` and turned into JSON by replacing the joints, the runs of tags between two texts, of which a
program has but a few kinds. A wrong cut, or anything else than plain fields, leaves a tag or makes no JSON; then the exact
reader takes one element after the other.

Every byte is checked to be part of a well-formed document without a document type. Whole rows in their usual shape are checked
by a regular expression, in a quarter of expat's time; expat reads the rest, which is as well formed without these rows as with
them.
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
_JOINT: Final = re.compile(rb"</?[A-Za-z_][\w.-]*/?>(?:[ \t\r\n]*</?[A-Za-z_][\w.-]*/?>)*")
_TAG: Final = re.compile(rb"<(/?)([\w.-]+)(/?)>([ \t\r\n]*)")
MOST_JOINTS: Final = 100
# Possessive, so that a tag that is not whole is found out in one pass.
_MARKUP: Final = re.compile(
    rb"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>"
    rb"|<(?P<close>/)?(?P<name>[^\s/>!?]++)(?:[^>\"'/]++|/(?!>)|\"[^\"]*+\"|'[^']*+')*+(?P<empty>/)?>",
    re.DOTALL,
)

# What a tag becomes in JSON, by where it stands: between rows, in a row without a field yet, behind a field, in a text.
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

    What the envelope says is for the caller to judge: until then nothing is known to be good. A `<data/>` with nothing but
    white space in it stays in the envelope.

    Raises:
        IncoherentReply: it is not one well-formed document, or a record has no text `code`.
    """
    document = _Document()
    joints: dict[bytes, bytes] = {}
    envelope = pending = b""
    worth_trying = 0
    for chunk in chunks:
        pending += chunk
        # One element goes on. Trying when it has doubled keeps the work linear in its length.
        if len(pending) < worth_trying:
            check_record(pending)
            continue
        if not envelope:
            document.check(pending)
            start = _root_start(pending)
            check_envelope(pending[:start] if start else pending)
            envelope, pending = pending[:start], pending[start:]
            document.take(start)
            if not envelope:
                worth_trying = min(2 * len(pending), LONGEST_ENVELOPE + 1)
                continue
        last = pending.rfind(_ROW_END)
        cut = last + len(_ROW_END) if last >= 0 else 0
        if cut and (batch := _usual_rows(pending[:cut], joints)):
            document.check_rows(pending[:cut])
            yield batch
            worth_trying = 0
        else:
            document.check(pending)
            taken = _take_exactly(pending)
            if taken.rows:
                yield _batch(taken.rows)
            envelope += taken.envelope
            cut = len(pending) - len(taken.rest)
            worth_trying = 2 * len(taken.rest)
        pending = pending[cut:]
        document.take(cut)
        check_record(pending)
        check_envelope(envelope)
    document.check(pending, final=True)
    taken = _take_exactly(pending)
    if taken.rows:
        yield _batch(taken.rows)
    return envelope + taken.envelope + taken.rest


class _Document:
    """Makes sure that the document is well formed, as it arrives: pieces are checked first, then taken from the front.

    Every method raises `IncoherentReply` where it is not.
    """

    def __init__(self) -> None:
        self._parser = expat.ParserCreate("UTF-8")
        self._parser.StartDoctypeDeclHandler = _refuse_doctype
        self._checked = 0
        """Bytes that were checked and not taken so far."""

    def check(self, pending: bytes, *, final: bool = False) -> None:
        """Check all that is pending; `final`: the document ends there."""
        try:
            self._parser.Parse(pending[self._checked :], final)
        except expat.ExpatError as error:
            raise IncoherentReply(f"Altcraft's export is not well-formed XML ({error})") from error
        self._checked = max(self._checked, len(pending))

    def check_rows(self, rows: bytes) -> None:
        """Check whole rows at the front of what is pending, which are valid UTF-8."""
        if self._checked or not xml_rows().fullmatch(rows):
            self.check(rows)

    def take(self, size: int) -> None:
        """Leave the checked bytes at the front behind."""
        self._checked = max(self._checked - size, 0)


def _refuse_doctype(*_: object) -> NoReturn:
    raise IncoherentReply("Altcraft's export has a document type, which is not read")


def _usual_rows(block: bytes, joints: dict[bytes, bytes]) -> Batch | None:
    """The records of a run of whole `<data>` elements with plain fields, each at most once; otherwise None."""
    rows = _rows_as_json(block, joints)
    if rows is None:
        return None
    try:
        return plain_batch(rows) or exact_batch(rows)
    except IncoherentReply:
        return None  # not so as JSON; the exact reader says what it is as XML


def _rows_as_json(block: bytes, joints: dict[bytes, bytes]) -> bytes | None:
    """The rows as JSON objects joined by commas; None where they hold more than plain fields.

    `joints` are those met before, with what each becomes; new ones are added.
    """
    text = block.lstrip(b" \t\r\n")
    if b'"' in text or b"\\" in text:
        text = text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    first = _JOINT.match(text)
    if first is None:
        return None
    begin, place = _joint_as_json(first.group(), "rows")
    text = text[first.end() :]
    if place == "rows":
        return begin[1:] if not text else None
    if place != "text":
        return None
    for joint, json in joints.items():
        text = text.replace(joint, json)
    # A block ends in `</data>`, which is in no joint, so there is a tag to find.
    while (found := _JOINT.match(text, text.index(b"<"))) and found.end() < len(text):
        json, place = _joint_as_json(found.group(), "text")
        if place != "text" or len(joints) >= MOST_JOINTS:
            return None
        joints[found.group()] = json
        text = text.replace(found.group(), json)
    if found is None:
        return None
    end, place = _joint_as_json(found.group(), "text")
    if place != "rows":
        return None
    text = text[: found.start()]
    if b"&" in text:
        if b"&#" in text:
            return None
        for entity, character in _ENTITIES:
            text = text.replace(entity, character)
    return begin[1:] + text + end


def _joint_as_json(joint: bytes, place: str) -> tuple[bytes, str]:
    """What a joint that begins at `place` becomes, and the place where it ends; the place `""` where it cannot be."""
    json = b""
    tags = _TAG.findall(joint)
    for number, (close, name, empty, white) in enumerate(tags, 1):
        kind = close + (b"data" if name == b"data" else b"field") + empty
        if (place, kind) not in _TAGS_AS_JSON:
            return b"", ""
        written, place = _TAGS_AS_JSON[place, kind]
        json += written % name if b"%" in written else written
        if place == "text" and white and number < len(tags):
            return b"", ""  # a text of white space
    return json, place


class _Taken(NamedTuple):
    """What the exact reader took from the front of a block."""

    rows: list[dict[str, Any]]
    envelope: bytes
    """What stands between the rows."""
    rest: bytes
    """An element that goes on, or the end of the root."""


def _take_exactly(block: bytes) -> _Taken:
    """Take whole children of the root. `block` is the front of what expat has found to be well formed inside the root."""
    rows: list[bytes] = []
    others: list[bytes] = []
    depth = taken = begin = 0
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
            others.append(block[taken:begin].strip(_WHITE))  # or pretty printing would fill the envelope
            (rows if name == b"data" else others).append(block[begin : markup.end()])
            taken = markup.end()
    values = _values(rows)
    others += [row for row, value in zip(rows, values, strict=True) if value == ""]
    return _Taken([_checked(value) for value in values if value != ""], b"".join(others), block[taken:])


def _root_start(document: bytes) -> int:
    """Where the root's content begins; 0 where that is not seen yet."""
    for markup in _markup(document):
        if markup["name"] is not None:
            return 0 if markup["empty"] else markup.end()
    return 0


def _markup(block: bytes) -> Generator[re.Match[bytes], None, None]:
    """The tags, comments and the like of a block that begins outside of them, up to the first that is not whole."""
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
