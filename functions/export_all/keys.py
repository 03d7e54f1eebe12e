"""Where everything of an export is in the bucket: the keys of its data, of its manifest, and of `latest`."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from export_all.formats.registry import FORMATS, OutputFormat

if TYPE_CHECKING:
    from datetime import datetime


def manifest_key(prefix: str, export_id: str) -> str:
    """An export's manifest."""
    return f"{prefix}exports/{export_id}.json"


def record_key(prefix: str, idempotency_key: str) -> str:
    """The record of an idempotency key, beside the manifest that it leads to.

    The underscore hides it from Athena's table of manifests, and it can be no export id.
    """
    return f"{prefix}exports/_{hashlib.sha256(idempotency_key.encode()).hexdigest()}.json"


def latest_key(prefix: str, loyalty_id: int) -> str:
    """The manifest of a program's newest good export."""
    return f"{prefix}latest/loyalty_id={loyalty_id}.json"


def data_folder(prefix: str, loyalty_id: int, output_format: OutputFormat) -> str:
    """The data of a program's exports in one format, by days."""
    return f"{prefix}promocodes/{FORMATS[output_format].folder}loyalty_id={loyalty_id}/"


def data_key(prefix: str, loyalty_id: int, output_format: OutputFormat, export_id: str, now: datetime) -> str:
    """One export's data; `now` is when it begins."""
    folder = data_folder(prefix, loyalty_id, output_format)
    return f"{folder}dt={now:%Y-%m-%d}/{export_id}.{FORMATS[output_format].suffix}"


def export_id_in(key: str) -> str:
    """The export whose data has this key."""
    return key.rpartition("/")[2].partition(".")[0]
