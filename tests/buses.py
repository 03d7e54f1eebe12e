"""An EventBridge over HTTP that refuses what a test wants, because the laptop's AWS accepts every event.

Source: EventBridge API reference, "PutEvents" and "PutEventsResultEntry"; AWS JSON 1.1.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import botocore.session

from lambda_support.event_bus import EventBus
from local.emulator.http import HangUp, Request, Response, Server
from local.engine import CREDENTIALS, REGION

NAME = "promocodes"

Entry = dict[str, Any]


@dataclass
class FakeBus:
    """`refuse` gives an event's error code, or None to accept it; `denied` fails the whole call; `silent` never answers it."""

    refuse: Callable[[Entry], str | None] = lambda _: None
    denied: str = ""
    silent: bool = False
    calls: list[list[Entry]] = field(default_factory=list)
    accepted: list[Entry] = field(default_factory=list)
    url: str = ""

    @property
    def codes(self) -> list[str]:
        """The codes of the accepted events, in their order."""
        return [json.loads(entry["Detail"])["code"] for entry in self.accepted]

    @property
    def ids(self) -> list[str]:
        """The ids of the accepted events, in their order."""
        return [json.loads(entry["Detail"])["event_id"] for entry in self.accepted]

    def bus(self) -> EventBus:
        """A client of this bus that does not try a call twice by itself."""
        session = botocore.session.Session()
        config = botocore.config.Config(retries={"max_attempts": 0}, connect_timeout=2, read_timeout=2)
        client = session.create_client(
            "events",
            REGION,
            endpoint_url=self.url,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            config=config,
        )
        return EventBus(NAME, lambda: client)

    def serve(self, request: Request) -> Response:
        """Answer a call of PutEvents."""
        assert request.headers["X-Amz-Target"] == "AWSEvents.PutEvents"
        entries: list[Entry] = json.loads(request.body)["Entries"]
        self.calls.append(entries)
        if self.silent:
            raise HangUp
        if self.denied:
            return _json(400, {"__type": self.denied, "message": "no"})
        results = []
        for entry in entries:
            error = self.refuse(entry)
            if error is None:
                self.accepted.append(entry)
            results.append(
                {"ErrorCode": error, "ErrorMessage": "no"} if error else {"EventId": str(len(self.accepted))}
            )
        return _json(200, {"FailedEntryCount": sum("ErrorCode" in one for one in results), "Entries": results})


def _json(status: int, answer: object) -> Response:
    return Response(status, json.dumps(answer).encode(), [("Content-Type", "application/x-amz-json-1.1")])


@contextmanager
def fake_bus(**settings: Any) -> Iterator[FakeBus]:
    """A bus that serves."""
    fake = FakeBus(**settings)
    with Server(fake.serve) as server:
        fake.url = server.url
        yield fake
