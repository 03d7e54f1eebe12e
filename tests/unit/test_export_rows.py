"""The stream decoders of an export, compared with the standard library's parsers."""

import gzip
import itertools
import json
import math
import re
import traceback
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree
from xml.parsers.expat import ExpatError, ParserCreate
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from altcraft.errors import IncoherentReply
from altcraft.export import CHUNK_BYTES, Batch, read_rows, unpacked
from altcraft.export_batch import LONGEST_ENVELOPE, LONGEST_PIECE
from altcraft.export_json import flat_batch, plain_batch, usual_batch
from tests.unit.strategies import ANY, TIME_NAMES, TIMES, USUAL

SPELLINGS = st.sampled_from(
    [
        {"separators": (",", ":")},
        {},
        {"indent": 2},
        {"indent": "\t", "separators": (" ,", " : ")},
        {"ensure_ascii": False},
    ]
)


def chunks(reply: bytes, sizes: list[int]) -> Iterator[bytes]:
    """The reply in chunks of these sizes, then the rest at once."""
    begin = 0
    for size in sizes:
        yield reply[begin : begin + size]
        begin += size
    yield reply[begin:]


def read(reply: bytes, *sizes: int) -> tuple[list[Batch], bytes]:
    """All batches, and the envelope."""
    rows = read_rows(chunks(reply, list(sizes)))
    batches = []
    while True:
        try:
            batches.append(next(rows))
        except StopIteration as end:
            return batches, end.value


def codes_of(batches: list[Batch]) -> list[dict[str, object]]:
    return [row for batch in batches for row in batch]


def every_cut(reply: bytes) -> Iterator[tuple[int, ...]]:
    """Every way to cut the reply in two, and into single bytes."""
    yield from ((size,) for size in range(len(reply) + 1))
    yield (1,) * len(reply)


def assert_marks_counted(batches: list[Batch], rows: list[dict[str, object]]) -> None:
    for name in ("attached", "activated", "expired"):
        expected = sum(row.get(name) not in (None, "", False, "false", []) for row in rows)
        assert sum(getattr(batch, name) for batch in batches) == expected
    assert sum(map(len, batches)) == len(rows)


@given(st.lists(st.one_of(USUAL, ANY), max_size=6), SPELLINGS, st.booleans(), st.lists(st.integers(0, 40), max_size=30))
@settings(deadline=None)
def test_json_rows_are_those_of_the_standard_library(
    rows: list[dict[str, object]], spelling: dict[str, Any], envelope_first: bool, sizes: list[int]
) -> None:
    outcome = {"error": 0, "error_text": "ok", "more": {"data": [{"code": "not a row"}]}}
    message = outcome | {"data": rows} if envelope_first else {"data": rows} | outcome
    reply = json.dumps(message, **spelling).encode()

    batches, envelope = read(reply, *sizes)

    assert codes_of(batches) == json.loads(reply)["data"]
    assert json.loads(envelope) == outcome | {"data": []}
    assert_marks_counted(batches, rows)


@given(st.lists(st.one_of(USUAL, ANY), min_size=1, max_size=3), SPELLINGS)
@settings(max_examples=15, deadline=None)
def test_json_rows_survive_a_cut_at_every_byte(rows: list[dict[str, object]], spelling: dict[str, Any]) -> None:
    reply = json.dumps({"data": rows, "error": 0}, **spelling).encode()

    for sizes in every_cut(reply):
        batches, envelope = read(reply, *sizes)
        assert codes_of(batches) == rows
        assert json.loads(envelope) == {"data": [], "error": 0}


@given(st.lists(st.one_of(USUAL, ANY), min_size=1, max_size=4), SPELLINGS)
@settings(deadline=None)
def test_usual_batch_accepts_no_block_that_it_would_change(
    rows: list[dict[str, object]], spelling: dict[str, Any]
) -> None:
    block = json.dumps(rows, **spelling).encode().strip()[1:-1]

    batch = usual_batch(block)

    if batch is not None:
        assert list(batch) == rows
        assert batch.usual
        assert_marks_counted([batch], rows)


@given(st.binary(max_size=30), st.integers(0, 200))
@settings(deadline=None)
def test_usual_batch_is_as_strict_as_the_standard_library(noise: bytes, position: int) -> None:
    usual = b'{"code":"A","attached":"2024-04-01T14:02:05Z"},{"code":"B"}'
    block = usual[:position] + noise + usual[position:]

    if (batch := usual_batch(block)) is not None:
        assert list(batch) == json.loads(b"[" + block + b"]")


FLAT = st.dictionaries(
    st.one_of(st.sampled_from(["code", *TIME_NAMES]), st.text(max_size=3)),
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=6), st.lists(st.text(max_size=3), max_size=2)),
).map(lambda row: {"code": "A"} | row)


@given(st.lists(st.one_of(USUAL, ANY, FLAT), min_size=1, max_size=4), SPELLINGS)
def test_flat_batch_accepts_no_block_that_it_would_change(
    rows: list[dict[str, object]], spelling: dict[str, Any]
) -> None:
    block = json.dumps(rows, **spelling).encode().strip()[1:-1]

    batch = flat_batch(block)

    if batch is not None:
        assert list(batch) == rows
        assert_marks_counted([batch], rows)
        assert [row.code for row in batch.records] == [row["code"] for row in rows]


@given(st.data())
def test_flat_batch_accepts_no_repeated_key(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(["code", "attached", "x", ":", ""]), min_size=1, max_size=4))
    texts = st.sampled_from(['"A"', '":"', '":A"', '"}"', "5", '[":"]', "null"])
    row = ",".join(f'"{name}":{data.draw(texts)}' for name in names)

    batch = flat_batch(f"{{{row}}},{{{row}}}".encode())

    if batch is not None:
        assert len(set(names)) == len(names)
        assert list(batch) == [json.loads(f"{{{row}}}")] * 2


@pytest.mark.parametrize(
    "beside", [{"id": 5}, {"attached": ""}, {"attached": None, "activated": False}, {"tags": ["a"]}]
)
def test_flat_rows_are_decoded_the_second_fastest_way(beside: dict[str, object]) -> None:
    block = json.dumps([{"code": "A"} | beside, {"code": "Б"}], ensure_ascii=False).encode()[1:-1]

    assert usual_batch(block) is None
    assert plain_batch(block) is not None


def test_usual_rows_are_decoded_the_fast_way() -> None:
    # Given a reply whose rows have nothing unusual, compact or pretty
    rows = [{"code": "A"}, {"code": "Б", "attached": "2024-04-01T14:02:05Z", "expired": "2024-04-01T14:02:05Z"}]
    for spelling in ({"separators": (",", ":")}, {"indent": 2}):
        block = json.dumps(rows, ensure_ascii=False, **spelling).encode().strip()[1:-1]
        # Then the fast way decodes it
        assert usual_batch(block) is not None


def test_lines_keep_what_altcraft_gave() -> None:
    # Given unknown fields, and numbers whose spelling a decoder would lose
    reply = b'{"data":[{"id": 12345678901234567890.10, "code":"A" ,\n"tags":["x", {"y": 1e2}]},{"code":"B"}],"error":0}'

    batches, _ = read(reply)

    lines = b"".join(batch.lines() for batch in batches)
    assert lines == b'{"id":12345678901234567890.10,"code":"A","tags":["x",{"y":1e2}]}\n{"code":"B"}\n'
    assert batches[0].others == [{"id": 12345678901234567890.10, "tags": ["x", {"y": 1e2}]}, {}]


@pytest.mark.parametrize(
    "reply",
    [
        b'{"data":null,"error":0}',
        b'{"error":0}',
        b'{"data":[],"error":0}',
        b'\xef\xbb\xbf{"data":[],"error":0}',
        b'\xef\xbb\xbf  {"error":0,"d\\u0061ta":[]}',
        b"<xml><data/><error>0</error></xml>",
        b"<xml><data></data><error>0</error></xml>",
        b"<xml><error>0</error></xml>",
        b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8"?>\n<xml ><!-- <data> --><error>0</error><data />\n</xml>\n',
        b"<xml/>",
        b"",
    ],
)
def test_a_reply_without_rows_is_all_envelope(reply: bytes) -> None:
    for sizes in every_cut(reply):
        batches, envelope = read(reply, *sizes)
        assert batches == []
        # An empty `data` may have moved
        assert sorted(re.findall(rb"<[^>]*>|[^<>]+", envelope)) == sorted(re.findall(rb"<[^>]*>|[^<>]+", reply))


def test_white_space_in_an_empty_list_is_no_row() -> None:
    reply = b'{"error":0,"data":[ \n]}'
    for sizes in every_cut(reply):
        assert read(reply, *sizes) == ([], b'{"error":0,"data":[]}')


BROKEN_JSON = {
    "no code": b'{"data":[{"code":"A"},{"attached":""}],"error":0}',
    "code is a number": b'{"data":[{"code":5}],"error":0}',
    "code is null": b'{"data":[{"code":null}],"error":0}',
    "record is a text": b'{"data":["A"],"error":0}',
    "record is a list": b'{"data":[["code"]],"error":0}',
    "repeated key": b'{"data":[{"code":"A","code":"B"}],"error":0}',
    "two timestamps": b'{"data":[{"code":"A","attached":"2024-04-01T14:02:05Z","attached":"2024-04-01T14:02:06Z"}],"error":0}',
    "repeated key, escaped": b'{"data":[{"code":"A","c\\u006fde":"B"}],"error":0}',
    "repeated key inside": b'{"data":[{"code":"A","more":{"a":1,"a":2}}],"error":0}',
    "comma at the end": b'{"data":[{"code":"A"},],"error":0}',
    "comma at the start": b'{"data":[,{"code":"A"}],"error":0}',
    "two commas": b'{"data":[{"code":"A"},,{"code":"B"}],"error":0}',
    "no comma": b'{"data":[{"code":"A"}{"code":"B"}],"error":0}',
    "not UTF-8": b'{"data":[{"code":"A","more":"\xff"}],"error":0}',
    "not UTF-8 code": b'{"data":[{"code":"\xed\xa0\x80"}],"error":0}',
    "NaN": b'{"data":[{"code":"A","more":NaN}],"error":0}',
    "control character": b'{"data":[{"code":"A\x01"}],"error":0}',
    "half a surrogate pair": b'{"data":[{"code":"\\ud800"}],"error":0}',
    "endless number": b'{"data":[{"code":"A","more":' + b"9" * 5000 + b'}],"error":0}',
    "nested too deeply": b'{"data":[{"code":"A","more":' + b"[" * 100_000 + b"]" * 100_000 + b'}],"error":0}',
}


@pytest.mark.parametrize("reply", BROKEN_JSON.values(), ids=BROKEN_JSON.keys())
def test_broken_json_rows_are_refused_wherever_they_are_cut(reply: bytes) -> None:
    for size in range(0, len(reply), 1 + len(reply) // 200):
        with pytest.raises(IncoherentReply):
            read(reply, size)
    if len(reply) < 1000:
        with pytest.raises(IncoherentReply):
            read(reply, *(1,) * len(reply))


@pytest.mark.parametrize("kind", ["json", "xml"])
def test_truncated_rows_are_refused_at_every_byte(kind: str) -> None:
    whole = {
        "json": b'{"data":[{"code":"A"},{"code":"B","attached":"2024-04-01T14:02:05Z"}],"error":0}',
        "xml": b"<xml><data><code>A</code></data><data><code>B</code></data><error>0</error></xml>",
    }[kind]
    # From the first row to the last
    begin, end = (
        whole.index(b"{" if kind == "json" else b"<data>", 1) + 1,
        whole.index(b'"error"' if kind == "json" else b"<error>"),
    )
    for size in range(begin, end - 1):
        with pytest.raises(IncoherentReply):
            read(whole[:size])


def test_a_record_without_end_is_refused_before_it_fills_the_memory() -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"data":[{"code":"'
        for _ in range(10):
            yield b"x" * (LONGEST_PIECE // 5)

    with pytest.raises(IncoherentReply, match="no record ends"):
        list(read_rows(endless()))


# --- hostile replies: refused early, and never with more work than their length --------------------------------------

MEGABYTE = 1 << 20


class Arriving:
    """A reply that arrives in blocks, and may be endless; `taken` counts the bytes read from it."""

    def __init__(self, *parts: bytes | Iterator[bytes]) -> None:
        self._parts = parts
        self.taken = 0

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            for block in (
                (part[at : at + CHUNK_BYTES] for at in range(0, len(part), CHUNK_BYTES))
                if isinstance(part, bytes)
                else part
            ):
                self.taken += len(block)
                yield block


def endless(block: bytes) -> Iterator[bytes]:
    """The same bytes repeated, in blocks."""
    return itertools.repeat(block * (CHUNK_BYTES // len(block)))


ROW = {"json": b'{"data":[{"code":"A"}', "xml": b"<xml><data><code>A</code></data>"}
NO_RECORDS: dict[str, tuple[bytes | Iterator[bytes], ...]] = {
    "white space": (endless(b" "),),
    "white space of every kind, after a byte order mark": (b"\xef\xbb\xbf", endless(b"\r\n\t ")),
    "byte order marks": (endless(b"\xef\xbb\xbf"),),
    "a long text before the rows": (b'{"error_text":"', endless(b"a")),
    "small objects before the rows": (b'{"more":[', endless(b"{},")),
    "white space after the rows": (ROW["json"] + b'],"error":0}', endless(b" ")),
    "small objects after the rows": (ROW["json"] + b'],"error":0,"more":[', endless(b"{},")),
    "comments before the root": (endless(b"<!-- -->"),),
    "one comment before the root": (b"<!--", endless(b"a")),
    "white space before the root": (b" ", endless(b" ")),
    "empty children": (ROW["xml"], endless(b"<a/>")),
    "empty rows": (ROW["xml"], endless(b"<data/>")),
    "comments between rows": (ROW["xml"], endless(b"<!--a-->")),
}


@pytest.mark.parametrize("parts", NO_RECORDS.values(), ids=NO_RECORDS.keys())
def test_text_around_the_records_is_refused_before_it_fills_the_memory(
    parts: tuple[bytes | Iterator[bytes], ...],
) -> None:
    reply = Arriving(*parts)

    with pytest.raises(IncoherentReply, match=r"that are not records|in which no record ends"):
        list(read_rows(reply))

    assert reply.taken <= LONGEST_PIECE + 2 * CHUNK_BYTES


ENDLESS_RECORDS: dict[str, tuple[bytes | Iterator[bytes], ...]] = {
    "white space between records": (ROW["json"] + b",", endless(b" ")),
    "a text full of ends of records": (ROW["json"] + b',{"code":"', endless(b'},{\\"')),
    "a list full of ends of records": (ROW["json"] + b',{"code":"A","x":[0', endless(b',"},{"')),
    "nested lists": (ROW["json"] + b',{"code":"A","x":', endless(b"[")),
    "white space between rows of XML": (ROW["xml"], endless(b" ")),
    "a comment full of ends of rows": (ROW["xml"] + b"<data><code>A</code><!--", endless(b"</data>")),
    "fields without end": (ROW["xml"] + b"<data><code>A</code>", endless(b"<a>&amp;</a>")),
    "nested elements": (ROW["xml"] + b"<data>", endless(b"<a>")),
}


@pytest.mark.parametrize("parts", ENDLESS_RECORDS.values(), ids=ENDLESS_RECORDS.keys())
def test_an_unfinished_record_is_refused_before_it_fills_the_memory(
    parts: tuple[bytes | Iterator[bytes], ...],
) -> None:
    reply = Arriving(*parts)

    with pytest.raises(IncoherentReply):
        list(read_rows(reply))

    assert reply.taken <= LONGEST_PIECE + 2 * CHUNK_BYTES


@pytest.mark.parametrize("before", [b"", b"<xml>", b"<xml><data>", ROW["xml"], b"<xml a='1' "])
@pytest.mark.parametrize("name", [b"a", b"a/", b"a:", b"a='b' ", b'a="/>" '])
def test_a_tag_without_end_takes_one_pass(before: bytes, name: bytes) -> None:
    # A backtracking pattern needs minutes for the first block of this.
    reply = before + b"<" * (not before.endswith(b" ")) + name * (CHUNK_BYTES // len(name))

    with pytest.raises(IncoherentReply):
        read(reply)


@pytest.mark.parametrize("white", [b" " * 1000, b"\n" * (MEGABYTE - CHUNK_BYTES)], ids=["some", "nearly too much"])
@pytest.mark.parametrize("kind", ["json", "xml"])
def test_white_space_before_a_reply_is_accepted_up_to_its_bound(white: bytes, kind: str) -> None:
    reply = {"json": ROW["json"] + b'],"error":0}', "xml": ROW["xml"] + b"<error>0</error></xml>"}[kind]

    batches, _ = read(white + reply, *[CHUNK_BYTES] * (len(white) // CHUNK_BYTES))

    assert codes_of(batches) == [{"code": "A"}]


def test_pretty_printing_of_many_unusual_rows_does_not_count_as_envelope() -> None:
    row = b"\n" + b" " * 40 + b"<data><code><![CDATA[A]]></code></data>"
    rows = 2 * LONGEST_ENVELOPE // 40

    batches, envelope = read(b"<xml>" + row * rows + b"\n<error>0</error></xml>", *[CHUNK_BYTES] * 100)

    assert sum(map(len, batches)) == rows
    assert len(envelope) < 100


def packed(member: bytes, count: int) -> Iterator[bytes]:
    """A number of successive gzip members, as they arrive."""
    return iter([gzip.compress(member) * 100] * (count // 100))


@pytest.mark.parametrize(
    ("member", "count"),
    [(b"a", 500_000), (b"", 500_000), (b" " * (100 * MEGABYTE), 100)],
    ids=["small", "empty", "bombs"],
)
def test_decompressed_pieces_have_one_size(member: bytes, count: int) -> None:
    sizes = [len(piece) for piece in itertools.islice(unpacked(packed(member, count)), 1000)]

    assert set(sizes[:-1]) <= {CHUNK_BYTES}
    assert sum(sizes) == min(len(member) * count, 1000 * CHUNK_BYTES)


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=5), st.lists(st.integers(0, 40), max_size=20))
def test_decompressing_gives_the_original(members: list[bytes], sizes: list[int]) -> None:
    whole = b"".join(map(gzip.compress, members))

    assert b"".join(unpacked(chunks(whole, sizes))) == b"".join(members)
    with pytest.raises(IncoherentReply):
        list(unpacked(chunks(whole[:-1], sizes)))


# --- XML -------------------------------------------------------------------------------------------------------------

XML_TEXTS = st.one_of(
    st.text(
        st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"), max_size=12
    ),
    st.sampled_from(["&amp;", "]]>", '"', "\\", "</data><data>", "a&b<c>", "'", "Код 5", "\t", "a\nb", " "]),
)
XML_ROWS = st.fixed_dictionaries(
    {"code": XML_TEXTS},
    optional={name: st.one_of(TIMES, XML_TEXTS) for name in (*TIME_NAMES, "number", "x-y.z")},
)


def as_written(text: str) -> st.SearchStrategy[str]:
    """The spellings of a text in XML."""
    spellings = [escape(text), escape(text, {'"': "&quot;", "'": "&apos;"}), "".join(f"&#{ord(c)};" for c in text)]
    if "]]>" not in text:
        spellings.append(f"<![CDATA[{text}]]>")
    return st.sampled_from(spellings)


@st.composite
def xml_replies(draw: st.DrawFn) -> bytes:
    """A reply in any legal spelling: white space, comments, references, CDATA, the outcome before or after the rows."""
    white = draw(st.sampled_from(["", "", "\n  ", "<!-- </data> -->", " <?data </data> ?>"]))
    rows = []
    for row in draw(st.lists(XML_ROWS, min_size=1, max_size=5)):
        fields = [
            f"<{name}/>" if not text and draw(st.booleans()) else f"<{name}>{draw(as_written(text))}</{name}>"
            for name, text in row.items()
        ]
        rows.append(f"<data>{white}{white.join(fields)}{white}</data>")
    outcome = "<error>0</error><error_text>ok</error_text>"
    children = [outcome, *rows] if draw(st.booleans()) else [*rows, outcome]
    return f"<xml>{white}{white.join(children)}{white}</xml>".encode()


def root_of(document: bytes) -> ElementTree.Element:
    return ElementTree.fromstring(document)  # noqa: S314 - the test wrote it


def xml_rows(reply: bytes) -> list[dict[str, object]]:
    return [{field.tag: field.text or "" for field in row} for row in root_of(reply).findall("data")]


@given(xml_replies(), st.lists(st.integers(0, 40), max_size=30))
@settings(deadline=None)
def test_xml_rows_are_those_of_the_standard_library(reply: bytes, sizes: list[int]) -> None:
    batches, envelope = read(reply, *sizes)

    rows = xml_rows(reply)
    assert codes_of(batches) == rows
    assert_marks_counted(batches, rows)
    left = root_of(envelope)
    assert [(child.tag, child.text) for child in left] == [("error", "0"), ("error_text", "ok")]


@given(xml_replies())
@settings(max_examples=15, deadline=None)
def test_xml_rows_survive_a_cut_at_every_byte(reply: bytes) -> None:
    rows = xml_rows(reply)
    for sizes in every_cut(reply):
        batches, _ = read(reply, *sizes)
        assert codes_of(batches) == rows


def test_unknown_and_nested_xml_fields_are_kept() -> None:
    reply = (
        b"<xml><data><code>00123</code><profile><id>7</id><tag>a</tag><tag>b</tag></profile></data>"
        b"<data><code>B</code><data>inner</data><more>1</more></data ><error>0</error></xml>"
    )
    rows = [
        {"code": "00123", "profile": {"id": "7", "tag": ["a", "b"]}},
        {"code": "B", "data": "inner", "more": "1"},
    ]
    for sizes in every_cut(reply):
        batches, envelope = read(reply, *sizes)
        assert codes_of(batches) == rows
        assert envelope == b"<xml><error>0</error></xml>"


BROKEN_XML = {
    "no code": b"<xml><data><code>A</code></data><data><attached/></data><error>0</error></xml>",
    "two codes": b"<xml><data><code>A</code><code>B</code></data><error>0</error></xml>",
    "code with elements": b"<xml><data><code><a>1</a></code></data><error>0</error></xml>",
    "row is a text": b"<xml><data>A</data><error>0</error></xml>",
    "wrong end tag": b"<xml><data><code>A</attached></data><data><attached>B</code></data><error>0</error></xml>",
    "document type": b"<!DOCTYPE xml><xml><data><code>A</code></data><error>0</error></xml>",
    "entity": b'<!DOCTYPE xml [<!ENTITY a "b">]><xml><data><code>&a;</code></data><error>0</error></xml>',
    "unknown entity": b"<xml><data><code>&a;</code></data><error>0</error></xml>",
    "not UTF-8": b"<xml><data><code>\xff</code></data><error>0</error></xml>",
    "another encoding": '<?xml version="1.0" encoding="windows-1251"?><xml><data><code>Код</code></data></xml>'.encode(
        "cp1251"
    ),
    "two documents": b"<xml><data><code>A</code></data><error>0</error></xml><xml><error>0</error></xml>",
    "text after the end": b"<xml><data><code>A</code></data><error>0</error></xml>x",
}


@pytest.mark.parametrize("reply", BROKEN_XML.values(), ids=BROKEN_XML.keys())
def test_broken_xml_rows_are_refused_wherever_they_are_cut(reply: bytes) -> None:
    for sizes in every_cut(reply):
        with pytest.raises(IncoherentReply):
            read(reply, *sizes)


TAGS = [f"<{slash}{name}>".encode() for name in ("data", *TIME_NAMES, "code") for slash in ("", "/")]
DAMAGE = [
    *TAGS,
    b"]]>",
    b"&",
    b"&a;",
    b"&#0;",
    b"\x00",
    b"\x1f",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbf\xbe",
    b"<!---->",
    b"<x/>",
    b"Z",
]


@given(st.integers(0, 200), st.integers(0, 20), st.lists(st.sampled_from(DAMAGE), max_size=2).map(b"".join))
@settings(max_examples=500)
def test_a_damaged_block_of_usual_xml_rows_is_as_good_as_expat_says(position: int, size: int, noise: bytes) -> None:
    usual = b"<data><code>A</code></data><data><attached>2024-04-01T14:02:05Z</attached><code>B&lt;</code></data>" * 2
    damaged = usual[:position] + noise + usual[position + size :]
    reply = b"<xml>" + damaged + b"<error>0</error></xml>"
    parser = ParserCreate("UTF-8")
    try:
        parser.Parse(reply, True)
    except ExpatError:
        # Given rows that are not well formed, after a root that was read already, then they are refused
        with pytest.raises(IncoherentReply):
            read(reply, len(b"<xml>"), len(damaged))


@pytest.mark.parametrize(
    "reply",
    [
        '{"data": [{"code": "1", "SECRET": 1, "SECRET": 2}], "error": 0}',
        '{"data": [{"code": "1", "SECRET": SECRET}], "error": 0}',
        '{"data": [{"SECRET": "SECRET"}], "error": 0}',
        '{"data": [{"code": "1"} SECRET], "error": 0}',
        '{"data": [{"code": "1", "SECRET": "\\ud800SECRET"}], "error": 0}',
        "<xml><data><SECRET>1</SECRET></data></xml>",
        "<xml><data><code>1</code><SECRET></data></xml>",
        "<xml><data><code>1</code><SECRET>&SECRET;</SECRET></data></xml>",
        "<xml><data>SECRET<SECRET>1</SECRET></data></xml>",
        "<xml><data><code>1</code><SECRET>a<b/>SECRET</SECRET></data></xml>",
        "<!DOCTYPE SECRET><xml></xml>",
        "<xml></xml><SECRET/>",
    ],
)
def test_no_error_nor_any_cause_of_it_quotes_the_reply(reply: str) -> None:
    with pytest.raises(IncoherentReply) as refused:
        read(reply.encode())
    assert "SECRET" not in "".join(traceback.format_exception(refused.value, limit=0))


def test_usual_xml_rows_are_decoded_as_json_rows_are() -> None:
    # Given the same rows in both formats
    rows = [{"code": "A&B"}, {"code": "C", "attached": "2024-04-01T14:02:05Z"}] * 50
    as_json = json.dumps({"data": rows, "error": 0}).encode()
    fields = ("".join(f"<{name}>{escape(text)}</{name}>" for name, text in row.items()) for row in rows)
    as_xml = f"<xml>{''.join(f'<data>{row}</data>' for row in fields)}<error>0</error></xml>".encode()
    # Then the lines are the same
    assert [batch.lines() for batch in read(as_xml)[0]] == [batch.lines() for batch in read(as_json)[0]]


def test_numbers_of_any_size_are_passed_on() -> None:
    batches, _ = read(b'{"data":[{"code":"A","big":1e400}],"error":0}')

    assert batches[0].lines() == b'{"code":"A","big":1e400}\n'
    assert codes_of(batches) == [{"code": "A", "big": math.inf}]
