"""One reversal: an order gives a promo code back, so that another order can use it.

Only the order that holds the code by the ledger, or that may have activated it, can give it back. The order is closed for the
code from then on: a late or repeated "paid" does not take it again. As long as it is not certain whether a request was carried
out, no other order gets the code, because a late request would undo that order's activation.

Source: Altcraft documentation, "Promo codes: update": `activated: false` is the only documented way.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from activate.attribution import Attribution
from activate.inquiry import Inquiry, PromoCodes, no_outcome
from activate.ledger import Entry, Ledger
from activate.redemption import Outcome, Redemption, Result, TryAgain
from altcraft.errors import AltcraftError, TokenRefused, Unreachable, is_lost


class Reverser:
    """Gives codes back, each by the order that holds it, even if calls or runs fail."""

    def __init__(
        self, promo_codes: PromoCodes, ledger: Ledger, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._promo_codes = promo_codes
        self._ledger = ledger
        self._now = now

    def deactivate(self, redemption: Redemption, until: datetime) -> Result:
        """Give a code back.

        The same order with the same code gets the same answer again, until another order has taken the code.

        Args:
            redemption: the code, and the order, which has an id.
            until: when Lambda ends this run.

        Returns:
            `deactivated`, `not_held_by_order`, or `not_found` if the order holds a code that Altcraft does not know any more.

        Raises:
            TryAgain: no outcome is certain yet.
        """
        claim = self._ledger.claim_return(redemption, until)
        if closure := claim.closure(redemption.order_id):
            return Result(Outcome.DEACTIVATED if closure.gave_back else Outcome.NOT_HELD_BY_ORDER)
        inquiry = Inquiry(self._promo_codes, self._ledger, redemption)
        return _Run(self._promo_codes, self._ledger, inquiry, Attribution(inquiry, self._now), redemption, claim).end()


@dataclass
class _Run:
    """One run that has claimed a code for its return, and its findings."""

    promo_codes: PromoCodes
    ledger: Ledger
    inquiry: Inquiry
    attribution: Attribution
    redemption: Redemption
    claim: Entry
    may_be_applied: bool = False
    """This run's own request may have been carried out; that it was, only `get` shows."""
    is_open: bool = False
    """No reply confirms it, so that it may also be carried out later."""
    is_lost: bool = False
    """There was no reply to it, or an error of Altcraft's server in its place."""

    def end(self) -> Result:
        """Find the outcome, and write it to the ledger before it is returned."""
        try:
            result = self.inquiry.settled(self._settle, lambda: self.is_lost or self.claim.began_earlier)
        except TryAgain as failure:
            with suppress(TryAgain):  # the claim expires anyway
                self.ledger.keep(self.claim, failure.reason, begun=self.may_be_applied)
            raise
        self.ledger.close(self.claim, result.outcome, lost=self.is_open)
        return result

    def _settle(self) -> Result:
        """Request the deactivation, and decide by the code's state."""
        if not self.claim.redeemed_at:
            if not self._holds():
                return Result(Outcome.NOT_HELD_BY_ORDER)
            self.claim = self.ledger.hold(self.claim)
        elif self.may_be_applied or self.claim.began_earlier:
            if result := self._outcome():
                return result
            self.claim = self.claim.begun_anew()
        failure = self._deactivate()
        if result := self._outcome():
            return result
        if failure is None or self.is_lost or self.claim.began_earlier:
            raise TryAgain("unsettled", "Altcraft was asked to deactivate the code, and it is still activated")
        raise no_outcome(failure.kind, failure)

    def _holds(self) -> bool:
        """Whether this order's tries, whose replies were lost, have activated the code."""
        state = self.inquiry.state()
        if state is None or not state.is_activated:
            return False
        is_ours = self.attribution.is_ours(state.activated_at(), self.claim.tried_since or self.claim.claimed_at)
        if is_ours is None:
            raise TryAgain(
                "unsettled", "the code is activated, and the time that Altcraft gives does not show by which order"
            )
        return is_ours

    def _deactivate(self) -> AltcraftError | None:
        """Request the deactivation; return the error, or None if Altcraft confirms it.

        Raises:
            AltcraftError: the request was not carried out, and `get` would fail too.
        """
        try:
            self.promo_codes.deactivate(self.redemption.code, self.redemption.loyalty_id)
        except AltcraftError as error:
            self.may_be_applied |= error.may_be_applied
            self.is_open |= error.may_be_applied
            self.is_lost |= is_lost(error)
            if isinstance(error, TokenRefused | Unreachable) and not error.may_be_applied:
                raise
            return error
        self.may_be_applied = True
        return None

    def _outcome(self) -> Result | None:
        """The outcome by the code's state; None if the code is still activated."""
        state = self.inquiry.state()
        if state is None:
            return Result(Outcome.NOT_FOUND)
        return None if state.is_activated else Result(Outcome.DEACTIVATED)
