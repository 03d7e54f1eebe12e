"""A person's permissions to deploy the stack, `.github/deployer-policy.json`, against the template and the workflow's role."""

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import cfnlint
import pytest

from local.template import read
from tests.unit.synthesis import EVERYTHING, LEAST, as_list, synthesise

ROOT = Path(__file__).parents[2]
POLICY = json.loads((ROOT / ".github" / "deployer-policy.json").read_text(encoding="utf-8"))
ROLE = read(ROOT / ".github" / "deploy-role.yaml")
STACK = ROLE["Parameters"]["StackName"]["Default"]


def statements() -> dict[str, Any]:
    return {one["Sid"]: one for one in POLICY["Statement"]}


def may(action: str, arn: str) -> bool:
    """Whether the policy allows an action on a resource."""
    return any(
        any(fnmatchcase(action, pattern) for pattern in as_list(one["Action"]))
        and any(fnmatchcase(arn, pattern) for pattern in as_list(one["Resource"]))
        for one in POLICY["Statement"]
    )


def test_it_has_the_form_and_the_size_of_a_policy() -> None:
    # "IAM and AWS STS quotas": a managed policy has at most 6,144 characters without white space.
    assert len(re.sub(r"\s", "", json.dumps(POLICY))) <= 6_144
    assert POLICY["Version"] == "2012-10-17"
    assert {one["Effect"] for one in POLICY["Statement"]} == {"Allow"}
    assert "*" not in {action for one in POLICY["Statement"] for action in as_list(one["Action"])}


def test_its_actions_are_actions_of_aws() -> None:
    known = json.loads((Path(cfnlint.__file__).parent / "data/AdditionalSpecs/Policies.json").read_text())
    for action in (action for one in POLICY["Statement"] for action in as_list(one["Action"])):
        service, _, name = action.partition(":")
        assert service in known, action
        assert name == "*" or name.lower() in {one.lower() for one in known[service]["Actions"]}, action


def test_of_iam_it_allows_what_the_role_of_the_workflow_does_and_no_more() -> None:
    (policy,) = ROLE["Resources"]["DeployRole"]["Properties"]["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    ours = statements()["RolesOfTheStack"]
    resource = statement["Resource"]["Fn::Sub"]
    for name, value in {"AWS::Partition": "aws", "AWS::AccountId": "*", "StackName": STACK}.items():
        resource = resource.replace(f"${{{name}}}", value)
    assert (ours["Action"], ours["Resource"]) == (statement["Action"], resource)
    elsewhere = [one for one in POLICY["Statement"] if one is not ours]
    assert not [action for one in elsewhere for action in as_list(one["Action"]) if action.startswith("iam:")]


@pytest.mark.parametrize("parameters", [LEAST, EVERYTHING], ids=["least", "everything"])
def test_it_covers_every_service_of_which_the_template_has_a_resource(parameters: dict[str, str]) -> None:
    services = {one["Type"].split("::")[1].lower() for one in synthesise(parameters).deployed["Resources"].values()}
    allowed = {action.partition(":")[0] for one in POLICY["Statement"] for action in as_list(one["Action"])}
    assert {"lambda", "sqs", "iam"} <= services
    assert services <= allowed


@pytest.mark.parametrize(
    ("action", "arn"),
    [
        ("cloudformation:CreateChangeSet", f"arn:aws:cloudformation:eu-west-1:123456789012:stack/{STACK}/1-2"),
        ("cloudformation:CreateChangeSet", "arn:aws:cloudformation:eu-west-1:aws:transform/Serverless-2016-10-31"),
        ("s3:PutObject", "arn:aws:s3:::aws-sam-cli-managed-default-samclisourcebucket-1a/function"),
        ("s3:CreateBucket", f"arn:aws:s3:::{STACK}-exportbucket-1a"),
        ("dynamodb:CreateTable", f"arn:aws:dynamodb:eu-west-1:123456789012:table/{STACK}-RedemptionsTable-1A"),
        ("lambda:CreateFunction", f"arn:aws:lambda:eu-west-1:123456789012:function:{STACK}-ActivateFunction-1A"),
        ("sqs:CreateQueue", f"arn:aws:sqs:eu-west-1:123456789012:{STACK}-DeadLetterQueue-1A"),
        ("sqs:CreateQueue", "arn:aws:sqs:eu-west-1:123456789012:altcraft-activation-1-2"),
        ("sns:CreateTopic", f"arn:aws:sns:eu-west-1:123456789012:{STACK}-AlarmTopic-1A"),
        ("secretsmanager:PutSecretValue", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:AltcraftSecret-1a-2b"),
        (
            "scheduler:CreateSchedule",
            f"arn:aws:scheduler:eu-west-1:123456789012:schedule/default/{STACK}-ExportSche-1A",
        ),
        ("iam:CreateRole", f"arn:aws:iam::123456789012:role/{STACK}-ActivateRole-1A"),
    ],
)
def test_it_allows_the_parts_of_the_stack(action: str, arn: str) -> None:
    assert may(action, arn)


@pytest.mark.parametrize(
    ("action", "arn"),
    [
        ("cloudformation:DeleteStack", "arn:aws:cloudformation:eu-west-1:123456789012:stack/another/1-2"),
        ("s3:GetObject", "arn:aws:s3:::another/object"),
        ("dynamodb:DeleteTable", "arn:aws:dynamodb:eu-west-1:123456789012:table/another"),
        ("lambda:UpdateFunctionCode", "arn:aws:lambda:eu-west-1:123456789012:function:another"),
        ("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:another-1a"),
        ("sqs:ReceiveMessage", "arn:aws:sqs:eu-west-1:123456789012:another"),
        ("iam:CreateRole", "arn:aws:iam::123456789012:role/another"),
        ("iam:CreateUser", "arn:aws:iam::123456789012:user/another"),
        ("ec2:RunInstances", "*"),
    ],
)
def test_it_does_not_allow_what_is_another_s(action: str, arn: str) -> None:
    assert not may(action, arn)
