"""The saved queries, run over files that were really exported, on DuckDB: it speaks their SQL but for one function."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from export_all.orders import Order
from local.aws import Aws
from local.emulator import Emulator
from tests.integration.test_export import Bucket, bucket, exporter_of, run

__all__ = ["bucket"]  # the fixture

QUERIES = Path(__file__).parents[2] / "docs" / "queries"
YESTERDAY = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
TOMORROW = YESTERDAY + timedelta(days=2)


@pytest.fixture
def exports(tmp_path: Path, bucket: Bucket, emulator: Emulator, aws: Aws) -> Path:
    """Two exports of program 5 and one of program 6, in a folder as they lie in S3."""
    programs = emulator.programs
    programs.add(5, "free")
    programs.add(5, "given", "bought", attached=True)
    programs.add(5, "gone", attached=True, activated=True)
    programs.add(5, "late", attached=True, expire_date=YESTERDAY)
    programs.add(5, "soon", expire_date=TOMORROW)
    programs.add(6, "one")
    exporter = exporter_of(bucket, emulator.url)
    assert run(exporter, "20261122T030000Z-1", order=Order(5)).status == "succeeded"
    programs.activate(5, "bought")
    programs.import_codes(5, ["fresh"])
    assert run(exporter, "20261122T040000Z-2", order=Order(5)).status == "succeeded"
    assert run(exporter, "20261122T040000Z-3", order=Order(6)).status == "succeeded"
    for key in bucket.keys("crm/promocodes/"):
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(bucket.read(key))
    return tmp_path / "crm/promocodes"


def ask(exports: Path, name: str) -> list[tuple[Any, ...]]:
    """The rows that a saved query finds."""
    texts = ", ".join(f"{column}: 'VARCHAR'" for column in ("code", "attached", "activated", "expire_date", "expired"))
    files = f"{exports}/loyalty_id=*/dt=*/*.jsonl.gz"
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        engine.execute("CREATE MACRO from_iso8601_timestamp(moment) AS CAST(moment AS TIMESTAMPTZ)")
        engine.execute(
            f"""
            CREATE VIEW promocodes AS
            SELECT * FROM read_json('{files}', format = 'newline_delimited', columns = {{{texts}}}, filename = '$path',
              hive_partitioning = true, hive_types = {{loyalty_id: BIGINT, dt: VARCHAR}})
            """  # noqa: S608 - the test's own folder
        )
        return engine.execute((QUERIES / f"{name}.sql").read_text()).fetchall()


def test_status_by_program(exports: Path) -> None:
    today = datetime.now(UTC).date().isoformat()
    assert ask(exports, "status_by_program") == [(5, today, 7, 2, 1, 1, 3), (6, today, 1, 0, 0, 0, 1)]


def test_activations_per_day(exports: Path) -> None:
    today = datetime.now(UTC).date()
    assert [row for row in ask(exports, "activations_per_day") if row[1] == today] == [(5, today, 2)]


def test_attached_not_used(exports: Path) -> None:
    assert [row[:2] for row in ask(exports, "attached_not_used")] == [(5, "given")]


def test_expiring_this_week(exports: Path) -> None:
    assert [row[:2] for row in ask(exports, "expiring_this_week")] == [(5, "soon")]


def test_changes_between_exports(exports: Path) -> None:
    assert ask(exports, "changes_between_exports") == [(5, "fresh", "added"), (5, "bought", "used")]


def test_every_query_is_run_and_listed() -> None:
    names = {path.stem for path in QUERIES.glob("*.sql")}
    readme = (QUERIES / "README.md").read_text()
    assert names == {name.removeprefix("test_") for name in globals() if name.removeprefix("test_") in names}
    assert all(f"({name}.sql)" in readme for name in names)
