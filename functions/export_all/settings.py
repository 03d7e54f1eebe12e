"""The settings of this function: each field is an environment variable that template.yaml declares."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from altcraft.wire import Wire
from export_all.latest import LATEST_MINIMUM_PERCENT
from lambda_support.settings import SettingsError, read


@dataclass(frozen=True)
class Settings:
    """The environment of this function."""

    altcraft_url: str
    altcraft_secret_id: str
    export_bucket: str
    export_prefix: str = ""
    altcraft_wire: Wire = "json"
    latest_minimum_percent: int = LATEST_MINIMUM_PERCENT
    event_bus_name: str = ""
    """Empty: nothing is published."""


@cache
def settings() -> Settings:
    """The settings of this sandbox, read once.

    Raises:
        lambda_support.settings.SettingsError: one is missing or unusable.
    """
    found = read(Settings)
    if not 1 <= found.latest_minimum_percent <= 100:
        raise SettingsError("the environment variable LATEST_MINIMUM_PERCENT must be a whole number from 1 to 100")
    return found
