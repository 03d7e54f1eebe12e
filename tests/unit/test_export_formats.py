"""The output of the formats, read back by independent readers."""

import csv
import gzip
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from altcraft.export_batch import FIELDS
from altcraft.export_json import exact_batch, usual_batch
from export_all.formats.registry import Encoder, OutputFormat, encoder_for
from tests.unit.strategies import ANY, USUAL

AT = "2024-04-01T14:02:05Z"
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'quoted", "＝1"]  # noqa: RUF001

Rows = list[dict[str, Any]]


def write(output_format: OutputFormat, *batches: Rows) -> bytes:
    """The file of these batches."""
    encoder: Encoder = encoder_for(output_format)
    file = b""
    for rows in batches:
        block = json.dumps(rows, separators=(",", ":"), ensure_ascii=False).encode()[1:-1]
        file += encoder.pack(encoder.shape(usual_batch(block) or exact_batch(block)))
    return file + encoder.end()


def read_csv(file: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(gzip.decompress(file).decode(), newline=""), strict=True))


def raw(cell: str) -> str:
    """The value of a cell, by the documentation."""
    return cell.removeprefix("'")


@given(st.lists(st.lists(st.one_of(USUAL, ANY), min_size=1, max_size=4), max_size=3))
@settings(deadline=None)
def test_json_lines_are_the_records(batches: Sequence[Rows]) -> None:
    lines = gzip.decompress(write("jsonl", *batches)).splitlines()

    assert [json.loads(line) for line in lines] == [row for rows in batches for row in rows]


@given(st.lists(st.lists(st.one_of(USUAL, ANY), min_size=1, max_size=4), max_size=3))
@settings(deadline=None)
def test_csv_gives_every_value_back(batches: Sequence[Rows]) -> None:
    header, *lines = read_csv(write("csv", *batches))

    assert header == [*FIELDS, "other"]
    rows = [row for rows in batches for row in rows]
    assert len(lines) == len(rows)
    for cells, row in zip(lines, rows, strict=True):
        for name, cell in zip(FIELDS, cells, strict=False):
            value = row.get(name)
            assert raw(cell) == ("" if value is None else value if isinstance(value, str) else json.dumps(value))
        assert json.loads(cells[-1] or "{}") == {name: row[name] for name in row if name not in FIELDS}


@pytest.mark.parametrize("code", FORMULAS)
@pytest.mark.parametrize("beside", [{}, {"unknown": 1}], ids=["usual", "unusual"])
def test_csv_cells_are_not_executed_as_formulas(code: str, beside: dict[str, int]) -> None:
    file = write("csv", [{"code": "plain"}, {"code": code} | beside], [{"code": "last", "attached": code + AT}])

    _, _, with_code, with_mark = read_csv(file)
    assert with_code[0] == f"'{code}"
    assert with_mark[1] == f"'{code}{AT}"


def test_csv_lines_end_as_rfc_4180_says() -> None:
    text = gzip.decompress(write("csv", [{"code": "A", "attached": AT}], [{"code": 'B,"C"'}]))

    assert (
        text == b'code,attached,activated,expire_date,expired,other\r\nA,2024-04-01T14:02:05Z,,,,\r\n"B,""C""",,,,,\r\n'
    )


def test_csv_of_no_codes_is_a_header() -> None:
    assert read_csv(write("csv")) == [[*FIELDS, "other"]]


def test_gzip_files_are_the_same_for_the_same_rows() -> None:
    assert write("jsonl", [{"code": "A"}]) == write("jsonl", [{"code": "A"}])


def test_parquet_has_real_timestamps() -> None:
    file = write(
        "parquet",
        [{"code": "A", "attached": AT, "activated": "2024-04-01T17:02:05.25+03:00"}, {"code": "B"}],
        [{"code": "C", "expired": "2024-04-01T14:02:05"}],
    )

    rows = parquet.read_table(io.BytesIO(file)).to_pylist()
    at = datetime(2024, 4, 1, 14, 2, 5, tzinfo=UTC)
    nothing = dict.fromkeys((*FIELDS, "other"))
    assert rows == [
        nothing | {"code": "A", "attached": at, "activated": at.replace(microsecond=250_000)},
        nothing | {"code": "B"},
        nothing | {"code": "C", "expired": at},
    ]


@given(st.lists(st.lists(st.one_of(USUAL, ANY), min_size=1, max_size=4), max_size=3))
@settings(deadline=None)
def test_parquet_loses_nothing(batches: Sequence[Rows]) -> None:
    table = parquet.read_table(io.BytesIO(write("parquet", *batches))).to_pylist()

    rows = [row for rows in batches for row in rows]
    assert [row["code"] for row in table] == [row["code"] for row in rows]
    for written, row in zip(table, rows, strict=True):
        other = json.loads(written["other"] or "{}")
        for name, value in row.items():
            if name not in FIELDS:
                assert other[name] == value
            elif name != "code" and value not in (None, ""):
                as_time = written[name] and written[name] == datetime.fromisoformat(value)
                assert as_time or other[name] == value


def test_parquet_groups_of_long_codes_are_bounded_by_their_bytes() -> None:
    rows = [{"code": f"{number:020000}"} for number in range(500)]

    written = parquet.ParquetFile(io.BytesIO(write("parquet", *[rows] * 10))).metadata

    assert [written.row_group(group).num_rows for group in range(written.num_row_groups)] == [2000, 2000, 1000]


def test_parquet_of_no_codes_is_a_table() -> None:
    table = parquet.read_table(io.BytesIO(write("parquet")))

    assert table.num_rows == 0
    assert table.column_names == [*FIELDS, "other"]


def test_parquet_is_read_by_another_engine(tmp_path: Path) -> None:
    (tmp_path / "export.parquet").write_bytes(write("parquet", [{"code": "A", "attached": AT}, {"code": "B"}]))

    with duckdb.connect() as engine:
        query = "SELECT code, epoch(attached) FROM read_parquet(?) ORDER BY code"
        found = engine.execute(query, [str(tmp_path / "export.parquet")]).fetchall()

    assert found == [("A", datetime(2024, 4, 1, 14, 2, 5, tzinfo=UTC).timestamp()), ("B", None)]
