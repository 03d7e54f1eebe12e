"""The stack that `make local` runs, as the tools beside it find it."""

from collections.abc import Mapping
from typing import Any

import boto3
import requests

from local.engine import CREDENTIALS, REGION
from local.front import CONTROL

DEFAULT_PORT = "3000"


class NotRunning(Exception):
    """No stack answers; the message names the remedy."""


def address(environ: Mapping[str, str]) -> str:
    """Return the API's address: URL, or PORT of this machine."""
    return (environ.get("URL") or f"http://127.0.0.1:{environ.get('PORT') or DEFAULT_PORT}").rstrip("/")


def find(url: str) -> dict[str, Any]:
    """Return what the stack whose API is at `url` printed when it was ready. Raises NotRunning."""
    try:
        reply = requests.get(url + CONTROL, timeout=5)
        reply.raise_for_status()
        ready: dict[str, Any] = reply.json()
    except requests.RequestException as error:
        raise NotRunning(
            f"no `make local` answers at {url}: start it, or give its PORT, or for a deployed API its URL and SOURCES"
        ) from error
    return ready


def aws_client(ready: Mapping[str, Any], service: str) -> Any:
    """Return a boto3 client of a running stack's AWS. Typed by whoever asks."""
    return boto3.client(
        service,
        endpoint_url=ready["aws_endpoint_url"],
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )
