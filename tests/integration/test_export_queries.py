"""The views and saved queries of docs/queries, run on DuckDB over files that were really exported, in every format.

The tables below the views are those of template.yaml: their columns, their SerDe's and where they read.
"""

import base64
import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from docs.generate import analytics
from export_all.exporter import Exporter
from export_all.requests import ExportRequest
from local.emulator import Emulator
from local.engine import Aws
from tests.integration.exporters import Bucket, exporter_of, run
from tests.unit.synthesis import EVERYTHING, document, synthesise

NOW = datetime.now(UTC).replace(microsecond=0)
YESTERDAY, TOMORROW = NOW - timedelta(days=1), NOW + timedelta(days=1)

KINDS = ("activated only by us", "activated only in Altcraft", "agreed", "held by an order but not activated")


def text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def ledger_item(code: str, state: str, *, loyalty_id: int = 5, **others: Any) -> dict[str, Any]:
    """An item of the table of redemptions, in DynamoDB JSON."""
    texts = {"code": code, "state": state, "order_id": f"eu-shop/{code}", "last_outcome": "activated", **others}
    item = {
        name: {"N" if isinstance(value, int) else "S": str(value)} for name, value in texts.items() if value is not None
    }
    return {"Item": item | {"loyalty_id": {"N": str(loyalty_id)}, "tries": {"N": "1"}, "claim_id": {"S": "x"}}}


def export_ledger(folder: Path, moment: datetime, *items: dict[str, Any], whole: bool = True) -> None:
    """Write what DynamoDB's export to S3 writes.

    Source: Amazon DynamoDB Developer Guide, "DynamoDB table export output format".
    """
    export_id = f"{int(moment.timestamp() * 1000):014}-0a1b2c3d"
    root = folder / "crm/ledger/AWSDynamoDB" / export_id
    (root / "data").mkdir(parents=True)
    (root / "_started").write_bytes(b"")
    for number, part in enumerate((items[::2], items[1::2])):
        lines = "".join(json.dumps(item) + "\n" for item in part)
        (root / "data" / f"part{number}.json.gz").write_bytes(gzip.compress(lines.encode()))
    if whole:
        listed = {"itemCount": len(items), "md5Checksum": "x", "etag": "y", "dataFileS3Key": "crm/ledger/..."}
        (root / "manifest-files.json").write_text(json.dumps(listed) + "\n")
        (root / "manifest-files.md5").write_text("9aqhSE8hiK0gZVt3kzWmRw==")
        (root / "manifest-summary.json").write_text(json.dumps({"exportTime": text(moment), "itemCount": len(items)}))


@pytest.fixture
def exporter(bucket: Bucket, emulator: Emulator, aws: Aws) -> Exporter:
    return exporter_of(bucket, emulator.url)


@pytest.fixture
def exports(tmp_path: Path, bucket: Bucket, exporter: Exporter, emulator: Emulator) -> Path:
    """Exports of three programs in all formats, good, failed and suspect ones, in a folder laid out as in S3."""
    programs = emulator.programs
    programs.add(5, "free", "=SUM(1)", "'quoted", 'a "b", c')
    programs.add(5, "given", "bought", attached=True)
    programs.add(5, "gone", attached=True, activated=True)
    programs.add(5, "late", attached=True, expire_date=YESTERDAY)
    programs.add(5, "soon", expire_date=TOMORROW)
    programs.add(6, "one")
    programs.add(7, "x", "y")
    assert run(exporter, "e-51", ExportRequest(5)).status == "succeeded"
    programs.activate(5, "bought")
    programs.import_codes(5, ["fresh"])
    assert run(exporter, "e-52", ExportRequest(5, "csv")).status == "succeeded"
    assert run(exporter, "e-53", ExportRequest(5, "parquet")).status == "succeeded"
    assert run(exporter, "e-61", ExportRequest(6, "parquet")).status == "succeeded"
    assert run(exporter, "e-71", ExportRequest(7)).status == "succeeded"
    programs.clear()
    programs.create(7)
    assert run(exporter, "e-72", ExportRequest(7)).suspect
    programs.add(7, "y", "z")
    assert run(exporter, "e-73", ExportRequest(7, "csv")).status == "succeeded"
    programs.clear()
    programs.add(7, "x", "y")
    assert run(exporter, "e-74", ExportRequest(7)).status == "succeeded"
    programs.clear()
    assert run(exporter, "e-75", ExportRequest(7)).status == "failed"
    for key in bucket.keys("crm/"):
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(bucket.read(key))
    return tmp_path


def day_of(folder: Path, export_id: str) -> str:
    """The day on which an export began, as its partition has it: midnight may lie between two of them."""
    day: str = json.loads((folder / f"crm/exports/{export_id}.json").read_text())["started_at"][:10]
    return day


def files_of(table: dict[str, Any], folder: Path) -> list[str]:
    """The files that a table of the template reads."""
    place = table["Parameters"].get("storage.location.template") or table["StorageDescriptor"]["Location"]
    pattern = re.sub(r"\$\{\w+\}", "*", place.removeprefix("s3://ExportBucket/"))
    return sorted(str(path) for path in folder.glob(f"{pattern}**/*") if path.is_file() and path.name[0] not in "._")


def ask(folder: Path, statement: str) -> list[tuple[Any, ...]]:
    """The result of a statement over the tables of the template and the views of docs/queries."""
    with analytics.engine() as engine:
        tables = [table["TableInput"] for table in synthesise(EVERYTHING).of("AWS::Glue::Table").values()]
        for table in tables:
            if table["TableType"] == "EXTERNAL_TABLE":
                analytics.lay(engine, table, files_of(table, folder))
        analytics.make_views(engine)
        return engine.execute(statement).fetchall()


def saved(folder: Path, name: str) -> list[tuple[Any, ...]]:
    return ask(folder, analytics.sql(name))


# --- the views --------------------------------------------------------------------------------------------------------

STATES = {
    "free": "free",
    "=SUM(1)": "free",
    "'quoted": "free",
    'a "b", c': "free",
    "given": "attached",
    "bought": "attached",
    "gone": "activated",
    "late": "expired",
    "soon": "free",
}
LATER = STATES | {"bought": "activated", "fresh": "free"}


@pytest.mark.parametrize(
    ("export_id", "output_format", "states"),
    [("e-51", "jsonl", STATES), ("e-52", "csv", LATER), ("e-53", "parquet", LATER)],
)
def test_promocodes_shows_every_format_alike(
    exports: Path, export_id: str, output_format: str, states: dict[str, str]
) -> None:
    found = ask(
        exports,
        f"SELECT code, state, loyalty_id, dt, output_format FROM promocodes WHERE export_id = '{export_id}'",  # noqa: S608
    )

    day = day_of(exports, export_id)
    assert sorted(found) == sorted((code, state, 5, day, output_format) for code, state in states.items())


def test_promocodes_has_the_same_timestamps_in_every_format(exports: Path) -> None:
    timestamps = ask(
        exports,
        """
        SELECT code, count(DISTINCT from_iso8601_timestamp(attached)), count(DISTINCT from_iso8601_timestamp(activated)),
          count(DISTINCT from_iso8601_timestamp(expire_date)), count(DISTINCT from_iso8601_timestamp(expired)), count(*)
        FROM promocodes WHERE export_id IN ('e-52', 'e-53') GROUP BY code ORDER BY code
        """,
    )

    assert {row[0]: row[1:] for row in timestamps if any(row[1:5])} == {
        "bought": (1, 1, 0, 0, 2),
        "given": (1, 0, 0, 0, 2),
        "gone": (1, 1, 0, 0, 2),
        "late": (1, 0, 1, 1, 2),
        "soon": (0, 0, 1, 0, 2),
    }


def test_promocodes_latest_is_one_export_of_each_program_and_not_a_suspect_one(exports: Path) -> None:
    found = ask(exports, "SELECT DISTINCT loyalty_id, export_id, dt FROM promocodes_latest ORDER BY 1")

    assert found == [
        (program, good, day_of(exports, good)) for program, good in ((5, "e-53"), (6, "e-61"), (7, "e-74"))
    ]
    assert ask(exports, "SELECT count(*) FROM promocodes_latest") == [(len(LATER) + 1 + 2,)]


def test_promocodes_history_has_the_spans_of_each_state(exports: Path) -> None:
    began = {
        export_id: datetime.fromisoformat(started_at).replace(tzinfo=None)
        for export_id, started_at in ask(exports, "SELECT export_id, started_at FROM exports")
    }

    def history(loyalty_id: int, *codes: str) -> list[tuple[Any, ...]]:
        found = ask(
            exports,
            f"SELECT code, state, valid_from, valid_to FROM promocodes_history WHERE loyalty_id = {loyalty_id} ORDER BY 1, 3",  # noqa: S608
        )
        return [row for row in found if row[0] in codes]

    assert history(5, "bought", "free", "fresh") == [
        ("bought", "attached", began["e-51"], began["e-52"]),
        ("bought", "activated", began["e-52"], None),
        ("free", "free", began["e-51"], None),
        ("fresh", "free", began["e-52"], None),
    ]
    # A suspect export in between is ignored, and so is a failed one
    assert history(7, "x", "y", "z") == [
        ("x", "free", began["e-71"], began["e-73"]),
        ("x", "free", began["e-74"], None),
        ("y", "free", began["e-71"], None),
        ("z", "free", began["e-73"], began["e-74"]),
    ]


BEFORE, AFTER = NOW - timedelta(hours=1), NOW + timedelta(hours=1)
ITEMS = [
    ledger_item("bought", "redeemed", redeemed_at=text(BEFORE)),
    ledger_item("free", "redeemed", redeemed_at=text(BEFORE), order_id=None),
    ledger_item("zzz", "redeemed", redeemed_at=text(BEFORE)),
    ledger_item("given", "claimed", claimed_at=text(BEFORE), claimed_until=text(NOW)),
    ledger_item("fresh", "redeemed", redeemed_at=text(AFTER)),
    ledger_item("soon", "claimed", claimed_at=text(AFTER)),
    ledger_item("late", "released", claimed_at=text(BEFORE)),
    ledger_item("=SUM(1)", "redeemed", redeemed_at=text(BEFORE), expiration=int(YESTERDAY.timestamp())),
    ledger_item("'quoted", "released", redeemed_at=text(BEFORE), expiration=int(AFTER.timestamp()) + 400 * 86_400),
    ledger_item("free", "redeemed", loyalty_id=99, redeemed_at=text(BEFORE)),
]


NOTED = {
    "Item": {
        "loyalty_id": {"N": "5"},
        "code": {"S": "given"},
        "note": {"M": {"kind": {"S": "given_up"}, "id": {"S": "x"}}},
        "expiration": {"N": str(int(AFTER.timestamp()) + 400 * 86_400)},
    }
}
"""What is in the table of a code that was given up and never claimed."""


@pytest.fixture
def reconciled(exports: Path) -> Path:
    """The exports, and three of the ledger: an older one, the newest complete one, and a newer unfinished one."""
    export_ledger(exports, YESTERDAY, ledger_item("free", "claimed", claimed_at=text(YESTERDAY)))
    export_ledger(exports, AFTER, *ITEMS, NOTED)
    export_ledger(exports, AFTER + timedelta(hours=1), ledger_item("given", "redeemed"), whole=False)
    return exports


def test_the_ledger_is_its_newest_complete_export(reconciled: Path) -> None:
    found = ask(
        reconciled, "SELECT loyalty_id, code, state, order_id, redeemed_at, ledger_at FROM ledger ORDER BY 1, 2"
    )

    naive = {moment: moment.replace(tzinfo=None) for moment in (BEFORE, AFTER)}
    assert len(found) == len(ITEMS) - 1
    assert (5, "bought", "redeemed", "eu-shop/bought", naive[BEFORE], naive[AFTER]) in found
    assert (5, "free", "redeemed", None, naive[BEFORE], naive[AFTER]) in found
    assert "=SUM(1)" not in {row[1] for row in found}


def test_reconciliation_has_four_kinds_and_ignores_changes_between_the_exports(reconciled: Path) -> None:
    found = ask(reconciled, "SELECT kind, code, order_id, export_id FROM reconciliation ORDER BY 1, 2")

    assert found == [
        ("activated only by us", "free", None, "e-53"),
        ("activated only by us", "zzz", "eu-shop/zzz", "e-53"),
        ("activated only in Altcraft", "gone", None, "e-53"),
        ("agreed", "bought", "eu-shop/bought", "e-53"),
        ("held by an order but not activated", "given", "eu-shop/given", "e-53"),
    ]
    assert {row[0] for row in found} == set(KINDS)


def test_reconciliation_with_an_older_ledger_ignores_later_activations_in_altcraft(exports: Path) -> None:
    export_ledger(exports, YESTERDAY, ledger_item("given", "claimed", claimed_at=text(YESTERDAY)))

    found = ask(exports, "SELECT kind, code FROM reconciliation")

    assert found == [("held by an order but not activated", "given")]


def test_without_an_export_of_the_ledger_there_is_nothing_to_reconcile(exports: Path) -> None:
    assert ask(exports, "SELECT * FROM reconciliation") == []


# --- the saved queries ------------------------------------------------------------------------------------------------


def test_status_by_program(exports: Path) -> None:
    assert saved(exports, "status_by_program") == [
        (5, day_of(exports, "e-53"), 10, 2, 1, 1, 6),
        (6, day_of(exports, "e-61"), 1, 0, 0, 0, 1),
        (7, day_of(exports, "e-74"), 2, 0, 0, 0, 2),
    ]


def test_activations_per_day(exports: Path) -> None:
    moments = ask(exports, "SELECT activated FROM promocodes_latest WHERE code IN ('bought', 'gone')")
    days = Counter(datetime.fromisoformat(moment).date() for (moment,) in moments)
    assert days.total() == 2
    assert sorted(saved(exports, "activations_per_day")) == sorted((5, day, count) for day, count in days.items())


def test_attached_not_used(exports: Path) -> None:
    assert [row[:2] for row in saved(exports, "attached_not_used")] == [(5, "given")]


def test_expiring_this_week(exports: Path) -> None:
    assert [row[:2] for row in saved(exports, "expiring_this_week")] == [(5, "soon")]


def test_changes_between_exports(exports: Path) -> None:
    assert saved(exports, "changes_between_exports") == [(7, "x", "none", "free"), (7, "z", "free", "none")]


def test_reconciliation_by_kind(reconciled: Path) -> None:
    assert [row[:3] for row in saved(reconciled, "reconciliation_by_kind")] == [
        (5, "activated only by us", 2),
        (5, "activated only in Altcraft", 1),
        (5, "agreed", 1),
        (5, "held by an order but not activated", 1),
    ]


# --- the definitions exist once ---------------------------------------------------------------------------------------


def test_every_view_and_query_is_run_and_listed() -> None:
    readme = (analytics.QUERIES / "README.md").read_text()
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}

    assert {path.stem for path in (analytics.QUERIES / "views").glob("*.sql")} == set(analytics.VIEWS)
    assert set(analytics.queries()) <= tested
    assert all(f"({name}.sql)" in readme for name in analytics.queries())
    assert all(f"(views/{name}.sql)" in readme for name in analytics.VIEWS)


def test_the_template_agrees_with_the_files() -> None:
    text = analytics.TEMPLATE.read_text(encoding="utf-8")

    assert text == analytics.written(text, document()), "run `make analytics`"


def views() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Each view of the template: its name, its Glue table, and the definition that Athena reads."""
    for table in synthesise(EVERYTHING).of("AWS::Glue::Table").values():
        one = table["TableInput"]
        if one["TableType"] == "VIRTUAL_VIEW":
            packed = re.fullmatch(r"/\* Presto View: (\S+) \*/", one["ViewOriginalText"])
            assert packed
            yield one["Name"], one, json.loads(base64.b64decode(packed[1]))


def test_a_view_is_stored_in_athenas_format() -> None:
    kept = list(views())

    assert [name for name, _, _ in kept] == list(analytics.VIEWS)
    for name, table, definition in kept:
        assert table["Parameters"] == {"presto_view": "true", "comment": "Presto View"}
        assert (definition["catalog"], definition["schema"]) == ("awsdatacatalog", "ExportDatabase")
        pairs = zip(table["StorageDescriptor"]["Columns"], definition["columns"], strict=True)
        assert all(glue["Name"] == athena["name"] for glue, athena in pairs)
        assert definition["originalSql"].split() == [
            word
            for line in analytics.sql(name).splitlines()
            if not line.strip().startswith("--")
            for word in line.split()
        ]
