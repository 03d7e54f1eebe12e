"""How activations and reversals are reported to the operator: each outcome, and each try without one, is counted and logged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from activate.action import Action
from lambda_support.telemetry import Metric, count, logger

if TYPE_CHECKING:
    from activate.redemption import Redemption, Result, TryAgain


NOT_YET: Final[Mapping[Action, str]] = {
    Action.ACTIVATE: "Not activated yet",
    Action.DEACTIVATE: "Not deactivated yet",
}
"""The log's message where there is no outcome yet."""


def record(action: Action, redemption: Redemption, result: Result) -> None:
    """Count and log an outcome; a double redemption is logged with both orders."""
    if action is Action.ACTIVATE:
        count(Metric.ACTIVATIONS, outcome=result.outcome)
    else:
        count(Metric.REVERSALS, outcome=result.outcome)
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
        logger.info(
            "Activation ended" if action is Action.ACTIVATE else "Reversal ended", order_id=redemption.order_id, **facts
        )


def record_failure(failure: TryAgain, message: str) -> None:
    """Count and log that there is no outcome yet."""
    count(Metric.RETRIES, reason=failure.reason)
    if failure.reason == "token_refused":
        count(Metric.TOKEN_REFUSED)
    elif failure.altcraft_down and failure.reason != "token_unreadable":
        count(Metric.ALTCRAFT_FAILING)
    logger.warning(message, reason=failure.reason, detail=str(failure))
