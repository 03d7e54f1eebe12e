"""The types that the ledger, activations, reversals and the entry points share: what they are about, and their results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal

from activate.action import Action
from altcraft import LONGEST_CODE
from altcraft.errors import AltcraftFailure, ErrorReply
from lambda_support.fields import InvalidField, loyalty_id, refuse_unknown, whole

MAX_TEXT: Final = LONGEST_CODE
"""Characters of a code or an order id."""


@dataclass(frozen=True)
class Redemption:
    """A promo code and the order that used it. Without an order id, each request is a new redemption."""

    code: str
    loyalty_id: int
    order_id: str | None = None
    source: str | None = None
    """The name of the webhook source that reported the order; None for a caller of the API."""

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any], action: Action = Action.ACTIVATE) -> Redemption:
        """Read `{"code", "loyalty_id", "order_id"?}`; numbers may be text, as they are in XML.

        To give a code back, `order_id` is required.

        Raises:
            InvalidField: names the field that is missing, wrong or unknown.
        """
        refuse_unknown(fields, {"code", "loyalty_id", "order_id"})
        order_id = fields.get("order_id")
        if order_id is None and action is Action.DEACTIVATE:
            raise InvalidField(
                "order_id", 'is required: only the order that holds a code can give it back, such as "1001"'
            )
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
        raise InvalidField("order_id", 'is not an order\'s id; send it as text, such as "1001", or omit it')
    return _text("order_id", value, "1001")


class Outcome(StrEnum):
    """How an activation or a reversal ended, for certain."""

    ACTIVATED = "activated"
    ALREADY_ACTIVATED = "already_activated"
    NOT_ATTACHED = "not_attached"
    EXPIRED = "expired"
    NOT_FOUND = "not_found"
    RELEASED_BY_ORDER = "released_by_order"
    """An activation: this order gave the code back, or was reversed before it was paid."""
    DEACTIVATED = "deactivated"
    """A reversal: the order held the code, and gave it back."""
    NOT_HELD_BY_ORDER = "not_held_by_order"
    """A reversal: the order did not hold the code. It is closed for that code from now on."""


@dataclass(frozen=True)
class Result:
    """An outcome, and Altcraft's error if it refused.

    `double_redemption`: by the ledger, another order holds the code: `first_order`, or None if that one had no id.
    """

    outcome: Outcome
    refusal: ErrorReply | None = None
    double_redemption: bool = False
    first_order: str | None = None


Act = Callable[[Redemption, datetime], Result]
"""Carries an action out in a run that Lambda ends at that time. Raises `TryAgain` if there is no outcome yet."""

Reason = Literal[AltcraftFailure, "token_unreadable", "unconfirmed", "unsettled", "in_progress", "table_unavailable"]
"""Why an activation or a reversal has no outcome yet. It is in the API's answer, a metric, the ledger and the dead letter."""

FetchReason = Literal["shop_unreachable", "shop_refused", "shop_incoherent", "source_unavailable", "queue_unavailable"]
"""Why a call to a shop's API has no outcome yet."""

QueueReason = Literal["out_of_time", "altcraft_down"]
"""Why the queue's worker did not call Altcraft."""


class TryAgain(Exception):
    """There is no outcome yet; repeating the request is safe and may succeed later.

    `altcraft_down`: Altcraft did not work, so other requests would fail too; `refusal`: Altcraft's error, if there was one.
    """

    def __init__(
        self,
        reason: Reason | FetchReason | QueueReason,
        message: str,
        *,
        altcraft_down: bool = False,
        refusal: ErrorReply | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.altcraft_down = altcraft_down
        self.refusal = refusal
