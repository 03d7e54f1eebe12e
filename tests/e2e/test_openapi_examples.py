"""The requests that docs/openapi.yaml shows work as they stand."""

import json
import re
import time
from functools import partial
from typing import Any

import pytest

from activate.sources import parse
from docs.generate.sample_events import SOURCES
from local.emulator import Emulator
from local.waiting import wait_until
from ops.signing import sign
from tests.description import OPERATIONS, Operation, examples
from tests.e2e.api import Api

CODES = ("SPRING-7K2M", "SPRING-4G8R", "SPRING-9Q4T", "SPRING-3XWB", "SPRING-5N8D", "SPRING-6HVC")
"""The promo codes of the examples."""

BODIES = {
    f"{operation.route} {media_type}": (operation, media_type)
    for operation in OPERATIONS
    for media_type, content in operation.request.get("content", {}).items()
    if operation.method == "POST" and [*examples(content)]  # a PUT's are the same
}
OF_THE_BACK_END = {name: body for name, body in BODIES.items() if "/promocodes/" in name}
OF_A_SHOP = {name: body for name, body in BODIES.items() if "/webhooks/" in name}


def spelled(example: Any) -> str:
    """An example as it is sent: JSON is in the document as data."""
    return example if isinstance(example, str) else json.dumps(example)


def timeless(message: Any) -> str:
    """A message without the moments in it, which are those of the test."""
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "(a moment)", spelled(message))


def has_ended(api: Api, path: str) -> bool:
    """Whether an export does not run any more."""
    return bool(api.get(path).json()["status"] != "running")


@pytest.mark.parametrize(("operation", "media_type"), OF_THE_BACK_END.values(), ids=OF_THE_BACK_END)
def test_an_example_of_a_request_gets_the_answer_that_is_shown(
    api: Api, altcraft: Emulator, operation: Operation, media_type: str
) -> None:
    altcraft.programs.add(5, *CODES, attached=True)
    altcraft.programs.add(6, *CODES)
    (status,) = [status for status in operation.responses if status < 300]
    for example in examples(operation.request["content"][media_type]):
        formats = {"Content-Type": media_type, "Accept": media_type}
        response = api.post(operation.path, spelled(example), **formats)
        assert response.status_code == status, response.text
        if status == 202:
            wait_until(partial(has_ended, api, response.headers["Location"].removeprefix(api.url)))
        else:
            (shown,) = examples(operation.responses[status]["content"][media_type])
            assert timeless(response.text if isinstance(shown, str) else response.json()) == timeless(shown)


@pytest.mark.parametrize(("operation", "media_type"), OF_A_SHOP.values(), ids=OF_A_SHOP)
def test_an_example_of_a_delivery_is_accepted_by_the_source_that_it_names(
    api: Api, altcraft: Emulator, operation: Operation, media_type: str
) -> None:
    altcraft.programs.add(5, *CODES, attached=True)
    sources = parse(SOURCES.read_text()).sources
    shown = operation.request["content"][media_type]["examples"]
    for source, example in shown.items():
        body = spelled(example["value"]).encode()
        delivery = sign(sources[source], body, media_type, delivery_id=f"msg_{source}", now=time.time())
        path = operation.path.format(source=source)
        response = api.send(operation.method, path, delivery.body, delivery.headers, delivery.query)
        assert (response.status_code, response.json()) == (200, {"accepted": 1})
    assert altcraft.programs.wait_for_activations(lambda activated: len(activated) == len(shown), 30)
