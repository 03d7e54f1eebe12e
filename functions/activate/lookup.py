"""A lookup: what is true of a promo code now. It changes nothing in Altcraft or in the ledger, and reserves nothing.

So an answer is of its moment: a code that is redeemable may be used by another order right after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from activate.inquiry import Inquiry, PromoCodes
from activate.ledger import State
from activate.redemption import Redemption
from lambda_support.fields import refuse_unknown

if TYPE_CHECKING:
    from activate.ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is true of a code. Times are RFC 3339 in UTC; None where there is none, or Altcraft's cannot be read for certain."""

    code: str
    loyalty_id: int
    attached: bool
    activated: bool
    expired: bool
    attached_at: str | None
    activated_at: str | None
    expires_at: str | None
    redeemable: bool
    """By Altcraft: attached, not activated, not expired."""
    order_id: str | None
    """The order that holds the code by the ledger, and that alone may have it activated."""


class Lookup:
    """Looks codes up."""

    def __init__(self, promo_codes: PromoCodes, ledger: Ledger) -> None:
        self._promo_codes = promo_codes
        self._ledger = ledger

    def facts(self, subject: Redemption) -> Facts | None:
        """The facts about a code; None if it is certain that Altcraft does not know it.

        Args:
            subject: the code; a lookup is for no order.

        Raises:
            TryAgain: they are not known now.
        """
        # Before Altcraft: an order that activates the code in between can only make it look used by nobody, never free.
        entry = self._ledger.find(subject)
        # An order that gives the code back holds it until that is certain.
        is_held = entry is not None and (entry.state is State.REDEEMED or entry.is_returning)
        inquiry = Inquiry(self._promo_codes, self._ledger, subject)
        state = inquiry.settled(inquiry.state)
        if state is None:
            return None
        return Facts(
            code=subject.code,
            loyalty_id=subject.loyalty_id,
            attached=state.is_attached,
            activated=state.is_activated,
            expired=state.is_expired,
            attached_at=_rfc3339(state.attached_at()) if state.is_attached else None,
            activated_at=_rfc3339(state.activated_at()) if state.is_activated else None,
            expires_at=_rfc3339(state.expires_at()),
            redeemable=state.is_attached and not state.is_activated and not state.is_expired,
            order_id=entry.order_id if entry and is_held else None,
        )


def subject_from(fields: Mapping[str, Any]) -> Redemption:
    """Read `{"code", "loyalty_id"}`; the number may be text, as it is in XML.

    Raises:
        InvalidField: names the field that is missing, wrong or unknown; an `order_id` is unknown here.
    """
    refuse_unknown(fields, {"code", "loyalty_id"})
    return Redemption.from_fields(fields)


def _rfc3339(moment: datetime | None) -> str | None:
    """A time in UTC; None for one without a zone, which could be any of 26 hours."""
    if moment is None or moment.tzinfo is None:
        return None
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
