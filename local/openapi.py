"""The description of the HTTP API, `docs/openapi.yaml`: `make openapi` writes it anew.

Routes, keys and API Gateway's own answers come from template.yaml; statuses and problems from the code, which `local.answers`
reads; limits and outcomes from the constants and tables the code works with; examples from `events/`. What is written here is
which of the code's functions stand behind which route, and the words around it.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, get_args

import msgspec
import yaml

from activate.api import TELLINGS
from activate.redemption import MAX_TEXT, Outcome, Reason
from altcraft import __version__
from altcraft.wire import MEDIA_TYPES, encode
from export_all.api import DOWNLOAD_SECONDS
from export_all.formats.registry import OUTPUT_FORMATS
from export_all.manifest import Manifest
from lambda_support.fields import MAX_LOYALTY_ID
from local.answers import ROOT, Answer, Told, answers
from local.application import API, Application, GatewayResponse, Route
from local.template import Template, read

TEMPLATE: Final = ROOT / "template.yaml"
DOCUMENT: Final = ROOT / "docs" / "openapi.yaml"
EVENTS: Final = ROOT / "events"

Json = dict[str, Any]


class Undescribed(Exception):
    """The code or the template says something that this description has no place for; the message says where to add it."""


@dataclass(frozen=True)
class Operation:
    """What is said of one route beside what the code and the template say."""

    id: str
    summary: str
    description: str
    behind: tuple[str, ...]
    """The functions that its request goes through and that answer, as `local.answers` names them."""
    success: str
    """What its success means."""
    answer: str | None = None
    """The schema of a success; None is text."""
    request: str | None = None
    """The schema of the body, which is JSON or XML."""
    any_body: bool = False
    """Instead: the body is a platform's own."""
    parameters: tuple[Json, ...] = ()
    samples: tuple[str, ...] = ()
    """Events whose bodies are examples."""
    example: Json | None = None
    """What a success holds, for example."""
    links: Json | None = None


_EVERY_DOOR: Final = ("lambda_support.http.answering",)
_API_DOOR: Final = ("lambda_support.http.Request.fields", *_EVERY_DOOR)

_EXPORT_ID: Final = "20261122T083000Z-0123456789abcdef0123"
_SOURCE: Final[Json] = {
    "name": "source",
    "in": "path",
    "required": True,
    "description": "The name of a source in the document of webhook sources.",
    "schema": {"type": "string", "minLength": 1},
    "example": "eu-shop",
}

OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("POST", "/promocodes/activate"): Operation(
        id="activate",
        summary="Activate one promo code, and answer when it is done",
        description=(
            "Marks a code as used in Altcraft. With an `order_id`, the same request again gets the first answer again, without "
            "a second activation, and another order with the same code gets `already_activated`. Without one, a request is "
            "always a new one."
        ),
        behind=("activate.api.respond", "activate.api._problem", "lambda_support.http.invalid_field", *_API_DOOR),
        success="The code is activated, now or before by this order.",
        request="Activation",
        answer="Activated",
        samples=("activate-api-json.json", "activate-api-xml.json"),
        example={"code": "Code-1", "loyalty_id": 5, "outcome": Outcome.ACTIVATED.value},
    ),
    ("POST", "/promocodes/export_all"): Operation(
        id="export",
        summary="Begin to export every code of a loyalty program",
        description=(
            "The export runs on by itself, up to 15 minutes. Its data is in the bucket once it is whole, or never. Each "
            "request is an export of its own."
        ),
        behind=(
            "export_all.api.post_export",
            "lambda_support.http.invalid_field",
            "export_all.api._unavailable",
            *_API_DOOR,
        ),
        success="The export is begun.",
        request="ExportRequest",
        answer="ExportBegun",
        samples=("export_all-api-json.json", "export_all-api-xml.json", "export_all-api-accept-fewer.json"),
        example={
            "export_id": _EXPORT_ID,
            "status": "running",
            "status_url": f"https://abcde12345.execute-api.eu-central-1.amazonaws.com/v1/promocodes/exports/{_EXPORT_ID}",
        },
        links={"status": {"operationId": "exportStatus", "parameters": {"export_id": "$response.body#/export_id"}}},
    ),
    ("GET", "/promocodes/exports/{export_id}"): Operation(
        id="exportStatus",
        summary="See how an export goes, and where its data is",
        description="While it runs, the counts are those so far. `download_url` is there once it has succeeded.",
        behind=(
            "export_all.api.get_export",
            "lambda_support.http.invalid_field",
            "export_all.api._unavailable",
            *_EVERY_DOOR,
        ),
        success="The export's manifest.",
        answer="Manifest",
        parameters=(
            {
                "name": "export_id",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"},
                "example": _EXPORT_ID,
            },
        ),
    ),
    ("POST", "/webhooks/{source}"): Operation(
        id="receiveWebhook",
        summary="Take an order from a shop's platform",
        description=(
            "The address that is pasted into the shop. The body is the platform's own, and its signature, made with a secret "
            "of the source, stands for the API key. A platform's unsigned trial call is answered too, where its preset knows "
            "it. An authentic delivery that is no paid order, holds no code, or cannot be read is answered 200 with "
            "`accepted` 0."
        ),
        behind=("activate.intake.Intake.receive", "activate.intake.Intake._authenticated", *_EVERY_DOOR),
        success="Every code of the order is in the queue, durably; or there is none.",
        answer="Accepted",
        any_body=True,
        parameters=(_SOURCE,),
        samples=("webhook-shopify.json", "webhook-standard-webhooks.json", "webhook-tilda.json"),
        example={"accepted": 1},
    ),
    ("PUT", "/webhooks/{source}"): Operation(
        id="receiveWebhookByPut",
        summary="Take an order from a shop's platform that delivers by PUT, as Horoshop does",
        description="As by POST.",
        behind=("activate.intake.Intake.receive", "activate.intake.Intake._authenticated", *_EVERY_DOOR),
        success="Every code of the order is in the queue, durably; or there is none.",
        answer="Accepted",
        any_body=True,
        parameters=(_SOURCE,),
        samples=("webhook-shopify.json", "webhook-standard-webhooks.json", "webhook-tilda.json"),
        example={"accepted": 1},
    ),
    ("GET", "/webhooks/{source}"): Operation(
        id="answerChallenge",
        summary="Answer a platform that asks whether the address is willing",
        description="Some platforms, such as Adobe, send a challenge before the first delivery.",
        behind=("activate.intake.Intake.receive", "activate.intake._challenge", *_EVERY_DOOR),
        success="The challenge, as it was sent.",
        parameters=(
            _SOURCE,
            {
                "name": "challenge",
                "in": "query",
                "required": True,
                "description": "What is to be echoed.",
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9._~+/=-]{1,512}$"},
                "example": "8ec8d794-e0ab-42df-9017-e3dada8e84f7",
            },
        ),
    ),
}

UNREACHED: Final = {"lambda_support.http.route"}
"""Functions that answer for what API Gateway lets nobody ask."""

REASONS: Final[Mapping[Reason, str]] = {
    "token_refused": "Altcraft refuses our API token, also after the secret was read again.",
    "token_unreadable": "The secret cannot be read, or holds no token.",
    "altcraft_unreachable": "Altcraft does not answer, not in time, or with HTTP 429 or 5xx.",
    "altcraft_failing": "Altcraft answers with an error that says nothing of the code.",
    "altcraft_incoherent": "Altcraft answers something that is not its own format, such as an HTML page.",
    "refused": "Altcraft refuses a code that it says is attached, unused and not expired; its words are in `altcraft`.",
    "unconfirmed": "Altcraft does not know the code, and no other code of the program is known yet to ask about beside it.",
    "unsettled": "A reply of Altcraft's was lost, and it does not say yet whether the code was activated by this order.",
    "in_progress": "Another request with this code is under way.",
    "table_unavailable": "The table of redemptions does not answer.",
}

COMPUTED: Final[Mapping[str, tuple[Told, ...]]] = {
    "activate.api._problem": tuple(
        Told("activate.api._problem", int(telling.status), slug=outcome, title=telling.title, detail=telling.remedy)
        for outcome, telling in TELLINGS.items()
    ),
    "activate.api.respond": tuple(
        Told("activate.api.respond", int(HTTPStatus.SERVICE_UNAVAILABLE), slug=reason, detail=REASONS[reason])
        for reason in get_args(Reason)
    ),
}
"""The problems whose slug the code computes, from the tables it computes them with."""

GATEWAY: Final[Mapping[str, frozenset[str]]] = {
    "MISSING_AUTHENTICATION_TOKEN": frozenset(),
    "INVALID_API_KEY": frozenset({"key"}),
    "REQUEST_TOO_LARGE": frozenset({"POST", "PUT"}),
    "THROTTLED": frozenset({"GET", "POST", "PUT"}),
    "QUOTA_EXCEEDED": frozenset({"key"}),
    "WAF_FILTERED": frozenset({"GET", "POST", "PUT"}),
    "INTEGRATION_TIMEOUT": frozenset({"GET", "POST", "PUT"}),
    "DEFAULT_5XX": frozenset({"GET", "POST", "PUT"}),
}
"""API Gateway's own answers: on routes of these methods, or on those that need the API key. The first is where no route is."""

_LOYALTY_ID: Final[Json] = {
    "description": "The number of a loyalty program. A text of digits is taken too, as XML has no numbers.",
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": MAX_LOYALTY_ID},
        {"type": "string", "pattern": "^[1-9][0-9]{0,17}$"},
    ],
}
_WORDS: Final[Json] = {
    "description": "Altcraft's own words, where it spoke.",
    "type": "object",
    "required": ["error", "error_text"],
    "properties": {"error": {"type": "integer"}, "error_text": {"type": "string"}},
}


def _manifest() -> Json:
    """The schema of a manifest, from its class."""
    _, schemas = msgspec.json.schema_components([Manifest], schema_hook=lambda _: {"type": "object"})
    schema: Json = schemas["Manifest"]
    described = {
        **schema["properties"],
        "error": {"anyOf": [{"type": "null"}, {"$ref": "#/components/schemas/Failure"}]},
        "suspect": {
            "type": "boolean",
            "description": "It has no codes, or far fewer than the newest good export before it; `latest` does not move to it.",
        },
        "accept_fewer": {
            "type": "boolean",
            "description": "The request was to move `latest` to it all the same.",
        },
        "download_url": {
            "type": "string",
            "format": "uri",
            "description": f"Good for {DOWNLOAD_SECONDS // 60} minutes at the most. Only of an export that has succeeded.",
        },
    }
    return {
        "type": "object",
        "xml": {"name": "xml"},
        "description": "An export. Times are RFC 3339, sizes in bytes. In XML, what is null is an empty element.",
        "required": list(schema["properties"]),
        "additionalProperties": False,
        "properties": {
            name: {key: value for key, value in one.items() if key != "default"} for name, one in described.items()
        },
    }


SCHEMAS: Final[Json] = {
    "Activation": {
        "type": "object",
        "xml": {"name": "xml"},
        "required": ["code", "loyalty_id"],
        "additionalProperties": False,
        "properties": {
            "code": {
                "type": "string",
                "format": "printable",
                "minLength": 1,
                "maxLength": MAX_TEXT,
                "description": "The promo code, exactly as Altcraft has it: printable characters, not only spaces.",
            },
            "loyalty_id": _LOYALTY_ID,
            "order_id": {
                "description": "The order that uses the code, in the shop's own words.",
                "anyOf": [
                    {"type": "string", "format": "printable", "minLength": 1, "maxLength": MAX_TEXT},
                    {"type": "integer"},
                    {"type": "null"},
                ],
            },
        },
    },
    "Activated": {
        "type": "object",
        "xml": {"name": "xml"},
        "required": ["code", "loyalty_id", "outcome"],
        "additionalProperties": False,
        "properties": {
            "code": {"type": "string"},
            "loyalty_id": {"type": "integer"},
            "outcome": {"const": Outcome.ACTIVATED.value},
        },
    },
    "ExportRequest": {
        "type": "object",
        "xml": {"name": "xml"},
        "required": ["loyalty_id"],
        "additionalProperties": False,
        "properties": {
            "loyalty_id": _LOYALTY_ID,
            "output_format": {
                "description": f"{OUTPUT_FORMATS[0]} where it is left out. parquet needs the parameter ParquetLayerArn.",
                "enum": [*OUTPUT_FORMATS, None],
            },
            "accept_fewer": {
                "description": (
                    "Whether `latest` moves to the export even if it has no codes, or far fewer than the newest good one. "
                    "False where it is left out."
                ),
                "enum": [True, False, "true", "false", None],
            },
        },
    },
    "ExportBegun": {
        "type": "object",
        "xml": {"name": "xml"},
        "required": ["export_id", "status", "status_url"],
        "additionalProperties": False,
        "properties": {
            "export_id": {"type": "string"},
            "status": {"const": "running"},
            "status_url": {"type": "string", "format": "uri", "description": "The address of the export's manifest."},
        },
    },
    "Manifest": _manifest(),
    "Failure": {
        "description": "Why an export failed.",
        "type": "object",
        "required": ["type", "detail", "retryable"],
        "properties": {
            "type": {"type": "string", "description": "The kind of failure, in one word."},
            "detail": {"type": "string", "description": "This case, and the remedy."},
            "retryable": {"type": "boolean", "description": "The same export may succeed later."},
            "altcraft": _WORDS,
        },
    },
    "Accepted": {
        "type": "object",
        "xml": {"name": "xml"},
        "required": ["accepted"],
        "additionalProperties": False,
        "properties": {
            "accepted": {"type": "integer", "minimum": 0, "description": "How many codes are in the queue now."}
        },
    },
    "Problem": {
        "description": "What went wrong, as RFC 9457 has it. Programs decide by `type` and `retryable`, people read the rest.",
        "type": "object",
        "xml": {"name": "problem", "namespace": "urn:ietf:rfc:7807"},
        "required": ["type", "title", "status", "detail", "retryable"],
        "properties": {
            "type": {
                "type": "string",
                "format": "uri",
                "description": "The kind of problem; its last part is its name.",
            },
            "title": {"type": "string", "description": "The kind, for a person."},
            "status": {"type": "integer", "description": "The HTTP status."},
            "detail": {"type": "string", "description": "This case, and the remedy."},
            "retryable": {"type": "boolean", "description": "The same request may succeed later."},
            "altcraft": _WORDS,
            "code": {"type": "string"},
            "loyalty_id": {"type": "integer"},
            "outcome": {"enum": [outcome.value for outcome in TELLINGS]},
            "reason": {"description": "Why there is no outcome yet.", "enum": list(get_args(Reason))},
        },
    },
}

_HEADERS: Final[Mapping[str, Json]] = {
    "Allow": {"description": "The methods that are taken.", "schema": {"type": "string"}},
    "Location": {"description": "Where to ask how it goes.", "schema": {"type": "string", "format": "uri-reference"}},
    "Retry-After": {"description": "Seconds after which to ask again.", "schema": {"type": "integer", "minimum": 0}},
    "X-Content-Type-Options": {"description": "Keeps browsers from guessing.", "schema": {"const": "nosniff"}},
}

_ANY_BODY: Final = ("application/json", "application/x-www-form-urlencoded", "application/xml")


def describe(template_file: Path = TEMPLATE, found: Sequence[Answer] | None = None) -> Json:
    """The whole description.

    Args:
        template_file: where the routes are.
        found: the code's answers; None reads them from its source.

    Raises:
        Undescribed: the code or the template says something for which there is no place here.
    """
    template = Template(read(template_file), {}, lambda logical_id, _: logical_id)
    application = Application(template, {})
    stage = next(api["StageName"] for api in _apis(template))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Altcraft promo codes for AWS",
            "version": __version__,
            "summary": "Activate the promo codes of paid orders; export every code of a loyalty program.",
            "description": (
                "JSON and XML are spoken: the request by `Content-Type`, the reply by `Accept`; JSON is the default. An XML "
                "message is inside `<xml>`. Errors are problem details; what API Gateway itself refuses is always in JSON."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [
            {
                "url": f"https://{{api}}.execute-api.{{region}}.amazonaws.com/{stage}",
                "description": "Deployed: the stack's output ApiUrl",
                "variables": {"api": {"default": "abcde12345"}, "region": {"default": "eu-central-1"}},
            },
            {"url": "http://127.0.0.1:3000", "description": "`make local`"},
        ],
        "paths": _paths(application.routes(), answers() if found is None else found, application.gateway_responses()),
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "key": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "x-api-key",
                    "description": "The stack's output ApiKeyCommand prints it.",
                }
            },
        },
    }


def _paths(
    routes: Iterable[Route], found: Iterable[Answer], gateway: Mapping[str, GatewayResponse]
) -> Mapping[str, Json]:
    by_function = _by_function(found)
    if strange := gateway.keys() - GATEWAY.keys():
        raise Undescribed(f"template.yaml has API Gateway answer {', '.join(sorted(strange))}: add it to GATEWAY")
    paths: dict[str, Json] = defaultdict(dict)
    for route in routes:
        operation = OPERATIONS.get((route.method, route.resource))
        if operation is None:
            raise Undescribed(f"template.yaml has a route {route.method} {route.resource}: add it to OPERATIONS")
        told = [answer for function in operation.behind for answer in by_function[function]]
        theirs = list(_of_gateway(route, gateway))
        paths[route.resource][route.method.lower()] = _operation(operation, route, [*told, *theirs])
    return dict(sorted(paths.items()))


def _by_function(found: Iterable[Answer]) -> Mapping[str, list[Answer]]:
    """The answers by the function they are in, computed ones filled in.

    Raises Undescribed where a function answers that stands behind no operation, or one stands there that does not answer.
    """
    by_function: dict[str, list[Answer]] = defaultdict(list)
    for answer in found:
        if isinstance(answer, Told) and answer.slug is None:
            filled = [
                replace(
                    computed, title=computed.title or answer.title, retryable=answer.retryable, headers=answer.headers
                )
                for computed in COMPUTED.get(answer.where, ())
            ]
            if not filled:
                raise Undescribed(f"{answer.where} computes a problem's slug: add to COMPUTED what it can be")
            by_function[answer.where] += filled
        elif answer.status is not None:
            by_function[answer.where].append(answer)
    behind = {function for operation in OPERATIONS.values() for function in operation.behind} | UNREACHED
    if missing := by_function.keys() - behind:
        raise Undescribed(f"{', '.join(sorted(missing))} answers over HTTP: add it to `behind` of an operation")
    if silent := behind - by_function.keys():
        raise Undescribed(f"{', '.join(sorted(silent))} stands behind an operation and does not answer any more")
    return by_function


def _of_gateway(route: Route, gateway: Mapping[str, GatewayResponse]) -> Iterator[Told]:
    kinds = {route.method, "key"} if route.api_key_required else {route.method}
    for case, response in gateway.items():
        if kinds & GATEWAY[case]:
            if response.status is None or response.body is None:
                raise Undescribed(f"template.yaml lets API Gateway choose what it answers for {case}: write it there")
            problem = json.loads(response.body)
            yield Told(
                case,
                response.status,
                frozenset(name for name in response.headers if name in _HEADERS),
                slug=problem["type"].rpartition(":")[2],
                title=problem["title"],
                detail=problem["detail"],
                retryable=problem["retryable"],
            )


def _operation(operation: Operation, route: Route, found: list[Answer]) -> Json:
    problems = [answer for answer in found if isinstance(answer, Told)]
    successes = [answer for answer in found if not isinstance(answer, Told)]
    described: Json = {
        "operationId": operation.id,
        "summary": operation.summary,
        "description": operation.description,
        "security": [{"key": []}] if route.api_key_required else [],
    }
    if operation.parameters:
        described["parameters"] = list(operation.parameters)
    if operation.request:
        described["requestBody"] = {
            "required": True,
            "content": _content(operation.samples, _schemas(operation.request)),
        }
    elif operation.any_body:
        described["requestBody"] = {
            "content": _content(operation.samples, {media_type: {} for media_type in _ANY_BODY})
        }
    responses = {str(status): _success(operation, successes) for status in {answer.status for answer in successes}}
    for status in sorted({problem.status for problem in problems if problem.status}):
        responses[str(status)] = _problem([problem for problem in problems if problem.status == status])
    return {**described, "responses": responses}


def _schemas(name: str) -> Mapping[str, Json]:
    """A request's schema by media type: in XML there is no null."""
    reference = {"$ref": f"#/components/schemas/{name}"}
    nullable = [
        field
        for field, schema in SCHEMAS[name]["properties"].items()
        if None in schema.get("enum", ()) or {"type": "null"} in schema.get("anyOf", ())
    ]
    without = {"properties": {field: {"not": {"type": "null"}} for field in nullable}} if nullable else {}
    return {MEDIA_TYPES["json"]: reference, MEDIA_TYPES["xml"]: {**reference, **without}}


def _content(samples: Iterable[str], schemas: Mapping[str, Json]) -> Mapping[str, Json]:
    """A body's media types, with the bodies of sample events as examples."""
    content: Mapping[str, Json] = {media_type: {"schema": schema} for media_type, schema in schemas.items()}
    for sample in samples:
        event = json.loads((EVENTS / sample).read_text())
        headers = {name.lower(): value for name, value in event["headers"].items()}
        media_type = headers.get("content-type", MEDIA_TYPES["json"])
        text = base64.b64decode(event["body"]).decode() if event["isBase64Encoded"] else event["body"]
        value = json.loads(text) if media_type == MEDIA_TYPES["json"] else text
        content[media_type].setdefault("examples", {})[sample.removesuffix(".json")] = {"value": value}
    return content


def _success(operation: Operation, found: list[Answer]) -> Json:
    described: Json = {"description": operation.success, **_headers(found)}
    if operation.answer is None:
        described["content"] = {"text/plain": {"schema": {"type": "string"}}}
        return described
    schema = {"$ref": f"#/components/schemas/{operation.answer}"}
    described["content"] = {media_type: {"schema": schema} for media_type in MEDIA_TYPES.values()}
    if operation.example:
        described["content"][MEDIA_TYPES["json"]]["example"] = operation.example
        described["content"][MEDIA_TYPES["xml"]]["example"] = encode(operation.example, "xml").decode()
    if operation.links:
        described["links"] = operation.links
    return described


def _problem(told: list[Told]) -> Json:
    kinds = {str(problem.slug): problem for problem in told}
    schema = {
        "$ref": "#/components/schemas/Problem",
        "properties": {
            "type": {"enum": [f"urn:altcraft-promocodes:problem:{slug}" for slug in kinds]},
            "status": {"const": told[0].status},
        },
    }
    content = {"application/problem+json": {"schema": schema}}
    if any(problem.where not in GATEWAY for problem in told):
        content["application/problem+xml"] = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        "description": "\n".join(f"- `{slug}`: {_sentences(problem)}" for slug, problem in kinds.items()),
        **_headers(told),
        "content": content,
    }


def _sentences(problem: Told) -> str:
    return f"{problem.title}. {problem.detail or ''}".strip()


def _headers(found: Iterable[Answer]) -> Json:
    """The headers of a response; those that every answer with its status has are promised."""
    sets = [answer.headers for answer in found]
    every = frozenset.intersection(*sets)
    headers = {
        name: {**_HEADERS[name], "required": True} if name in every else _HEADERS[name]
        for name in sorted(frozenset.union(*sets))
    }
    return {"headers": headers} if headers else {}


def _apis(template: Template) -> Iterator[Json]:
    return (template.properties(name) for name, one in template.resources.items() if one["Type"] == API)


class _Dumper(yaml.SafeDumper):
    """Writes no anchors, and texts of several lines as blocks."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _block)


def spelled(description: Json) -> str:
    """The description as its file holds it."""
    head = "# Written by `make openapi` from template.yaml and the code. Do not edit.\n"
    return head + yaml.dump(description, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def main() -> None:
    """Write the file."""
    DOCUMENT.write_text(spelled(describe()))


if __name__ == "__main__":
    main()
