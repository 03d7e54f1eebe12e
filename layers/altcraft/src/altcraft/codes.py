"""The state of a promo code, from Altcraft's `get`."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from altcraft.errors import IncoherentReply

Moment = str | int | float
"""A time as Altcraft gives it: documented is RFC 3339, or `""` if not set; epoch seconds and milliseconds are read too."""

_YEARS: Final = range(2000, 2200)
"""A date outside of these is taken for a placeholder: the zero or the maximum of some language's dates."""

_MILLISECONDS: Final = 1e11
"""Epoch seconds reach this in the year 5138: a greater number counts milliseconds."""


_FLAGS: Final[Mapping[object, bool]] = {"true": True, "1": True, "false": False, "0": False}
"""The spellings of a flag: JSON has booleans, XML has text."""


@dataclass(frozen=True, kw_only=True)
class CodeState:
    """The state of one code in one loyalty program.

    Source: Altcraft documentation, "Promo codes: get".
    """

    is_attached: bool
    is_activated: bool
    is_expired: bool
    code: str = ""
    loyalty_id: str = ""
    attached: Moment = ""
    activated: Moment = ""
    expired: Moment = ""
    expire_date: Moment = ""

    @classmethod
    def from_data(cls, data: object) -> CodeState:
        """Read the `data` of a `get` reply, of either wire format: XML's values are all text.

        Raises:
            IncoherentReply: a field is missing or is not of its documented type.
        """
        if not isinstance(data, dict):
            raise IncoherentReply("Altcraft's reply to get has no `data` object")
        return cls(
            is_attached=_flag(data, "is_attached"),
            is_activated=_flag(data, "is_activated"),
            is_expired=_flag(data, "is_expired"),
            code=str(_value(data, "code")),
            loyalty_id=str(_value(data, "loyalty_id")),
            attached=_value(data, "attached"),
            activated=_value(data, "activated"),
            expired=_value(data, "expired"),
            expire_date=_value(data, "expire_date"),
        )

    def is_of(self, code: str, loyalty_id: int) -> bool:
        """Whether this is the state of the code that was requested, if the reply names it; Altcraft may change its case."""
        return _folded(self.code) in ("", _folded(code)) and self.loyalty_id in ("", str(loyalty_id))

    def attached_at(self) -> datetime | None:
        """When the code was attached to a profile, as `activated_at`."""
        return _moment(self.attached)

    def activated_at(self) -> datetime | None:
        """When the code was activated, by Altcraft's clock; without a time zone if Altcraft gives none; None if there is no
        time, or it cannot be read."""
        return _moment(self.activated)

    def expires_at(self) -> datetime | None:
        """When the code expires or expired, as `activated_at`; None also if it never does."""
        return _moment(self.expire_date)


def _flag(data: Mapping[str, object], field: str) -> bool:
    flag = _FLAGS.get(str(data.get(field)).lower())
    if flag is None:
        raise IncoherentReply(f"Altcraft's reply to get has no `{field}` of true or false")
    return flag


def _value(data: Mapping[str, object], field: str) -> str | int | float:
    value = data.get(field)
    if value is None:
        return ""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise IncoherentReply(f"Altcraft's reply to get has a `{field}` that is neither text nor a number")
    return int(value) if isinstance(value, float) and value.is_integer() else value  # PHP writes 5 as 5.0


def _folded(code: str) -> str:
    return unicodedata.normalize("NFC", code).strip().casefold()


def _moment(value: Moment) -> datetime | None:
    try:
        number = float(value)
        moment = datetime.fromtimestamp(number / 1000 if number >= _MILLISECONDS else number, UTC)
    except (OverflowError, OSError):
        return None
    except ValueError:  # not a number, or NaN
        try:
            moment = datetime.fromisoformat(str(value).strip())
        except ValueError:
            return None
    return moment if moment.year in _YEARS else None
