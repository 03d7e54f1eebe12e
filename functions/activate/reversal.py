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
from activate.inquiry import Inquiry, PromoCodes, Request, no_outcome
from activate.ledger import Entry, Ledger
from activate.redemption import Outcome, Redemption, Result, TryAgain


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
        request = Request(self._promo_codes.deactivate, redemption)
        return _Run(self._ledger, inquiry, Attribution(inquiry, self._now), request, claim).end()


@dataclass
class _Run:
    """One run that has claimed a code for its return, and its findings."""

    ledger: Ledger
    inquiry: Inquiry
    attribution: Attribution
    request: Request
    claim: Entry

    def end(self) -> Result:
        """Find the outcome, and write it to the ledger before it is returned."""
        try:
            result = self.inquiry.settled(self._settle, lambda: self.request.is_lost or self.claim.began_earlier)
        except TryAgain as failure:
            with suppress(TryAgain):  # the claim expires anyway
                self.ledger.keep(self.claim, failure.reason, begun=self._may_have_begun)
            raise
        self.ledger.close(self.claim, result.outcome, lost=self.request.may_be_applied)
        return result

    @property
    def _may_have_begun(self) -> bool:
        """Whether this run's request may have been carried out: that it was, even if it is confirmed, only `get` shows."""
        return self.request.is_confirmed or self.request.may_be_applied

    def _settle(self) -> Result:
        """Request the deactivation, and decide by the code's state."""
        if not self.claim.redeemed_at:
            if not self._holds():
                return Result(Outcome.NOT_HELD_BY_ORDER)
            self.claim = self.ledger.hold(self.claim)
        elif self._may_have_begun or self.claim.began_earlier:
            if result := self._outcome():
                return result
            self.claim = self.claim.begun_anew()
        failure = self.request.send()
        if result := self._outcome():
            return result
        if failure is None or self.request.is_lost or self.claim.began_earlier:
            raise TryAgain("unsettled", "Altcraft was asked to deactivate the code, and it is still activated")
        raise no_outcome(failure.kind, failure)

    def _holds(self) -> bool:
        """Whether this order's tries, whose replies were lost, have activated the code."""
        state = self.inquiry.state()
        if state is None or not state.is_activated:
            return False
        since = self.claim.tried_since or self.claim.claimed_at
        return self.attribution.is_ours(state.activated_at(), since, is_alone=not self.claim.tried_before(since))

    def _outcome(self) -> Result | None:
        """The outcome by the code's state; None if the code is still activated."""
        state = self.inquiry.state()
        if state is None:
            return Result(Outcome.NOT_FOUND)
        return None if state.is_activated else Result(Outcome.DEACTIVATED)
