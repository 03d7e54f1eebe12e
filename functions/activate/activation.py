"""One activation: marks a promo code of an order as used in Altcraft, and finds its outcome.

Nothing is final that is not positively known. Altcraft documents hardly any error code, so a refusal of `activate` explains
little, and a lost reply nothing: `get` is called for the code's state. What that does not explain has no outcome yet, and is
retried.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from activate.attribution import Attribution
from activate.inquiry import Inquiry, PromoCodes, Request, no_outcome
from activate.ledger import MAX_TRIES, Entry, Ledger, State, Try, disowned
from activate.redemption import Outcome, Redemption, Result, TryAgain

if TYPE_CHECKING:
    from altcraft.codes import CodeState
    from altcraft.errors import ErrorReply


class Activator:
    """Activates codes: each order's code once, even if calls or runs fail."""

    def __init__(
        self, promo_codes: PromoCodes, ledger: Ledger, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._promo_codes = promo_codes
        self._ledger = ledger
        self._now = now

    def activate(self, redemption: Redemption, until: datetime) -> Result:
        """Activate a code, or return why it cannot be activated.

        The same order with the same code gets its first answer again; only `activated` is remembered.

        Args:
            redemption: the code and the order.
            until: when Lambda ends this run.

        Raises:
            TryAgain: no outcome is certain yet.
        """
        claim = self._claim(redemption, until)
        if claim.closure(redemption.order_id):
            return Result(Outcome.RELEASED_BY_ORDER)
        if claim.state is State.REDEEMED:
            if redemption.order_id is not None and claim.order_id == redemption.order_id:
                return Result(Outcome.ACTIVATED)
            # The same order again is the same fact; a caller without an order is another one each time.
            identity = claim.redeemed_at if redemption.order_id else uuid.uuid4()
            self._ledger.note("double_redemption", redemption, identity)
            return Result(Outcome.ALREADY_ACTIVATED, double_redemption=True, first_order=claim.order_id)
        inquiry = Inquiry(self._promo_codes, self._ledger, redemption)
        request = Request(self._promo_codes.activate, redemption)
        return _Run(self._ledger, inquiry, Attribution(inquiry, self._now), request, claim).end()

    def _claim(self, redemption: Redemption, until: datetime) -> Entry:
        """Claim the code, after the end of another order's reversal: its request could undo this activation."""
        claim = self._ledger.claim(redemption, until)
        if claim.is_returning and not claim.closure(redemption.order_id):
            from activate.reversal import Reverser  # rarely needed, and each start of the function would pay for it

            holder = Redemption(claim.code, claim.loyalty_id, claim.order_id, claim.source)
            Reverser(self._promo_codes, self._ledger, self._now).deactivate(holder, until)
            claim = self._ledger.claim(redemption, until)
            if claim.is_returning:
                raise TryAgain("in_progress", "an order is giving this code back")
        return claim


@dataclass
class _Run:
    """One run that has claimed a code, and its findings."""

    ledger: Ledger
    inquiry: Inquiry
    attribution: Attribution
    request: Request
    claim: Entry
    exists: bool = False
    """Altcraft has answered error 0 for the code."""

    def end(self) -> Result:
        """Find the outcome, and write it to the ledger before it is returned."""
        try:
            result = self.inquiry.settled(self._settle, lambda: self._is_unsettled)
        except TryAgain as failure:
            with suppress(TryAgain):  # the claim expires anyway
                self.ledger.release(self.claim, failure.reason, self._tries, exists=self.exists)
            raise
        if result.outcome is Outcome.ACTIVATED:
            self.ledger.redeem(self.claim, self._tries)
            return result
        already = result.outcome is Outcome.ALREADY_ACTIVATED
        tries = disowned(self._tries, self.claim.order_id) if already else self._tries
        self.ledger.release(self.claim, result.outcome, tries, exists=self.exists)
        return result

    @property
    def _tries(self) -> tuple[Try, ...]:
        return self.claim.unsettled if self.request.may_be_applied else self.claim.tries

    @property
    def _since(self) -> datetime | None:
        """When this order first began a try that may have been applied; None if there was no such try."""
        return self.claim.tried_since or (self.claim.claimed_at if self.request.may_be_applied else None)

    @property
    def _is_unsettled(self) -> bool:
        return self.request.is_lost or self.claim.tried_since is not None

    def _settle(self) -> Result:
        """Request the activation, and unless Altcraft confirms it, decide by the code's state."""
        if self.claim.tries or self.request.may_be_applied:
            # An earlier try may have activated the code: another request could activate it a second time.
            if result := self._outcome_of(self.inquiry.state(), None):
                return result
            if len(self.claim.unsettled) > MAX_TRIES:
                raise TryAgain(
                    "unsettled",
                    f"replies to {MAX_TRIES} other orders with this code were lost; those are settled first",
                )
        failure = self.request.send()
        if failure is None:
            self.exists = True
            return Result(Outcome.ACTIVATED)
        if result := self._outcome_of(self.inquiry.state(), failure.refusal):
            return result
        if self._is_unsettled:
            raise no_outcome("unsettled", failure, "Altcraft's reply was lost, and the code is not activated so far")
        raise no_outcome(failure.kind, failure)

    def _outcome_of(self, state: CodeState | None, refusal: ErrorReply | None) -> Result | None:
        """The outcome for a code in this state; None if it could be activated."""
        if state is None:
            if self._since:
                raise TryAgain(
                    "unsettled", "Altcraft's reply was lost, and it does not know the code now", refusal=refusal
                )
            return Result(Outcome.NOT_FOUND, refusal)
        self.exists = True
        if state.is_activated:
            return self._attribute(state, refusal)
        if state.is_expired:
            return Result(Outcome.EXPIRED, refusal)
        return None if state.is_attached else Result(Outcome.NOT_ATTACHED, refusal)

    def _attribute(self, state: CodeState, refusal: ErrorReply | None) -> Result:
        """Decide whether this order activated the code."""
        if self._since is None:
            return Result(Outcome.ALREADY_ACTIVATED, refusal)
        tried_at = self.claim.claimed_at if self.request.may_be_applied else None
        ours = self.attribution.is_ours(
            state.activated_at(), self._since, tried_at, is_alone=not self.claim.tried_before(self._since)
        )
        return Result(Outcome.ACTIVATED) if ours else Result(Outcome.ALREADY_ACTIVATED, refusal)
