"""The settings of this function: each field is an environment variable that template.yaml declares."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from altcraft.wire import Wire
from serverless.settings import read


@dataclass(frozen=True)
class Settings:
    """What the function is told by its environment."""

    altcraft_url: str
    altcraft_secret_id: str
    export_bucket: str
    export_prefix: str = ""
    altcraft_wire: Wire = "json"


@cache
def settings() -> Settings:
    """The settings of this sandbox, read once.

    Raises:
        serverless.settings.SettingsError: one is missing or unusable.
    """
    return read(Settings)
