"""`make webhook`: sign a shop's delivery as its platform does, and send it."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path

import click
import requests

from ops.errors import Unusable
from ops.signing import MEDIA_TYPES, SAMPLES, document, read, sign, source_of
from ops.target import Target, with_target


def send(target: Target, name: str, file: Path | None = None, sources: Path | None = None) -> requests.Response:
    """Sign a delivery and send it to the target's API.

    Args:
        target: where to.
        name: which of its sources delivers.
        file: the body; None for the sample of the source's platform.
        sources: the document of sources; None for the target's own.

    Raises:
        Unusable: it cannot be signed or sent.
    """
    text = document(target, sources)
    source = source_of(text, name)
    file = file or _sample(json.loads(text)[name]["platform"])
    if file.suffix not in MEDIA_TYPES:
        raise Unusable(f"FILE must end in {', '.join(MEDIA_TYPES)}, to say what it is")
    media_type, body = MEDIA_TYPES[file.suffix], read(file, "FILE")
    delivery = sign(source, body, media_type, delivery_id=str(uuid.uuid4()), now=time.time())
    url, headers = f"{target.api_url}/webhooks/{name}", dict(delivery.headers)
    try:
        return requests.post(url, delivery.body, headers=headers, params=dict(delivery.query), timeout=30)
    except requests.RequestException as error:
        raise Unusable(f"the delivery was not answered: {error}") from error


def _sample(platform: str) -> Path:
    samples = sorted(SAMPLES.glob(f"{platform}.*"))
    if not samples:
        raise Unusable(f"FILE must name a body: there is no sample of the platform {platform}")
    return samples[0]


@click.command("webhook")
@click.option("--source", envvar="SOURCE", default="", help="The webhook source that delivers.")
@click.option(
    "--file",
    envvar="FILE",
    type=click.Path(path_type=Path),
    help="The body; its ending says what it is. Default: the sample of the source's platform.",
)
@click.option(
    "--sources",
    envvar="SOURCES",
    type=click.Path(path_type=Path),
    help="The document of sources, by whose secret it is signed. Default: the stack's own.",
)
@with_target(laptop=True)
@click.pass_context
def command(context: click.Context, target: Target, source: str, file: Path | None, sources: Path | None) -> None:
    """Sign a shop's delivery as its platform does, and send it.

    Prints the answer, and exits 1 where it is an error. With SOURCES an API at any address is reached by URL, such as one that
    has a domain of its own.
    """
    answer = send(target, source, file, sources)
    click.echo(f"{answer.status_code} {answer.text}")
    context.exit(not answer.ok)
