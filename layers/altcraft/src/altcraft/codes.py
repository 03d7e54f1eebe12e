"""A promo code as Altcraft's `get` describes it."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import Final

import msgspec

Moment = str | int | float
"""A time as Altcraft gives it: RFC 3339 is documented, `""` where it is unset; other ways are read where they are plain."""

_YEARS: Final = range(2000, 2200)
"""Other times are the zero or the end that some language writes as a date."""

_MILLISECONDS: Final = 1e11
"""Epoch seconds reach this in the year 5138: a greater number counts milliseconds."""


class CodeState(msgspec.Struct, frozen=True, kw_only=True):
    """What is true of one code in one loyalty program.

    Source: Altcraft documentation, "Promo codes: get".
    """

    is_attached: bool
    is_activated: bool
    is_expired: bool
    code: str = ""
    loyalty_id: int | str = ""
    attached: Moment = ""
    activated: Moment = ""
    expired: Moment = ""
    expire_date: Moment = ""

    @classmethod
    def from_data(cls, data: object) -> CodeState:
        """Read the `data` of a `get` reply, of either wire format: XML's values are all text.

        Raises:
            msgspec.ValidationError: a field is missing or is not what the documentation says.
        """
        known = {name: value for name, value in data.items() if value is not None} if isinstance(data, dict) else data
        return msgspec.convert(known, cls, strict=False)

    def is_of(self, code: str, loyalty_id: int) -> bool:
        """Whether this is about the code that was asked for, as far as it says; Altcraft may write it in another case."""
        return _folded(self.code) in ("", _folded(code)) and str(self.loyalty_id) in ("", str(loyalty_id))

    def activated_at(self) -> datetime | None:
        """When the code was activated, by Altcraft's clock; without a time zone where Altcraft gives none, and None where
        there is no time, or none that can be read."""
        return _moment(self.activated)


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
