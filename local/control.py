"""The stack's own door, beside the API on its port, by which tools and people find and move the other parts.

GET  /_local                    where everything is: the object that `make local` prints
GET  /_local/environment        the variables of each function, by its logical id, as the template declares them
POST /_local/schedules/{name}   fire a schedule, as if its time had come
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from local.application import Schedule
from local.functions import Functions
from local.http import Application, Request, Response
from local.schedules import fire

CONTROL = "/_local"


@dataclass(frozen=True)
class Ready:
    """Where a running stack is reached. `functions` are names by logical id, `schedules` are names."""

    api_url: str
    aws_endpoint_url: str
    altcraft_url: str
    api_key: str
    export_bucket: str
    activation_queue_url: str
    dead_letter_queue_url: str
    lambda_endpoint_url: str
    sources_secret_id: str
    functions: dict[str, str]
    schedules: list[str]


class Control:
    """Takes what is asked of the stack itself and leaves every other path to the API."""

    ready: Ready

    def __init__(self, api: Application, functions: Functions, schedules: Sequence[Schedule]) -> None:
        self._api = api
        self._functions = functions
        self.schedules = {schedule.name: schedule for schedule in schedules}

    def __call__(self, request: Request) -> Response:
        """Answer one request."""
        if not request.path.startswith(CONTROL):
            return self._api(request)
        name = request.path.removeprefix(f"{CONTROL}/schedules/")
        if request.method == "GET" and request.path == CONTROL:
            return _json(200, asdict(self.ready))
        if request.method == "GET" and request.path == f"{CONTROL}/environment":
            return _json(200, {name: pool.function.environment for name, pool in self._functions.pools.items()})
        if request.method == "POST" and name in self.schedules:
            return _json(202, {"request_id": fire(self.schedules[name], self._functions)})
        return _json(
            404,
            {
                "message": f"here are GET {CONTROL} and POST {CONTROL}/schedules/{{name}}",
                "schedules": [*self.schedules],
            },
        )


def _json(status: int, value: object) -> Response:
    return Response(status, json.dumps(value).encode(), [("Content-Type", "application/json")])
