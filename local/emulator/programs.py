"""The loyalty programs, their codes and profiles, and the rules by which the seven endpoints change them."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from local.emulator.settings import DUPLICATED, SUCCESS, Refusal, Settings, Times


class Refused(Exception):
    """An operation is refused and has changed nothing."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.error_text)


@dataclass(frozen=True, slots=True)
class Profile:
    """Whom a code is attached to: a database, and the field and value that match the profile."""

    db_id: int
    matching: str
    value: str


@dataclass(slots=True)
class Code:
    """One promo code. `attached` is the moment of its first attachment, unset again when its last profile leaves."""

    code: str
    created: datetime
    attached: datetime | None = None
    activated: datetime | None = None
    expire_date: datetime | None = None
    profiles: set[Profile] = field(default_factory=set)

    def expired(self, now: datetime) -> datetime | None:
        """Return when the code expired, None while it is good."""
        return self.expire_date if self.expire_date and self.expire_date <= now else None


@dataclass(slots=True)
class Program:
    """A loyalty program. A universal code belongs to several profiles, a personal one to one.

    `generated` rows follow the stored codes in an export and are nowhere else: they make an export of any size
    without keeping it in memory.
    """

    loyalty_id: int
    universal: bool = False
    generated: int = 0
    codes: dict[str, Code] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Imported:
    """The outcome of an import: each code with SUCCESS or why not, and how many were left out by the program's limit."""

    results: list[tuple[str, Refusal]]
    discarded_by_limit: int

    def count(self, refusal: Refusal) -> int:
        """Count the codes that ended so."""
        return sum(result == refusal for _, result in self.results)


class Programs:
    """All the state of the emulated Altcraft. Safe to use from several threads; each operation is atomic.

    `activations` counts, by (loyalty_id, code), how often an activation was carried out.
    """

    def __init__(self, settings: Callable[[], Settings], clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.RLock()
        self._activated = threading.Condition(self._lock)
        self._programs: dict[int, Program] = {}
        self.activations: Counter[tuple[int, str]] = Counter()

    @property
    def times(self) -> Times:
        """How times are written."""
        return self._settings().times

    # --- seeding -----------------------------------------------------------------------------------------------------

    def create(self, loyalty_id: int, *, universal: bool = False, generated: int = 0) -> None:
        """Create a program, or change what kind it is."""
        with self._lock:
            program = self._programs.setdefault(loyalty_id, Program(loyalty_id))
            program.universal, program.generated = universal, generated

    def add(
        self,
        loyalty_id: int,
        *codes: str,
        attached: bool = False,
        activated: bool = False,
        expire_date: datetime | None = None,
    ) -> None:
        """Put codes into a program, made if it is missing, in the given state as of now."""
        now = self._clock()
        with self._lock:
            program = self._programs.setdefault(loyalty_id, Program(loyalty_id))
            for code in codes:
                program.codes[code] = Code(
                    code, now, now if attached else None, now if activated else None, expire_date
                )

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._programs.clear()
            self.activations.clear()

    # --- the operations of the API -----------------------------------------------------------------------------------

    def activate(self, loyalty_id: int, code: str) -> None:
        """Mark a code as used. Raises Refused."""
        with self._lock:
            self._activate(self._code(loyalty_id, code), loyalty_id)

    def _activate(self, code: Code, loyalty_id: int) -> None:
        settings, now = self._settings(), self._clock()
        if code.attached is None:
            raise Refused(settings.not_attached)
        if code.expired(now):
            raise Refused(settings.expired)
        if code.activated and settings.already_activated:
            raise Refused(settings.already_activated)
        code.activated = code.activated or now
        self.activations[loyalty_id, code.code] += 1
        self._activated.notify_all()

    def wait_for_activations(self, met: Callable[[Counter[tuple[int, str]]], bool], seconds: float) -> bool:
        """Wait until the activations meet a condition; return whether they did in time."""
        with self._activated:
            return self._activated.wait_for(lambda: met(self.activations), seconds)

    def get(self, loyalty_id: int, code: str) -> Code:
        """Return a code as it stands. Raises Refused."""
        with self._lock:
            return self._code(loyalty_id, code)

    def rows(self, loyalty_id: int) -> tuple[list[Code], int]:
        """Return the stored codes of a program and how many generated ones follow them. Raises Refused."""
        with self._lock:
            program = self._program(loyalty_id)
            return list(program.codes.values()), program.generated

    def import_codes(self, loyalty_id: int, codes: Iterable[str]) -> Imported:
        """Add codes; one the program already has is refused by itself. Raises Refused for an unknown program."""
        limit = self._settings().program_limit
        results: list[tuple[str, Refusal]] = []
        discarded = 0
        with self._lock:
            program = self._program(loyalty_id)
            for code in codes:
                if code in program.codes:
                    results.append((code, DUPLICATED))
                elif limit is not None and len(program.codes) >= limit:
                    discarded += 1
                else:
                    program.codes[code] = Code(code, self._clock())
                    results.append((code, SUCCESS))
        return Imported(results, discarded)

    def update(self, loyalty_id: int, code: str, activated: bool | None, expire_date: datetime | None) -> None:
        """Activate, deactivate or date a code. Raises Refused."""
        with self._lock:
            found = self._code(loyalty_id, code)
            if activated:
                self._activate(found, loyalty_id)
            elif activated is not None:
                found.activated = None
            found.expire_date = expire_date or found.expire_date

    def attach(self, loyalty_id: int, code: str | None, profile: Profile) -> None:
        """Give a profile this code, imported if it is unknown, or without a code any free one. Raises Refused."""
        settings, now = self._settings(), self._clock()
        with self._lock:
            program = self._program(loyalty_id)
            if code is None:
                found = next((free for free in program.codes.values() if free.attached is None), None)
                if found is None:
                    raise Refused(settings.no_free_code)
            else:
                found = program.codes.get(code) or Code(code, now)
            if found.profiles - {profile} and not program.universal:
                raise Refused(settings.taken)
            found.profiles.add(profile)
            found.attached = found.attached or now
            program.codes[found.code] = found

    def detach(self, loyalty_id: int, code: str | None, profile: Profile) -> None:
        """Take a code, or without one every code, from a profile. Raises Refused where it has none."""
        with self._lock:
            program = self._program(loyalty_id)
            candidates = [self._code(loyalty_id, code)] if code is not None else list(program.codes.values())
            held = [candidate for candidate in candidates if profile in candidate.profiles]
            if not held:
                raise Refused(self._settings().no_profile)
            for found in held:
                found.profiles.discard(profile)
                found.attached = found.attached if found.profiles else None

    def _program(self, loyalty_id: int) -> Program:
        try:
            return self._programs[loyalty_id]
        except KeyError:
            raise Refused(self._settings().no_program) from None

    def _code(self, loyalty_id: int, code: str) -> Code:
        try:
            return self._program(loyalty_id).codes[code]
        except KeyError:
            raise Refused(self._settings().no_code) from None
