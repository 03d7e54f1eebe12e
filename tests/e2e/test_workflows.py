"""The recipes of docs/workflows.md, each run on the embedded stack: what starts a workflow, and what a workflow does."""

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from local.emulator import Emulator
from local.emulator.faults import Page
from local.emulator.http import Request, Response, Server
from local.stack import Stack
from local.waiting import wait_until
from tests.e2e.api import Api
from tests.e2e.workflows import deployed, errors, execution, received, recipe
from tests.event_schemas import faults
from tests.unit.cloudformation import Template

pytestmark = pytest.mark.long

EXPORTED = {500_001: ["A", "B"], 500_002: ["C"], 500_003: ["D", "E", "F"]}
"""Programs of which no other test has an export: beside a larger one, these would be suspect."""


@pytest.fixture(scope="module")
def machines(stack: Stack) -> dict[str, str]:
    """The ARNs of the state machines, by the template's outputs."""
    functions = {
        name: stack.aws.client("lambda").get_function_configuration(FunctionName=physical)["FunctionArn"]
        for name, physical in stack.ready.functions.items()
    }
    return deployed(
        stack,
        "state-machines.yaml",
        ActivateFunctionArn=functions["ActivateFunction"],
        ExportAllFunctionArn=functions["ExportAllFunction"],
    )


# --- a rule to a queue --------------------------------------------------------------------------------------------------


def test_a_queue_gets_what_a_person_should_look_into(stack: Stack, altcraft: Emulator, api: Api) -> None:
    queue = deployed(stack, "queue.yaml", EventBusName=stack.ready.event_bus_name)["QueueUrl"]

    begun = api.post("/promocodes/export_all", {"loyalty_id": 404})

    heard = wait_until(lambda: received(stack.aws.client("sqs"), queue))
    (failed,) = [one for one in heard if one["detail"].get("export_id") == begun.json()["export_id"]]
    assert failed["detail-type"] == "Export Failed"
    assert faults("Export Failed", failed["detail"]) == []


# --- an API destination -------------------------------------------------------------------------------------------------


@dataclass
class Shop:
    """A shop's own system: it keeps every call."""

    calls: list[Request] = field(default_factory=list)

    def answer(self, request: Request) -> Response:
        """Take an event."""
        self.calls.append(request)
        return Response(200)


@pytest.fixture
def shop() -> Iterator[tuple[Shop, str]]:
    own = Shop()
    with Server(own.answer) as server:
        yield own, f"{server.url}/promo"


def connect(stack: Stack, url: str, secret: str) -> None:
    """Make what the recipe has, by API calls: the laptop's CloudFormation knows no connection and no API destination."""
    events, name = stack.aws.client("events"), f"shop-{uuid.uuid4()}"
    arns = {name: f"arn:aws:{name}" for name in ("Role", "FailedEvents")}
    given = {"EventBusName": stack.ready.event_bus_name, "Endpoint": url, "Secret": secret}
    template = Template(recipe("api-destination.yaml"), given, lambda logical_id, _: arns[logical_id])

    def properties(logical_id: str) -> dict[str, Any]:
        resolved: dict[str, Any] = template.resolve(template.properties(logical_id))
        return resolved

    arns["Connection"] = events.create_connection(Name=name, **properties("Connection"))["ConnectionArn"]
    arns["Destination"] = events.create_api_destination(Name=name, **properties("Destination"))["ApiDestinationArn"]
    rule = properties("Rule")
    events.put_rule(Name=name, EventBusName=rule["EventBusName"], EventPattern=json.dumps(rule["EventPattern"]))
    events.put_targets(Rule=name, EventBusName=rule["EventBusName"], Targets=rule["Targets"])


def test_the_shops_own_system_is_called(stack: Stack, altcraft: Emulator, api: Api, shop: tuple[Shop, str]) -> None:
    own, url = shop
    connect(stack, url, "from-the-vault")
    code = f"Code-{uuid.uuid4()}"
    altcraft.programs.add(5, code, attached=True)

    assert api.post("/promocodes/activate", {"code": code, "loyalty_id": 5, "order_id": "1001"}).status_code == 200

    call = wait_until(lambda: next((one for one in own.calls if code.encode() in one.body), None))
    assert call
    assert (call.method, call.path) == ("POST", "/promo")
    assert call.headers["X-Promo-Secret"] == "from-the-vault"
    assert call.headers["X-Promo-Event"] == "Promo Code Activated"
    assert faults("Promo Code Activated", json.loads(call.body)) == []


# --- a state machine that exports ---------------------------------------------------------------------------------------


@pytest.fixture
def programs(altcraft: Emulator) -> Emulator:
    for loyalty_id, codes in EXPORTED.items():
        altcraft.programs.add(loyalty_id, *codes)
    return altcraft


def test_a_workflow_goes_on_when_all_programs_are_complete(
    stack: Stack, programs: Emulator, machines: dict[str, str]
) -> None:
    ran = execution(stack, machines["ExportStateMachineArn"], loyalty_ids=list(EXPORTED))

    assert ran["status"] == "SUCCEEDED", ran
    manifests = json.loads(ran["output"])
    assert [(one["loyalty_id"], one["status"], one["codes"]) for one in manifests] == [
        (loyalty_id, "succeeded", len(codes)) for loyalty_id, codes in EXPORTED.items()
    ]
    assert len({one["export_id"] for one in manifests}) == len(EXPORTED)
    # They sort by time, as our own ids do.
    assert all(re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{20}-50000[123]", one["export_id"]) for one in manifests)


def test_a_workflow_tries_a_program_again_that_may_still_succeed(
    stack: Stack, programs: Emulator, machines: dict[str, str]
) -> None:
    programs.faults.set([Page(endpoints=frozenset({"export_all"}))])

    ran = execution(stack, machines["ExportStateMachineArn"], loyalty_ids=[500_002])

    assert ran["status"] == "SUCCEEDED", ran
    assert errors(stack, ran) == ["ExportFailed"]


@pytest.mark.parametrize(("loyalty_id", "error"), [(404, "Incomplete"), ("six", "InvalidField")])
def test_a_workflow_does_not_go_on_when_a_program_is_not_complete(
    stack: Stack, programs: Emulator, machines: dict[str, str], loyalty_id: object, error: str
) -> None:
    ran = execution(stack, machines["ExportStateMachineArn"], loyalty_ids=[500_001, loyalty_id])

    assert (ran["status"], ran["error"]) == ("FAILED", error)


# --- a state machine that activates -------------------------------------------------------------------------------------


def test_a_workflow_retries_an_activation_by_the_errors_name(
    stack: Stack, altcraft: Emulator, machines: dict[str, str]
) -> None:
    code = f"Code-{uuid.uuid4()}"
    altcraft.programs.add(5, code, attached=True)
    altcraft.faults.set([Page(calls=2)])

    ran = execution(stack, machines["ActivateStateMachineArn"], code=code, loyalty_id=5, order_id="1001")

    assert ran["status"] == "SUCCEEDED", ran
    assert json.loads(ran["output"]) == {"code": code, "loyalty_id": 5, "outcome": "activated"}
    assert errors(stack, ran)
    assert set(errors(stack, ran)) == {"TryAgain"}
    assert altcraft.programs.activations[5, code] == 1


@pytest.mark.parametrize(
    ("given", "error", "cause"),
    [
        ({"code": "FREE", "loyalty_id": 5, "order_id": "1001"}, "NotActivated", "not_attached"),
        ({"code": "FREE", "loyalty_id": "five"}, "InvalidField", "loyalty_id"),
    ],
)
def test_a_workflow_ends_by_the_outcome(
    stack: Stack, altcraft: Emulator, machines: dict[str, str], given: dict[str, Any], error: str, cause: str
) -> None:
    altcraft.programs.add(5, "FREE")

    ran = execution(stack, machines["ActivateStateMachineArn"], **given)

    assert (ran["status"], ran["error"]) == ("FAILED", error)
    assert cause in ran["cause"]


def test_an_event_of_the_shops_own_bus_starts_that_workflow(
    stack: Stack, altcraft: Emulator, machines: dict[str, str]
) -> None:
    code = f"Code-{uuid.uuid4()}"
    altcraft.programs.add(5, code, attached=True)
    paid = {"code": code, "order_id": "2002"}

    sent = stack.aws.client("events").put_events(
        Entries=[
            {"Source": "my.shop", "DetailType": "OrderPaid", "Detail": json.dumps(paid), "EventBusName": "default"}
        ]
    )

    assert sent["FailedEntryCount"] == 0
    assert altcraft.programs.wait_for_activations(lambda seen: seen[5, code] == 1, 30)
