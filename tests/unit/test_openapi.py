"""The description of the API says what the template, the code and the samples say."""

from pathlib import Path
from typing import Any

import pytest

from local.answers import Answer, Told, answers, read
from local.openapi import DOCUMENT, TEMPLATE, Undescribed, describe, spelled
from tests.description import COMMITTED, SCHEMAS, conforms, operations


def test_the_committed_description_is_the_generated_one() -> None:
    assert DOCUMENT.read_text() == spelled(describe()), "run `make openapi` and commit docs/openapi.yaml"


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_one(name: str) -> None:
    assert not conforms([], {"$ref": f"#/components/schemas/{name}"})


def test_api_keys_are_needed_where_a_source_has_no_signature() -> None:
    for path, methods in COMMITTED["paths"].items():
        for operation in methods.values():
            assert operation["security"] == ([{"key": []}] if path.startswith("/promocodes/") else [])


@pytest.mark.parametrize(("name", "operation"), list(operations()))
def test_json_examples_fit_their_schemas(name: str, operation: dict[str, Any]) -> None:
    bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
    for body in bodies:
        media_type = body.get("content", {}).get("application/json", {})
        examples = [one["value"] for one in media_type.get("examples", {}).values()]
        examples += [media_type["example"]] if "example" in media_type else []
        for example in examples:
            assert conforms(example, media_type["schema"]), (name, example)


def test_a_schema_refuses_what_does_not_fit() -> None:
    activation = {"$ref": "#/components/schemas/Activation"}
    assert conforms({"code": "Code-1", "loyalty_id": 5}, activation)
    assert not conforms({"code": "Code-1", "loyalty_id": "five"}, activation)


def test_a_new_answer_without_a_place_is_noticed() -> None:
    with pytest.raises(Undescribed, match=r"activate\.strange\.door"):
        describe(found=[*answers(), Answer("activate.strange.door", 299)])


def test_a_place_whose_code_is_gone_is_noticed() -> None:
    with pytest.raises(Undescribed, match=r"activate\.intake\._challenge"):
        describe(found=[answer for answer in answers() if answer.where != "activate.intake._challenge"])


def test_a_new_problem_is_in_the_description() -> None:
    new = Told("activate.intake._challenge", 418, slug="teapot", title="A teapot")
    responses = describe(found=[*answers(), new])["paths"]["/webhooks/{source}"]["get"]["responses"]
    assert "`teapot`" in responses["418"]["description"]


def test_a_problem_of_a_computed_name_wants_to_know_which() -> None:
    with pytest.raises(Undescribed, match="computes"):
        describe(found=[*answers(), Told("activate.intake._challenge", 418, title="A teapot")])


@pytest.mark.parametrize(
    ("written", "instead", "noticed"),
    [
        ("/promocodes/activate,", "/promocodes/deactivate,", "POST /promocodes/deactivate"),
        ("        THROTTLED:", "        ACCESS_DENIED:", "ACCESS_DENIED"),
    ],
)
def test_what_is_new_in_the_template_is_noticed(tmp_path: Path, written: str, instead: str, noticed: str) -> None:
    template = TEMPLATE.read_text()
    assert written in template
    changed = tmp_path / "template.yaml"
    changed.write_text(template.replace(written, instead))
    with pytest.raises(Undescribed, match=noticed):
        describe(changed)


SOURCE = """
class Door:
    def take(self, request):
        if request.body:
            raise Problem(HTTPStatus.CONFLICT, "taken", "It is taken", f"by {request}",
                          retryable=True, headers={"Retry-After": "1"})
        return reply(request, HTTPStatus.CREATED, {}, {"Location": "/x"})

def plain(request, status, slug):
    if status:
        raise Problem(status, slug, "Computed", "")
    return proxy_response(204, "", "text/plain")
"""


def test_answers_are_read_from_source() -> None:
    assert read(SOURCE, "shop") == [
        Told(
            "shop.Door.take",
            409,
            frozenset({"Retry-After"}),
            slug="taken",
            title="It is taken",
            detail=None,
            retryable=True,
        ),
        Answer("shop.Door.take", 201, frozenset({"Location"})),
        Told("shop.plain", None, title="Computed", detail=""),
        Answer("shop.plain", 204),
    ]


def test_a_problem_in_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shop\.door, line 2"):
        read("def door():\n    raise Problem(status=404, slug='x', title='y', detail='z')", "shop")
