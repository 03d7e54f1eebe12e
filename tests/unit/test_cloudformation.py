"""How the tests read the template: CloudFormation's functions, and what is no template."""

from pathlib import Path
from typing import Any

import pytest

from local.template import TemplateError, read
from tests.unit.cloudformation import Template

SAM = """
Parameters:
  Stage: {Type: String, Default: dev}
  Size: {Type: Number, Default: 10}
  Url: {Type: String}
Mappings:
  Sizes:
    dev: {memory: 256}
    prod: {memory: 1024}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
  IsDev: !Not [!Condition IsProd]
  Either: !Or [!Condition IsProd, !Equals [!Ref Size, "10"]]
  Both: !And [!Condition IsProd, !Condition Either]
Resources:
  Queue: {Type: AWS::SQS::Queue}
  OnlyProd: {Type: AWS::SQS::Queue, Condition: IsProd}
"""


class Piece:
    """Resolves pieces of YAML as if they stood in the template above."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "template.yaml"

    def document(self, piece: str = "null") -> dict[str, Any]:
        self._path.write_text(f"{SAM}\nPiece: {piece}\n")
        return read(self._path)

    def template(self, **parameters: str) -> Template:
        return Template(self.document(), {"Url": "http://altcraft", **parameters}, lookup)

    def resolve(self, piece: str, **parameters: str) -> Any:
        document = self.document(piece)
        return Template(document, {"Url": "http://altcraft", **parameters}, lookup).resolve(document["Piece"])


def lookup(logical_id: str, attribute: str | None) -> str:
    return f"<{logical_id}.{attribute}>" if attribute else f"<{logical_id}>"


@pytest.fixture
def sam(tmp_path: Path) -> Piece:
    return Piece(tmp_path)


@pytest.mark.parametrize(
    ("piece", "resolved"),
    [
        ("!Ref Stage", "dev"),
        ("{Ref: Size}", "10"),
        ("!Ref Queue", "<Queue>"),
        ("!GetAtt Queue.Arn", "<Queue.Arn>"),
        ("{Fn::GetAtt: [Queue, Arn]}", "<Queue.Arn>"),
        ("!Ref AWS::Region", "eu-central-1"),
        ("!Sub '${Stage}-${Queue}-${Queue.Arn}-${!literal}'", "dev-<Queue>-<Queue.Arn>-${literal}"),
        ("!Sub ['${a}/${Stage}', {a: !Ref Size}]", "10/dev"),
        ("!Join ['-', [a, !Ref Stage, 7]]", "a-dev-7"),
        ("!Split [',', 'a,b']", ["a", "b"]),
        ("!Select [1, !Split [',', 'a,b']]", "b"),
        ("!Base64 ü", "w7w="),
        ("!FindInMap [Sizes, !Ref Stage, memory]", 256),
        ("!If [IsProd, big, small]", "small"),
        ("{a: !If [IsProd, 1, !Ref AWS::NoValue], b: [!Ref AWS::NoValue, 2]}", {"b": [2]}),
        ("[!Equals [1, '1'], !Equals [true, 'true'], !Equals [a, b]]", [True, True, False]),
        (
            "{Condition: {Bool: {aws:SecureTransport: 'false'}}}",
            {"Condition": {"Bool": {"aws:SecureTransport": "false"}}},
        ),
    ],
)
def test_a_function_is_resolved(sam: Piece, piece: str, resolved: object) -> None:
    assert sam.resolve(piece) == resolved


@pytest.mark.parametrize(
    ("stage", "size", "holding"),
    [("dev", "10", {"IsDev", "Either"}), ("dev", "9", {"IsDev"}), ("prod", "9", {"IsProd", "Either", "Both"})],
)
def test_conditions_follow_the_parameters(sam: Piece, stage: str, size: str, holding: set[str]) -> None:
    template = sam.template(Stage=stage, Size=size)
    assert {name for name in ("IsProd", "IsDev", "Either", "Both") if template.condition(name)} == holding
    assert ("OnlyProd" in template.resources) == (stage == "prod")


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        ("!Ref Nothing", "there is no parameter or resource Nothing"),
        ("!Ref OnlyProd", "OnlyProd, or its condition does not hold"),
        ("!Sub '${Nothing}'", "Nothing"),
        ("!If [Nothing, 1, 2]", "there is no condition Nothing"),
        ("!FindInMap [Sizes, test, memory]", "there is no test"),
        ("!ImportValue x", "Fn::ImportValue is not understood here"),
    ],
)
def test_what_cannot_be_resolved_is_named(sam: Piece, piece: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        sam.resolve(piece)


def test_a_parameter_without_a_value_is_named_when_it_is_needed(sam: Piece) -> None:
    template = Template(sam.document(), {}, lookup)
    assert template.resolve({"Ref": "Stage"}) == "dev"
    with pytest.raises(TemplateError, match="the parameter Url has no default"):
        template.resolve({"Ref": "Url"})


def test_a_value_for_a_parameter_that_is_not_there_is_refused(sam: Piece) -> None:
    with pytest.raises(TemplateError, match="no parameter Sise"):
        sam.template(Sise="1")


@pytest.mark.parametrize("text", ["", "[]", "Outputs: {}", "a: [", "a: !Sub {"])
def test_a_file_that_is_no_template_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(text)
    with pytest.raises(TemplateError, match=r"template\.yaml"):
        read(path)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"none\.yaml"):
        read(tmp_path / "none.yaml")
