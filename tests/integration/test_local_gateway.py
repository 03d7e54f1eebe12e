"""The gateway: proxy events as API Gateway makes them, its limits, and how it reads a function's answer."""

import base64
import http.client
import json
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.application import Function, GatewayResponse, Route
from local.functions import Pool
from local.gateway import BODY_LIMIT, Gateway, proxy_event, proxy_response
from local.http import Request, Response, Server

KEY = "the-key"
FUNCTIONS = ("echo", "proxy", "answer", "fail", "hang")
ROUTES = [
    *(Route("POST", f"/{name}", name, api_key_required=False) for name in FUNCTIONS),
    Route("POST", "/locked", "proxy", api_key_required=True),
    Route("GET", "/orders/{order}", "proxy", api_key_required=False),
    Route("GET", "/orders/latest", "echo", api_key_required=False),
    Route("ANY", "/files/{path+}", "echo", api_key_required=False),
]

Send = Callable[..., tuple[int, bytes, dict[str, str]]]


@pytest.fixture(scope="module")
def send(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Send]:
    """Sends one request to a gateway in front of the stand-in handlers; answers status, body and headers."""
    log = os.open(tmp_path_factory.mktemp("gateway") / "functions.log", os.O_CREAT | os.O_WRONLY)
    pools = {
        name: Pool(Function(name, name, f"tests.integration.handlers.{name}", 30, 128, 0, {}), {}, 1, log)
        for name in FUNCTIONS
    }
    gateway = Gateway(ROUTES, pools, KEY, integration_seconds=2)
    with Server(gateway, max_body=BODY_LIMIT, too_long=gateway.too_long) as server:

        def request(
            method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
        ) -> tuple[int, bytes, dict[str, str]]:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            try:
                connection.request(method, path, body, headers or {})
                reply = connection.getresponse()
                return reply.status, reply.read(), dict(reply.headers)
            finally:
                connection.close()

        yield request
        for pool in pools.values():
            pool.close()
    os.close(log)


def message(reply: tuple[int, bytes, dict[str, str]]) -> tuple[int, str]:
    return reply[0], json.loads(reply[1])["message"]


# --- the event -----------------------------------------------------------------------------------------------------------


def test_the_event_has_every_field_api_gateway_gives() -> None:
    request = Request(
        method="POST",
        target="/webhooks/eu%20shop?a=1&b=&a=%C3%BC",
        headers=(("Host", "shop.example:3000"), ("X-Twice", "one"), ("x-twice", "two"), ("User-Agent", "test")),
        body=b"\xff\x00",
        peer="192.0.2.7",
    )
    event = proxy_event(request, "/webhooks/{source}", {"source": "eu shop"})
    context = event["requestContext"]
    generated = {
        name: context.pop(name) for name in ("requestId", "extendedRequestId", "requestTime", "requestTimeEpoch")
    }
    assert all(generated.values())
    trace = event["headers"].pop("X-Amzn-Trace-Id")
    assert event["multiValueHeaders"].pop("X-Amzn-Trace-Id") == [trace]
    headers = {
        "Host": "shop.example:3000",
        "X-Twice": "one",
        "x-twice": "two",
        "User-Agent": "test",
        "X-Forwarded-For": "192.0.2.7",
        "X-Forwarded-Port": "3000",
        "X-Forwarded-Proto": "http",
    }
    assert event == {
        "resource": "/webhooks/{source}",
        "path": "/webhooks/eu%20shop",
        "httpMethod": "POST",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {"a": "ü", "b": ""},
        "multiValueQueryStringParameters": {"a": ["1", "ü"], "b": [""]},
        "pathParameters": {"source": "eu shop"},
        "stageVariables": None,
        "requestContext": {
            "resourceId": "local0",
            "resourcePath": "/webhooks/{source}",
            "httpMethod": "POST",
            "path": "/webhooks/eu%20shop",
            "accountId": "123456789012",
            "protocol": "HTTP/1.1",
            "stage": "local",
            "domainPrefix": "shop",
            "domainName": "shop.example:3000",
            "identity": {
                "cognitoIdentityPoolId": None,
                "accountId": None,
                "cognitoIdentityId": None,
                "caller": None,
                "sourceIp": "192.0.2.7",
                "principalOrgId": None,
                "accessKey": None,
                "cognitoAuthenticationType": None,
                "cognitoAuthenticationProvider": None,
                "userArn": None,
                "userAgent": "test",
                "user": None,
            },
            "apiId": "localapi00",
        },
        "body": "/wA=",
        "isBase64Encoded": True,
    }


def test_a_request_without_body_query_or_variables_has_nulls() -> None:
    event = proxy_event(Request("GET", "/x", (), b"", "127.0.0.1"), "/x", {})
    assert event["isBase64Encoded"] is False
    for field in ("body", "queryStringParameters", "multiValueQueryStringParameters", "pathParameters"):
        assert event[field] is None


@pytest.mark.parametrize("name", ["Connection", "Content-Length", "Transfer-Encoding", "Expect"])
def test_headers_of_the_connection_stay_with_the_gateway(name: str) -> None:
    event = proxy_event(Request("GET", "/x", ((name, "1"),), b"", "127.0.0.1"), "/x", {})
    assert name not in event["headers"]


def test_repeated_headers_are_gathered_and_the_last_is_the_single_one() -> None:
    event = proxy_event(Request("GET", "/x", (("A", "1"), ("A", "2")), b"", "127.0.0.1"), "/x", {})
    assert (event["headers"]["A"], event["multiValueHeaders"]["A"]) == ("2", ["1", "2"])


@given(st.binary(max_size=300))
def test_signed_bytes_survive_both_ways(send: Send, body: bytes) -> None:
    status, answer, _ = send("POST", "/proxy", body)
    assert (status, answer) == (200, body)


def test_a_chunked_body_arrives_whole(send: Send) -> None:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (b"first", b"second", b"third"))
    status, answer, _ = send("POST", "/proxy", chunks + b"0\r\n\r\n", {"Transfer-Encoding": "chunked"})
    assert (status, answer) == (200, b"firstsecondthird")


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: ten\r\n\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nten\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
    ],
)
def test_a_body_without_a_length_is_refused_and_the_connection_ended(head: bytes) -> None:
    with (
        Server(lambda request: Response(200)) as server,
        socket.create_connection(("127.0.0.1", server.port), 10) as client,
    ):
        client.sendall(b"POST / HTTP/1.1\r\n" + head)
        reply = client.makefile("rb").read()
    assert reply.startswith(b"HTTP/1.1 400 ")


# --- routes and limits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/proxy"),
        ("POST", "/"),
        ("POST", "/proxy/"),
        ("GET", "/orders"),
        ("GET", "/orders/1/2"),
        ("GET", "/files/"),
    ],
)
def test_an_unknown_route_is_a_missing_token(send: Send, method: str, path: str) -> None:
    reply = send(method, path)
    assert message(reply) == (403, "Missing Authentication Token")
    assert reply[2]["x-amzn-ErrorType"] == "MissingAuthenticationTokenException"


@pytest.mark.parametrize("headers", [{}, {"x-api-key": ""}, {"x-api-key": KEY[:-1]}])
def test_a_route_that_wants_a_key_refuses_another(send: Send, headers: dict[str, str]) -> None:
    assert message(send("POST", "/locked", b"x", headers)) == (403, "Forbidden")


def test_a_route_that_wants_a_key_takes_it_in_any_case_of_its_name(send: Send) -> None:
    assert send("POST", "/locked", b"x", {"X-API-KEY": KEY})[:2] == (200, b"x")


def test_a_plain_resource_goes_before_one_with_a_variable(send: Send) -> None:
    assert send("GET", "/orders/7")[0] == 200
    # echo answers with the event, which API Gateway cannot read.
    assert send("GET", "/orders/latest")[0] == 502


def test_a_body_of_ten_megabytes_and_a_byte_is_too_long(send: Send) -> None:
    assert message(send("POST", "/proxy", b"x" * (BODY_LIMIT + 1))) == (413, "Request Too Long")


def test_a_body_too_large_for_lambda_is_too_long(send: Send) -> None:
    assert message(send("POST", "/proxy", b"x" * (BODY_LIMIT // 2))) == (413, "Request Too Long")


def test_a_function_that_takes_too_long_is_a_gateway_timeout(send: Send) -> None:
    assert message(send("POST", "/hang")) == (504, "Endpoint request timed out")


def test_a_function_that_fails_is_a_bad_gateway(send: Send) -> None:
    reply = send("POST", "/fail")
    assert message(reply) == (502, "Internal server error")
    assert b"nothing here" not in reply[1]


def test_the_template_may_put_its_own_words_into_the_gateways_answers() -> None:
    responses = {
        "INVALID_API_KEY": GatewayResponse(None, {"Content-Type": "application/problem+json"}, '{"status": 403}'),
        "DEFAULT_4XX": GatewayResponse(418, {}, None),
    }
    gateway = Gateway([Route("POST", "/locked", "proxy", api_key_required=True)], {}, KEY, responses)
    refused = gateway(Request("POST", "/locked", (), b"", "127.0.0.1"))
    assert (refused.status, refused.body) == (418, b'{"status": 403}')
    assert dict(refused.headers)["Content-Type"] == "application/problem+json"
    unknown = gateway(Request("GET", "/locked", (), b"", "127.0.0.1"))
    assert (unknown.status, unknown.body) == (418, b'{"message": "Missing Authentication Token"}')


# --- the answer ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "text",
        {},
        {"statusCode": "200"},
        {"statusCode": 99},
        {"statusCode": 200, "body": {"a": 1}},
        {"statusCode": 200, "headers": {"A": ["1"]}},
        {"statusCode": 200, "headers": "A: 1"},
        {"statusCode": 200, "headers": {"Location": "/x\r\nSet-Cookie: a=1"}},
        {"statusCode": 200, "headers": {"Location": "/☃"}},
        {"statusCode": 200, "body": "not base64!", "isBase64Encoded": True},
    ],
)
def test_a_malformed_answer_is_a_bad_gateway(send: Send, answer: object) -> None:
    assert message(send("POST", "/answer", json.dumps(answer).encode())) == (502, "Internal server error")


@pytest.mark.parametrize(
    ("answer", "status", "body", "headers"),
    [
        ({"statusCode": 204}, 204, b"", {"Content-Type": "application/json"}),
        ({"statusCode": 200, "body": "ü"}, 200, "ü".encode(), {"Content-Type": "application/json"}),
        ({"statusCode": 404, "body": None, "headers": {"content-type": "text/plain"}}, 404, b"", {}),
        ({"statusCode": 503, "body": "x", "headers": {"Retry-After": 30}}, 503, b"x", {"Retry-After": "30"}),
        ({"statusCode": 200, "headers": {"A": "1"}, "multiValueHeaders": {"A": ["2"]}}, 200, b"", {"A": "2"}),
    ],
)
def test_an_answer_becomes_the_reply(
    send: Send, answer: dict[str, Any], status: int, body: bytes, headers: dict[str, str]
) -> None:
    got_status, got_body, got_headers = send("POST", "/answer", json.dumps(answer).encode())
    assert (got_status, got_body) == (status, body)
    assert headers.items() <= got_headers.items()
    assert got_headers["x-amzn-RequestId"]


def test_repeated_headers_of_an_answer_are_sent_one_by_one() -> None:
    answer = {"statusCode": 200, "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]}}
    headers = proxy_response(json.dumps(answer).encode(), "request-1").headers
    assert headers[:2] == [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]


@given(st.dictionaries(st.text(max_size=3), st.one_of(st.none(), st.integers(), st.text(max_size=3)), max_size=4))
def test_any_answer_is_read_or_refused(answer: dict[str, Any]) -> None:
    try:
        read = proxy_response(json.dumps({"statusCode": 200, **answer}).encode(), "request-1")
    except ValueError:
        return
    assert read.status == answer.get("statusCode", 200)


@given(st.binary(max_size=100))
def test_a_body_in_base64_is_decoded(body: bytes) -> None:
    answer = {"statusCode": 200, "body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    assert proxy_response(json.dumps(answer).encode(), "request-1").body == body
