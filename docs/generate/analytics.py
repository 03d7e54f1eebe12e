"""The part of template.yaml that `docs/queries` is the source of: `make analytics` writes it anew.

CloudFormation takes no text from a file, so the saved queries and the views are written into the template from their `.sql`.
A view is a table of Glue's in the shape in which Athena itself keeps one: base64 of a JSON object with the statement and the
columns. What types the columns have DuckDB says, which speaks these statements as Athena does, with the functions of `SHIMS`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import duckdb

from local.template import read

ROOT: Final = Path(__file__).parents[2]
TEMPLATE: Final = ROOT / "template.yaml"
QUERIES: Final = ROOT / "docs" / "queries"

VIEWS: Final = ("promocodes", "promocodes_latest", "promocodes_history", "ledger", "reconciliation")
"""The views, each after those that it reads."""

SHIMS: Final = """
CREATE MACRO from_iso8601_timestamp(moment) AS CAST(moment AS TIMESTAMPTZ);
CREATE MACRO from_unixtime(seconds) AS to_timestamp(seconds);
CREATE MACRO json_extract_scalar(text, path) AS json_extract_string(text, path);
"""
"""Athena's functions that DuckDB has by another name."""

_BEGIN: Final = "  # --- Written by `make analytics` from docs/queries: change it there. ---\n"
_END: Final = "  # --- The end of what `make analytics` writes. ---\n"

_TYPES: Final[Mapping[str, tuple[str, str]]] = {
    "VARCHAR": ("string", "varchar"),
    "BIGINT": ("bigint", "bigint"),
    "TIMESTAMP_MS": ("timestamp", "timestamp(3)"),
}
"""What Glue and Athena call the types of DuckDB that a view may have."""

_READERS: Final[Mapping[str, str]] = {
    "org.openx.data.jsonserde.JsonSerDe": (
        "read_json({files}, format = 'newline_delimited', ignore_errors = true, columns = {columns}"
    ),
    "org.apache.hadoop.hive.serde2.OpenCSVSerde": (
        "read_csv({files}, header = true, quote = '\"', escape = '\"', columns = {columns}"
    ),
    "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe": "read_parquet({files}",
}
"""How DuckDB reads what a SerDe of Glue's reads."""

_SPELLED: Final = {"item": "Item", "datafiles3key": "dataFileS3Key", "n": "N", "s": "S"}
"""The keys in DynamoDB's files that are not in lower case: the SerDe does not mind, and DuckDB's reader does."""


def sql(name: str) -> str:
    """The text of a view or a saved query."""
    folder = QUERIES / "views" if name in VIEWS else QUERIES
    return (folder / f"{name}.sql").read_text(encoding="utf-8")


def queries() -> list[str]:
    """The names of the saved queries."""
    return sorted(path.stem for path in QUERIES.glob("*.sql"))


def tables(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The external tables that a template, or a stack, has over files, by name."""
    inputs = (
        one["Properties"]["TableInput"] for one in document["Resources"].values() if one["Type"] == "AWS::Glue::Table"
    )
    return {one["Name"]: one for one in inputs if one["TableType"] == "EXTERNAL_TABLE"}


def engine() -> duckdb.DuckDBPyConnection:
    """A DuckDB that takes Athena's statements."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(SHIMS)
    return connection


def lay(connection: duckdb.DuckDBPyConnection, table: Mapping[str, Any], files: Iterable[str]) -> None:
    """Lay a table over files as Athena would, or have it empty where there are none."""
    storage, keys = table["StorageDescriptor"], table.get("PartitionKeys", [])
    columns = {_SPELLED.get(one["Name"], one["Name"]): _duckdb_type(one["Type"]) for one in storage["Columns"]}
    found = list(files)
    if found:
        serde = storage["SerdeInfo"]["SerializationLibrary"]
        call = _READERS[serde].format(files=found, columns=columns)
        types = {one["Name"]: _duckdb_type(one["Type"]) for one in keys}
        partitions = f"hive_partitioning = true, hive_types = {types}" if keys else "hive_partitioning = false"
        source = f"SELECT * FROM {call}, filename = '$path', {partitions})"  # noqa: S608 - the template's own words
    else:
        every = columns | {"$path": "VARCHAR"} | {one["Name"]: _duckdb_type(one["Type"]) for one in keys}
        nulls = ", ".join(f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in every.items())
        source = f"SELECT {nulls} WHERE false"
    connection.execute(f'CREATE VIEW "{table["Name"]}" AS {source}')


def make_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the views over the tables that are there."""
    for view in VIEWS:
        connection.execute(f'CREATE VIEW "{view}" AS {sql(view)}')


def _duckdb_type(glue: str) -> str:
    """DuckDB's word for a type of Glue's, structures included."""
    names = {"string": "VARCHAR", "bigint": "BIGINT", "boolean": "BOOLEAN", "timestamp": "TIMESTAMPTZ"}
    if not glue.startswith("struct<"):
        return names[glue]
    members = re.findall(r"(\w+):(struct<[^<>]*>|\w+)", glue.removeprefix("struct<"))
    return f"STRUCT({', '.join(f'{_SPELLED.get(name, name)} {_duckdb_type(kind)}' for name, kind in members)})"


def _statement(text: str) -> tuple[str, str]:
    """What the first line's comment says, and the statement in one line, without its comments."""
    heading, *lines = text.splitlines()
    bare = " ".join(line.strip() for line in lines if not line.strip().startswith("--"))
    return heading.removeprefix("-- "), bare


def _view(connection: duckdb.DuckDBPyConnection, view: str) -> Iterator[str]:
    described = connection.execute(f'DESCRIBE "{view}"').fetchall()
    columns = [(name, *_TYPES[kind]) for name, kind, *_ in described]
    heading, statement = _statement(sql(view))
    definition = {
        "originalSql": statement,
        "catalog": "awsdatacatalog",
        "schema": "${ExportDatabase}",
        "columns": [{"name": name, "type": athena} for name, _, athena in columns],
    }
    # The first one has the name of the table that was here before, and takes its place.
    logical_id = "ExportTable" if view == "promocodes" else f"{_camel(view)}View"
    yield f"""\
  {logical_id}:
    Type: AWS::Glue::Table
    Condition: Analysed
    Properties:
      CatalogId: !Ref AWS::AccountId
      DatabaseName: !Ref ExportDatabase
      TableInput:
        Name: {view}
        Description: {json.dumps(heading)}
        TableType: VIRTUAL_VIEW
        Parameters: {{ presto_view: "true", comment: Presto View }}
        StorageDescriptor:
          SerdeInfo: {{}}
          Columns:
"""
    yield from (f"            - {{ Name: {name}, Type: {glue} }}\n" for name, glue, _ in columns)
    yield f"""\
        ViewExpandedText: "/* Presto View */"
        ViewOriginalText: !Join
          - ""
          - - "/* Presto View: "
            - !Base64
              Fn::Sub: |-
                {json.dumps(definition, ensure_ascii=False)}
            - " */"

"""


def _query(name: str) -> Iterator[str]:
    yield f"""\
  {_camel(name)}Query:
    Type: AWS::Athena::NamedQuery
    Condition: Analysed
    Properties:
      Name: {name}
      Database: !Ref ExportDatabase
      WorkGroup: !Ref ExportWorkGroup
      QueryString: |
"""
    yield from (f"        {line}\n" if line else "\n" for line in sql(name).splitlines())
    yield "\n"


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def written(template: str, document: Mapping[str, Any]) -> str:
    """The template's text with the part that `docs/queries` is the source of written anew."""
    before, _, rest = template.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    with engine() as connection:
        for table in tables(document).values():
            lay(connection, table, [])
        make_views(connection)
        views = [line for view in VIEWS for line in _view(connection, view)]
    return "".join((before, _BEGIN, *views, *(line for name in queries() for line in _query(name)), _END, after))


def main() -> None:
    """Write the template anew."""
    TEMPLATE.write_text(written(TEMPLATE.read_text(encoding="utf-8"), read(TEMPLATE)), encoding="utf-8")


if __name__ == "__main__":
    main()
