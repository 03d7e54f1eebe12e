"""What becomes of an outcome: it is counted and logged, and told to an HTTP caller by one table."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final, NamedTuple

from activate.activation import Outcome, Redemption, Result, TryAgain
from serverless.http import Problem
from serverless.telemetry import Metric, count, logger


class _Telling(NamedTuple):
    status: HTTPStatus
    title: str
    remedy: str


_TELLINGS: Final[dict[Outcome, _Telling]] = {
    Outcome.ALREADY_ACTIVATED: _Telling(
        HTTPStatus.CONFLICT,
        "The code is already used",
        "It was activated before, by another order or by hand. Do not grant it again.",
    ),
    Outcome.NOT_ATTACHED: _Telling(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The code is not attached to a profile",
        "Altcraft activates only attached codes. Attach it to the customer's profile, then ask again.",
    ),
    Outcome.EXPIRED: _Telling(
        HTTPStatus.GONE,
        "The code has expired",
        "Set a later expire_date in Altcraft if it is still to count, then ask again.",
    ),
    Outcome.NOT_FOUND: _Telling(
        HTTPStatus.NOT_FOUND,
        "Altcraft knows no such code",
        "Check the code, its case, and that loyalty_id is the program it belongs to.",
    ),
    Outcome.REJECTED: _Telling(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "Altcraft refused the code",
        "The code is attached, unused and not expired as far as Altcraft says; its own words are beside this.",
    ),
}


def record(redemption: Redemption, result: Result) -> None:
    """Count and log an outcome; a double redemption is logged with both orders."""
    count(Metric.ACTIVATIONS, outcome=result.outcome)
    words = {"error": result.refusal.error, "error_text": result.refusal.error_text} if result.refusal else None
    facts: dict[str, Any] = {
        "outcome": result.outcome,
        "code": redemption.code,
        "loyalty_id": redemption.loyalty_id,
        "altcraft": words,
    }
    if result.first_order is not None:
        count(Metric.DOUBLE_REDEMPTIONS)
        logger.warning("Double redemption", order_id=redemption.order_id, first_order_id=result.first_order, **facts)
    else:
        logger.info("Activation ended", order_id=redemption.order_id, **facts)


def record_failure(failure: TryAgain) -> None:
    """Count and log that there is no outcome yet."""
    count(Metric.RETRIES, reason=failure.reason)
    if failure.reason == "token_refused":
        count(Metric.TOKEN_REFUSED)
    logger.warning("Not activated yet", reason=failure.reason, detail=str(failure))


def answer(redemption: Redemption, result: Result) -> dict[str, object]:
    """An outcome as the caller of the function sees it."""
    message: dict[str, object] = {
        "code": redemption.code,
        "loyalty_id": redemption.loyalty_id,
        "outcome": result.outcome.value,
    }
    if result.refusal is not None:
        message["altcraft"] = {"error": result.refusal.error, "error_text": result.refusal.error_text}
    return message


def problem(redemption: Redemption, result: Result) -> Problem:
    """An outcome other than `activated` as an HTTP problem."""
    telling = _TELLINGS[result.outcome]
    return Problem(
        telling.status,
        result.outcome,
        telling.title,
        telling.remedy,
        altcraft=result.refusal,
        extra={"code": redemption.code, "loyalty_id": redemption.loyalty_id, "outcome": result.outcome.value},
    )
