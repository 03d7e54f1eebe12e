"""`make sources FILE=...`: check a document of webhook sources, upload it, and say what to paste where.

Nothing is uploaded unless every source can be used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from activate.checks import InvalidSettings
from activate.signatures import SharedSecret
from activate.sources import Source, parse
from ops.commands import explain
from ops.errors import Unusable, refused_by_aws
from ops.target import Target, with_target

LARGEST: Final = 65_536
"""Bytes that Secrets Manager holds in one secret."""

PASTE: Final = {
    "shopify": "Settings > Notifications > Webhooks: event Order payment, format JSON, this URL",
    "woocommerce": "WooCommerce > Settings > Advanced > Webhooks: topic Order updated, this URL, and the secret",
    "standard-webhooks": "give this URL and the secret (whsec_...) to whatever sends Standard Webhooks",
    "shopware": "the app's manifest.xml: a webhook for state_enter.order_transaction.state.paid with this URL",
    "saleor": "the app's webhook: event ORDER_FULLY_PAID, this URL, the secret key, and the subscription query",
    "tilda": "Site settings > Forms > Webhook: this URL, and connect it to the cart",
    "retailcrm": "a trigger on payment, action HTTP request: POST, this URL, parameters order_id and codes",
    "insales": "Settings > Webhooks: topics orders/create and orders/update, format JSON, this URL",
    "stripe": "Developers > Webhooks: event checkout.session.completed, this URL; its signing secret is the source's",
    "ecwid": "the app's webhook: events order.created and order.updated, this URL",
    "bigcommerce": "POST /v3/hooks: scope store/order/statusUpdated, destination this URL",
    "generic": "this URL, and the secret that signs",
}
"""Where in each platform the address goes; docs/webhooks/ says more."""

PASTE_FOR_REVERSALS: Final = {
    "shopify": "the same URL for the events Order cancellation and Order update",
    "standard-webhooks": "post the same with status cancelled or refunded",
    "shopware": "webhooks for state_enter.order.state.cancelled and state_enter.order_transaction.state.refunded too",
    "saleor": "events ORDER_CANCELLED and ORDER_FULLY_REFUNDED too, and status and paymentStatus in the query",
    "stripe": "event charge.refunded too; the code also in payment_intent_data.metadata",
}
"""What else a source with `on_reversal` `deactivate` needs; the other platforms report reversed orders by the same webhook."""


def checked(text: str) -> dict[str, Source]:
    """The sources of a document, every one of which can be used.

    Raises:
        Unusable: a line for each fault, naming the source and the setting.
    """
    try:
        json.loads(text, object_pairs_hook=_without_duplicates)
        document = parse(text)
    except InvalidSettings as error:
        raise Unusable(str(error)) from error
    except ValueError as error:
        raise Unusable(f"the document of sources is not JSON: {error}") from error
    faults = [
        f"source {name}, {f'setting {path}: ' if path else ''}{message}"
        for name, error in document.faults.items()
        for path, message in error.faults
    ]
    if (size := len(text.encode())) > LARGEST:
        faults.append(
            f"the document has {size} bytes, and a secret holds {LARGEST}: give a second stack some of the sources"
        )
    if faults:
        raise Unusable("\n".join(faults))
    return dict(document.sources)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name that comes twice: the last one would silently win."""
    names = [name for name, _ in pairs]
    if duplicate := next((name for name in names if names.count(name) > 1), None):
        raise InvalidSettings((duplicate, "comes twice in one object"))
    return dict(pairs)


def instructions(text: str, sources: Mapping[str, Source], webhook_url: str) -> str:
    """For each source: its address, and where that goes. Holds no secret.

    Args:
        text: the document.
        sources: what is in it.
        webhook_url: where shops deliver, with a slash at its end.
    """
    settings = json.loads(text)
    lines = []
    for name, source in sources.items():
        platform = settings[name]["platform"]
        query = f"?{source.auth.query}=SECRET" if isinstance(source.auth, SharedSecret) and source.auth.query else ""
        lines += [f"{name} ({platform})"]
        if source.keys:
            lines += [f"  {webhook_url}{name}{query}", f"  Paste it into {platform}: {PASTE[platform]}."]
        if source.keys and source.reader.gives_back and platform in PASTE_FOR_REVERSALS:
            lines += [f"  To give codes back: {PASTE_FOR_REVERSALS[platform]}."]
        if query:
            lines += ["  SECRET stands for the first of its secrets: the whole address is to be kept secret."]
        if source.event_source:
            lines += [f"  Events come from {source.event_source}."]
        lines += [""]
    return "\n".join(lines)


@click.command("sources")
@click.argument("file", envvar="FILE", required=False, type=click.Path(path_type=Path))
@click.option("--explain", "dry_run", envvar="EXPLAIN", is_flag=True, help="First try the samples of every platform.")
@with_target()
def command(target: Target, file: Path | None, dry_run: bool) -> None:
    """Check and upload webhook sources; say what to paste where.

    FILE is a JSON object, source name → settings. Nothing is uploaded unless every source can be used.
    """
    if file is None:
        raise click.UsageError("name the document of sources: make sources FILE=sources.json")
    try:
        text = file.read_text()
        sources = checked(text)
    except (Unusable, OSError, UnicodeDecodeError) as error:
        raise Unusable("\n".join(f"{file}: {line}" for line in str(error).splitlines())) from error
    if dry_run and not explain.by_samples(text):
        raise Unusable(f"{file}: a source reads none of its platform's samples; nothing is uploaded")
    secret_id, webhook_url = target.names("sources_secret_id", "webhook_url")
    with refused_by_aws("the document was not uploaded"):
        target.client("secretsmanager").put_secret_value(SecretId=secret_id, SecretString=text)
    click.echo(f"Uploaded {len(sources)} sources to {secret_id}.")
    click.echo("They are in use within five minutes. Until then do not change a secret in the shop.\n")
    click.echo(instructions(text, sources, webhook_url))
