"""The entry points of the function `activate`, and the module that handles each.

| entry point | event | answer |
|---|---|---|
| API | REST proxy, `POST /promocodes/activate` or `/promocodes/deactivate` | the outcome, or a problem |
| lookup | REST proxy, `POST /promocodes/get` | the facts about a code, or a problem |
| webhook | REST proxy, `POST`, `PUT` or `GET /webhooks/{source}` | `{"accepted": N}`, or a problem |
| queue | SQS batch of the activation queue | `batchItemFailures` |
| shop's bus | EventBridge partner event | `{"accepted": N}` |
| shop's queue | SQS batch of another queue, such as Saleor's | `batchItemFailures` |
| ledger's stream | DynamoDB batch of the redemptions' table | `batchItemFailures` |
| direct | `{"code", "loyalty_id", "order_id"?, "action"?}` | the outcome; an error is raised by its name |
| direct lookup | `{"action": "get", "code", "loyalty_id"}` | the facts about a code; an error likewise |

Each entry point imports what it needs on first use: a webhook's cold start must not load the worker's libraries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from activate.action import Action
from activate.settings import settings
from lambda_support import aws
from lambda_support.fields import InvalidField
from lambda_support.http import Reply, Request, answering, route
from lambda_support.telemetry import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from activate.activation_queue import FetchMessage
    from activate.fetcher import Fetcher
    from activate.intake import Intake
    from activate.ledger import Ledger
    from activate.lookup import Lookup
    from activate.outbox import Outbox
    from activate.redemption import Act
    from activate.reversal import Reverser
    from activate.sources import Sources
    from activate.worker import Worker
    from altcraft.client import Client


@logger.inject_lambda_context(clear_state=True, log_event=False)  # overrides the environment: an event holds signatures
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Handle one event of any entry point."""
    if "httpMethod" in event:
        request = Request.from_event(event)
        return answering(request, lambda request: route(_ROUTES, request)(request, context))
    if "Records" in event:
        streamed = event["Records"][0].get("eventSource") == "aws:dynamodb"
        return _stream(event) if streamed else _queue(event, context)
    if "detail-type" in event:
        return _intake().receive_event(event)
    return _direct(event, context)


def _api(request: Request, context: LambdaContext) -> Reply:
    from activate import api

    action = Action(request.resource.removeprefix("/promocodes/"))
    return api.respond(request, action, _acts()[action], _deadline(context))


def _api_lookup(request: Request, _context: LambdaContext) -> Reply:
    from activate import api

    return api.respond_lookup(request, _lookup())


def _webhook(request: Request, _context: LambdaContext) -> Reply:
    return _intake().receive(request.path["source"], request)


_ROUTES: Final[Mapping[tuple[str, str], Callable[[Request, LambdaContext], Reply]]] = {
    ("POST", "/promocodes/activate"): _api,
    ("POST", "/promocodes/deactivate"): _api,
    ("POST", "/promocodes/get"): _api_lookup,
    ("POST", "/webhooks/{source}"): _webhook,
    ("PUT", "/webhooks/{source}"): _webhook,
    ("GET", "/webhooks/{source}"): _webhook,
}


def _queue(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    from activate.activation_queue import is_message

    records = event["Records"]
    ours = settings().activation_queue_url.rpartition("/")[2] == records[0]["eventSourceARN"].rpartition(":")[2]
    # Another stack's queue, or a sample event, has another ARN: then the messages decide.
    if not ours and not any(is_message(record["body"]) for record in records):
        return _intake().receive_messages(event)
    return _worker().work(event, context, _deadline(context))


def _stream(event: dict[str, Any]) -> dict[str, Any]:
    # An update of the stack turns events off here first, and removes the event source mapping afterwards.
    return _outbox().publish(event["Records"]) if settings().event_bus_name else {"batchItemFailures": []}


def _direct(event: dict[str, Any], context: LambdaContext) -> dict[str, object]:
    action = event.get("action", "activate")
    run = _ACTIONS.get(action) if isinstance(action, str) else None
    if run is None:
        raise InvalidField("action", f"must be one of {', '.join(_ACTIONS)}; without it, a code is activated")
    return run(action, {name: value for name, value in event.items() if name != "action"}, context)


def _direct_act(name: str, fields: Mapping[str, Any], context: LambdaContext) -> dict[str, object]:
    from activate import api

    action = Action(name)
    return api.invoke(fields, action, _acts()[action], _deadline(context))


def _direct_lookup(_name: str, fields: Mapping[str, Any], _context: LambdaContext) -> dict[str, object]:
    from activate import api

    return api.invoke_lookup(fields, _lookup())


_ACTIONS: Final[Mapping[str, Callable[[str, Mapping[str, Any], LambdaContext], dict[str, object]]]] = {
    Action.ACTIVATE: _direct_act,
    Action.DEACTIVATE: _direct_act,
    "get": _direct_lookup,
}
"""What a direct event asks for, by its field `action`."""


def _deadline(context: LambdaContext) -> datetime:
    """When Lambda ends this run."""
    return datetime.now(UTC) + timedelta(milliseconds=context.get_remaining_time_in_millis())


@cache
def _acts() -> Mapping[Action, Act]:
    from activate.activation import Activator

    return {
        Action.ACTIVATE: Activator(_client(), _ledger()).activate,
        Action.DEACTIVATE: lambda redemption, until: _reverser().deactivate(redemption, until),
    }


@cache
def _reverser() -> Reverser:
    from activate.reversal import Reverser

    return Reverser(_client(), _ledger())


@cache
def _lookup() -> Lookup:
    from activate.lookup import Lookup

    return Lookup(_client(), _ledger())


@cache
def _client() -> Client:
    from altcraft.client import Client
    from altcraft.token import Token
    from lambda_support.secrets import Secret
    from lambda_support.settings import SettingsError

    token = Token(Secret(settings().altcraft_secret_id))
    try:
        return Client(settings().altcraft_url, token, settings().altcraft_wire)
    except ValueError as error:
        raise SettingsError(str(error)) from error


@cache
def _ledger() -> Ledger:
    from activate.ledger import Ledger

    has_events = bool(settings().event_bus_name)
    return Ledger(settings().redemptions_table, aws.client("dynamodb"), has_events=has_events)


@cache
def _sources() -> Sources:
    from activate.sources import Sources
    from lambda_support.secrets import Secret

    return Sources(Secret(settings().sources_secret_id))


@cache
def _intake() -> Intake:
    from activate.activation_queue import ActivationQueue
    from activate.intake import Intake
    from activate.quarantine import Quarantine

    return Intake(
        _sources(),
        ActivationQueue(aws.client("sqs"), settings().activation_queue_url),
        Quarantine(lambda: aws.client("s3"), settings().export_bucket, settings().export_prefix),
    )


def _fetch(message: FetchMessage) -> None:
    _fetcher().take(message)


@cache
def _fetcher() -> Fetcher:
    from activate.activation_queue import ActivationQueue
    from activate.fetcher import Fetcher

    return Fetcher(_sources(), ActivationQueue(aws.client("sqs"), settings().activation_queue_url))


@cache
def _outbox() -> Outbox:
    from activate.outbox import Outbox
    from lambda_support.event_bus import EventBus

    return Outbox(EventBus(settings().event_bus_name, lambda: aws.client("events")))


@cache
def _worker() -> Worker:
    from activate.worker import Worker

    return Worker(
        _acts(),
        _ledger(),
        aws.client("sqs"),
        settings().activation_queue_url,
        settings().dead_letter_queue_url,
        _fetch,
    )
