"""`POST /promocodes/get` through the gateway, as a shop's back end calls it, and the same directly."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
import xmltodict
from click.testing import CliRunner, Result

from local.emulator import Emulator
from local.emulator.faults import Page
from local.emulator.settings import Settings
from local.stack import Stack
from ops.commands import main
from tests.e2e.api import Api, problem

PATH = "/promocodes/get"
ACTIVATE = "/promocodes/activate"


def fresh_code() -> str:
    """A code that no other test has used."""
    return f"Code-{uuid.uuid4()}"


def invoke(stack: Stack, event: object) -> Any:
    """The answer of a direct invocation, or the error that it raises."""
    name, payload = stack.ready.functions["ActivateFunction"], json.dumps(event).encode()
    return json.load(stack.aws.client("lambda").invoke(FunctionName=name, Payload=payload)["Payload"])


def test_a_code_is_looked_up_before_and_after_an_order_has_used_it(api: Api, altcraft: Emulator) -> None:
    code = fresh_code()
    altcraft.programs.add(5, code, attached=True, expire_date=datetime(2199, 1, 1, tzinfo=UTC))

    before = api.post(PATH, {"code": code, "loyalty_id": 5})
    assert api.post(ACTIVATE, {"code": code, "loyalty_id": 5, "order_id": "1001"}).status_code == 200
    after = api.post(PATH, {"code": code, "loyalty_id": "5"}).json()

    assert (before.status_code, before.headers["Content-Type"]) == (200, "application/json")
    facts = before.json()
    attached_at = facts["attached_at"]
    assert datetime.fromisoformat(attached_at).tzinfo is UTC
    assert facts == {
        "code": code,
        "loyalty_id": 5,
        "attached": True,
        "activated": False,
        "expired": False,
        "attached_at": attached_at,
        "activated_at": None,
        "expires_at": "2199-01-01T00:00:00Z",
        "redeemable": True,
        "order_id": None,
    }
    assert after == facts | {
        "activated": True,
        "activated_at": after["activated_at"],
        "redeemable": False,
        "order_id": "1001",
    }
    assert after["activated_at"] >= attached_at


def test_a_lookup_uses_nothing_however_often_it_is_made(api: Api, altcraft: Emulator) -> None:
    code = fresh_code()
    altcraft.programs.add(5, code, attached=True)

    answers = {api.post(PATH, {"code": code, "loyalty_id": 5}).text for _ in range(3)}

    assert len(answers) == 1
    assert altcraft.journal.calls == {"get": 3}
    assert not altcraft.programs.activations
    assert api.post(ACTIVATE, {"code": code, "loyalty_id": 5, "order_id": "1002"}).status_code == 200


def test_xml_is_spoken_both_ways(api: Api, altcraft: Emulator) -> None:
    code = fresh_code()
    altcraft.programs.add(5, code)
    body = f"<xml><code>{code}</code><loyalty_id>5</loyalty_id></xml>"

    response = api.post(PATH, body, **{"Content-Type": "application/xml", "Accept": "application/xml"})

    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/xml")
    facts = xmltodict.parse(response.content)["xml"]
    assert (facts["code"], facts["attached"], facts["redeemable"]) == (code, "false", "false")
    assert (facts["attached_at"], facts["order_id"]) == (None, None)


def test_an_unknown_code_needs_a_control_to_be_not_found(api: Api, altcraft: Emulator) -> None:
    program, known = uuid.uuid4().int % 10**9 + 1, fresh_code()
    altcraft.programs.add(program, known, attached=True)
    asked = {"code": "nobody's", "loyalty_id": program}

    response = api.post(PATH, asked)
    members = problem(response, 503)
    assert (members["reason"], members["retryable"]) == ("unconfirmed", True)
    assert int(response.headers["Retry-After"]) > 0
    assert members["detail"].endswith(". Send the same request again.")

    assert api.post(ACTIVATE, {"code": known, "loyalty_id": program}).status_code == 200
    members = problem(api.post(PATH, asked), 404)
    assert members["type"].endswith(":not_found")
    assert (members["code"], members["loyalty_id"], members["outcome"]) == ("nobody's", program, "not_found")


def test_an_altcraft_that_is_down_is_503(api: Api, altcraft: Emulator) -> None:
    altcraft.faults.set([Page(status=502, calls=None)])

    members = problem(api.post(PATH, {"code": fresh_code(), "loyalty_id": 5}), 503)

    assert members["type"].endswith(":altcraft_unreachable")
    assert members["title"] == "The code could not be looked up now"


def test_a_time_without_a_zone_is_null(api: Api, altcraft: Emulator) -> None:
    code = fresh_code()
    altcraft.programs.add(5, code, attached=True, activated=True)
    altcraft.settings = Settings(times="no_zone")

    facts = api.post(PATH, {"code": code, "loyalty_id": 5}).json()

    assert (facts["attached"], facts["activated"]) == (True, True)
    assert (facts["attached_at"], facts["activated_at"], facts["expires_at"]) == (None, None, None)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "code"),
        ({"code": "Code-1"}, "loyalty_id"),
        ({"code": "Code-1", "loyalty_id": 0}, "loyalty_id"),
        ({"code": "Code-1", "loyalty_id": 5, "order_id": "1001"}, "order_id"),
        ({"code": "x" * 256, "loyalty_id": 5}, "code"),
    ],
)
def test_a_wrong_field_is_named(api: Api, altcraft: Emulator, fields: dict[str, object], field: str) -> None:
    assert problem(api.post(PATH, fields), 400)["detail"].startswith(f"{field}: ")
    assert not altcraft.journal.calls


def test_an_api_key_is_required(api: Api) -> None:
    assert api.post(PATH, {"code": "Code-1", "loyalty_id": 5}, **{"x-api-key": "wrong"}).status_code == 403


# --- directly ---------------------------------------------------------------------------------------------------------


def test_a_direct_lookup_is_answered_as_over_http(api: Api, stack: Stack, altcraft: Emulator) -> None:
    code = fresh_code()
    altcraft.programs.add(5, code, attached=True)

    assert invoke(stack, {"action": "get", "code": code, "loyalty_id": 5}) == (
        api.post(PATH, {"code": code, "loyalty_id": 5}).json()
    )
    assert not altcraft.programs.activations


def test_a_direct_lookup_of_an_unknown_code_is_not_redeemable(stack: Stack, altcraft: Emulator) -> None:
    program, known = uuid.uuid4().int % 10**9 + 1, fresh_code()
    altcraft.programs.add(program, known, attached=True)
    lookup = {"action": "get", "code": "nobody's", "loyalty_id": program}

    assert invoke(stack, lookup)["errorType"] == "TryAgain"
    invoke(stack, {"action": "activate", "code": known, "loyalty_id": program})
    assert invoke(stack, lookup) == {
        "code": "nobody's",
        "loyalty_id": program,
        "outcome": "not_found",
        "redeemable": False,
    }


@pytest.mark.parametrize("action", ["GET", "lookup", "", None, 1, ["get"], {"get": "get"}])
def test_an_unknown_action_is_an_error_and_no_activation(stack: Stack, altcraft: Emulator, action: object) -> None:
    code = fresh_code()
    altcraft.programs.add(5, code, attached=True)

    failure = invoke(stack, {"action": action, "code": code, "loyalty_id": 5})

    assert failure["errorType"] == "InvalidField"
    assert failure["errorMessage"].startswith("action: must be one of activate, deactivate, get")
    assert not altcraft.journal.calls


def test_a_direct_lookup_with_an_order_is_refused(stack: Stack, altcraft: Emulator) -> None:
    failure = invoke(stack, {"action": "get", "code": "Code-1", "loyalty_id": 5, "order_id": "1001"})

    assert failure["errorMessage"].startswith("order_id: is not a field here")


# --- make lookup ------------------------------------------------------------------------------------------------------


def look_up(stack: Stack, code: str, loyalty_id: str = "5") -> Result:
    return CliRunner().invoke(
        main, ["lookup", "--local", stack.ready.api_url], env={"CODE": code, "LOYALTY_ID": loyalty_id}
    )


def test_an_operator_sees_the_same_facts(api: Api, stack: Stack, altcraft: Emulator) -> None:
    code = f"Код-{uuid.uuid4()}"
    altcraft.programs.add(5, code, attached=True)
    api.post(ACTIVATE, {"code": code, "loyalty_id": 5, "order_id": "1001"})

    shown = look_up(stack, code)

    assert shown.exit_code == 0
    assert json.loads(shown.stdout) == api.post(PATH, {"code": code, "loyalty_id": 5}).json()
    assert code in shown.stdout


def test_an_operator_sees_why_there_are_no_facts(api: Api, stack: Stack, altcraft: Emulator) -> None:
    program, known = uuid.uuid4().int % 10**9 + 1, fresh_code()
    altcraft.programs.add(program, known, attached=True)

    unknown = look_up(stack, "nobody's", str(program))
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert unknown.stderr.startswith("not looked up (TryAgain): Altcraft refused: error ")

    assert api.post(ACTIVATE, {"code": known, "loyalty_id": program}).status_code == 200
    unknown = look_up(stack, "nobody's", str(program))
    assert unknown.exit_code == 1
    assert unknown.stderr.startswith(f'Altcraft knows no code "nobody\'s" in the program {program}: check CODE')


@pytest.mark.parametrize(
    ("code", "loyalty_id", "message"),
    [("", "5", "CODE: is required"), ("Code-1", "", "LOYALTY_ID: is required"), ("Code-1", "x", "LOYALTY_ID: is req")],
)
def test_an_operator_sees_which_variable_is_wrong(stack: Stack, code: str, loyalty_id: str, message: str) -> None:
    wrong = look_up(stack, code, loyalty_id)

    assert wrong.exit_code == 1
    assert wrong.stderr.startswith(message)
