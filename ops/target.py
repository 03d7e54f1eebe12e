"""Where a command works: on a stack that is deployed in an AWS account, or on the one that `make local` runs.

A command asks its target for what it needs, and does not know which of the two it is.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, ClassVar, Final

import boto3
import click
import requests
from click.core import ParameterSource

from ops.errors import Unusable, refused_by_aws
from ops.schedules import fire, targets

if TYPE_CHECKING:
    from botocore.config import Config

DEFAULT_STACK: Final = "altcraft-promocodes"
DEFAULT_PORT: Final = "3000"
CONTROL: Final = "/_local"
"""Where, on its API's port, the stack of `make local` answers what it printed when it was ready."""

_OUTPUTS: Final[Mapping[str, str]] = {
    "api_url": "ApiUrl",
    "webhook_url": "WebhookUrl",
    "export_bucket": "ExportBucketName",
    "activation_queue_url": "ActivationQueueUrl",
    "dead_letter_queue_url": "DeadLetterQueueUrl",
    "sources_secret_id": "SourcesSecretId",
    "altcraft_secret_id": "AltcraftSecretId",
    "altcraft_url": "AltcraftUrl",
    "activate_function": "ActivateFunctionName",
    "redemptions_table": "RedemptionsTableName",
    "event_bus_name": "EventBusName",
    "api_key_id": "ApiKeyId",
}
"""Parts of a stack, as `make local` calls them; and the template's outputs and parameters that have their names."""


class Target(ABC):
    """A stack. It is looked for when something of it is first asked for; Unusable says that it cannot be had."""

    is_deployed: ClassVar[bool]
    """Whether it is in an AWS account, so that it has metrics, and schedules that begin by the clock."""

    @property
    @abstractmethod
    def argument(self) -> str:
        """How a make target is given this stack."""

    @property
    @abstractmethod
    def stack_name(self) -> str:
        """The name that its CloudFormation has for it."""

    @property
    @abstractmethod
    def api_url(self) -> str:
        """The API's address, without a slash at its end."""

    @property
    @abstractmethod
    def values(self) -> Mapping[str, str]:
        """The names of its parts; and the template's parameters, but for those that have their default values."""

    @property
    @abstractmethod
    def api_key(self) -> str:
        """What `/promocodes/*` wants in the header x-api-key."""

    @abstractmethod
    def client(self, service: str, config: Config | None = None) -> Any:
        """A boto3 client of the stack's AWS. Typed by whoever asks."""

    @abstractmethod
    def fire(self) -> Iterator[str]:
        """Fire each schedule of exports, as if its time had come; a line about each."""

    def names(self, *parts: str) -> list[str]:
        """The names or addresses of these parts."""
        if missing := [_OUTPUTS.get(part, part) for part in parts if part not in self.values]:
            raise Unusable(f"{self} is not of this application: it has no {' or '.join(missing)}")
        return [self.values[part] for part in parts]

    def resources(self, kind: str) -> dict[str, str]:
        """The physical ids of its resources of one type, by logical id.

        Raises:
            ClientError, BotoCoreError: CloudFormation does not list them.
        """
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.stack_name)
        return {
            one["LogicalResourceId"]: one["PhysicalResourceId"]
            for page in pages
            for one in page["StackResourceSummaries"]
            if one["ResourceType"] == kind
        }

    def secret_text(self, part: str, variable: str) -> str:
        """The text of a secret; `variable` gives it in its place."""
        (secret_id,) = self.names(part)
        with refused_by_aws(f"cannot read the secret {secret_id} (give {variable} instead)"):
            text: str = self.client("secretsmanager").get_secret_value(SecretId=secret_id)["SecretString"]
        return text


@dataclass(frozen=True)
class Deployed(Target):
    """A stack in the AWS account and region of the environment."""

    name: str = DEFAULT_STACK

    is_deployed = True

    def __str__(self) -> str:
        return f"the stack {self.name} (name another with STACK=...)"

    @property
    def argument(self) -> str:
        return f"STACK={self.name}"

    @property
    def stack_name(self) -> str:
        return self.name

    @property
    def api_url(self) -> str:
        return self.names("api_url")[0]

    @cached_property
    def values(self) -> Mapping[str, str]:
        with refused_by_aws(f"cannot look at {self}"):
            stack = self.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"][0]
        values = {one["ParameterKey"]: one["ParameterValue"] for one in stack.get("Parameters", [])}
        values |= {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}
        return values | {part: values[output] for part, output in _OUTPUTS.items() if output in values}

    @property
    def api_key(self) -> str:
        (key_id,) = self.names("api_key_id")
        with refused_by_aws(f"cannot read the API key {key_id} (give API_KEY instead)"):
            key: str = self.client("apigateway").get_api_key(apiKey=key_id, includeValue=True)["value"]
        return key

    def client(self, service: str, config: Config | None = None) -> Any:
        with refused_by_aws(f"cannot look for {self}"):
            # boto3 itself reads AWS_DEFAULT_REGION alone.
            return boto3.client(service, os.environ.get("AWS_REGION"), config=config)

    def fire(self) -> Iterator[str]:
        scheduler, functions = self.client("scheduler"), self.client("lambda")
        with refused_by_aws(f"cannot fire the schedules of {self}"):
            schedules = self.resources("AWS::Scheduler::Schedule")
            for logical_id, target in targets(scheduler, schedules).items():
                reply = fire(functions, target)
                request_id = reply["ResponseMetadata"]["RequestId"]
                yield f'{logical_id} {reply["StatusCode"]} {{"request_id": "{request_id}"}}'


@dataclass(frozen=True)
class Laptop(Target):
    """The stack of `make local` whose API is at an address; or any API, for who needs nothing but the address."""

    url: str

    is_deployed = False

    def __str__(self) -> str:
        return f"the `make local` at {self.url}"

    @property
    def argument(self) -> str:
        return f"LOCAL={self.url}"

    @property
    def stack_name(self) -> str:
        return self.names("stack_name")[0]

    @property
    def api_url(self) -> str:
        return self.url

    @cached_property
    def values(self) -> Mapping[str, Any]:
        try:
            reply = requests.get(self.url + CONTROL, timeout=5)
            reply.raise_for_status()
            values = dict(reply.json())
        except (requests.RequestException, TypeError) as error:
            raise Unusable(
                f"no `make local` answers at {self.url}: start it, or name the address that it prints as api_url by LOCAL=..., "
                "or a deployed stack by STACK=..."
            ) from error
        if functions := values.get("functions"):
            values["activate_function"] = functions["ActivateFunction"]
        return {**values, "webhook_url": f"{values.get('api_url', self.url)}/webhooks/"}

    @property
    def api_key(self) -> str:
        return self.names("api_key")[0]

    def client(self, service: str, config: Config | None = None) -> Any:
        url, region = self.names("aws_endpoint_url", "aws_region")
        session = boto3.Session("local", "local", region_name=region)  # it takes any credentials
        return session.client(service, endpoint_url=url, config=config)

    def fire(self) -> Iterator[str]:
        for name in self.values.get("schedules", []):
            try:
                reply = requests.post(f"{self.url}{CONTROL}/schedules/{name}", timeout=30)
                reply.raise_for_status()
            except requests.RequestException as error:
                raise Unusable(f"cannot fire the schedule {name} of {self}: {error}") from error
            yield f"{name} {reply.status_code} {reply.text}"


def _local_url() -> str:
    return f"http://127.0.0.1:{os.environ.get('PORT') or DEFAULT_PORT}"


def with_target(*, laptop: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command its `target`, by the options --stack and --local.

    Args:
        laptop: without either it is the stack of `make local`, and URL is one more name of LOCAL; else the deployed stack of
            the default name.
    """
    stack, local = (None, _local_url) if laptop else (DEFAULT_STACK, None)
    where = (
        {"show_default": "this machine, at PORT or 3000", "envvar": ["LOCAL", "URL"]} if laptop else {"envvar": "LOCAL"}
    )

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @click.option(
            "--stack", envvar="STACK", metavar="NAME", default=stack, show_default=True, help="A deployed stack."
        )
        @click.option(
            "--local", metavar="API_URL", default=local, help="The api_url that `make local` prints.", **where
        )
        @click.pass_context
        @wraps(command)
        def aimed(context: click.Context, /, *args: Any, stack: str | None, local: str | None, **options: Any) -> Any:
            targets = {
                "local": Laptop(local.rstrip("/")) if local else None,
                "stack": Deployed(stack) if stack else None,
            }
            sources = {name: context.get_parameter_source(name) for name, target in targets.items() if target}
            if [*sources.values()] == [ParameterSource.COMMANDLINE] * 2:
                raise click.UsageError("--stack and --local are two targets: name one")
            # What was typed comes before the environment, that before a default; of two alike the laptop's.
            nearest = min(sources, key=lambda name: (sources[name] or ParameterSource.DEFAULT).value)
            return command(*args, target=targets[nearest], **options)

        return aimed

    return decorate
