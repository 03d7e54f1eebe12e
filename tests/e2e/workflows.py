"""The recipes of `docs/workflows/`, deployed beside the embedded stack as an operator would deploy them."""

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from local.stack import Stack
from local.template import read
from local.waiting import wait_until

RECIPES: Final = Path(__file__).parents[2] / "docs" / "workflows"
CREATE_SECONDS: Final = 60


def recipe(name: str) -> dict[str, Any]:
    """A recipe's template, its state machines' definitions in their place, as `sam deploy` uploads them."""
    document = read(RECIPES / name)
    for resource in document["Resources"].values():
        if uri := resource["Properties"].pop("DefinitionUri", None):
            resource["Properties"]["Definition"] = hurried(json.loads((RECIPES / uri).read_text("utf-8")))
    return document


def hurried(definition: Any) -> Any:
    """A state machine that pauses for seconds: a test cannot wait for minutes."""
    match definition:
        case dict():
            return {
                key: 1 if key in {"IntervalSeconds", "Seconds"} else hurried(value) for key, value in definition.items()
            }
        case list():
            return [hurried(one) for one in definition]
    return definition


def deployed(stack: Stack, name: str, **parameters: str) -> dict[str, str]:
    """Deploy a recipe by CloudFormation; its outputs."""
    cloudformation = stack.aws.client("cloudformation")
    stack_name = f"recipe-{uuid.uuid4()}"
    cloudformation.create_stack(
        StackName=stack_name,
        TemplateBody=json.dumps(recipe(name)),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )

    def ended() -> dict[str, Any] | None:
        (found,) = cloudformation.describe_stacks(StackName=stack_name)["Stacks"]
        return None if found["StackStatus"] == "CREATE_IN_PROGRESS" else found

    found = wait_until(ended, CREATE_SECONDS)
    assert found
    assert found["StackStatus"] == "CREATE_COMPLETE", cloudformation.describe_stack_events(StackName=stack_name)
    return {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", [])}


class Listener:
    """A queue that gets the events of a bus; those of other tests, and of samples, are in it too."""

    def __init__(self, stack: Stack, pattern: Mapping[str, Any]) -> None:
        events, self._sqs = stack.aws.client("events"), stack.aws.client("sqs")
        name = f"listener-{uuid.uuid4()}"
        self._url = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]
        bus = stack.ready.event_bus_name
        events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "queue", "Arn": attributes["QueueArn"]}])
        self.heard: list[dict[str, Any]] = []

    def of(self, **detail: Any) -> list[dict[str, Any]]:
        """The events so far whose details have these values."""
        self.heard += received(self._sqs, self._url)
        return [one for one in self.heard if detail.items() <= one["detail"].items()]

    def wait(self, count: int = 1, seconds: float = 30, **detail: Any) -> list[dict[str, Any]]:
        """Wait until there are as many events whose details have these values."""
        return wait_until(lambda: found if len(found := self.of(**detail)) >= count else None, seconds) or []


def received(sqs: Any, url: str) -> list[dict[str, Any]]:
    """The bodies of what is in a queue, which they leave."""
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    for message in messages:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(message["Body"]) for message in messages]


def execution(stack: Stack, machine: str, **given: Any) -> dict[str, Any]:
    """Run a state machine to its end; the execution, as Step Functions describes it."""
    steps = stack.aws.client("stepfunctions")
    arn = steps.start_execution(stateMachineArn=machine, input=json.dumps(given))["executionArn"]

    def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = steps.describe_execution(executionArn=arn)
        return None if found["status"] == "RUNNING" else found

    return wait_until(ended, 60) or {}


def errors(stack: Stack, ran: Mapping[str, Any]) -> list[str]:
    """The names of the errors that an execution met, in their order."""
    history = stack.aws.client("stepfunctions").get_execution_history(executionArn=ran["executionArn"])["events"]
    details = [value for event in history for name, value in event.items() if name.endswith("EventDetails")]
    return [one["error"] for one in details if isinstance(one, dict) and one.get("error")]
