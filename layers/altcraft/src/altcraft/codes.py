"""A promo code as Altcraft's `get` describes it."""

from __future__ import annotations

from datetime import datetime

import msgspec


class CodeState(msgspec.Struct, frozen=True, kw_only=True):
    """What is true of one code in one loyalty program. Moments are text as Altcraft gave them; unset ones are `""`.

    Source: Altcraft documentation, "Promo codes: get".
    """

    is_attached: bool
    is_activated: bool
    is_expired: bool
    code: str = ""
    attached: str = ""
    activated: str = ""
    expired: str = ""
    expire_date: str = ""

    @classmethod
    def from_data(cls, data: object) -> CodeState:
        """Read the `data` of a `get` reply, of either wire format: XML's values are all text.

        Raises:
            msgspec.ValidationError: a field is missing or is not what the documentation says.
        """
        known = {name: value for name, value in data.items() if value is not None} if isinstance(data, dict) else data
        return msgspec.convert(known, cls, strict=False)

    def activated_at(self) -> datetime | None:
        """When the code was activated by Altcraft's clock (whole seconds); None where it does not say so in RFC 3339."""
        return _moment(self.activated)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
