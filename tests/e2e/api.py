"""How the tests call a deployed stack: its API as a shop's back end does, its functions as an engineer does."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import requests

from local.stack import Stack

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


@dataclass(frozen=True)
class Api:
    """Calls the deployed API as a shop's back end does."""

    url: str
    key: str

    def post(self, path: str, body: object, **headers: str) -> requests.Response:
        """POST a body: bytes and text as they are, everything else as JSON."""
        data = body if isinstance(body, bytes | str) else json.dumps(body)
        known = {"x-api-key": self.key, "Content-Type": "application/json"}
        return requests.post(self.url + path, data=data, headers=known | headers, timeout=30)

    def get(self, path: str, **headers: str) -> requests.Response:
        return requests.get(self.url + path, headers={"x-api-key": self.key} | headers, timeout=30)


def problem(response: requests.Response, status: int) -> dict[str, Any]:
    """The problem details of a response, which must have this status and all the members of one."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    members: dict[str, Any] = response.json()
    assert members["status"] == status
    assert {"type", "title", "detail", "retryable"} <= members.keys()
    return members


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
