"""What the emulated Altcraft is made of beside its server: settings, programs, faults, and a journal of the calls."""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime

from local.emulator.faults import Faults
from local.emulator.programs import Programs
from local.emulator.settings import Settings


class Journal:
    """What was asked: `calls` by endpoint, and the most calls there were at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.calls: Counter[str] = Counter()
        self.at_once = 0
        self.most_at_once = 0

    def begin(self, endpoint: str) -> None:
        """Note a call that has come in."""
        with self._lock:
            self.calls[endpoint] += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)

    def end(self) -> None:
        """Note that a call was answered."""
        with self._lock:
            self.at_once -= 1


class State:
    """All that may be looked at and changed while the emulator serves; `settings` are replaced as a whole."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime]) -> None:
        self.settings = settings
        self.programs = Programs(lambda: self.settings, clock)
        self.faults = Faults()
        self.journal = Journal()

    def clear(self) -> None:
        """Forget programs, faults and journal; the settings stay."""
        self.programs.clear()
        self.faults.set([])
        self.journal.clear()
