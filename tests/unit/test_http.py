"""Requests and replies of the REST API's proxy events, independent of the functions."""

import base64
import json
from typing import Any, NoReturn

import pytest
import xmltodict
from hypothesis import given
from hypothesis import strategies as st

from altcraft.errors import Refused
from lambda_support.http import Problem, Reply, Request, answering, reply, route
from lambda_support.secrets import SecretError
from lambda_support.settings import SettingsError

TEXT = "Code-1 <&> \u042f\U0001f600"


def request(body: bytes = b"", **headers: str) -> Request:
    return Request("POST", "/", {}, {name.replace("_", "-"): value for name, value in headers.items()}, {}, body)


@given(st.binary())
def test_given_a_body_in_base64_then_it_is_its_exact_bytes(body: bytes) -> None:
    event = {"httpMethod": "POST", "resource": "/", "body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    assert Request.from_event(event).body == body


def test_given_a_minimal_event_then_missing_parts_are_empty() -> None:
    found = Request.from_event({"httpMethod": "GET", "resource": "/", "headers": None, "body": None})
    assert (found.path, found.headers, found.query, found.body, found.request_id) == ({}, {}, {}, b"", "")
    assert (found.media_type, found.accepts) == ("", "json")


@pytest.mark.parametrize(
    ("resource", "path", "headers", "origin"),
    [
        ("/a/{b}", "/v1/a/{b}", {"Host": "x.example.com", "X-Forwarded-Proto": "http"}, "http://x.example.com/v1"),
        ("/a", "/a", {"Host": "promo.example.com"}, "https://promo.example.com"),
        ("/a", "/v1/a", {}, "https://api.example.com/v1"),
    ],
    ids=["a stage", "a domain of one's own", "no host"],
)
def test_given_an_address_by_which_a_caller_came_then_its_origin_is_known(
    resource: str, path: str, headers: dict[str, str], origin: str
) -> None:
    context = {"path": path, "domainName": "api.example.com"}
    event = {"httpMethod": "POST", "resource": resource, "headers": headers, "requestContext": context}
    assert Request.from_event(event).origin == origin


def test_given_a_table_of_routes_then_what_it_lacks_is_404() -> None:
    routes = {("POST", "/"): "found"}
    assert route(routes, request()) == "found"
    with pytest.raises(Problem, match="POST /") as problem:
        route({}, request())
    assert (problem.value.status, problem.value.slug) == (404, "no_such_route")


@pytest.mark.parametrize(
    ("accept", "wire"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("text/html", "json"),
        ("application/xml", "xml"),
        ("TEXT/XML; charset=utf-8", "xml"),
        ("application/json, application/xml", "json"),
        ("application/json;q=0.5, application/xml", "xml"),
        ("application/xml; q=0.1, */*", "xml"),
        ("application/xml;q=0, */*", "json"),
        ("application/xml;q=much", "json"),
        ("application/xml;q=nan", "json"),
    ],
)
def test_given_an_accept_header_then_its_preferred_format_is_used(accept: str, wire: str) -> None:
    assert request(accept=accept).accepts == wire


@given(st.text())
def test_given_any_headers_then_a_format_is_found(text: str) -> None:
    assert request(accept=text).accepts in ("json", "xml")
    assert isinstance(request(content_type=text).media_type, str)


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
def test_given_an_unsupported_format_then_415_names_the_remedy(media_type: str) -> None:
    with pytest.raises(Problem, match="application/json or application/xml") as problem:
        request(b"{}", content_type=media_type).fields()
    assert problem.value.status == 415


def test_given_a_message_then_it_is_encoded_in_both_formats() -> None:
    as_json = reply(request(), 200, {"code": TEXT})
    as_xml = reply(request(accept="application/xml"), 200, {"code": TEXT})
    assert json.loads(as_json["body"]) == {"code": TEXT}
    assert xmltodict.parse(as_xml["body"]) == {"xml": {"code": TEXT}}
    assert as_json["headers"]["Cache-Control"] == as_xml["headers"]["Cache-Control"] == "no-store"


def test_given_a_problem_then_it_is_encoded_in_both_formats() -> None:
    problem = Problem(422, "rejected", "No", "Why", altcraft=Refused(402, TEXT), headers={"Retry-After": "1"})
    as_json, as_xml = problem.reply(request()), problem.reply(request(accept="text/xml"))
    assert json.loads(as_json["body"]) == {
        "type": "urn:altcraft-promocodes:problem:rejected",
        "title": "No",
        "status": 422,
        "detail": "Why",
        "retryable": False,
        "altcraft": {"error": 402, "error_text": TEXT},
    }
    members = xmltodict.parse(as_xml["body"])["problem"]
    assert (members["status"], members["altcraft"]["error_text"]) == ("422", TEXT)
    assert as_json["headers"]["Content-Type"] == "application/problem+json"
    assert as_xml["headers"]["Content-Type"] == "application/problem+xml"
    assert as_json["headers"]["Retry-After"] == as_xml["headers"]["Retry-After"] == "1"


def ending(error: Exception) -> Reply:
    def fail(_: Request) -> NoReturn:
        raise error

    return answering(request(), fail)


@pytest.mark.parametrize("error", [SettingsError("set X: why"), SecretError("cannot read X: why")])
def test_given_a_function_that_is_not_configured_then_503_names_the_setting(error: Exception) -> None:
    answer = ending(error)
    members: dict[str, Any] = json.loads(answer["body"])
    assert (answer["statusCode"], members["detail"], members["retryable"]) == (503, str(error), True)
    assert int(answer["headers"]["Retry-After"]) > 0


def test_given_a_defect_then_500_reveals_nothing_of_it() -> None:
    answer = ending(LookupError("the token is t0p"))
    assert answer["statusCode"] == 500
    assert "t0p" not in answer["body"]
    assert "LookupError" not in answer["body"]
