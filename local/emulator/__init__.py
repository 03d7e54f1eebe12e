"""An Altcraft for a laptop: the seven promo code endpoints, with state, faults, and every undocumented answer a setting."""

from local.emulator.server import Emulator
from local.emulator.settings import Refusal, Settings

__all__ = ["Emulator", "Refusal", "Settings"]
