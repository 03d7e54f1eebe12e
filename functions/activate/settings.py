"""The settings of this function: each field is an environment variable that template.yaml declares."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from altcraft.wire import Wire
from lambda_support.settings import read


@dataclass(frozen=True)
class Settings:
    """The function's environment variables."""

    altcraft_url: str
    altcraft_secret_id: str
    sources_secret_id: str
    activation_queue_url: str
    dead_letter_queue_url: str
    redemptions_table: str
    export_bucket: str
    export_prefix: str = ""
    event_bus_name: str = ""
    """Empty: no events are sent."""
    altcraft_wire: Wire = "json"


@cache
def settings() -> Settings:
    """The settings of this sandbox, read once.

    Raises:
        lambda_support.settings.SettingsError: one is missing or unusable.
    """
    return read(Settings)
