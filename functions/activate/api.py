"""Activation, reversal and lookup by an HTTP request or a direct invocation. The caller gets the outcome, or the facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from activate.action import Action
from activate.redemption import Act, Outcome, Redemption, Result, TryAgain
from activate.telemetry import NOT_YET, record, record_failure
from lambda_support.fields import InvalidField
from lambda_support.http import Problem, Reply, Request, invalid_field, reply

if TYPE_CHECKING:
    from datetime import datetime

    from activate.lookup import Facts, Lookup

RETRY_AFTER_SECONDS: Final = 30


class ProblemTemplate(NamedTuple):
    """The problem that reports an outcome other than `activated` and `deactivated`."""

    status: HTTPStatus
    title: str
    detail: str


PROBLEMS: Final[dict[Outcome, ProblemTemplate]] = {
    Outcome.ALREADY_ACTIVATED: ProblemTemplate(
        HTTPStatus.CONFLICT,
        "The code is already used",
        "It was activated before, by another order or by hand. Do not grant it again.",
    ),
    Outcome.NOT_ATTACHED: ProblemTemplate(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The code is not attached to a profile",
        "Altcraft activates only attached codes. Attach it to the customer's profile, then ask again.",
    ),
    Outcome.EXPIRED: ProblemTemplate(
        HTTPStatus.GONE,
        "The code has expired",
        "If it should still be valid, set a later expire_date in Altcraft, then ask again.",
    ),
    Outcome.NOT_FOUND: ProblemTemplate(
        HTTPStatus.NOT_FOUND,
        "Altcraft knows no such code",
        "Check the code, its case, and that loyalty_id is the program it belongs to.",
    ),
    Outcome.RELEASED_BY_ORDER: ProblemTemplate(
        HTTPStatus.CONFLICT,
        "The order has given the code back",
        "It was cancelled or refunded, so it does not get the code again. A new order can use it.",
    ),
    Outcome.NOT_HELD_BY_ORDER: ProblemTemplate(
        HTTPStatus.CONFLICT,
        "The order does not hold the code",
        "Another order holds it, or none does; the code was not changed. This order will not get it any more.",
    ),
}

_UNDONE: Final[dict[Action, str]] = {
    Action.ACTIVATE: "The code could not be activated now",
    Action.DEACTIVATE: "The code could not be deactivated now",
}


def respond(request: Request, action: Action, act: Act, until: datetime) -> Reply:
    """Answer `POST /promocodes/activate` or `/promocodes/deactivate`; Lambda ends this run at `until`.

    Raises:
        Problem: every outcome but `activated` and `deactivated`, and every failure.
    """
    try:
        redemption, result = _carry_out(request.fields(), action, act, until)
    except InvalidField as error:
        raise invalid_field(error) from error
    except TryAgain as failure:
        raise _no_outcome(failure, _UNDONE[action], "Send the same request again, with the same order_id.") from failure
    if result.outcome in PROBLEMS:
        raise _problem(redemption, result)
    return reply(request, HTTPStatus.OK, _message(redemption, result))


def respond_lookup(request: Request, lookup: Lookup) -> Reply:
    """Answer `POST /promocodes/get`: the facts about a code. Nothing is changed or reserved.

    Raises:
        Problem: Altcraft does not know the code, and every failure.
    """
    try:
        subject, facts = _look_up(request.fields(), lookup)
    except InvalidField as error:
        raise invalid_field(error) from error
    except TryAgain as failure:
        raise _no_outcome(failure, "The code could not be looked up now", "Send the same request again.") from failure
    if facts is None:
        raise _problem(subject, Result(Outcome.NOT_FOUND))
    return reply(request, HTTPStatus.OK, asdict(facts))


def invoke(fields: Mapping[str, Any], action: Action, act: Act, until: datetime) -> dict[str, object]:
    """Answer a direct invocation: `{"code", "loyalty_id", "outcome", "altcraft"?}`.

    Raises:
        InvalidField: a field is missing or wrong.
        TryAgain: no outcome yet; a state machine can retry by this error's name.
    """
    return _message(*_carry_out(fields, action, act, until))


def invoke_lookup(fields: Mapping[str, Any], lookup: Lookup) -> dict[str, object]:
    """Answer a direct lookup: the facts, or `{"code", "loyalty_id", "outcome": "not_found", "redeemable": false}`.

    Raises:
        InvalidField: a field is missing or wrong.
        TryAgain: the facts are not known now; a state machine can retry by this error's name.
    """
    subject, facts = _look_up(fields, lookup)
    if facts is None:
        return {**_message(subject, Result(Outcome.NOT_FOUND)), "redeemable": False}
    return asdict(facts)


def _look_up(fields: Mapping[str, Any], lookup: Lookup) -> tuple[Redemption, Facts | None]:
    from activate.lookup import subject_from  # an activation need not load it

    subject = subject_from(fields)
    try:
        return subject, lookup.facts(subject)
    except TryAgain as failure:
        record_failure(failure, "Not looked up")
        raise


def _carry_out(fields: Mapping[str, Any], action: Action, act: Act, until: datetime) -> tuple[Redemption, Result]:
    redemption = Redemption.from_fields(fields, action)
    try:
        result = act(redemption, until)
    except TryAgain as failure:
        record_failure(failure, NOT_YET[action])
        raise
    record(action, redemption, result)
    return redemption, result


def _message(redemption: Redemption, result: Result) -> dict[str, object]:
    message: dict[str, object] = {
        "code": redemption.code,
        "loyalty_id": redemption.loyalty_id,
        "outcome": result.outcome.value,
    }
    if result.refusal is not None:
        message["altcraft"] = {"error": result.refusal.error, "error_text": result.refusal.error_text}
    return message


def _no_outcome(failure: TryAgain, title: str, remedy: str) -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        failure.reason,
        title,
        f"{failure}. {remedy}",
        retryable=True,
        altcraft=failure.refusal,
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        extra={"reason": failure.reason},
    )


def _problem(redemption: Redemption, result: Result) -> Problem:
    template = PROBLEMS[result.outcome]
    return Problem(
        template.status,
        result.outcome,
        template.title,
        template.detail,
        altcraft=result.refusal,
        extra={"code": redemption.code, "loyalty_id": redemption.loyalty_id, "outcome": result.outcome.value},
    )
