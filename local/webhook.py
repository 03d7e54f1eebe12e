"""`make webhook`: sign a shop's delivery and send it, to the stack on this laptop or to a deployed one.

Environment: SOURCE, the name of a webhook source. FILE, the body (default: the sample of the source's platform); its ending
says what it is: .json, .xml, .form. URL, the API's address (default: the stack of `make local`). SOURCES, the document of
sources (default: the one the running stack has).
"""

import json
import os
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

import requests

from activate.checks import InvalidSettings
from activate.sources import SourceUnavailable, UnknownSource, parse
from local.running import NotRunning, address, aws_client, find
from local.signing import FORM, sign
from local.stack import ROOT

MEDIA_TYPES = {".json": "application/json", ".xml": "application/xml", ".form": FORM}
SAMPLES = ROOT / "events" / "bodies"


class Unusable(Exception):
    """What was asked for cannot be sent; the message names the variable and the remedy."""


def send(environ: Mapping[str, str]) -> requests.Response:
    """Sign and send the delivery that the environment describes. Raises Unusable, and NotRunning."""
    name = environ.get("SOURCE") or ""
    url = address(environ)
    text = _read(Path(path), "SOURCES").decode() if (path := environ.get("SOURCES")) else _running(url)
    try:
        source = parse(text).find(name)
    except UnknownSource:
        raise Unusable(f"SOURCE must name one of the document's sources, not {name!r}") from None
    except (InvalidSettings, SourceUnavailable) as error:
        raise Unusable(f"the sources cannot be used: {error}") from error
    file = Path(environ.get("FILE") or _sample(text, name))
    if file.suffix not in MEDIA_TYPES:
        raise Unusable(f"FILE must end in {', '.join(MEDIA_TYPES)}, to say what it is")
    body = _read(file, "FILE")
    try:
        delivery = sign(source, body, MEDIA_TYPES[file.suffix], delivery_id=str(uuid.uuid4()), now=time.time())
    except ValueError as error:
        raise Unusable(str(error)) from error
    target = f"{url}/webhooks/{name}"
    return requests.post(target, delivery.body, headers=dict(delivery.headers), params=dict(delivery.query), timeout=30)


def _read(path: Path, variable: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unusable(f"{variable} must name a file that can be read: {error}") from error


def _running(url: str) -> str:
    """Return the document of sources that the running stack at `url` has."""
    ready = find(url)
    secrets = aws_client(ready, "secretsmanager")
    text: str = secrets.get_secret_value(SecretId=ready["sources_secret_id"])["SecretString"]
    return text


def _sample(text: str, name: str) -> Path:
    """Return the sample delivery of a source's platform."""
    platform = json.loads(text)[name]["platform"]
    samples = sorted(SAMPLES.glob(f"{platform}.*"))
    if not samples:
        raise Unusable(f"FILE must name a body: there is no sample of the platform {platform}")
    return samples[0]


def main() -> None:
    """Send the delivery and print the answer; the exit status says whether it was accepted."""
    try:
        answer = send(os.environ)
    except (Unusable, NotRunning, requests.RequestException) as error:
        sys.exit(str(error))
    print(answer.status_code, answer.text)
    sys.exit(not answer.ok)


if __name__ == "__main__":
    main()
