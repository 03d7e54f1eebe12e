"""One activation: marks a promo code of an order as used in Altcraft, and finds its outcome.

Nothing is final that is not positively known. Altcraft documents hardly any error code, so a refusal of `activate` explains
little, and a lost reply nothing: `get` is called for the code's state. A refused `get` means "no such code" only if Altcraft
still returns another code of the program, a control code. Anything else has no outcome yet, and is retried.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from activate.ledger import CLOCKS_APART, MAX_TRIES, Entry, Ledger, State, Try, disowned
from activate.redemption import Outcome, Reason, Redemption, Result, TryAgain
from altcraft.errors import (
    AltcraftError,
    ErrorReply,
    NotUnderstood,
    Refused,
    TokenRefused,
    Unreachable,
    is_lost,
)
from altcraft.token import UnusableToken
from lambda_support.secrets import SecretError

if TYPE_CHECKING:
    from altcraft.codes import CodeState

LARGEST_SKEW: Final = timedelta(hours=26)
"""The largest error that a wrong clock or a missing time zone can cause."""


SMALLEST_SKEW: Final = timedelta(minutes=15)
"""Wrong zones and clocks usually differ by more: an activation time less than this after a try belongs to that try."""


class PromoCodes(Protocol):
    """The calls to Altcraft that an activation needs; `altcraft.client.Client` has them."""

    def activate(self, code: str, loyalty_id: int) -> None: ...

    def get(self, code: str, loyalty_id: int) -> CodeState: ...

    def renew_token(self) -> bool: ...


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
        claim = self._ledger.claim(redemption, until)
        if claim.state is State.REDEEMED:
            if redemption.order_id is not None and claim.order_id == redemption.order_id:
                return Result(Outcome.ACTIVATED)
            return Result(Outcome.ALREADY_ACTIVATED, double_redemption=True, first_order=claim.order_id)
        return _Run(self._promo_codes, self._ledger, self._now, redemption, claim).end()


class _Unexplained(NotUnderstood):
    """`get` refuses the code, and the control codes do not show whether the code does not exist or Altcraft does not work."""

    def __init__(self, refusal: Refused, reason: Reason) -> None:
        super().__init__(refusal.error, refusal.error_text)
        self.reason = reason


@dataclass
class _Run:
    """One run that has claimed a code, and its findings."""

    promo_codes: PromoCodes
    ledger: Ledger
    now: Callable[[], datetime]
    redemption: Redemption
    claim: Entry
    exists: bool = False
    """Altcraft has answered error 0 for the code."""
    may_be_applied: bool = False
    """This run's own request may have activated the code, without a reply that confirms it."""
    is_lost: bool = False
    """There was no reply to that request, or an error of Altcraft's server in its place."""

    def end(self) -> Result:
        """Find the outcome, and write it to the ledger before it is returned."""
        try:
            result = self._outcome()
        except TryAgain as failure:
            with suppress(TryAgain):  # the claim expires anyway
                self.ledger.release(self.claim, failure.reason, self._tries, exists=self.exists)
            raise
        if result.outcome is Outcome.ACTIVATED:
            self.ledger.redeem(self.claim, self._tries)
            return result
        already = result.outcome is Outcome.ALREADY_ACTIVATED
        tries = disowned(self._tries, self.redemption.order_id) if already else self._tries
        self.ledger.release(self.claim, result.outcome, tries, exists=self.exists)
        return result

    @property
    def _tries(self) -> tuple[Try, ...]:
        return self.claim.unsettled if self.may_be_applied else self.claim.tries

    @property
    def _since(self) -> datetime | None:
        """When this order first began a try that may have been applied; None if there was no such try."""
        return self.claim.tried_since or (self.claim.claimed_at if self.may_be_applied else None)

    @property
    def _is_unsettled(self) -> bool:
        return self.is_lost or self.claim.tried_since is not None

    def _outcome(self) -> Result:
        try:
            try:
                return self._settle()
            except _Unexplained:
                # Altcraft's error for a wrong token is not documented: this may be it, and the secret may have a new token.
                if not self.promo_codes.renew_token():
                    raise
                return self._settle()
        except AltcraftError as error:
            reason: Reason = error.reason if isinstance(error, _Unexplained) else error.kind
            unsettled = self._is_unsettled and isinstance(error, NotUnderstood)
            raise _no_outcome("unsettled" if unsettled else reason, error) from error
        except (SecretError, UnusableToken) as error:
            raise TryAgain("token_unreadable", str(error), altcraft_down=True) from error

    def _settle(self) -> Result:
        """Request the activation, and unless Altcraft confirms it, decide by the code's state."""
        if self.claim.tries or self.may_be_applied:
            # An earlier try may have activated the code: another request could activate it a second time.
            if result := self._outcome_of(self._state(), None):
                return result
            if len(self.claim.unsettled) > MAX_TRIES:
                raise TryAgain(
                    "unsettled",
                    f"replies to {MAX_TRIES} other orders with this code were lost; those are settled first",
                )
        failure = self._activate()
        if failure is None:
            return Result(Outcome.ACTIVATED)
        if result := self._outcome_of(self._state(), failure.refusal):
            return result
        if self._is_unsettled:
            raise _no_outcome("unsettled", failure, "Altcraft's reply was lost, and the code is not activated so far")
        raise _no_outcome(failure.kind, failure)

    def _activate(self) -> AltcraftError | None:
        """Request the activation; return the error, or None if Altcraft confirms the activation.

        Raises:
            AltcraftError: the request was not carried out, and `get` would fail too.
        """
        try:
            self.promo_codes.activate(self.redemption.code, self.redemption.loyalty_id)
        except AltcraftError as error:
            self.may_be_applied |= error.may_be_applied
            self.is_lost |= is_lost(error)
            if isinstance(error, TokenRefused | Unreachable) and not error.may_be_applied:
                raise
            return error
        self.exists = True
        return None

    def _state(self) -> CodeState | None:
        """The code's state; None if it is certain that Altcraft does not know the code.

        Raises:
            AltcraftError: the state is not known.
        """
        try:
            return self._get(self.redemption.code)
        except Refused as refusal:
            self._check_controls(refusal)
            # Altcraft may have recovered in between.
            return self._get_or(refusal, self.redemption.code)

    def _check_controls(self, refusal: Refused) -> None:
        """Check that a refusal means "no such code": Altcraft returns a control code, and refuses one that cannot exist.

        Raises:
            _Unexplained: it may have another meaning.
        """
        controls = self.ledger.controls(self.redemption)
        if not controls:
            raise _Unexplained(refusal, "unconfirmed")
        known = any(self._get_or(refusal, control.code) for control in controls)
        if not known or self._get_or(refusal, uuid.uuid4().hex):
            raise _Unexplained(refusal, "altcraft_failing")

    def _get_or(self, refusal: Refused, code: str) -> CodeState | None:
        """Get a code's state; None if it is refused by the same error.

        Raises:
            _Unexplained: it is refused by another error, so that the meaning of neither is certain.
        """
        try:
            return self._get(code)
        except Refused as other:
            if other.error != refusal.error:
                raise _Unexplained(refusal, "altcraft_failing") from other
        return None

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
        ours = self._is_ours(state.activated_at(), self._since)
        if ours is None:
            raise TryAgain(
                "unsettled", "the code is activated, and the time that Altcraft gives does not show by which order"
            )
        return Result(Outcome.ACTIVATED) if ours else Result(Outcome.ALREADY_ACTIVATED, refusal)

    def _is_ours(self, activated: datetime | None, since: datetime) -> bool | None:
        """Whether Altcraft activated the code after this order's first try; None if its time cannot decide that."""
        if activated is None:
            return None
        zoned = activated.tzinfo is not None
        activated = activated if zoned else activated.replace(tzinfo=UTC)
        if activated + LARGEST_SKEW < since:
            return False
        now = self.now()
        if zoned and since <= activated + CLOCKS_APART and activated <= now + CLOCKS_APART:
            just_now = self.may_be_applied and self.claim.claimed_at <= activated + CLOCKS_APART
            if just_now or activated - since <= SMALLEST_SKEW:
                return True
        # Either another order activated the code, or Altcraft's clock differs from ours.
        skew = self._skew(zoned=zoned)
        if skew is None:
            return None
        if since <= activated - skew + CLOCKS_APART:
            return True
        return None if since <= activated - skew + _coarseness(activated) else False

    def _skew(self, *, zoned: bool) -> timedelta | None:
        """Altcraft's clock minus ours, measured by codes whose activation times are in the ledger.

        One code is not enough: its time may be that of another activation, by hand, or an earlier one if Altcraft accepts the
        activation of a used code. So at least two have to agree.
        """
        skews = []
        for control in self.ledger.controls(self.redemption):
            if control.activated_at is None:
                continue
            with suppress(Refused):
                stamp = self._get(control.code).activated_at()
                if stamp is not None and (stamp.tzinfo is not None) is zoned and not _coarseness(stamp):
                    skews.append((stamp if zoned else stamp.replace(tzinfo=UTC)) - control.activated_at)
        return _agreed(skews)

    def _get(self, code: str) -> CodeState:
        return self.promo_codes.get(code, self.redemption.loyalty_id)


def _agreed(skews: Sequence[timedelta]) -> timedelta | None:
    """The skew on which most of them agree, at least two; None if there is no such skew, or more than one."""
    groups = [[other for other in skews if skew - 2 * CLOCKS_APART <= other <= skew] for skew in skews]
    most = max(map(len, groups), default=0)
    agreed = {max(group) for group in groups if len(group) == most}
    return agreed.pop() if most > 1 and len(agreed) == 1 else None


def _coarseness(stamp: datetime) -> timedelta:
    """The precision to which a time seems to have been rounded."""
    if stamp.second or stamp.microsecond:
        return timedelta()
    return timedelta(minutes=1) if stamp.hour or stamp.minute else timedelta(days=1)


def _no_outcome(reason: Reason, error: AltcraftError, detail: str = "") -> TryAgain:
    return TryAgain(
        reason,
        f"{detail}: {error}" if detail else str(error),
        altcraft_down=error.retryable and reason != "unconfirmed",
        refusal=error.refusal,
    )
