"""Deploys template.yaml by CloudFormation to the laptop's AWS.

The engine runs SAM's transform and CloudFormation itself; `PATCHES` is all that is changed in the template beforehand.
"""

import io
import json
import shlex
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from local.engine import REGION, Aws
from local.template import read
from local.waiting import wait_until
from ops.schedules import fire, targets

STACK: Final = "local"
CREATE_SECONDS: Final = 120

_ARTIFACTS: Final = "local-artifacts"
_CODE: Final = "code.zip"
_CODE_URI: Final = f"s3://{_ARTIFACTS}/{_CODE}"
_TEMPLATE: Final = "template.json"
_OF_LAMBDA: Final = {
    "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "LANG": "en_US.UTF-8",
    "TZ": ":UTC",
}
"""Variables that Lambda's Python runtime sets, and the engine's custom runtime does not."""

Properties = dict[str, Any]


class DeployError(Exception):
    """The stack was not created; the message is CloudFormation's reason."""


@dataclass(frozen=True, kw_only=True)
class Values:
    """The input of a deployment: the template's `parameters`, the API key, `secrets` by logical id.

    `environment` is added to the functions' variables. Their output is also written to the file `log`.
    """

    parameters: Mapping[str, str]
    api_key: str
    secrets: Mapping[str, str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)


def _function(logical_id: str, properties: Properties, values: Values) -> Properties:
    variables = {**properties.get("Environment", {}).get("Variables", {}), **values.environment}
    return {
        **{name: value for name, value in properties.items() if name != "DeploymentPreference"},
        "FunctionName": logical_id,
        "Runtime": "provided.al2023",
        "CodeUri": _CODE_URI,
        "Environment": {"Variables": variables},
    }


def _left_out(*_: object) -> None:
    """Leave the resource out."""


PATCHES: Final[Mapping[str, Callable[[str, Properties, Values], Properties | None]]] = {
    # The engine runs Python only in its own interpreter, and takes a line that a handler prints for its answer. So functions
    # use a custom runtime, `local.bootstrap`, which imports them and the layer from the source tree. They are named as by
    # `sam local`, without a random suffix. The engine has no CodeDeploy.
    "AWS::Serverless::Function": _function,
    "AWS::Serverless::LayerVersion": lambda _, layer, __: {**layer, "ContentUri": _CODE_URI},
    # Not known to the engine.
    "AWS::Athena::NamedQuery": _left_out,
    "AWS::CloudWatch::CompositeAlarm": _left_out,
    "AWS::Logs::QueryDefinition": _left_out,
    "AWS::WAFv2::WebACLAssociation": _left_out,
    # Alarms over metric math are refused.
    "AWS::CloudWatch::Alarm": lambda _, alarm, __: None if "Metrics" in alarm else alarm,
    # Without a value the engine generates one; `make local` prints the same key each time.
    "AWS::ApiGateway::ApiKey": lambda _, key, values: {**key, "Value": values.api_key},
    # The engine does not replace the scheduled time, and ignores time zones: `Deployment.fire` invokes on request instead.
    "AWS::Scheduler::Schedule": lambda _, schedule, __: {**schedule, "State": "DISABLED"},
}
"""How resources are changed or left out on a laptop, by type, with the reason."""


def patched(document: Mapping[str, Any], values: Values) -> dict[str, Any]:
    """The template as the laptop's AWS accepts it."""
    parameters = {name: dict(declared) for name, declared in document["Parameters"].items()}
    # The emulated Altcraft speaks plain HTTP.
    parameters["AltcraftUrl"].pop("AllowedPattern", None)
    # The engine resolves a reference to a number as text, on which its queue poller fails: so the number itself is written.
    numbers = {
        name: int(values.parameters.get(name, declared["Default"]))
        for name, declared in parameters.items()
        if declared["Type"] == "Number"
    }
    resources = {}
    for logical_id, resource in document["Resources"].items():
        patch = PATCHES.get(resource["Type"])
        properties = resource.get("Properties", {})
        if patch is None or (properties := patch(logical_id, properties, values)) is not None:
            resources[logical_id] = {**resource, "Properties": _with_numbers(properties, numbers)}
    return {**document, "Parameters": parameters, "Resources": resources}


def _with_numbers(node: Any, numbers: Mapping[str, int]) -> Any:
    match node:
        case {"Ref": str(name)} if name in numbers:
            return numbers[name]
        case dict():
            # The variables of a function are text, numbers too.
            return {key: value if key == "Variables" else _with_numbers(value, numbers) for key, value in node.items()}
        case list():
            return [_with_numbers(value, numbers) for value in node]
        case _:
            return node


def deploy(aws: Aws, template: Path, values: Values) -> "Deployment":
    """Create the stack and fill its secrets. Raises DeployError, or TemplateError where the template cannot be read."""
    document = read(template)
    s3, cloudformation, secrets = (aws.client(service) for service in ("s3", "cloudformation", "secretsmanager"))
    s3.create_bucket(Bucket=_ARTIFACTS, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=_ARTIFACTS, Key=_CODE, Body=_code(aws, values.log))
    s3.put_object(Bucket=_ARTIFACTS, Key=_TEMPLATE, Body=json.dumps(patched(document, values)).encode())
    try:
        cloudformation.create_stack(
            StackName=STACK,
            TemplateURL=f"{aws.endpoint_url}/{_ARTIFACTS}/{_TEMPLATE}",
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in values.parameters.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
    except ClientError as error:
        raise DeployError(f"{template.name} is refused: {error}") from error
    try:
        wait_until(lambda: _created(cloudformation), CREATE_SECONDS)
    except TimeoutError as error:
        raise DeployError(f"CloudFormation has not created the stack in {CREATE_SECONDS} s") from error
    deployment = Deployment(aws, document)
    deployment.put_gateway_responses()
    for logical_id, value in values.secrets.items():
        if logical_id in deployment.resources:
            secrets.put_secret_value(SecretId=deployment.resources[logical_id], SecretString=value)
    return deployment


def _created(cloudformation: Any) -> bool:
    """Whether the stack is complete. Raises DeployError when its creation has failed."""
    status = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"]
    if status.endswith("FAILED") or "ROLLBACK" in status:
        events = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
        reasons = [
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}"
            for event in events
            if event["ResourceStatus"] == "CREATE_FAILED"
        ]
        raise DeployError("\n".join(["CloudFormation did not create the stack", *reversed(reasons)]))
    return bool(status == "CREATE_COMPLETE")


def _code(aws: Aws, log: Path) -> bytes:
    """The archive of every function: the program that Lambda starts, which imports the packages from this source tree."""
    removed = " ".join(f"-u {name}" for name in aws.settings)
    added = " ".join(f"{name}={value}" for name, value in _OF_LAMBDA.items())
    run, printed = shlex.join([sys.executable, "-m", "local.bootstrap"]), shlex.quote(str(log))
    # The output goes to the engine, for CloudWatch Logs, and to the log.
    script = f"#!/usr/bin/env bash\nexec env {removed} {added} {run} > >(exec tee -a {printed}) 2>&1\n"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as code:
        code.writestr("bootstrap", script)
    return archive.getvalue()


class Deployment:
    """The deployed stack. `resources` are physical ids by logical id; `document` is the template as written."""

    def __init__(self, aws: Aws, document: Mapping[str, Any]) -> None:
        self._aws = aws
        self.document = document
        self._lambda = aws.client("lambda", read_timeout=900, retries={"max_attempts": 0})
        pages = aws.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=STACK)
        found = [resource for page in pages for resource in page["StackResourceSummaries"]]
        self.resources: dict[str, str] = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found}
        self._types = {one["LogicalResourceId"]: one["ResourceType"] for one in found}
        (self._api,), (self._stage,) = (self.of(f"AWS::ApiGateway::{kind}").values() for kind in ("RestApi", "Stage"))

    @property
    def api_url(self) -> str:
        """The address of the API's stage at the engine."""
        return f"{self._aws.endpoint_url}/_aws/execute-api/{self._api}/{self._stage}"

    def put_gateway_responses(self) -> None:
        """Add the template's gateway responses, which the engine's import of an API drops, and deploy the API again."""
        gateway = self._aws.client("apigateway")
        for case, written in self.gateway_responses.items():
            headers = written.get("ResponseParameters", {}).get("Headers", {})
            gateway.put_gateway_response(
                restApiId=self._api,
                responseType=case,
                statusCode=str(written["StatusCode"]),
                responseParameters={f"gatewayresponse.header.{name}": value for name, value in headers.items()},
                responseTemplates=written["ResponseTemplates"],
            )
        gateway.create_deployment(restApiId=self._api, stageName=self._stage)

    @property
    def gateway_responses(self) -> dict[str, Any]:
        """The template's gateway responses by API Gateway's response type."""
        apis = (
            one["Properties"] for one in self.document["Resources"].values() if one["Type"] == "AWS::Serverless::Api"
        )
        return {case: written for api in apis for case, written in api.get("GatewayResponses", {}).items()}

    def of(self, kind: str) -> dict[str, str]:
        """The physical ids of the resources of one type, by logical id."""
        return {name: self.resources[name] for name, one in sorted(self._types.items()) if one == kind}

    @property
    def functions(self) -> dict[str, str]:
        """The functions' names by logical id."""
        return self.of("AWS::Lambda::Function")

    @cached_property
    def environment(self) -> dict[str, dict[str, str]]:
        """The variables of each function by its logical id, as CloudFormation resolved them."""
        configurations = {
            logical_id: self._lambda.get_function_configuration(FunctionName=name)
            for logical_id, name in self.functions.items()
        }
        return {logical_id: one["Environment"]["Variables"] for logical_id, one in configurations.items()}

    @cached_property
    def schedules(self) -> dict[str, dict[str, Any]]:
        """The target of each schedule that invokes a function, by logical id."""
        return targets(self._aws.client("scheduler"), self.of("AWS::Scheduler::Schedule"))

    def fire(self, schedule: str) -> str:
        """Invoke a schedule's function with its event now, and return the request id."""
        invoked = fire(self._lambda, self.schedules[schedule])
        request_id: str = invoked["ResponseMetadata"]["RequestId"]
        return request_id
