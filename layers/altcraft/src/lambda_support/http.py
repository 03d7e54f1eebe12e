"""API Gateway's REST proxy events as requests, and replies to them: JSON or XML, errors as RFC 9457 problem details.

The request's format follows `Content-Type`, the reply's follows `Accept`; JSON is the default of both. In XML a message is
inside `<xml>`, as Altcraft's are, and a problem inside `<problem>`, as the RFC's are.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar

from altcraft.wire import MEDIA_TYPES, MalformedMessage, Wire, decode, encode
from lambda_support.secrets import SecretError
from lambda_support.settings import SettingsError
from lambda_support.telemetry import logger

if TYPE_CHECKING:
    from altcraft.errors import ErrorReply
    from lambda_support.fields import InvalidField

T = TypeVar("T")

Reply = dict[str, Any]
"""The response of a proxy integration: statusCode, headers, body, isBase64Encoded."""

_WIRES: Final[Mapping[str, Wire]] = {
    **{media_type: wire for wire, media_type in MEDIA_TYPES.items()},
    "text/json": "json",
    "text/xml": "xml",
}


@dataclass(frozen=True)
class Request:
    """One HTTP request. Header names are in lower case; the body is the exact bytes that were sent."""

    method: str
    resource: str
    """The route's own path, such as `/webhooks/{source}`."""
    path: Mapping[str, str]
    """The route's variables, such as `source`."""
    headers: Mapping[str, str] = field(repr=False)
    query: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    request_id: str = ""
    origin: str = ""
    """Scheme, host, stage and base path of the request's URL, up to the route's own path."""

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> Request:
        """Read a REST proxy event (payload format 1.0), as a REST API with binary media types `*/*` sends it.

        Source: AWS documentation, "Lambda proxy integrations in API Gateway", input format.
        """
        text = event.get("body") or ""
        context = event.get("requestContext") or {}
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        scheme, host = headers.get("x-forwarded-proto", "https"), headers.get("host") or context.get("domainName", "")
        return cls(
            method=event["httpMethod"],
            resource=event["resource"],
            path=event.get("pathParameters") or {},
            headers=headers,
            query=event.get("queryStringParameters") or {},
            body=base64.b64decode(text) if event.get("isBase64Encoded") else text.encode(),
            request_id=context.get("requestId", ""),
            origin=f"{scheme}://{host}{context.get('path', '').removesuffix(event['resource'])}",
        )

    @property
    def media_type(self) -> str:
        """The body's media type without its parameters, in lower case; `""` where none was sent."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def accepts(self) -> Wire:
        """The format of the reply: by `Accept` and its weights, the first of the two; otherwise JSON."""
        ranked = sorted(
            (-_weight(parameters), position, _WIRES[media_type])
            for position, part in enumerate(self.headers.get("accept", "").lower().split(","))
            for media_type, _, parameters in [part.strip().replace(" ", "").partition(";")]
            if media_type in _WIRES and _weight(parameters) > 0
        )
        return ranked[0][2] if ranked else "json"

    def fields(self) -> dict[str, Any]:
        """Decode the body.

        Raises:
            Problem: 415 for another format, 400 for a body that is not well formed.
        """
        wire = _WIRES.get(self.media_type or "application/json")
        if wire is None:
            raise Problem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "This format is not spoken here",
                "Send the body as application/json or application/xml, and say which in Content-Type.",
            )
        try:
            return decode(self.body, wire)
        except MalformedMessage as error:
            fault = error if error.field is None else f"ambiguous: {error.field[:40]!r} comes twice"
            example = '{"code": "Code-1", ...}' if wire == "json" else "<xml><code>Code-1</code>...</xml>"
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                "malformed_body",
                "The body cannot be read",
                f"The body is {fault}. Send one message such as {example}, encoded in UTF-8.",
            ) from error


def reply(
    request: Request, status: int, message: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> Reply:
    """Encode a message in the format that the request accepts."""
    wire = request.accepts
    return proxy_response(status, encode(message, wire).decode(), MEDIA_TYPES[wire], headers)


def route(routes: Mapping[tuple[str, str], T], request: Request) -> T:
    """Select the route of a request, by its method and resource.

    Raises:
        Problem: 404 if there is none.
    """
    try:
        return routes[request.method, request.resource]
    except KeyError:
        raise Problem(
            HTTPStatus.NOT_FOUND, "no_such_route", "There is nothing here", f"{request.method} {request.resource}"
        ) from None


def answering(request: Request, answer: Callable[[Request], Reply]) -> Reply:
    """Answer a request; the one place where an exception becomes an HTTP error."""
    try:
        return answer(request)
    except Problem as problem:
        return problem.reply(request)
    except (SettingsError, SecretError) as error:
        logger.exception("The function is not configured")
        unready = Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "not_configured",
            "The service is not configured",
            str(error),
            retryable=True,
            headers={"Retry-After": "60"},
        )
        return unready.reply(request)
    except Exception:  # a defect: the caller gets a problem like any other, the log gets the traceback
        logger.exception("Unexpected error")
        defect = Problem(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "internal_error",
            "Something is wrong here",
            f"The logs hold the reason, under the request id {request.request_id}.",
            retryable=True,
        )
        return defect.reply(request)


def proxy_response(status: int, body: str, media_type: str, headers: Mapping[str, str] | None = None) -> Reply:
    """Build the response of a proxy integration."""
    return {
        "statusCode": int(status),
        "headers": {"Content-Type": media_type, "Cache-Control": "no-store", **(headers or {})},
        "body": body,
        "isBase64Encoded": False,
    }


class Problem(Exception):
    """A request that ends in an error, reported as RFC 9457 problem details.

    Args:
        status: the HTTP status.
        slug: the kind of problem, one word of lower case and underscores; the last part of `type`.
        title: the kind, for a person.
        detail: this case, naming the field and the remedy. Never a secret, never a stack trace.
        retryable: the same request may succeed later.
        altcraft: Altcraft's error, if it returned one.
        headers: of the response, such as Retry-After (seconds).
        extra: additional members, such as the code in question.
    """

    def __init__(
        self,
        status: int,
        slug: str,
        title: str,
        detail: str,
        *,
        retryable: bool = False,
        altcraft: ErrorReply | None = None,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.title = title
        self.detail = detail
        self.retryable = retryable
        self.altcraft = altcraft
        self.headers = headers or {}
        self.extra = extra or {}

    def members(self) -> dict[str, object]:
        """The problem's members: those of the RFC, and extensions."""
        members: dict[str, object] = {
            "type": f"urn:altcraft-promocodes:problem:{self.slug}",
            "title": self.title,
            "status": int(self.status),
            "detail": self.detail,
            "retryable": self.retryable,
            **self.extra,
        }
        if self.altcraft is not None:
            members["altcraft"] = {"error": self.altcraft.error, "error_text": self.altcraft.error_text}
        return members

    def reply(self, request: Request) -> Reply:
        """Encode the problem in the format that the request accepts."""
        if request.accepts == "json":
            body, media_type = json.dumps(self.members(), ensure_ascii=False), "application/problem+json"
        else:
            body, media_type = _problem_xml(self.members()), "application/problem+xml"
        return proxy_response(self.status, body, media_type, self.headers)


def invalid_field(error: InvalidField) -> Problem:
    """The problem for a field of the request that is missing or wrong."""
    return Problem(HTTPStatus.BAD_REQUEST, "invalid_field", "A field is missing or wrong", str(error))


def _problem_xml(members: Mapping[str, object]) -> str:
    import xmltodict

    problem = {"problem": {"@xmlns": "urn:ietf:rfc:7807", **members}}
    document: str = xmltodict.unparse(problem, full_document=False, short_empty_elements=True)
    return document


def _weight(parameters: str) -> float:
    """The `q` of one part of an Accept header; 1 if it has none, 0 if it is malformed."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
