"""A promo code as Altcraft's `get` describes it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from altcraft.errors import IncoherentReply

Moment = str | int | float
"""A time as Altcraft gives it: RFC 3339 is documented, `""` where it is unset; other ways are read where they are plain."""

_YEARS: Final = range(2000, 2200)
"""Other times are the zero or the end that some language writes as a date."""

_MILLISECONDS: Final = 1e11
"""Epoch seconds reach this in the year 5138: a greater number counts milliseconds."""


_FLAGS: Final[Mapping[object, bool]] = {"true": True, "1": True, "false": False, "0": False}
"""How a flag is written: JSON has its own values, XML has text."""


@dataclass(frozen=True, kw_only=True)
class CodeState:
    """What is true of one code in one loyalty program.

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
            IncoherentReply: a field is missing or is not what the documentation says.
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
        """Whether this is about the code that was asked for, as far as it says; Altcraft may write it in another case."""
        return _folded(self.code) in ("", _folded(code)) and self.loyalty_id in ("", str(loyalty_id))

    def activated_at(self) -> datetime | None:
        """When the code was activated, by Altcraft's clock; without a time zone where Altcraft gives none, and None where
        there is no time, or none that can be read."""
        return _moment(self.activated)


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
    except ValueError:  # no number, or NaN, which is no date either
        try:
            moment = datetime.fromisoformat(str(value).strip())
        except ValueError:
            return None
    return moment if moment.year in _YEARS else None
