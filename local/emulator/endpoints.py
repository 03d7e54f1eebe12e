"""The seven documented endpoints: the fields each takes, and the reply it makes of the state."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any

import msgspec

from local.emulator.programs import Code, Profile, Programs, Refused
from local.emulator.settings import DUPLICATED, INCORRECT, SUCCESS, Times

LoyaltyId = Annotated[int, msgspec.Meta(ge=1)]
CodeText = Annotated[str, msgspec.Meta(min_length=1)]

# The reply's fields beside `error` and `error_text`.
Fields = dict[str, object]


class OfProgram(msgspec.Struct):
    """What every request names."""

    loyalty_id: LoyaltyId


class OfCode(OfProgram):
    """A request about one code."""

    code: CodeText


class Import(OfProgram):
    """The body of `import`."""

    codes: Annotated[list[CodeText], msgspec.Meta(min_length=1)]


class Update(OfCode):
    """The body of `update`: at least one of the two optional fields."""

    activated: bool | None = None
    expire_date: datetime | None = None


class OfProfile(OfProgram):
    """The body of `attach` and `detach`: a database, and what matches a profile in it."""

    db_id: int
    code: CodeText | None = None
    matching: str | None = None
    email: str | None = None
    phone: str | None = None
    profile_id: str | int | None = None
    field_name: str | None = None
    field_value: str | None = None

    def profile(self) -> Profile:
        """Return the profile these fields match. Raises Refused where they match none."""
        values = {
            "profile_id": None if self.profile_id is None else str(self.profile_id),
            "email": self.email,
            "phone": self.phone,
            "custom": f"{self.field_name}={self.field_value}" if self.field_name and self.field_value else None,
        }
        matching = self.matching or next((name for name, value in values.items() if value), None)
        value = values.get(matching or "")
        if matching is None or not value:
            raise Refused(INCORRECT)
        return Profile(self.db_id, matching, value)


def stamp(moment: datetime, times: Times = "utc") -> str | int:
    """Write a moment as Altcraft does, RFC 3339, seconds, UTC; or in one of the ways that it does not document."""
    moment = moment.astimezone(UTC)
    match times:
        case "offset":
            return moment.astimezone(timezone(timedelta(hours=3))).isoformat(timespec="seconds")
        case "fractions":
            return moment.isoformat(timespec="milliseconds")
        case "no_zone":
            return moment.astimezone(timezone(timedelta(hours=3))).strftime("%Y-%m-%d %H:%M:%S")
        case "epoch":
            return int(moment.timestamp())
        case "minute":
            return moment.strftime("%Y-%m-%dT%H:%M:00Z")
        case "day":
            return moment.strftime("%Y-%m-%d")
        case "empty":
            return ""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def row(code: Code, now: datetime) -> dict[str, str]:
    """Write one record of an export; dates that are unset are left out."""
    dates = {
        "attached": code.attached,
        "activated": code.activated,
        "expire_date": code.expire_date,
        "expired": code.expired(now),
    }
    return {"code": code.code} | {name: str(stamp(date)) for name, date in dates.items() if date}


def _activate(programs: Programs, asked: OfCode, now: datetime) -> Fields:
    programs.activate(asked.loyalty_id, asked.code)
    return {"data": None}


def _get(programs: Programs, asked: OfCode, now: datetime) -> Fields:
    code = programs.get(asked.loyalty_id, asked.code)
    expired = code.expired(now)
    dates = {
        "attached": code.attached,
        "activated": code.activated,
        "expired": expired,
        "expire_date": code.expire_date,
    }
    data: Fields = {
        "created": stamp(code.created),
        "is_attached": code.attached is not None,
        "is_activated": code.activated is not None,
        "is_expired": expired is not None,
        **{name: stamp(date, programs.times) if date else "" for name, date in dates.items()},
        "loyalty_id": asked.loyalty_id,
        "code": code.code,
    }
    for profile in sorted(code.profiles, key=lambda one: one.value)[:1]:
        data["database_id"] = profile.db_id
        if profile.matching == "profile_id":
            data["profile_id"] = profile.value
    return {"data": data}


def _import(programs: Programs, asked: Import, now: datetime) -> Fields:
    imported = programs.import_codes(asked.loyalty_id, asked.codes)
    return {
        "data": [
            {"code": code, "error": result.error, "error_text": result.error_text} for code, result in imported.results
        ],
        "discarded_by_limit": imported.discarded_by_limit,
        "duplicated": imported.count(DUPLICATED),
        "inserted": imported.count(SUCCESS),
    }


def _update(programs: Programs, asked: Update, now: datetime) -> Fields:
    if asked.activated is None and asked.expire_date is None:
        raise Refused(INCORRECT)
    programs.update(asked.loyalty_id, asked.code, asked.activated, asked.expire_date)
    return {"data": None}


def _attach(programs: Programs, asked: OfProfile, now: datetime) -> Fields:
    programs.attach(asked.loyalty_id, asked.code, asked.profile())
    return {"data": None}


def _detach(programs: Programs, asked: OfProfile, now: datetime) -> Fields:
    programs.detach(asked.loyalty_id, asked.code, asked.profile())
    return {"data": None}


# The seventh, export_all, is streamed: see export.py.
MESSAGES: dict[str, tuple[type[OfProgram], Callable[[Programs, Any, datetime], Fields]]] = {
    "activate": (OfCode, _activate),
    "get": (OfCode, _get),
    "import": (Import, _import),
    "update": (Update, _update),
    "attach": (OfProfile, _attach),
    "detach": (OfProfile, _detach),
}
