"""The files of `make activate` and `make backfill`, whatever is in them."""

import csv
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from ops.commands import activate, backfill
from ops.jobs import Answer, BadFile, Fault, Item, Job, Results

CHARACTERS = st.sampled_from(' ",;') | st.characters(exclude_categories=["C", "Z"])  # all of them printable
TEXTS = st.text(CHARACTERS, min_size=1, max_size=20).map(str.strip).filter(bool)
ORDERS = st.dictionaries(st.tuples(TEXTS, st.integers(1, 2**63 - 1)), TEXTS, min_size=1, max_size=5)


def job(file: Path) -> Job:
    return Job(
        file=file,
        unit=" codes",
        columns=activate.COLUMNS,
        unique=2,
        good="activated",
        items=lambda: activate.items(file),
        send=lambda _: Answer("activated"),
    )


@settings(max_examples=40)  # each writes files
@given(ORDERS, st.sampled_from(",;"), st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", "\ufeff"]))
def test_given_any_codes_then_they_are_read_as_they_were_written(
    orders: dict[tuple[str, int], str], delimiter: str, end: str, mark: str
) -> None:
    rows = [(code, str(program), order_id) for (code, program), order_id in orders.items()]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows([activate.COLUMNS, *rows])
    with TemporaryDirectory() as folder:
        file = Path(folder) / "codes.csv"
        file.write_bytes((mark + text.getvalue()).encode())

        assert [item.cells for item in activate.items(file) if isinstance(item, Item)] == rows

        # And so is what became of them
        results = Results(job(file))
        with results.appending() as add:
            for item in results.waiting("not sent"):
                assert add(item, Answer("already_activated", "why"))
        again = Results(job(file))
        again.read()
        assert (again.done, again.count("already_activated"), again.foreign) == (len(rows), len(rows), 0)


@given(st.binary(max_size=60), st.booleans())
def test_given_any_bytes_then_each_line_is_an_item_or_a_fault(content: bytes, headed: bool) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "codes.csv"
        file.write_bytes(b"code,loyalty_id,order_id\n" * headed + content)
        assert all(isinstance(item, Item | Fault) for item in activate.items(file))
        for media_type in ("application/json", "application/xml", "application/x-www-form-urlencoded"):
            assert all(isinstance(item, Item | Fault) for item in backfill.items(file, media_type))


@given(st.binary(max_size=60), st.booleans())
def test_given_any_bytes_as_the_result_file_then_it_is_continued_or_refused(content: bytes, headed: bool) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "codes.csv"
        file.write_text("code,loyalty_id,order_id\nA,5,1001\n")
        result = file.with_name("codes.result.csv")
        result.write_bytes(b"line,code,loyalty_id,order_id,outcome,detail\n" * headed + content)
        results = Results(job(file))
        try:
            with results.appending() as add:
                for item in results.waiting("not sent"):
                    add(item, Answer("activated"))
        except BadFile:
            assert not headed
            return
        again = Results(job(file))
        again.read()
        assert again.done == 1


@given(st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3), max_size=5))
def test_given_any_orders_then_each_line_is_a_delivery(orders: list[dict[str, object]]) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "orders.jsonl"
        file.write_text("\n".join(map(json.dumps, orders)))
        items = [item for item in backfill.items(file, "application/json") if isinstance(item, Item)]
        assert [(item.line, json.loads(item.body)) for item in items] == [*enumerate(orders, 1)]
