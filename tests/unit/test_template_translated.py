"""cfn-lint over the template that CloudFormation processes: after SAM's transform, and only the resources of a parameter set.

cfn-lint over the source alone does not see what the transform adds: a rollout's references, a stage's dependencies.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest
from cfnlint.api import lint

from tests.unit.synthesis import EVERYTHING, LEAST, document, synthesise

pytestmark = pytest.mark.long

SETS: Final[Mapping[str, Mapping[str, str]]] = {
    "defaults": LEAST,
    "gradual rollout": LEAST | {"GradualRollout": "true"},
    "access logs by the account's role": LEAST | {"AccessLogs": "on"},
    "no access logs": LEAST | {"AccessLogs": "off"},
    "VPC": LEAST | {name: EVERYTHING[name] for name in ("SubnetIds", "SecurityGroupIds")},
    "events": LEAST | {"EventBusName": "default"},
    "everything": EVERYTHING,
}

UNUSED_PARAMETER: Final = "W2001"
"""The warning about a parameter that only conditions use: conditions are resolved before."""


def _faults(template: Mapping[str, Any]) -> list[str]:
    return [
        f"{match.rule.id} {match.message} at {'/'.join(map(str, getattr(match, 'path', [])))}"
        for match in lint(json.dumps(template))
        if match.rule.id != UNUSED_PARAMETER
    ]


@pytest.mark.parametrize("parameters", SETS.values(), ids=SETS)
def test_given_a_set_of_parameters_then_cloudformation_finds_no_fault(parameters: Mapping[str, str]) -> None:
    assert _faults(synthesise(parameters).deployed) == []


def test_given_a_circular_or_a_missing_reference_then_it_is_found() -> None:
    broken = json.loads(json.dumps(synthesise(LEAST | {"AccessLogs": "off", "GradualRollout": "true"}).deployed))
    resources = broken["Resources"]
    resources["WebhookLatencyAlarm"]["Properties"]["Dimensions"].append(
        {"Name": "Stage", "Value": {"Ref": "Apiv1Stage"}}
    )
    resources["Api"]["DependsOn"] = ["ApiLogsAccount"]

    found = {fault.partition(" ")[0] for fault in _faults(broken)}

    assert found == {"E3004", "E3005"}


def test_given_the_accounts_role_for_access_logs_then_the_stage_waits_for_it() -> None:
    stage = synthesise(LEAST).deployed["Resources"]["Apiv1Stage"]

    assert {"Ref": "ApiLogsAccount"} in stage["Properties"]["AccessLogSetting"]["DestinationArn"]["Fn::Select"][1]


def test_given_the_alarm_of_a_rollout_then_it_watches_the_stage_there_is() -> None:
    alarm = synthesise(LEAST).of("AWS::CloudWatch::Alarm")["WebhookLatencyAlarm"]

    watched = {dimension["Name"]: dimension["Value"] for dimension in alarm["Dimensions"]}

    assert watched["Stage"] == document()["Resources"]["Api"]["Properties"]["StageName"]
