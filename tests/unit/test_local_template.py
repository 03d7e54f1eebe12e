"""The template reader: CloudFormation's functions, and what a SAM template says of its application."""

from pathlib import Path
from typing import Any

import pytest

from local.application import Application, Function, GatewayResponse, QueueSource, Route, Schedule, path_pattern
from local.template import Template, TemplateError, read

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
Globals:
  Function:
    Timeout: 7
    Environment:
      Variables: {COMMON: !Ref Stage, OVERRIDDEN: global}
Resources:
  Queue: {Type: AWS::SQS::Queue}
  OnlyProd: {Type: AWS::SQS::Queue, Condition: IsProd}
  Topic: {Type: AWS::SNS::Topic}
  Api:
    Type: AWS::Serverless::Api
    Properties:
      StageName: v1
      Auth: {ApiKeyRequired: true}
      GatewayResponses:
        THROTTLED:
          StatusCode: "429"
          ResponseParameters: {Headers: {Retry-After: "'1'"}}
          ResponseTemplates: {application/json: "slow down"}
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.handler
      MemorySize: !FindInMap [Sizes, !Ref Stage, memory]
      Environment:
        Variables: {OVERRIDDEN: own, URL: !Ref Url, FLAG: true, NONE: !If [IsProd, x, !Ref AWS::NoValue]}
      EventInvokeConfig:
        MaximumRetryAttempts: 1
        DestinationConfig: {OnFailure: {Destination: !Ref Topic}}
      Events:
        Order: {Type: Api, Properties: {RestApiId: !Ref Api, Path: "/orders/{id}", Method: post}}
        Hook: {Type: Api, Properties: {RestApiId: !Ref Api, Path: /hook, Method: GET, Auth: {ApiKeyRequired: false}}}
        Feed:
          Type: SQS
          Properties:
            Queue: !GetAtt Queue.Arn
            BatchSize: 5
            FunctionResponseTypes: [ReportBatchItemFailures]
            ScalingConfig: {MaximumConcurrency: !Ref Size}
        Nightly:
          Type: ScheduleV2
          Properties: {ScheduleExpression: rate(1 day), Input: !Sub '{"stage": "${Stage}"}'}
  Weekly:
    Type: AWS::Scheduler::Schedule
    Properties:
      ScheduleExpression: rate(7 days)
      Target: {Arn: !GetAtt Worker.Arn, RoleArn: !GetAtt Role.Arn, Input: "{}"}
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

    def application(self, **parameters: str) -> Application:
        return Application(self.template(**parameters), self.document()["Globals"])


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


# --- the application -------------------------------------------------------------------------------------------------------


def test_a_function_is_its_own_properties_over_the_globals(sam: Piece) -> None:
    assert sam.application().function("Worker") == Function(
        logical_id="Worker",
        name="<Worker>",
        handler="app.handler",
        timeout_seconds=7,
        memory_mb=256,
        retries=1,
        environment={"COMMON": "dev", "OVERRIDDEN": "own", "URL": "http://altcraft", "FLAG": "true"},
    )


def test_routes_take_the_apis_key_unless_they_say_otherwise(sam: Piece) -> None:
    assert sam.application().routes() == [
        Route("POST", "/orders/{id}", "Worker", api_key_required=True),
        Route("GET", "/hook", "Worker", api_key_required=False),
    ]


def test_the_apis_own_answers_are_read(sam: Piece) -> None:
    assert sam.application().gateway_responses() == {
        "THROTTLED": GatewayResponse(429, {"Retry-After": "1"}, "slow down")
    }


def test_a_queue_that_feeds_a_function_is_read(sam: Piece) -> None:
    assert sam.application().queue_sources() == [
        QueueSource("<Queue.Arn>", "Worker", 5, 10, reports_item_failures=True)
    ]


def test_schedules_are_read_from_functions_and_resources(sam: Piece) -> None:
    assert sam.application().schedules() == [
        Schedule("Worker", "Worker", "rate(1 day)", '{"stage": "dev"}'),
        Schedule("Weekly", "Worker", "rate(7 days)", "{}"),
    ]


def test_a_function_without_a_handler_is_named(sam: Piece) -> None:
    document = sam.document()
    del document["Resources"]["Worker"]["Properties"]["Handler"]
    with pytest.raises(TemplateError, match="Worker names no Handler"):
        Application(Template(document, {"Url": "x"}, lookup), {}).function("Worker")


def test_a_schedule_of_something_else_is_named(sam: Piece) -> None:
    document = sam.document()
    document["Resources"]["Weekly"]["Properties"]["Target"]["Arn"] = {"Fn::GetAtt": "Queue.Arn"}
    with pytest.raises(TemplateError, match="Weekly has a target that is not a function"):
        Application(Template(document, {"Url": "x"}, lookup), {}).schedules()


@pytest.mark.parametrize(
    ("resource", "path", "variables"),
    [
        ("/a.b", "/a.b", {}),
        ("/a.b", "/axb", None),
        ("/a/{b}", "/a/x%2Fy", {"b": "x%2Fy"}),
        ("/a/{b}", "/a/", None),
        ("/a/{b}/c", "/a/1/2/c", None),
        ("/a/{rest+}", "/a/1/2/c", {"rest": "1/2/c"}),
    ],
)
def test_a_resource_matches_its_paths(resource: str, path: str, variables: dict[str, str] | None) -> None:
    match = path_pattern(resource).fullmatch(path)
    assert (match and match.groupdict()) == variables
