"""API Gateway's REST API: HTTP requests become proxy events, and what a function answers becomes the reply.

Source: API Gateway Developer Guide, "Lambda proxy integrations for REST APIs", "Gateway responses" and "Quotas". The API
behaves as behind a custom domain name: no stage in its paths.
"""

import base64
import json
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import TimeoutError as TooSlow
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple
from urllib.parse import unquote

import msgspec

from local.application import GatewayResponse, Route, path_pattern
from local.aws import ACCOUNT
from local.functions import PayloadTooLarge, Pool
from local.http import Request, Response

BODY_LIMIT = 10 * 1024 * 1024
INTEGRATION_SECONDS = 29.0
STAGE = "local"
API_ID = "localapi00"

# Control characters, and what has no place in ISO 8859-1.
_UNSENDABLE = re.compile(r"[^\t\x20-\x7e\xa0-\xff]")

_HeaderValue = str | int | float | bool

# Hop-by-hop headers and those API Gateway keeps to itself.
_DROPPED = frozenset({"connection", "content-length", "expect", "keep-alive", "te", "transfer-encoding", "upgrade"})


class _Case(NamedTuple):
    """A case in which API Gateway answers by itself, and what it says where the template says nothing else."""

    name: str
    status: int
    message: str
    kind: str


_UNKNOWN = _Case(
    "MISSING_AUTHENTICATION_TOKEN", 403, "Missing Authentication Token", "MissingAuthenticationTokenException"
)
_FORBIDDEN = _Case("INVALID_API_KEY", 403, "Forbidden", "ForbiddenException")
_TOO_LONG = _Case("REQUEST_TOO_LARGE", 413, "Request Too Long", "RequestTooLargeException")
# A function that failed, or answered what is no reply; it has no name of its own.
_BAD_GATEWAY = _Case("DEFAULT_5XX", 502, "Internal server error", "InternalServerErrorException")
_TIMED_OUT = _Case("INTEGRATION_TIMEOUT", 504, "Endpoint request timed out", "InternalServerErrorException")

_SILENT = GatewayResponse(status=None, headers={}, body=None)


class Gateway:
    """The routes of one REST API as an application for `local.http.Server`; `pools` are by logical id.

    `responses` are what the template has the API answer in its own name. `too_long` is one of them, for a body above the limit.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        pools: Mapping[str, Pool],
        api_key: str,
        responses: Mapping[str, GatewayResponse] = MappingProxyType({}),
        integration_seconds: float = INTEGRATION_SECONDS,
    ) -> None:
        # A resource without variables is matched before one with, as API Gateway does.
        ranked = sorted(routes, key=lambda route: route.resource.count("{"))
        self._routes = [(route, path_pattern(route.resource)) for route in ranked]
        self._pools = pools
        self._api_key = api_key
        self._responses = responses
        self._integration_seconds = integration_seconds
        self.too_long = self._own(_TOO_LONG)

    def __call__(self, request: Request) -> Response:
        """Answer one request."""
        for route, pattern in self._routes:
            if route.method in {request.method, "ANY"} and (match := pattern.fullmatch(request.raw_path)):
                break
        else:
            return self._own(_UNKNOWN)
        if route.api_key_required and request.header("x-api-key") != self._api_key:
            return self._own(_FORBIDDEN)
        parameters = {name: unquote(value) for name, value in match.groupdict().items()}
        event = proxy_event(request, route.resource, parameters)
        request_id = event["requestContext"]["requestId"]
        try:
            running = self._pools[route.function].submit(msgspec.json.encode(event))
            result = running.result(self._integration_seconds)
        except PayloadTooLarge:
            return self.too_long
        except TooSlow:
            return self._own(_TIMED_OUT)
        try:
            return self._own(_BAD_GATEWAY) if result.failed else proxy_response(result.payload, request_id)
        except ValueError:
            return self._own(_BAD_GATEWAY)

    def _own(self, case: _Case) -> Response:
        """Answer in the API's own name: as the template says of the case, or of all cases of its kind."""
        default = self._responses.get(f"DEFAULT_{case.status // 100}XX", _SILENT)
        written = self._responses.get(case.name, default)
        headers = {"Content-Type": "application/json", "x-amzn-ErrorType": case.kind, **written.headers}
        body = written.body if written.body is not None else json.dumps({"message": case.message})
        return Response(written.status or default.status or case.status, body.encode(), list(headers.items()))


def proxy_event(request: Request, resource: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the event of a REST API with binary media types `*/*`: a body, where there is one, is in base64."""
    host = request.header("Host") or ""
    headers = [(name, value) for name, value in request.headers if name.lower() not in _DROPPED]
    headers += [
        ("X-Amzn-Trace-Id", f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}"),
        ("X-Forwarded-For", request.peer),
        ("X-Forwarded-Port", host.rpartition(":")[2] if ":" in host else "80"),
        ("X-Forwarded-Proto", "http"),
    ]
    query = request.query
    now = datetime.now(UTC)
    return {
        "resource": resource,
        "path": request.raw_path,
        "httpMethod": request.method,
        "headers": dict(headers),
        "multiValueHeaders": _gather(headers),
        "queryStringParameters": dict(query) or None,
        "multiValueQueryStringParameters": _gather(query) or None,
        "pathParameters": dict(parameters) or None,
        "stageVariables": None,
        "requestContext": {
            "resourceId": "local0",
            "resourcePath": resource,
            "httpMethod": request.method,
            "extendedRequestId": base64.b64encode(uuid.uuid4().bytes[:11]).decode(),
            "requestTime": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "requestTimeEpoch": int(now.timestamp() * 1000),
            "path": request.raw_path,
            "accountId": ACCOUNT,
            "protocol": "HTTP/1.1",
            "stage": STAGE,
            "domainPrefix": host.partition(".")[0],
            "domainName": host,
            "requestId": str(uuid.uuid4()),
            "identity": {
                "cognitoIdentityPoolId": None,
                "accountId": None,
                "cognitoIdentityId": None,
                "caller": None,
                "sourceIp": request.peer,
                "principalOrgId": None,
                "accessKey": None,
                "cognitoAuthenticationType": None,
                "cognitoAuthenticationProvider": None,
                "userArn": None,
                "userAgent": request.header("User-Agent"),
                "user": None,
            },
            "apiId": API_ID,
        },
        "body": base64.b64encode(request.body).decode() if request.body else None,
        "isBase64Encoded": bool(request.body),
    }


class _Answer(msgspec.Struct, rename="camel"):
    """What a proxy integration must answer; anything else is malformed."""

    status_code: Annotated[int, msgspec.Meta(ge=100, le=599)]
    headers: dict[str, _HeaderValue] | None = None
    multi_value_headers: dict[str, list[_HeaderValue]] | None = None
    body: str | None = None
    is_base64_encoded: bool = False


def proxy_response(payload: bytes, request_id: str) -> Response:
    """Read what a function answered (JSON). Raises ValueError where API Gateway would call it malformed."""
    answer = msgspec.json.decode(payload, type=_Answer)
    several = answer.multi_value_headers or {}
    single = {name: value for name, value in (answer.headers or {}).items() if name not in several}
    headers = [(name, str(value)) for name, values in several.items() for value in values]
    headers += [(name, str(value)) for name, value in single.items()]
    if "content-type" not in {name.lower() for name, _ in headers}:
        headers.append(("Content-Type", "application/json"))
    if any(_UNSENDABLE.search(text) for header in headers for text in header):
        raise ValueError("a header that cannot be sent")
    headers.append(("x-amzn-RequestId", request_id))
    text = answer.body or ""
    body = base64.b64decode(text, validate=True) if answer.is_base64_encoded else text.encode()
    return Response(answer.status_code, body, headers)


def _gather(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    gathered: dict[str, list[str]] = {}
    for name, value in pairs:
        gathered.setdefault(name, []).append(value)
    return gathered
