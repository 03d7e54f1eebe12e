"""Calls to Altcraft about one code: asking for its state, so that the answer is certain, and requests that change it.

Altcraft documents hardly any error code. A refused `get` means "no such code" only if Altcraft still returns another code of
the program, a control code, and refuses one that cannot exist. Anything else is no answer.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from activate.redemption import Reason, TryAgain
from altcraft.errors import AltcraftError, NotUnderstood, Refused, TokenRefused, Unreachable, is_lost
from altcraft.token import UnusableToken
from lambda_support.secrets import SecretError

if TYPE_CHECKING:
    from activate.ledger import Entry, Ledger
    from activate.redemption import Redemption
    from altcraft.codes import CodeState

T = TypeVar("T")


class PromoCodes(Protocol):
    """The calls to Altcraft for one code; `altcraft.client.Client` has them."""

    def activate(self, code: str, loyalty_id: int) -> None: ...

    def deactivate(self, code: str, loyalty_id: int) -> None: ...

    def get(self, code: str, loyalty_id: int) -> CodeState: ...

    def renew_token(self) -> bool: ...


class _Unexplained(NotUnderstood):
    """`get` refuses the code, and the control codes do not show whether the code does not exist or Altcraft does not work."""

    def __init__(self, refusal: Refused, reason: Reason) -> None:
        super().__init__(refusal.error, refusal.error_text)
        self.reason = reason


class Inquiry:
    """The calls to Altcraft about one code, in one run."""

    def __init__(self, promo_codes: PromoCodes, ledger: Ledger, subject: Redemption) -> None:
        self._promo_codes = promo_codes
        self._ledger = ledger
        self._subject = subject

    def state(self) -> CodeState | None:
        """The code's state; None if it is certain that Altcraft does not know the code.

        Raises:
            AltcraftError: the state is not known.
            TryAgain: the ledger does not answer.
        """
        try:
            return self.get(self._subject.code)
        except Refused as refusal:
            self._check_controls(refusal)
            # Altcraft may have recovered in between.
            return self._get_or(refusal, self._subject.code)

    def get(self, code: str) -> CodeState:
        """The state of a code of the same program.

        Raises:
            AltcraftError: the state is not known; `Refused` may mean that there is no such code.
        """
        return self._promo_codes.get(code, self._subject.loyalty_id)

    def controls(self) -> list[Entry]:
        """Codes of the program that Altcraft is known to have, with when they were activated."""
        return self._ledger.controls(self._subject)

    def _check_controls(self, refusal: Refused) -> None:
        """Check that a refusal means "no such code": Altcraft returns a control code, and refuses one that cannot exist.

        Raises:
            _Unexplained: it may have another meaning.
        """
        controls = self.controls()
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
            return self.get(code)
        except Refused as other:
            if other.error != refusal.error:
                raise _Unexplained(refusal, "altcraft_failing") from other
        return None

    def settled(self, settle: Callable[[], T], is_unsettled: Callable[[], bool] = lambda: False) -> T:
        """The result of `settle`, which makes calls to Altcraft; a second try of it where the token may have changed.

        Args:
            is_unsettled: whether a request may have been carried out whose reply was lost.

        Raises:
            TryAgain: there is no outcome yet.
        """
        try:
            try:
                return settle()
            except _Unexplained:
                # Altcraft's error for a wrong token is not documented: this may be it, and the secret may have a new token.
                if not self._promo_codes.renew_token():
                    raise
                return settle()
        except AltcraftError as error:
            reason: Reason = error.reason if isinstance(error, _Unexplained) else error.kind
            unsettled = isinstance(error, NotUnderstood) and is_unsettled()
            raise no_outcome("unsettled" if unsettled else reason, error) from error
        except (SecretError, UnusableToken) as error:
            raise TryAgain("token_unreadable", str(error), altcraft_down=True) from error


class Request:
    """A request that changes a code, and what is known of it. A run may send it twice: again with a renewed token."""

    def __init__(self, call: Callable[[str, int], None], subject: Redemption) -> None:
        """`call`: the one of Altcraft's."""
        self._call = call
        self._subject = subject
        self.is_confirmed = False
        self.may_be_applied = False
        """It may have been carried out, or may be later, without a reply that confirms it."""
        self.is_lost = False
        """There was no reply, or an error of Altcraft's server in its place."""

    def send(self) -> AltcraftError | None:
        """Send it; return the error, or None if Altcraft confirms it.

        Raises:
            AltcraftError: it was not carried out, and `get` would fail too.
        """
        try:
            self._call(self._subject.code, self._subject.loyalty_id)
        except AltcraftError as error:
            self.may_be_applied |= error.may_be_applied
            self.is_lost |= is_lost(error)
            if isinstance(error, TokenRefused | Unreachable) and not error.may_be_applied:
                raise
            return error
        self.is_confirmed = True
        return None


def no_outcome(reason: Reason, error: AltcraftError, detail: str = "") -> TryAgain:
    """The exception for an error of Altcraft that leaves a run without an outcome."""
    return TryAgain(
        reason,
        f"{detail}: {error}" if detail else str(error),
        altcraft_down=error.retryable and reason != "unconfirmed",
        refusal=error.refusal,
    )
