"""template.yaml as CloudFormation would have it: SAM's transform carried out, conditions and references resolved."""

import re
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from local.engine import ACCOUNT, REGION
from local.template import read
from tests.unit import cloudformation as template

TEMPLATE = Path(__file__).parents[2] / "template.yaml"

LEAST = {"AltcraftUrl": "https://altcraft.example.com"}

EVERYTHING = LEAST | {
    "AltcraftSecretArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:of-the-operator",
    "SubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
    "SecurityGroupIds": "sg-0123456789abcdef0",
    "ActivateReservedConcurrency": "20",
    "ShopifyEventSource": "aws.partner/shopify.com/123/shop",
    "QueueSenderArn": "arn:aws:iam::123456789012:user/saleor",
    "LoyaltyIds": "5,6",
    "EventBusName": "shop-events",
    "ExportPrefix": "crm/",
    "ExportRetentionDays": "400",
    "ExportReservedConcurrency": "2",
    "ParquetLayerArn": "arn:aws:lambda:eu-west-1:123456789012:layer:pyarrow:1",
    "Analytics": "true",
    "WebAcl": "create",
    "KmsKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/0123abcd",
    "AlarmEmail": "operator@example.com",
    "WatchedSource": "eu-shop",
    "Tracing": "true",
    "SnapStart": "PublishedVersions",
    "GradualRollout": "true",
}
"""Every optional part switched on."""

_REF_IS_ARN = {"AWS::SNS::Topic", "AWS::SecretsManager::Secret"}


def document() -> dict[str, Any]:
    """The template as it is written, its short tags in their long form."""
    return read(TEMPLATE)


class Stack:
    """The resources that one set of parameters makes, each plain data. A resource's ARN is `arn:` and its logical id."""

    def __init__(self, parameters: Mapping[str, str], layer: str = "s3://bucket/layer") -> None:
        source = document()
        # What `sam deploy` uploads has an address by the time of the transform.
        source["Globals"]["Function"]["CodeUri"] = "s3://bucket/code"
        source["Resources"]["AltcraftLayer"]["Properties"]["ContentUri"] = layer
        session = boto3.session.Session(region_name=REGION)
        translated = Translator({}, Parser(), boto_session=session).translate(source, dict(parameters))
        self._template = template.Template(translated, parameters, self._name)
        self._document = translated

    def _name(self, logical_id: str, attribute: str | None) -> str:
        resource = self._document["Resources"][logical_id]
        kind = resource["Type"]
        if kind == "AWS::Lambda::Alias":  # the one ARN that the template takes apart
            named = resource["Properties"]
            return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{named['FunctionName']['Ref']}:{named['Name']}"
        if attribute == "StreamArn":
            return f"arn:{logical_id}/stream/1"
        return f"arn:{logical_id}" if attribute == "Arn" or (attribute is None and kind in _REF_IS_ARN) else logical_id

    @cached_property
    def resources(self) -> dict[str, dict[str, Any]]:
        """The resources whose conditions hold, by logical id, resolved."""
        return {
            name: {**resource, "Properties": self._template.resolve(resource.get("Properties") or {})}
            for name, resource in self._template.resources.items()
        }

    @cached_property
    def deployed(self) -> dict[str, Any]:
        """The translated template with its conditions carried out and each parameter's value in its place.

        References between resources stay, so that this is what CloudFormation has to bring into an order.
        """
        parts = {
            part: {
                name: {key: value for key, value in one.items() if key != "Condition"}
                for name, one in self._document[part].items()
                if self._template.condition(one.get("Condition"))
            }
            for part in ("Resources", "Outputs")
        }
        return {
            "AWSTemplateFormatVersion": self._document["AWSTemplateFormatVersion"],
            "Parameters": self._document["Parameters"],
            **{part: self._decided(written) for part, written in parts.items()},
        }

    def _decided(self, node: Any) -> Any:
        """A part of the template in which nothing is left to the parameters."""
        if isinstance(node, Mapping):
            if node.keys() == {"Fn::If"}:
                name, then, otherwise = node["Fn::If"]
                return self._decided(then if self._template.condition(name) else otherwise)
            if node.keys() == {"Ref"} and node["Ref"] in {*self._document["Parameters"], "AWS::NoValue"}:
                return self._template.resolve(node)
            decided = {key: self._decided(value) for key, value in node.items()}
            return {key: value for key, value in decided.items() if value is not template.NO_VALUE}
        if isinstance(node, list):
            return [value for value in map(self._decided, node) if value is not template.NO_VALUE]
        return node

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """The properties of the resources of a type, by logical id."""
        return {name: one["Properties"] for name, one in self.resources.items() if one["Type"] == kind}

    def statements(self, role: str) -> Iterator[dict[str, Any]]:
        """What a role's own policies say, and those attached to it."""
        policies = list(self.of("AWS::IAM::Role")[role].get("Policies", []))
        policies += [policy for policy in self.of("AWS::IAM::Policy").values() if role in policy["Roles"]]
        for policy in policies:
            yield from policy["PolicyDocument"]["Statement"]

    def allows(self, role: str, action: str, resource: str) -> bool:
        """Whether a role may do this. Conditions are taken to hold; nothing here is granted by a resource's own policy."""
        matching = [
            statement["Effect"]
            for statement in self.statements(role)
            if _matches(statement["Action"], action) and _matches(statement["Resource"], resource)
        ]
        return "Allow" in matching and "Deny" not in matching


@cache
def _synthesised(parameters: frozenset[tuple[str, str]], layer: str) -> Stack:
    return Stack(dict(parameters), layer)


def synthesise(parameters: Mapping[str, str], layer: str = "s3://bucket/layer") -> Stack:
    """The stack that these parameters make."""
    return _synthesised(frozenset(parameters.items()), layer)


def as_list(value: Any) -> list[Any]:
    """A policy writes a list of one as its only member."""
    return value if isinstance(value, list) else [value]


def _matches(patterns: Any, text: str) -> bool:
    """Whether one of a policy's patterns, where `*` is anything, fits a text."""
    return any(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), text) for pattern in as_list(patterns))
