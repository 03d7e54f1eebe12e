"""`POST /promocodes/activate` through the gateway, as a shop's back end calls it."""

import json
import threading
import uuid
from datetime import UTC, datetime

import pytest
import xmltodict

from local.emulator import Emulator
from local.emulator.faults import Drop, Page, Refuse
from local.emulator.settings import Refusal, Settings
from local.stack import Stack
from tests.e2e.api import Api, problem

PATH = "/promocodes/activate"


def fresh_code() -> str:
    """A code of which no other test has left a redemption behind."""
    return f"Code-{uuid.uuid4()}"


def know_another(api: Api, altcraft: Emulator, loyalty_id: int = 5) -> None:
    """Have the ledger know a code of the program that Altcraft still has."""
    code = fresh_code()
    altcraft.programs.add(loyalty_id, code, attached=True)
    assert api.post(PATH, {"code": code, "loyalty_id": loyalty_id}).status_code == 200


def test_a_code_is_activated(api: Api, altcraft: Emulator) -> None:
    code = fresh_code()
    altcraft.programs.add(5, code, attached=True)
    response = api.post(PATH, {"code": code, "loyalty_id": 5})
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.json() == {"code": code, "loyalty_id": 5, "outcome": "activated"}
    assert altcraft.programs.activations[5, code] == 1


@pytest.mark.parametrize("media_type", ["application/xml", "text/xml; charset=utf-8"])
def test_xml_is_spoken_both_ways(api: Api, altcraft: Emulator, media_type: str) -> None:
    code = fresh_code()
    altcraft.programs.add(5, code, attached=True)
    body = f"<xml><code>{code}</code><loyalty_id>5</loyalty_id><order_id>1001</order_id></xml>"
    response = api.post(PATH, body, **{"Content-Type": media_type, "Accept": "application/xml"})
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/xml"
    assert xmltodict.parse(response.content) == {"xml": {"code": code, "loyalty_id": "5", "outcome": "activated"}}


def test_problems_are_in_xml_if_requested(api: Api, altcraft: Emulator) -> None:
    code = fresh_code()
    altcraft.programs.add(5, code)
    response = api.post(PATH, {"code": code, "loyalty_id": 5}, Accept="application/xml")
    assert (response.status_code, response.headers["Content-Type"]) == (422, "application/problem+xml")
    members = xmltodict.parse(response.content)["problem"]
    assert members["@xmlns"] == "urn:ietf:rfc:7807"
    assert members["status"] == "422"
    assert members["altcraft"]["error_text"].startswith("Emulated")


@pytest.mark.parametrize(
    ("state", "status", "outcome"),
    [
        ({"attached": True, "activated": True}, 409, "already_activated"),
        ({}, 422, "not_attached"),
        ({"attached": True, "expire_date": datetime(2024, 4, 1, tzinfo=UTC)}, 410, "expired"),
        (None, 404, "not_found"),
    ],
)
def test_each_outcome_has_its_status(
    api: Api, altcraft: Emulator, state: dict[str, object] | None, status: int, outcome: str
) -> None:
    code = fresh_code()
    if state is not None:
        altcraft.programs.add(5, code, **state)  # type: ignore[arg-type]  # a table of keyword arguments
    know_another(api, altcraft)
    members = problem(api.post(PATH, {"code": code, "loyalty_id": 5, "order_id": "1001"}), status)
    assert members["type"] == f"urn:altcraft-promocodes:problem:{outcome}"
    assert members["outcome"] == outcome
    assert members["altcraft"]["error_text"].startswith("Emulated")
    assert members["retryable"] is False


@pytest.mark.parametrize(("error", "reason"), [(402, "altcraft_failing"), (777, "refused"), (500, "unsettled")])
def test_a_refusal_without_an_explanation_is_no_outcome(api: Api, altcraft: Emulator, error: int, reason: str) -> None:
    code = fresh_code()
    altcraft.programs.add(5, code, attached=True)
    altcraft.faults.set([Refuse(endpoints=frozenset({"activate"}), error=error, error_text="Tariff limit reached")])
    request = {"code": code, "loyalty_id": 5, "order_id": "1001"}
    response = api.post(PATH, request)
    members = problem(response, 503)
    assert (members["reason"], members["retryable"]) == (reason, True)
    assert members["altcraft"] == {"error": error, "error_text": "Tariff limit reached"}
    assert int(response.headers["Retry-After"]) > 0
    assert api.post(PATH, request).status_code == 200


def test_an_unknown_code_of_a_program_of_which_nothing_is_known_is_no_outcome(api: Api, altcraft: Emulator) -> None:
    program = uuid.uuid4().int % 10**9
    members = problem(api.post(PATH, {"code": "unknown", "loyalty_id": program}), 503)
    assert members["reason"] == "unconfirmed"
    know_another(api, altcraft, program)
    assert problem(api.post(PATH, {"code": "unknown", "loyalty_id": program}), 404)["outcome"] == "not_found"


def test_the_same_order_again_is_answered_again_and_another_order_is_not(api: Api, altcraft: Emulator) -> None:
    code = fresh_code()
    altcraft.programs.add(5, code, attached=True)
    order = {"code": code, "loyalty_id": 5, "order_id": "1001"}
    assert [api.post(PATH, order).status_code for _ in range(2)] == [200, 200]
    assert problem(api.post(PATH, order | {"order_id": "1002"}), 409)["outcome"] == "already_activated"
    assert altcraft.programs.activations[5, code] == 1


def test_many_at_once_activate_once(api: Api, altcraft: Emulator) -> None:
    code = fresh_code()
    altcraft.programs.add(5, code, attached=True)
    statuses: list[int] = []

    def call() -> None:
        statuses.append(api.post(PATH, {"code": code, "loyalty_id": 5, "order_id": "1001"}).status_code)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {200, 503}
    assert 200 in statuses
    assert altcraft.programs.activations[5, code] == 1


@pytest.mark.parametrize("order_id", [None, "1001"])
def test_a_lost_reply_is_an_activation(api: Api, altcraft: Emulator, order_id: str | None) -> None:
    code = fresh_code()
    altcraft.programs.add(5, code, attached=True)
    altcraft.faults.set([Drop(endpoints=frozenset({"activate"}), applied=True)])
    response = api.post(PATH, {"code": code, "loyalty_id": 5, "order_id": order_id})
    assert (response.status_code, response.json()["outcome"]) == (200, "activated")
    assert altcraft.programs.activations[5, code] == 1


def test_an_altcraft_that_is_down_is_503_and_the_next_try_works(api: Api, altcraft: Emulator) -> None:
    code = fresh_code()
    altcraft.programs.add(5, code, attached=True)
    altcraft.faults.set([Page(status=502, calls=2)])
    response = api.post(PATH, {"code": code, "loyalty_id": 5, "order_id": "1001"})
    assert problem(response, 503)["retryable"] is True
    assert int(response.headers["Retry-After"]) > 0
    assert api.post(PATH, {"code": code, "loyalty_id": 5, "order_id": "1001"}).status_code == 200


@pytest.mark.parametrize("error", [401, 403, 777])
def test_a_refused_token_is_503_without_the_token(api: Api, stack: Stack, altcraft: Emulator, error: int) -> None:
    code = fresh_code()
    altcraft.programs.add(5, code, attached=True)
    rotated = f"rotated-{error}"
    wrong = Refusal(error, "bad token local-altcraft-token")
    altcraft.settings = Settings(tokens=frozenset({rotated}), wrong_token=wrong)
    response = api.post(PATH, {"code": code, "loyalty_id": 5, "order_id": "1001"})
    members = problem(response, 503)
    # An undocumented refusal of everything is no more than that.
    documented = error in {401, 403}
    assert (members["reason"] == "token_refused") is documented
    assert documented or members["reason"] in {"altcraft_failing", "unconfirmed"}
    assert members["altcraft"]["error"] == error
    assert "local-altcraft-token" not in response.text
    secrets = stack.aws.client("secretsmanager")
    secrets.put_secret_value(SecretId=stack.ready.altcraft_secret_id, SecretString=json.dumps({"token": rotated}))
    try:
        assert api.post(PATH, {"code": code, "loyalty_id": 5, "order_id": "1001"}).status_code == 200
    finally:
        secrets.put_secret_value(SecretId=stack.ready.altcraft_secret_id, SecretString="local-altcraft-token")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "code"),
        ({"code": "x"}, "loyalty_id"),
        ({"loyalty_id": 5}, "code"),
        ({"code": "", "loyalty_id": 5}, "code"),
        ({"code": 5, "loyalty_id": 5}, "code"),
        ({"code": ["x"], "loyalty_id": 5}, "code"),
        ({"code": "x" * 100_000, "loyalty_id": 5}, "code: has 100000 characters; 255 is the most"),
        ({"code": "a\nb", "loyalty_id": 5}, "code"),
        ({"code": "x", "loyalty_id": "five"}, "loyalty_id"),
        ({"code": "x", "loyalty_id": 0}, "loyalty_id"),
        ({"code": "x", "loyalty_id": True}, "loyalty_id"),
        ({"code": "x", "loyalty_id": 5.5}, "loyalty_id"),
        ({"code": "x", "loyalty_id": 10**30}, "loyalty_id"),
        ({"code": "x", "loyalty_id": 5, "order_id": ""}, "order_id"),
        ({"code": "x", "loyalty_id": 5, "order_id": {}}, "order_id"),
        ({"code": "x", "loyalty_id": 5, "orderId": "1"}, "orderId"),
        (b"", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"code": "x", "code": "y", "loyalty_id": 5}', "'code' comes twice"),
        (b"\xff\xfe", "not UTF-8"),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_bad_input_names_the_field_and_changes_nothing(api: Api, altcraft: Emulator, body: object, named: str) -> None:
    members = problem(api.post(PATH, body), 400)
    assert named in members["detail"]
    assert members["retryable"] is False
    assert not altcraft.journal.calls


@pytest.mark.parametrize(
    "body",
    [
        '<!DOCTYPE xml [<!ENTITY a "aaaaaaaaaa">]><xml><code>&a;</code><loyalty_id>5</loyalty_id></xml>',
        '<!DOCTYPE xml [<!ENTITY f SYSTEM "file:///etc/passwd">]><xml><code>&f;</code><loyalty_id>5</loyalty_id></xml>',
        "<xml><code>x</code><loyalty_id>5</loyalty_id>",
        "<xml>" + "<code>" * 10_000 + "</code>" * 10_000 + "</xml>",
        "",
    ],
    ids=["bomb", "external", "cut off", "deep", "empty"],
)
def test_hostile_xml_is_a_400(api: Api, altcraft: Emulator, body: str) -> None:
    problem(api.post(PATH, body, **{"Content-Type": "application/xml"}), 400)
    assert not altcraft.journal.calls


def test_another_media_type_is_415(api: Api) -> None:
    members = problem(api.post(PATH, "code=x", **{"Content-Type": "application/x-www-form-urlencoded"}), 415)
    assert "application/json or application/xml" in members["detail"]


def test_the_key_is_needed(api: Api) -> None:
    assert api.post(PATH, {"code": "x", "loyalty_id": 5}, **{"x-api-key": "wrong"}).status_code == 403
