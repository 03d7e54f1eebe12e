"""`make activate FILE=codes.csv`: activate the codes of a file, each for its order.

Each row is a request to the API. To read the API's key is all that this needs of AWS, and with API_KEY not even that.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
import requests

from activate.redemption import Outcome, Redemption
from lambda_support.fields import InvalidField
from ops import terminal
from ops.catching_up import ask, catch_up, with_pace
from ops.jobs import Answer, Fault, Item, Job, Results
from ops.target import Target, with_target

COLUMNS: Final = ("code", "loyalty_id", "order_id")

_NOT_UTF8: Final = re.compile("[\udc80-\udcff]")
"""What `surrogateescape` makes of bytes that are not UTF-8."""


def items(file: Path) -> Iterator[Item | Fault]:
    """A request for each row of a CSV file; its separator, a comma or a semicolon, is the header's."""
    # An encoding error would not name its line.
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as texts:
        header = next(texts, "")
        delimiter = ";" if ";" in header else ","
        if tuple(cell.strip().strip('"') for cell in header.split(delimiter)) != COLUMNS:
            yield Fault(1, f"must be the header {','.join(COLUMNS)}, in UTF-8 (in Excel, save as CSV UTF-8)")
            return
        rows, line = csv.reader(texts, delimiter=delimiter, strict=True), 2
        try:
            for row in rows:
                if row:
                    yield _item(line, row)
                line = rows.line_num + 2
        except csv.Error as error:
            yield Fault(line, f"is no row of CSV: {error}")


def _item(line: int, row: list[str]) -> Item | Fault:
    if _NOT_UTF8.search("".join(row)):
        return Fault(line, "is not UTF-8; in Excel, save as CSV UTF-8")
    if len(row) != len(COLUMNS):
        return Fault(line, f"has {len(row)} cells instead of {len(COLUMNS)}; quote a cell that holds the separator")
    code, loyalty_id, order_id = (cell.strip() for cell in row)
    if not order_id:
        return Fault(line, "order_id is empty; name the order, so that a repeated request activates nothing twice")
    try:
        redemption = Redemption.from_fields({"code": code, "loyalty_id": loyalty_id, "order_id": order_id})
    except InvalidField as error:
        return Fault(line, str(error))
    return Item(line, (code, str(redemption.loyalty_id), order_id))


def _understood(code: str, _: int, members: Mapping[str, Any]) -> Answer | None:
    outcome = members.get("outcome")
    return Answer(outcome) if isinstance(outcome, str) and members.get("code") == code else None


@click.command("activate")
@with_pace
@with_target(laptop=True)
@click.pass_context
def command(context: click.Context, target: Target, file: Path, rate: float, patience: float, dry_run: bool) -> None:
    """Activate the codes of a CSV file, each for its order.

    FILE has the columns code, loyalty_id and order_id. It is checked before anything is sent. Beside codes.csv,
    codes.result.csv has the outcome of each row; a second run sends only the rows that have none. Exits 0 if every code is
    activated, 1 if not, 2 if the file cannot be used.

    The API key is in the environment variable API_KEY, or read with your AWS credentials. There is no option for it, because
    others on the machine can see what is typed.
    """

    def send(item: Item) -> Answer:
        code, loyalty_id, order_id = item.cells
        body = {"code": code, "loyalty_id": int(loyalty_id), "order_id": order_id}
        return ask(post, url, partial(_understood, code), json=body, headers=headers)

    items_of = partial(items, file)
    job = Job(file=file, unit=" codes", columns=COLUMNS, unique=2, good=Outcome.ACTIVATED, items=items_of, send=send)
    if dry_run:
        results = Results(job)
        results.read()
        terminal.say(str(results))
        return
    url, post = f"{target.api_url}/promocodes/activate", requests.Session().post
    headers = {"x-api-key": os.environ.get("API_KEY") or target.api_key}
    context.exit(catch_up(job, rate, patience))
