"""Where a command works: on a stack that is deployed in an AWS account, or on the one that `make local` runs.

A command asks its target for what it needs, and does not know which of the two it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, Final, Protocol

import boto3
import click
import requests
from click.core import ParameterSource

from ops.errors import Unusable, refused_by_aws

if TYPE_CHECKING:
    from botocore.config import Config

DEFAULT_STACK: Final = "altcraft-promocodes"
DEFAULT_PORT: Final = "3000"
CONTROL: Final = "/_local"
"""Where, on its API's port, the stack of `make local` answers what it printed when it was ready."""

_UNSAID: Final[Mapping[str, str]] = {"aws_region": "eu-central-1", "altcraft_secret_id": "local-AltcraftSecret"}
"""What a stack of `make local` does not say of itself."""

_SCHEDULED_TIME: Final = "<aws.scheduler.scheduled-time>"

_PARTS: Final[Mapping[str, str]] = {
    "api_url": "ApiUrl",
    "webhook_url": "WebhookUrl",
    "export_bucket": "ExportBucketName",
    "activation_queue_url": "ActivationQueueUrl",
    "dead_letter_queue_url": "DeadLetterQueueUrl",
    "sources_secret_id": "SourcesSecretId",
    "altcraft_secret_id": "AltcraftSecretId",
    "altcraft_url": "AltcraftUrl",
}
"""The parts of a stack, and the template's outputs and parameters that say what they are called."""


class Target(Protocol):
    """A stack. What is not known of it yet is looked up when it is asked for; Unusable says that it cannot be."""

    @property
    def api_url(self) -> str:
        """The API's address, without a slash at its end."""

    @property
    def parameters(self) -> Mapping[str, str]:
        """The template's parameters, by name; one that is not here has its default value."""

    def names(self, *parts: str) -> list[str]:
        """The names or addresses of these parts: the keys of `_PARTS`."""

    def client(self, service: str, config: Config | None = None) -> Any:
        """A boto3 client of the stack's AWS. Typed by whoever asks."""

    def fire(self) -> Iterator[str]:
        """Fire each schedule of exports, as if its time had come; a line about each."""


@dataclass(frozen=True)
class Deployed:
    """A stack in the AWS account and region of the environment."""

    stack: str = DEFAULT_STACK

    @cached_property
    def _described(self) -> Mapping[str, Any]:
        with refused_by_aws(f"cannot look at the stack {self.stack} (name another with STACK=...)"):
            stack: Mapping[str, Any] = self.client("cloudformation").describe_stacks(StackName=self.stack)["Stacks"][0]
        return stack

    @property
    def api_url(self) -> str:
        return self.names("api_url")[0].rstrip("/")

    @cached_property
    def parameters(self) -> Mapping[str, str]:
        return {one["ParameterKey"]: one["ParameterValue"] for one in self._described.get("Parameters", [])}

    def names(self, *parts: str) -> list[str]:
        outputs = {one["OutputKey"]: one["OutputValue"] for one in self._described.get("Outputs", [])}
        return _found(
            {**self.parameters, **outputs},
            [_PARTS[part] for part in parts],
            f"the stack {self.stack} is not this application's (name another with STACK=...)",
        )

    def client(self, service: str, config: Config | None = None) -> Any:
        with refused_by_aws(f"cannot reach AWS for the stack {self.stack}"):
            return boto3.client(service, config=config)

    def fire(self) -> Iterator[str]:
        scheduler, functions = self.client("scheduler"), self.client("lambda")
        with refused_by_aws(f"cannot fire the schedules of the stack {self.stack}"):
            pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.stack)
            for resource in (one for page in pages for one in page["StackResourceSummaries"]):
                if resource["ResourceType"] != "AWS::Scheduler::Schedule":
                    continue
                target = scheduler.get_schedule(Name=resource["PhysicalResourceId"])["Target"]
                if ":function:" not in target["Arn"]:
                    continue  # AWS's own export of the table
                event = target["Input"].replace(_SCHEDULED_TIME, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
                reply = functions.invoke(FunctionName=target["Arn"], InvocationType="Event", Payload=event.encode())
                request_id = reply["ResponseMetadata"]["RequestId"]
                yield f'{resource["LogicalResourceId"]} {reply["StatusCode"]} {{"request_id": "{request_id}"}}'


@dataclass(frozen=True)
class Laptop:
    """The stack of `make local` whose API is at an address; or any API, for who needs nothing but the address."""

    api_url: str

    @cached_property
    def ready(self) -> Mapping[str, Any]:
        """What it printed when it was ready."""
        try:
            reply = requests.get(self.api_url + CONTROL, timeout=5)
            reply.raise_for_status()
            ready = {**_UNSAID, **reply.json()}
        except (requests.RequestException, TypeError, ValueError) as error:
            raise Unusable(
                f"no `make local` answers at {self.api_url}: start it, or name the address that it prints as api_url by "
                "LOCAL=..., or a deployed stack by STACK=..."
            ) from error
        return ready

    @property
    def parameters(self) -> Mapping[str, str]:
        return {}

    def names(self, *parts: str) -> list[str]:
        values = {**self.ready, "webhook_url": f"{self.ready.get('api_url', self.api_url)}/webhooks/"}
        return _found(values, parts, f"no `make local` of this version is at {self.api_url}")

    def client(self, service: str, config: Config | None = None) -> Any:
        endpoint_url, region = self.names("aws_endpoint_url", "aws_region")
        return boto3.client(
            service,
            region,
            endpoint_url=endpoint_url,
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106 - it takes any
            config=config,
        )

    def fire(self) -> Iterator[str]:
        for name in self.ready.get("schedules", []):
            try:
                reply = requests.post(f"{self.api_url}{CONTROL}/schedules/{name}", timeout=30)
            except requests.RequestException as error:
                raise Unusable(f"the schedule {name} cannot be fired: {error}") from error
            if not reply.ok:
                raise Unusable(f"the schedule {name} cannot be fired: {reply.status_code} {reply.text}")
            yield f"{name} {reply.status_code} {reply.text}"


def secret_text(target: Target, part: str, variable: str) -> str:
    """The text in a secret of a stack; `variable` gives it instead.

    Raises:
        Unusable: it cannot be read.
    """
    (secret_id,) = target.names(part)
    with refused_by_aws(f"cannot read the secret {secret_id} (give {variable} instead)"):
        text: str = target.client("secretsmanager").get_secret_value(SecretId=secret_id)["SecretString"]
    return text


def _found(values: Mapping[str, str], wanted: Sequence[str], otherwise: str) -> list[str]:
    if missing := [name for name in wanted if name not in values]:
        raise Unusable(f"{otherwise}: it has no {' or '.join(missing)}")
    return [values[name] for name in wanted]


def local_url() -> str:
    """Where `make local` is looked for: its PORT on this machine."""
    return f"http://127.0.0.1:{os.environ.get('PORT') or DEFAULT_PORT}"


def with_target(*, laptop: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command its `target`, by the options --stack and --local.

    Args:
        laptop: without any of them it works on the stack of `make local`, and URL is one more name of LOCAL; otherwise on the
            deployed stack of the default name.
    """
    stack = click.option(
        "--stack",
        envvar="STACK",
        metavar="NAME",
        default=None if laptop else DEFAULT_STACK,
        show_default=True,
        help="A deployed stack.",
    )
    local = click.option(
        "--local",
        envvar=["LOCAL", "URL"] if laptop else "LOCAL",
        metavar="API_URL",
        default=local_url if laptop else None,
        show_default="this machine, at PORT or 3000" if laptop else None,
        help="The stack of `make local` that prints this address.",
    )

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        @click.pass_context
        def aimed(context: click.Context, /, *args: Any, stack: str | None, local: str | None, **options: Any) -> Any:
            given: list[tuple[ParameterSource | None, Target]] = [
                (context.get_parameter_source(name), kind(value.rstrip("/")))
                for name, kind, value in (("local", Laptop, local), ("stack", Deployed, stack))
                if value
            ]
            if [source for source, _ in given] == [ParameterSource.COMMANDLINE] * 2:
                raise click.UsageError("--stack and --local are two targets: name one")
            # What was typed comes before the environment, that before a default; in one place, LOCAL before STACK.
            _, target = min(given, key=lambda one: one[0].value if one[0] else 0)
            return command(*args, target=target, **options)

        return stack(local(aimed))

    return decorate
