"""Every sample event of `events/` is run by the function it is for, as `aws lambda invoke` would run it."""

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from altcraft.wire import MEDIA_TYPES, Wire, decode
from local.emulator import Emulator
from local.stack import Stack
from tests.e2e.conftest import EVENTS

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

ACTIVATED = {"outcome": "activated"}

# file → the function, the HTTP status where it is an HTTP event, and what the answer must hold
SAMPLES: dict[str, tuple[str, int | None, dict[str, Any]]] = {
    "activate-api-json.json": ("ActivateFunction", 200, {"code": "Code-1", "loyalty_id": 5} | ACTIVATED),
    "activate-api-xml.json": ("ActivateFunction", 200, {"code": "Code-2", "loyalty_id": "5"} | ACTIVATED),
    "direct-activate.json": ("ActivateFunction", None, {"code": "Code-3", "loyalty_id": 5} | ACTIVATED),
    "direct-export.json": ("ExportAllFunction", None, {"loyalty_id": 6, "status": "succeeded", "codes": 2}),
    "export-run.json": ("ExportAllFunction", None, {"status": "succeeded", "codes": 2}),
    "export-status.json": ("ExportAllFunction", 200, {"status": "succeeded", "codes": 2}),
    "export_all-api-json.json": ("ExportAllFunction", 202, {"status": "running"}),
    "export_all-api-xml.json": ("ExportAllFunction", 202, {"status": "running"}),
    "schedule.json": ("ExportAllFunction", None, {}),
    "queue-batch.json": ("ActivateFunction", None, {"batchItemFailures": []}),
    "eventbridge-shopify.json": ("ActivateFunction", None, {}),
    "saleor-sqs.json": ("ActivateFunction", None, {"batchItemFailures": []}),
    "webhook-generic.json": ("ActivateFunction", 200, {}),
    "webhook-insales.json": ("ActivateFunction", 200, {}),
    "webhook-retailcrm.json": ("ActivateFunction", 200, {}),
    "webhook-saleor.json": ("ActivateFunction", 200, {}),
    "webhook-shopify.json": ("ActivateFunction", 200, {}),
    "webhook-shopware.json": ("ActivateFunction", 200, {}),
    "webhook-standard-webhooks.json": ("ActivateFunction", 200, {}),
    "webhook-stripe.json": ("ActivateFunction", 200, {}),
    "webhook-tilda.json": ("ActivateFunction", 200, {}),
    "webhook-woocommerce.json": ("ActivateFunction", 200, {}),
}


def lambda_client(stack: Stack) -> "LambdaClient":
    """A client of the stack's Lambda."""
    environment = stack.aws.environment
    client: LambdaClient = boto3.client(
        "lambda",
        endpoint_url=stack.ready.lambda_endpoint_url,
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    return client


def invoke(stack: Stack, function: str, event: bytes) -> Any:
    """The answer of a synchronous invocation, which must not have failed."""
    answer = lambda_client(stack).invoke(FunctionName=stack.ready.functions[function], Payload=event)
    payload = json.load(answer["Payload"])
    assert not answer.get("FunctionError"), payload
    return payload


@pytest.fixture
def shop(altcraft: Emulator) -> Emulator:
    """An Altcraft which has the samples' codes."""
    altcraft.programs.add(5, *(f"Code-{number}" for number in range(1, 10)), attached=True)
    altcraft.programs.add(6, "Code-1", "Code-2")
    return altcraft


@pytest.mark.parametrize("file", sorted(path.name for path in EVENTS.glob("*.json") if path.name != "sources.json"))
def test_a_sample_event_runs(stack: Stack, shop: Emulator, file: str) -> None:
    function, status, expected = SAMPLES[file]
    if file == "export-status.json":  # it asks for the export that another sample runs
        invoke(stack, function, (EVENTS / "export-run.json").read_bytes())
    answer = invoke(stack, function, (EVENTS / file).read_bytes())
    if status is not None:
        assert answer["statusCode"] == status, answer["body"]
        answer = spoken(answer)
    assert {name: answer[name] for name in expected} == expected
    assert answer.get("accepted") != 0


def spoken(response: dict[str, Any]) -> Any:
    """The message in a proxy response, of either format."""
    wire: Wire = "xml" if response["headers"]["Content-Type"] == MEDIA_TYPES["xml"] else "json"
    return decode(response["body"].encode(), wire)
