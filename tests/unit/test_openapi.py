"""docs/openapi.yaml is OpenAPI, agrees with what the template deploys, and refuses answers that it does not describe."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import Any, get_args

import pytest
import requests
from openapi_spec_validator import validate
from requests.structures import CaseInsensitiveDict

from activate.redemption import Outcome, Reason
from activate.sources import parse
from altcraft import __version__
from docs.generate.sample_events import DELIVERIES, EVENTS, SOURCES
from lambda_support.fields import MAX_LOYALTY_ID
from ops.signing import MEDIA_TYPES, sign
from tests.description import (
    COMPONENTS,
    DESCRIPTION,
    NO_OPERATION,
    OPERATIONS,
    PROBLEM,
    TYPE,
    Json,
    Operation,
    assert_described,
    examples,
    faults,
    kinds,
    message,
)
from tests.unit.synthesis import EVERYTHING, LEAST, synthesise

SCHEMAS = COMPONENTS["schemas"]

RESPONSES = {
    f"{operation.route} {status}": response
    for operation in OPERATIONS
    for status, response in operation.responses.items()
} | {"no operation": NO_OPERATION[404]}

every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.route)
every_response = pytest.mark.parametrize("response", RESPONSES.values(), ids=RESPONSES)


def deployed(parameters: Mapping[str, str] = EVERYTHING) -> Json:
    """What the template makes of the API, in API Gateway's own OpenAPI."""
    (api,) = synthesise(parameters).of("AWS::ApiGateway::RestApi").values()
    body: Json = api["Body"]
    return body


def test_it_is_openapi() -> None:
    validate(DESCRIPTION)


def test_no_unquoted_text_is_cut_in_two_by_a_comma() -> None:
    assert not [name for name in _names(DESCRIPTION) if " " in name]


def _names(part: Any) -> Iterator[str]:
    """Every key of the document."""
    if isinstance(part, dict):
        yield from part
    for member in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _names(member)


# --- what is deployed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parameters", [LEAST, EVERYTHING], ids=["least", "everything"])
def test_every_deployed_route_is_described_and_no_other_with_the_key_that_it_needs(
    parameters: Mapping[str, str],
) -> None:
    needs_key = {
        f"{method.upper()} {path}": bool(definition.get("security"))
        for path, methods in deployed(parameters)["paths"].items()
        for method, definition in methods.items()
    }
    assert needs_key == {operation.route: _needs_key(operation) for operation in OPERATIONS}


def _needs_key(operation: Operation) -> bool:
    return bool(operation.definition["security"] == [{"apiKey": []}])


def test_the_key_is_sent_as_api_gateway_reads_it() -> None:
    ours = {name: COMPONENTS["securitySchemes"]["apiKey"][name] for name in ("type", "in", "name")}
    assert ours == deployed()["components"]["securitySchemes"]["api_key"]


ANSWERS_OF_API_GATEWAY: dict[str, Callable[[Operation], bool]] = {
    "INVALID_API_KEY": _needs_key,
    "REQUEST_TOO_LARGE": lambda operation: bool(operation.request),
    "THROTTLED": lambda _: True,
    "WAF_FILTERED": lambda _: True,
    "INTEGRATION_TIMEOUT": lambda _: True,
    "DEFAULT_5XX": lambda _: True,
    "MISSING_AUTHENTICATION_TOKEN": lambda _: False,
}
"""Which operations get each of them; the last is where there is no operation."""


def test_each_answer_of_api_gateways_own_is_an_example_word_for_word_where_it_can_come() -> None:
    answers = deployed()["x-amazon-apigateway-gateway-responses"]
    assert answers.keys() == ANSWERS_OF_API_GATEWAY.keys()
    for case, answer in answers.items():
        problem = json.loads(answer["responseTemplates"]["application/json"])
        headers = answer["responseParameters"]
        status = int(answer["statusCode"])
        assert problem["status"] == status
        assert headers["gatewayresponse.header.Content-Type"] == f"'{PROBLEM}'"
        where = {operation.route for operation in OPERATIONS if ANSWERS_OF_API_GATEWAY[case](operation)}
        assert {operation.route for operation in OPERATIONS if _shows(operation.responses, problem)} == where, case
        for response in [one.responses[status] for one in OPERATIONS if one.route in where] or [NO_OPERATION[status]]:
            assert problem in [*examples(response["content"][PROBLEM])]
            assert ("Retry-After" in response.get("headers", {})) == ("gatewayresponse.header.Retry-After" in headers)


def _shows(responses: Mapping[int, Json], problem: Json) -> bool:
    return problem["type"].removeprefix(TYPE) in kinds(responses.get(problem["status"], {"content": {}}))


@every_response
def test_a_problem_comes_in_xml_too_unless_only_api_gateway_has_it(response: Json) -> None:
    answers = deployed()["x-amazon-apigateway-gateway-responses"].values()
    own = {json.loads(one["responseTemplates"]["application/json"])["type"].removeprefix(TYPE) for one in answers}
    if kinds(response):
        assert ("application/problem+xml" in response["content"]) == (not kinds(response) <= own)


# --- what a reader relies on -----------------------------------------------------------------------------------------


BODIES = {
    f"{where} {media_type}": (media_type, content)
    for where, body in {**RESPONSES, **{one.route: one.request for one in OPERATIONS if one.request}}.items()
    for media_type, content in body["content"].items()
    if content["schema"]  # that of a delivery is empty: it is the platform's own
}


@pytest.mark.parametrize(("media_type", "content"), BODIES.values(), ids=BODIES)
def test_examples_are_as_they_are_described(media_type: str, content: Json) -> None:
    schema = content["schema"]
    for example in examples(content):
        assert not faults(message(example.encode(), media_type, schema) if "xml" in media_type else example, schema)


@every_operation
def test_every_body_and_parameter_has_an_example(operation: Operation) -> None:
    content = [next(iter(body["content"].values())) for body in operation.responses.values()]
    content += [operation.request["content"]["application/json"]] if operation.request else []
    assert all([*examples(one)] for one in content)
    parameters = [*operation.definition.get("parameters", []), *_shared_parameters(operation)]
    assert all(not faults(one["example"], one["schema"]) for one in parameters)
    assert {one["name"] for one in parameters if one["in"] == "path"} == {*re.findall(r"{(\w+)}", operation.path)}


def _shared_parameters(operation: Operation) -> list[Json]:
    parameters: list[Json] = DESCRIPTION["paths"][operation.path].get("parameters", [])
    return parameters


@pytest.mark.parametrize("header", COMPONENTS["headers"].values(), ids=COMPONENTS["headers"])
def test_a_headers_example_is_as_it_is_described(header: Json) -> None:
    assert not faults(header["example"], header["schema"])
    assert header["required"]


@every_response
def test_the_text_of_an_answer_says_of_each_of_its_problems_what_to_do(response: Json) -> None:
    rows_and_items = re.findall(r"^\| `(\w+)` \||`(\w+)`: ", response["description"], re.MULTILINE)
    assert {row or item for row, item in rows_and_items} == kinds(response)


def test_the_words_are_those_of_the_code() -> None:
    assert DESCRIPTION["info"]["version"] == __version__
    assert set(SCHEMAS["NoOutcome"]["allOf"][1]["properties"]["reason"]["enum"]) == set(get_args(Reason))
    good = {SCHEMAS[name]["properties"]["outcome"]["const"] for name in ("Activated", "Deactivated")}
    problems = [
        SCHEMAS[name]["allOf"][1]["properties"]["outcome"]["enum"] for name in ("NotActivated", "NotDeactivated")
    ]
    assert good.union(*problems) == set(Outcome)
    assert SCHEMAS["LoyaltyId"]["anyOf"][0]["maximum"] == MAX_LOYALTY_ID


@pytest.mark.parametrize(("source", "file"), DELIVERIES.values(), ids=DELIVERIES)
def test_each_platforms_signature_is_one_of_the_schemes_of_the_webhook(source: str, file: str) -> None:
    body, media_type = (EVENTS / "bodies" / file).read_bytes(), MEDIA_TYPES["." + file.rpartition(".")[2]]
    delivery = sign(parse(SOURCES.read_text()).sources[source], body, media_type, delivery_id="d-1", now=time.time())
    sent = {("header", name.lower()) for name in delivery.headers} | {("query", name) for name in delivery.query}
    for operation in OPERATIONS:
        if operation.path == "/webhooks/{source}" and operation.request:
            names = [name for alternative in operation.definition["security"] for name in alternative]
            schemes = [COMPONENTS["securitySchemes"][name] for name in names]
            assert sent & {(one["in"], one["name"].lower()) for one in schemes}


@every_operation
def test_every_operation_is_in_a_section_that_is_introduced(operation: Operation) -> None:
    assert set(operation.definition["tags"]) <= {tag["name"] for tag in DESCRIPTION["tags"] if tag["description"]}


# --- an answer that is not described ---------------------------------------------------------------------------------

NOT_FOUND = next(examples(RESPONSES["POST /promocodes/activate 404"]["content"][PROBLEM]))
NO_OUTCOME = next(examples(RESPONSES["POST /promocodes/activate 503"]["content"][PROBLEM]))
ACTIVATED = {"code": "SPRING-7K2M", "loyalty_id": 5, "outcome": "activated"}
XML = "<xml><code>7</code><loyalty_id>5</loyalty_id><outcome>activated</outcome></xml>"
PROBLEM_XML = (
    '<problem xmlns="urn:ietf:rfc:7807"><type>{type}</type><title>t</title><status>404</status><detail></detail>'
    "<retryable>false</retryable><code>7</code><loyalty_id>5</loyalty_id><outcome>not_found</outcome></problem>"
)
NOT_FOUND_XML = PROBLEM_XML.format(type=f"{TYPE}not_found")


def answer(status: int, body: object, media_type: str = "application/json", **headers: str) -> requests.Response:
    """An answer to `POST /promocodes/activate`, as requests would give it."""
    response = requests.Response()
    response.status_code = status
    response.headers = CaseInsensitiveDict({"Content-Type": media_type} | headers)
    response.raw = BytesIO((body if isinstance(body, str) else json.dumps(body)).encode())
    response.request = requests.Request("POST", "http://127.0.0.1/promocodes/activate").prepare()
    return response


@pytest.mark.parametrize(
    "described",
    [
        answer(200, ACTIVATED),
        answer(200, XML, "application/xml"),
        answer(404, NOT_FOUND, PROBLEM),
        answer(404, NOT_FOUND_XML, "application/problem+xml"),
        answer(503, NO_OUTCOME, PROBLEM, **{"Retry-After": "30"}),
    ],
)
def test_an_answer_that_is_described_passes(described: requests.Response) -> None:
    assert_described(described, "/promocodes/activate")


@pytest.mark.parametrize(
    ("strange", "why"),
    [
        (answer(201, ACTIVATED), "The status is not described"),
        (answer(200, ACTIVATED, "text/plain"), "The media type is not described"),
        (answer(200, ACTIVATED, Location="/x"), "Location is '/x', and is not described"),
        (answer(503, NO_OUTCOME, PROBLEM), "Retry-After is None, and is described"),
        (answer(503, NO_OUTCOME, PROBLEM, **{"Retry-After": "soon"}), "Retry-After is 'soon'"),
        (answer(200, ACTIVATED | {"outcome": "used"}), '"activated" was expected'),
        (answer(200, ACTIVATED | {"note": "new"}), "('note' was unexpected)"),
        (answer(200, XML.replace(">5<", ">five<"), "application/xml"), '"five" is not of type "integer"'),
        (answer(200, XML.replace("xml>", "html>"), "application/xml"), "The root element is <html>"),
        (answer(404, NOT_FOUND | {"type": f"{TYPE}export_not_found"}, PROBLEM), 'export_not_found" is not one of'),
        (answer(404, NOT_FOUND | {"status": 410}, PROBLEM), "The problem names another status"),
        (answer(404, NOT_FOUND | {"note": "new"}, PROBLEM), "('note' was unexpected)"),
        (answer(404, {**NOT_FOUND, "retryable": "no"}, PROBLEM), '"no" is not of type "boolean"'),
        (answer(404, PROBLEM_XML.format(type=f"{TYPE}gone"), "application/problem+xml"), 'gone" is not one of'),
        (
            answer(404, NOT_FOUND_XML.replace("7807", "9457"), "application/problem+xml"),
            "<problem> of urn:ietf:rfc:9457",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_answer_that_is_not_described_is_an_error_that_says_why(strange: requests.Response, why: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(why)):
        assert_described(strange, "/promocodes/activate")


def test_a_route_that_is_not_described_has_one_answer() -> None:
    (problem,) = examples(NO_OPERATION[404]["content"][PROBLEM])
    assert_described(answer(404, problem, PROBLEM), "/promocodes")
    with pytest.raises(AssertionError, match="The status is not described"):
        assert_described(answer(200, ACTIVATED), "/promocodes")
