"""How the tests call a deployed stack's API: as a shop and its back end do, and holding each answer against its description."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from tests.description import assert_described


@dataclass(frozen=True)
class Api:
    """Calls the deployed API as a shop and its back end do. An answer that docs/openapi.yaml does not describe is an error."""

    url: str
    key: str

    def send(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send a request as it is, without the API key."""
        response = requests.request(method, self.url + path, params=query, data=body, headers=headers, timeout=30)
        assert_described(response, path)
        return response

    def post(self, path: str, body: object, **headers: str) -> requests.Response:
        """POST a body with the API key: bytes and text as they are, everything else as JSON."""
        data = body if isinstance(body, bytes | str) else json.dumps(body)
        known = {"x-api-key": self.key, "Content-Type": "application/json"}
        return self.send("POST", path, data, known | headers)

    def get(self, path: str, **headers: str) -> requests.Response:
        """GET with the API key."""
        return self.send("GET", path, headers={"x-api-key": self.key} | headers)


def problem(response: requests.Response, status: int) -> dict[str, Any]:
    """The problem details of a response, which must have this status and all the members of one."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    members: dict[str, Any] = response.json()
    assert members["status"] == status
    assert {"type", "title", "detail", "retryable"} <= members.keys()
    return members
