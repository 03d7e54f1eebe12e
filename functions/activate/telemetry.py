"""How activations and reversals are reported to the operator: each outcome, and each try without one, is counted and logged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from activate.redemption import Action
from lambda_support.telemetry import Metric, count, logger

if TYPE_CHECKING:
    from activate.redemption import Redemption, Result, TryAgain


class _Words(NamedTuple):
    metric: Metric
    ended: str
    not_yet: str


_WORDS: Final[Mapping[Action, _Words]] = {
    Action.ACTIVATE: _Words(Metric.ACTIVATIONS, "Activation ended", "Not activated yet"),
    Action.DEACTIVATE: _Words(Metric.REVERSALS, "Reversal ended", "Not deactivated yet"),
}


def record(action: Action, redemption: Redemption, result: Result) -> None:
    """Count and log an outcome; a double redemption is logged with both orders."""
    words = _WORDS[action]
    count(words.metric, outcome=result.outcome)
    refusal = {"error": result.refusal.error, "error_text": result.refusal.error_text} if result.refusal else None
    facts: dict[str, Any] = {
        "outcome": result.outcome,
        "code": redemption.code,
        "loyalty_id": redemption.loyalty_id,
        "altcraft": refusal,
    }
    if result.double_redemption:
        count(Metric.DOUBLE_REDEMPTIONS)
        logger.warning("Double redemption", order_id=redemption.order_id, first_order_id=result.first_order, **facts)
    else:
        logger.info(words.ended, order_id=redemption.order_id, **facts)


def record_failure(action: Action, failure: TryAgain) -> None:
    """Count and log that there is no outcome yet."""
    count(Metric.RETRIES, reason=failure.reason)
    if failure.reason == "token_refused":
        count(Metric.TOKEN_REFUSED)
    elif failure.altcraft_down and failure.reason != "token_unreadable":
        count(Metric.ALTCRAFT_FAILING)
    logger.warning(_WORDS[action].not_yet, reason=failure.reason, detail=str(failure))
