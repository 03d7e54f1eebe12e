"""`make backfill SOURCE=name FILE=orders.jsonl`: deliver the orders of a file through a source's webhook.

Each line is the body of one delivery, and is signed as the source's platform does it.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import click
import requests

from activate import bodies
from activate.bodies import UnreadableBody
from activate.sources import Document, parse
from ops import terminal
from ops.catching_up import ask, catch_up, with_pace
from ops.commands.explain import Explanation, explanation, in_one_line, is_read
from ops.jobs import Answer, Fault, Item, Job
from ops.signing import MEDIA_TYPES, Delivery, document, sign, source_of
from ops.target import Target, with_target

ACCEPTED: Final = "accepted"
LONGEST: Final = 4_700_000
"""Bytes of a line: Lambda takes no larger body."""

_BOM: Final = b"\xef\xbb\xbf"


def items(file: Path, media_type: str) -> Iterator[Item | Fault]:
    """A delivery for each line that is not blank."""
    with file.open("rb") as raw:
        for number, line in enumerate(iter(partial(raw.readline, LONGEST), b""), 1):
            if len(line) == LONGEST:
                yield Fault(number, f"is longer than a delivery can be, {LONGEST:,} bytes")
                return
            body = line.removeprefix(_BOM).strip()
            try:
                if body:
                    bodies.read(body, media_type)
                    yield Item(number, (hashlib.sha256(body).hexdigest(),), body)
            except UnreadableBody as error:
                kind = bodies.kind_of(body, media_type)
                yield Fault(number, f"is no {kind}: {error}; each line must be the whole body of a delivery")


def _understood(status: int, members: Mapping[str, Any]) -> Answer | None:
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return Answer("too_large")
    accepted = members.get("accepted")
    return Answer(ACCEPTED, str(accepted)) if status == HTTPStatus.OK and isinstance(accepted, int) else None


def unread(explained: Explanation) -> Answer | None:
    """What became of a delivery that was taken, and of which the source does not understand an order; else None.

    The webhook does not say it: it answers 200, or the platform would end its subscription.
    """
    for one in explained.get("orders", [explained]):
        if not is_read(one):
            return Answer(str(one["result"]), one["fault"]["setting"] if one["fault"] else "")
    return None


def explain(job: Job, sources: Document, source: str, media_type: str) -> bool:
    """Print what the intake would make of each line; whether there are any, and each is read."""
    counts = Counter[bool]()
    for item in job.items():
        if isinstance(item, Fault):
            said, read = item.message, False
        else:
            one = explanation(sources, source, item.body, media_type)
            orders = one.get("orders", [one])
            said, read = "; ".join(map(in_one_line, orders)), unread(one) is None
        terminal.say(f"line {item.line}: {said}")
        counts[read] += 1
    terminal.say(f"{counts[True]:,} read, {counts[False]:,} not read; nothing was sent")
    return counts.keys() == {True}


@click.command("backfill")
@click.option("--source", envvar="SOURCE", required=True, help="The webhook source that delivers.")
@click.option(
    "--sources",
    envvar="SOURCES",
    type=click.Path(path_type=Path),
    help="The document of sources, by whose secret they are signed. Default: the stack's own.",
)
@with_pace
@with_target(laptop=True)
@click.pass_context
def command(
    context: click.Context,
    target: Target,
    source: str,
    file: Path,
    sources: Path | None,
    rate: float,
    patience: float,
    dry_run: bool,
) -> None:
    """Deliver the orders of a file through a source's webhook.

    Each line of FILE is the body of a delivery: JSON, unless its ending says .form or .xml. It is checked before anything is
    sent. Beside orders.jsonl, orders.result.csv has what became of each line; a second run sends only the lines that
    have no outcome yet. Exits 0 if all are accepted and understood, 1 if not, 2 if the file cannot be used. DRY_RUN explains
    each line.
    """
    text = document(target, sources)
    signing, media_type = source_of(text, source), MEDIA_TYPES.get(file.suffix, "application/json")
    known = parse(text)

    def signed(item: Item) -> Delivery:
        # The id is of the content: a repeated delivery is the same. The time is of now.
        return sign(signing, item.body, media_type, delivery_id=item.cells[0][:32], now=time.time())

    def send(item: Item) -> Answer:
        delivery = signed(item)
        headers, query = dict(delivery.headers), dict(delivery.query)
        answer = ask(post, url, _understood, data=delivery.body, headers=headers, params=query)
        if answer.outcome != ACCEPTED:
            return answer
        return unread(explanation(known, source, item.body, media_type)) or answer

    items_of = partial(items, file, media_type)
    job = Job(file=file, unit=" deliveries", columns=("sha256",), good=ACCEPTED, items=items_of, send=send)
    if dry_run:
        context.exit(not explain(job, known, source, media_type))
    signed(Item(0, ("",), b""))  # to say now if it cannot be signed
    url, post = f"{target.api_url}/webhooks/{source}", requests.Session().post
    context.exit(catch_up(job, rate, patience))
