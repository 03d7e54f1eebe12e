"""`make explain`: what the intake would make of one captured delivery, with nothing running and nothing sent.

It reads by the very code that the function runs. A path that leads nowhere is followed as far as it leads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from activate import bodies
from activate.bodies import UnreadableBody
from activate.checks import InvalidSettings
from activate.intake import Result, is_handshake, result_of
from activate.orders import Calls, Order, UnreadableOrder
from activate.paths import Means, Search
from activate.sources import Document, SourceUnavailable, UnknownSource, parse
from ops.errors import Unusable
from ops.reach import stops
from ops.signing import MEDIA_TYPES, SAMPLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jmespath.parser import ParsedResult

    from activate.orders import Reading
    from activate.sources import Source

FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False)

_READ: Final = frozenset({Result.ACCEPTED, Result.NOT_PAID, Result.NO_CODES, Result.REVERSED, Result.HANDSHAKE})
"""What became of a delivery that was read."""

Explanation = dict[str, Any]
"""`result`, `paid`, `order_id`, `codes`, `reversed`, `fault`: of several orders, the first's at fault, and all in `orders`.

`reversed`: the order is cancelled or refunded in full, and those of `codes` that are not dropped would be given back.
"""


def explanation(document: Document, name: str, body: bytes, media_type: str) -> Explanation:
    """What the intake would make of an authentic delivery to the source of this name."""
    try:
        source = document.find(name)
    except UnknownSource:
        known = ", ".join(sorted({*document.sources, *document.faults})) or "none"
        return _nothing(Result.UNKNOWN_SOURCE, "", f"the document has no source {name!r}; there are {known}")
    except SourceUnavailable:
        faults = document.faults[name].faults
        settings = ", ".join(dict.fromkeys(path for path, _ in faults))
        return _nothing(Result.MISCONFIGURED, settings, "; ".join(message for _, message in faults))
    if is_handshake(source, body):
        return _nothing(Result.HANDSHAKE)
    try:
        data = bodies.read(body, media_type)
        readings = source.read(data)
    except UnreadableBody as error:
        return _nothing(Result.UNREADABLE, "", f"the body is no {bodies.kind_of(body, media_type)}: {error}")
    except UnreadableOrder as error:
        return _nothing(Result.UNREADABLE, *_split(error))
    orders = source.reader.orders(data, Search())
    explained = [_order(source, *pair) for pair in zip(orders, readings, strict=True)]
    if len(explained) == 1:
        return explained[0]
    first = next((one for one in explained if not is_read(one)), explained[0])
    return {**first, "orders": explained}


def _nothing(result: Result, setting: str = "", message: str = "") -> Explanation:
    fault = {"setting": setting, "message": message, "stops": []} if message else None
    return {"result": result, "paid": None, "order_id": None, "codes": [], "reversed": False, "fault": fault}


def _order(source: Source, body: Any, reading: Reading) -> Explanation:
    explained = _nothing(result_of(reading))
    explained["reversed"] = explained["result"] is Result.REVERSED
    reader, fetch, search = source.reader, source.fetch, Search()
    try:
        value, means = fetch.means(reader, body, search) if fetch else reader.means(body, search)
        explained["paid"] = {"value": value, "means": means}
        in_webhook = fetch is None or fetch.answers == "codes"
        if in_webhook and (means is Means.PAID or explained["reversed"]):
            explained["order_id"] = reader.id_of(body, search)
        if reading is Means.REVERSED and fetch is None:
            explained["codes"] = _codes(reader.read_codes(body, search), "on_reversal is ignore: nothing is given back")
    except UnreadableOrder:
        pass  # the reading says so, or it is an order without codes, which needs no id
    if fetch and isinstance(reading, Calls):
        explained["fetch"] = [f"{fetch.method} https://{fetch.host}{path}" for path in reading.paths]
    if isinstance(reading, Order):
        explained["codes"] = _codes(reading)
    explained["fault"] = _fault(source, body, reading, explained)
    return explained


def _codes(order: Order, dropped: str | None = None) -> list[dict[str, object]]:
    """Every code of an order, and why it is dropped; `dropped`: why all of them are."""
    codes: list[tuple[object, int | None, str | None]] = [(*found, dropped) for found in order.codes]
    codes += [(code, None, "no_program: no pattern of programs is found in it") for code in order.foreign]
    unusable = "unusable: it is no text, too long, or holds a control or invisible character"
    codes += [(code, None, unusable) for code in order.unusable]
    return [dict(zip(("code", "loyalty_id", "dropped"), found, strict=True)) for found in codes]


def _fault(source: Source, body: Any, reading: Reading, explained: Explanation) -> dict[str, Any] | None:
    """The setting at fault, or that may be, and where its paths stop."""
    match reading:
        case UnreadableOrder():
            setting, message = _split(reading)
        case Means.UNRECOGNISED:
            setting, message = _asks(source, explained["paid"]), "it finds nothing in the body"
        case Order() if not explained["codes"]:
            setting = "codes"
            message = "it finds no code; an order without one is right, a path that leads nowhere is not"
        case _:
            return None
    both = setting == "reversed" and explained["paid"] and explained["paid"]["means"] is Means.PAID
    paths = () if both else _paths(source, setting)
    try:
        found = tuple(stop for path in paths for stop in stops(path, body))
    except (ValueError, TypeError, ArithmeticError, RecursionError):
        found = ()
    if found:
        message = f"{message}: {'; '.join(stop.sentence() for stop in found)}"
    return {"setting": setting, "message": message, "stops": [asdict(stop) for stop in found]}


def _asks(source: Source, paid: Mapping[str, Any] | None) -> str:
    """The setting by which a webhook's body is not recognised."""
    if source.fetch and paid and paid["means"] is not Means.UNRECOGNISED:
        return "fetch.path"
    return "paid" if source.fetch is None or source.fetch.answers == "codes" else "fetch.when"


def _paths(source: Source, setting: str) -> Sequence[ParsedResult]:
    """The expressions of a setting."""
    if source.fetch and setting == "fetch.path":
        return source.fetch.placeholders()
    if source.fetch and setting == "fetch.when":
        return [source.fetch.when] if source.fetch.when else []
    return [getattr(source.reader, setting)] if setting else []


def _split(error: UnreadableOrder) -> tuple[str, str]:
    """The setting that an error names, and the rest of it."""
    setting, _, message = str(error).partition(": ")
    return (setting, message) if message else ("", setting)


def is_read(explained: Explanation) -> bool:
    """Whether a delivery, or one order of it, was read."""
    return explained["result"] in _READ


def by_samples(text: str) -> bool:
    """Explain every source of a document by its platform's sample bodies, a line each; whether each source reads one of them.

    Raises:
        InvalidSettings: the document cannot be read.
    """
    document, settings, good = parse(text), json.loads(text), True
    for name in document.sources:
        platform = settings[name]["platform"]
        # What `generic` reads is whatever its source says, and not what our sample of it holds.
        files = [] if platform == "generic" else sorted(SAMPLES.glob(f"{platform}*"))
        explained = [(file, explanation(document, name, file.read_bytes(), MEDIA_TYPES[file.suffix])) for file in files]
        for file, one in explained:
            click.echo(f"{name}: {file.name}: {in_one_line(one)}")
        if not files:
            click.echo(f"{name}: there is no sample of {platform}: explain a delivery that you captured")
        good &= not files or any(is_read(one) for _, one in explained)
    return good


def in_one_line(explained: Explanation) -> str:
    """The result, the codes and the fault."""
    codes = ", ".join(f"{code['code']} ({code['dropped'] or code['loyalty_id']})" for code in explained["codes"])
    return f"{explained['result']}{f': {codes}' if codes else ''}{_fault_of(explained)}"


def _fault_of(explained: Explanation) -> str:
    fault = explained["fault"]
    return "".join(f": {fault[part]}" for part in ("setting", "message") if fault[part]) if fault else ""


@click.command("explain")
@click.argument("sources", envvar="SOURCES", required=False, type=FILE)
@click.option("--source", envvar="SOURCE", help="The source that the delivery is for.")
@click.option("--file", envvar="FILE", type=FILE, help="The body, as it was captured.")
@click.option("--type", "media_type", envvar="TYPE", help="Its content type, if the file's ending does not say it.")
@click.option(
    "--samples", envvar="SAMPLES", is_flag=True, help="Instead: every source, by the sample bodies of its platform."
)
@click.pass_context
def command(
    context: click.Context,
    sources: Path | None,
    source: str | None,
    file: Path | None,
    media_type: str | None,
    samples: bool,
) -> None:
    """Say what the intake would make of a captured delivery.

    Nothing needs to be running, and nothing is sent. SOURCES is the document of webhook sources. Exits 1 when the delivery is
    not read.
    """
    if not sources or not (samples or (source and file)):
        raise click.UsageError(
            "name the document, its source and the file of the delivery: make explain SOURCES=... SOURCE=... FILE=..."
        )
    try:
        text = sources.read_text()
        document = parse(text)
    except (InvalidSettings, UnicodeDecodeError) as error:
        raise Unusable(f"{sources}: {error}") from error
    if samples or not (source and file):
        context.exit(not by_samples(text))
    media_type = media_type or MEDIA_TYPES.get(file.suffix)
    if not media_type:
        raise click.UsageError(
            f"{file.name} does not say by its ending what it is: name its content type, such as TYPE=application/json"
        )
    explained = explanation(document, source, file.read_bytes(), media_type.partition(";")[0].strip().lower())
    # A half of a surrogate pair, which JSON can carry and UTF-8 cannot, is written as JSON escapes it.
    click.echo(json.dumps(explained, ensure_ascii=False, indent=2).encode(errors="backslashreplace"))
    orders = explained.get("orders", [explained])
    for one in orders:
        if not is_read(one):
            click.echo(f"{one['result']}{_fault_of(one)}", err=True)
    context.exit(not all(map(is_read, orders)))
