"""`make sources FILE=...`: check a document of webhook sources, upload it, and say what to paste where.

Nothing is uploaded unless every source can be used. The document goes to the stack that STACK names, or to the embedded
stack that runs at LOCAL (the address that `make local` prints as api_url).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from activate.checks import InvalidSettings
from activate.signatures import SharedSecret
from activate.sources import Source, parse
from local.deployed import DEFAULT_STACK, NotDeployed, outputs
from local.running import NotRunning, aws_client, find

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


class Unusable(Exception):
    """The command cannot go on. The message is for whoever typed it."""


@dataclass(frozen=True)
class Target:
    """A stack, as this command needs it: the secret for the document, and where shops deliver."""

    secrets: Any
    """A Secrets Manager client."""
    secret_id: str
    webhook_url: str
    """With a slash at its end."""


def checked(text: str) -> dict[str, Source]:
    """The sources of a document, every one of which can be used.

    Raises:
        Unusable: a line for each fault, naming the source and the setting.
    """
    try:
        json.loads(text, object_pairs_hook=_without_doubles)
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


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name that comes twice: the last one would silently win."""
    names = [name for name, _ in pairs]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise InvalidSettings((double, "comes twice in one object"))
    return dict(pairs)


def upload(text: str, target: Target) -> None:
    """Make the document the current version of the stack's secret.

    Raises:
        Unusable: Secrets Manager refused it.
    """
    try:
        target.secrets.put_secret_value(SecretId=target.secret_id, SecretString=text)
    except (ClientError, BotoCoreError) as error:
        raise Unusable(f"the document was not uploaded: {error}") from error


def instructions(text: str, sources: dict[str, Source], target: Target) -> str:
    """For each source: its address, and where that goes. Holds no secret."""
    settings = json.loads(text)
    lines = []
    for name, source in sources.items():
        platform = settings[name]["platform"]
        query = f"?{source.auth.query}=SECRET" if isinstance(source.auth, SharedSecret) and source.auth.query else ""
        lines += [f"{name} ({platform})"]
        if source.keys:
            lines += [f"  {target.webhook_url}{name}{query}", f"  Paste it into {platform}: {PASTE[platform]}."]
        if query:
            lines += ["  SECRET stands for the first of its secrets: the whole address is to be kept secret."]
        if source.event_source:
            lines += [f"  Events come from {source.event_source}."]
        lines += [""]
    return "\n".join(lines)


def deployed(stack: str) -> Target:
    """The target in the AWS account of the environment.

    Raises:
        Unusable: there is no such stack, or it cannot be seen.
    """
    try:
        secret_id, webhook_url = outputs(stack, "SourcesSecretId", "WebhookUrl")
    except NotDeployed as error:
        raise Unusable(str(error)) from error
    return Target(boto3.client("secretsmanager"), secret_id, webhook_url)


def embedded(api_url: str) -> Target:
    """The target in the embedded stack at `api_url`.

    Raises:
        Unusable: none runs there.
    """
    try:
        ready = find(api_url)
    except NotRunning as error:
        raise Unusable(str(error)) from error
    return Target(aws_client(ready, "secretsmanager"), ready["sources_secret_id"], f"{ready['api_url']}/webhooks/")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, upload, and say what to paste; 1 with the reasons on standard error if that cannot be."""
    parser = argparse.ArgumentParser(
        prog="make sources", description="Check a document of webhook sources and upload it."
    )
    parser.add_argument("file", type=Path, help="the document: a JSON object, source name → settings")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--stack", default=DEFAULT_STACK, help="the deployed stack")
    where.add_argument("--local", metavar="API_URL", help="the embedded stack at this address instead")
    wanted = parser.parse_args(arguments)
    try:
        text = wanted.file.read_text()
        sources = checked(text)
        target = embedded(wanted.local) if wanted.local else deployed(wanted.stack)
        upload(text, target)
    except (Unusable, OSError, UnicodeDecodeError) as error:
        for line in str(error).splitlines():
            print(f"{wanted.file}: {line}", file=sys.stderr)
        return 1
    print(f"Uploaded {len(sources)} sources to {target.secret_id}.")
    print("They are in use within five minutes. Until then do not change a secret in the shop.\n")
    print(instructions(text, sources, target))
    return 0


if __name__ == "__main__":
    sys.exit(main())
