"""One activation: a promo code of an order is marked as used in Altcraft, and its outcome is named.

Altcraft documents hardly any error code, so nothing is decided by what `activate` says when it refuses, nor by its silence:
`get` is asked what is true. What may have been applied without our knowing is settled by the moment Altcraft gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from altcraft.errors import AltcraftError, IncoherentReply, Refused, TokenRefused, Unreachable
from altcraft.token import UnusableToken
from serverless.fields import InvalidField, loyalty_id, refuse_unknown, whole
from serverless.secrets import SecretError

if TYPE_CHECKING:
    from activate.redemptions import Redemptions
    from altcraft.codes import CodeState

MAX_TEXT: Final = 255
"""Characters of a code or an order id. Altcraft names no limit; what is longer is no code but a mistake."""

_TARIFF_LIMIT: Final = 402
"""Documented: says nothing about the code."""

_CLOCK_TOLERANCE: Final = timedelta(seconds=3)
"""Altcraft tells moments, and its clock in the Date header, in whole seconds."""


@dataclass(frozen=True)
class Redemption:
    """A promo code that an order used. Without an order the request is always a new one."""

    code: str
    loyalty_id: int
    order_id: str | None = None

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Redemption:
        """Read `{"code", "loyalty_id", "order_id"?}`; numbers may be text, as they are in XML.

        Raises:
            InvalidField: names the field that is missing, wrong or unknown.
        """
        refuse_unknown(fields, {"code", "loyalty_id", "order_id"})
        order_id = fields.get("order_id")
        return cls(
            code=_text("code", fields.get("code"), "Code-1"),
            loyalty_id=loyalty_id("loyalty_id", fields.get("loyalty_id")),
            order_id=None if order_id is None else _order_id(order_id),
        )


def _text(field: str, value: object, example: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidField(field, f'is required, as text, such as "{example}"')
    if len(value) > MAX_TEXT:
        raise InvalidField(field, f"has {len(value)} characters; {MAX_TEXT} is the most")
    if not value.isprintable():
        raise InvalidField(field, "holds a control or invisible character; send the plain text")
    return value


def _order_id(value: object) -> str:
    value = whole(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise InvalidField("order_id", 'is not an order\'s id; send it as text, such as "1001", or leave it out')
    return _text("order_id", value, "1001")


class Outcome(StrEnum):
    """How an activation ended, for good."""

    ACTIVATED = "activated"
    ALREADY_ACTIVATED = "already_activated"
    NOT_ATTACHED = "not_attached"
    EXPIRED = "expired"
    NOT_FOUND = "not_found"
    REJECTED = "rejected"


@dataclass
class Attempt:
    """What is known of an order's tries to activate its code."""

    since: datetime
    """When the first of them began."""
    may_be_applied: bool = False
    """One of them may have activated the code without our learning of it: its reply was lost, or its run was killed."""


@dataclass(frozen=True)
class Result:
    """An outcome, Altcraft's own words where it refused, and the order that used the code before, where we know it."""

    outcome: Outcome
    refusal: Refused | None = None
    first_order: str | None = None


Reason = Literal[
    "token_refused",
    "token_unreadable",
    "altcraft_unreachable",
    "altcraft_incoherent",
    "unsettled",
    "in_progress",
    "table_unavailable",
]
"""Why an activation has no outcome yet; the API tells it, and a metric counts it."""

QueueReason = Literal["out_of_time", "altcraft_down"]
"""Why the queue's worker did not even ask."""


class TryAgain(Exception):
    """The activation has no outcome yet; the same request is safe and may succeed later.

    `altcraft_down` says that the next request would fare no better; `refusal` holds Altcraft's words, where it spoke.
    """

    def __init__(
        self,
        reason: Reason | QueueReason,
        message: str,
        *,
        altcraft_down: bool = False,
        refusal: Refused | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.altcraft_down = altcraft_down
        self.refusal = refusal


NO_OUTCOME: Final = (AltcraftError, SecretError, UnusableToken)
"""What ends a try without an outcome; `Activator.activate` tells each as `TryAgain`."""


class PromoCodes(Protocol):
    """What an activation needs of Altcraft; `altcraft.client.Client` is one."""

    clock_skew: timedelta

    def activate(self, code: str, loyalty_id: int) -> None: ...

    def get(self, code: str, loyalty_id: int) -> CodeState: ...

    def suspect_token(self, refusal: Refused, code: str, loyalty_id: int) -> bool: ...


class Activator:
    """Activates codes: each order's code once, whatever fails in between."""

    def __init__(self, promo_codes: PromoCodes, redemptions: Redemptions) -> None:
        self._promo_codes = promo_codes
        self._redemptions = redemptions

    def activate(self, redemption: Redemption) -> Result:
        """Activate a code, or say why it cannot be.

        The same order with the same code gets its first answer again; only `activated` is remembered.

        Raises:
            TryAgain: nothing is certain yet.
        """
        try:
            if redemption.order_id is None:
                return self._settle(redemption, Attempt(since=datetime.now(UTC)))
            return self._redemptions.once(redemption, self._settle)
        except TokenRefused as error:
            raise TryAgain("token_refused", str(error), altcraft_down=True, refusal=error) from error
        except (SecretError, UnusableToken) as error:
            raise TryAgain("token_unreadable", str(error), altcraft_down=True) from error
        except AltcraftError as error:
            reason: Reason = "altcraft_incoherent" if isinstance(error, IncoherentReply) else "altcraft_unreachable"
            raise TryAgain(reason, str(error), altcraft_down=True) from error

    def _settle(self, redemption: Redemption, attempt: Attempt) -> Result:
        """Ask Altcraft to activate, and where it refuses or its reply is lost, what is true.

        A lost reply is noted in `attempt`, for a later try to know.
        """
        code, loyalty_id = redemption.code, redemption.loyalty_id
        refusal: Refused | None = None
        try:
            self._promo_codes.activate(code, loyalty_id)
        except TokenRefused:
            raise
        except Refused as error:
            refusal = error
        except (Unreachable, IncoherentReply) as error:
            if isinstance(error, Unreachable) and not error.sent:
                raise
            attempt.may_be_applied = True
        else:
            return Result(Outcome.ACTIVATED)

        try:
            state = self._promo_codes.get(code, loyalty_id)
        except TokenRefused:
            raise
        except Refused as error:
            if error.error == _TARIFF_LIMIT:
                if attempt.may_be_applied:
                    raise TryAgain(
                        "unsettled", f"Altcraft does not say what came of it: {error}", refusal=error
                    ) from error
                return Result(Outcome.REJECTED, refusal or error)
            if self._promo_codes.suspect_token(error, code, loyalty_id):
                return self._settle(redemption, attempt)
            return Result(Outcome.NOT_FOUND, refusal or error)

        if state.is_activated:
            ours = attempt.may_be_applied and self._activated_since(state, attempt.since)
            return Result(Outcome.ACTIVATED) if ours else Result(Outcome.ALREADY_ACTIVATED, refusal)
        if state.is_expired:
            return Result(Outcome.EXPIRED, refusal)
        if not state.is_attached:
            return Result(Outcome.NOT_ATTACHED, refusal)
        if refusal is None:
            raise TryAgain("unsettled", "Altcraft's reply was lost, and the code is not activated so far")
        return Result(Outcome.REJECTED, refusal)

    def _activated_since(self, state: CodeState, since: datetime) -> bool:
        """Whether Altcraft activated the code after `since`. Where it gives no moment, our own lost request did it."""
        moment = state.activated_at()
        return moment is None or moment >= since + self._promo_codes.clock_skew - _CLOCK_TOLERANCE
