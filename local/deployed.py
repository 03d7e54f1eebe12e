"""A stack in an AWS account, as the tools beside it find it: by its outputs."""

import boto3
from botocore.exceptions import BotoCoreError, ClientError

DEFAULT_STACK = "altcraft-promocodes"


class NotDeployed(Exception):
    """There is no such stack, or it is not this application's. The message names the remedy."""


def outputs(stack: str, *names: str) -> list[str]:
    """Return the values of a stack's outputs, in the account and region of the environment.

    Raises:
        NotDeployed: it cannot be seen, or lacks one of them.
    """
    try:
        described = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    except (ClientError, BotoCoreError) as error:
        raise NotDeployed(f"cannot look at the stack {stack} (name another with STACK=...): {error}") from error
    values = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
    if missing := [name for name in names if name not in values]:
        raise NotDeployed(f"the stack {stack} has no output {' or '.join(missing)}: is it this application's?")
    return [values[name] for name in names]
