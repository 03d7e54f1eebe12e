"""What reaches no entry point's code: a method or a path that a function does not have."""

import json
from typing import Any

import pytest

import activate.app
import export_all.app
from tests.integration.export_process import context

HANDLERS: dict[str, Any] = {"activate": activate.app.handler, "export_all": export_all.app.handler}


@pytest.mark.parametrize("function", HANDLERS)
@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD"])
def test_given_a_method_that_a_route_does_not_have_then_it_is_404_and_nothing_is_begun(
    function: str, method: str
) -> None:
    resource = "/promocodes/activate" if function == "activate" else "/promocodes/export_all"
    event = {"httpMethod": method, "resource": resource, "headers": {}, "body": '{"loyalty_id": 6}'}

    answer = HANDLERS[function](event, context("1"))

    assert answer["statusCode"] == 404
    assert json.loads(answer["body"])["type"].endswith(":no_such_route")
