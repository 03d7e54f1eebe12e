"""CloudFormation's language, as far as an application's own template speaks it: parameters, conditions, intrinsic functions.

Source: AWS CloudFormation User Guide, "Intrinsic function reference" and "Pseudo parameters reference".
"""

import base64
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import yaml

from local.engine import ACCOUNT, REGION

NO_VALUE = object()

# Returns what `!Ref` (attribute None) or `!GetAtt` gives for a resource.
Lookup = Callable[[str, str | None], str]


class TemplateError(Exception):
    """The template says something this stack cannot follow; the message names where."""


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags, each read as its long form."""

    def intrinsic(self, suffix: str, node: yaml.Node) -> dict[str, Any]:
        """Read `!Sub x` as `{"Fn::Sub": x}`."""
        value: Any
        if isinstance(node, yaml.MappingNode):
            value = self.construct_mapping(node, deep=True)
        elif isinstance(node, yaml.SequenceNode):
            value = self.construct_sequence(node, deep=True)
        else:
            value = node.value
        return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _Loader.intrinsic)


def read(path: Path) -> dict[str, Any]:
    """Read a template file. Raises TemplateError where it is missing or not a YAML mapping."""
    try:
        # The loader is a SafeLoader with CloudFormation's tags.
        document = yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506
    except (OSError, yaml.YAMLError) as error:
        raise TemplateError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict) or "Resources" not in document:
        raise TemplateError(f"{path} is not a CloudFormation template: it has no Resources")
    return document


class Template:
    """A template with its parameters given values; resolves any part of it to plain data.

    `parameters` override the defaults; one without either is an error as soon as it is needed. `lookup` is asked for
    the resources' physical names.
    """

    def __init__(
        self, document: Mapping[str, Any], parameters: Mapping[str, str], lookup: Lookup, stack_name: str = "local"
    ) -> None:
        declared = document.get("Parameters", {})
        if unknown := parameters.keys() - declared.keys():
            raise TemplateError(f"the template has no parameter {', '.join(sorted(unknown))}")
        defaults = {name: one["Default"] for name, one in declared.items() if "Default" in one}
        stack_id = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{stack_name}/00000000-0000-0000-0000-000000000000"
        self._values: dict[str, Any] = {
            "AWS::AccountId": ACCOUNT,
            "AWS::NoValue": NO_VALUE,
            "AWS::Partition": "aws",
            "AWS::Region": REGION,
            "AWS::StackId": stack_id,
            "AWS::StackName": stack_name,
            "AWS::URLSuffix": "amazonaws.com",
            **{name: _text(value) for name, value in {**defaults, **parameters}.items()},
        }
        self._declared = declared
        self._conditions = document.get("Conditions", {})
        self._mappings = document.get("Mappings", {})
        self._lookup = lookup
        self.resources: dict[str, dict[str, Any]] = {
            name: resource
            for name, resource in document["Resources"].items()
            if self.condition(resource.get("Condition"))
        }

    def properties(self, logical_id: str) -> dict[str, Any]:
        """Return a resource's properties as they are written, unresolved."""
        return dict(self.resources[logical_id].get("Properties") or {})

    def condition(self, name: str | None) -> bool:
        """Tell whether a named condition holds; no name always does."""
        if name is None:
            return True
        if name not in self._conditions:
            raise TemplateError(f"there is no condition {name}")
        return bool(self.resolve(self._conditions[name]))

    def resolve(self, node: Any) -> Any:
        """Resolve every intrinsic function in `node`; what comes to AWS::NoValue is left out. Raises TemplateError."""
        if isinstance(node, Mapping):
            if len(node) == 1:
                (name, argument), *_ = node.items()
                # A policy's statement has a Condition too, which is no name.
                named = name != "Condition" or isinstance(argument, str)
                if named and (intrinsic := self._INTRINSICS.get(name)):
                    return intrinsic(self, argument)
                if str(name).startswith("Fn::"):
                    raise TemplateError(f"{name} is not understood here")
            resolved = {key: self.resolve(value) for key, value in node.items()}
            return {key: value for key, value in resolved.items() if value is not NO_VALUE}
        if isinstance(node, list):
            return [value for value in map(self.resolve, node) if value is not NO_VALUE]
        return node

    # --- the intrinsic functions -------------------------------------------------------------------------------------

    def _ref(self, name: str) -> Any:
        if name in self._values:
            return self._values[name]
        if name in self._declared:
            raise TemplateError(f"the parameter {name} has no default and was given no value")
        return self._of_resource(name, None)

    def _get_att(self, argument: str | list[str]) -> str:
        name, _, attribute = (argument if isinstance(argument, str) else ".".join(argument)).partition(".")
        return self._of_resource(name, attribute)

    def _of_resource(self, name: str, attribute: str | None) -> str:
        if name not in self.resources:
            raise TemplateError(f"there is no parameter or resource {name}, or its condition does not hold")
        return self._lookup(name, attribute)

    def _sub(self, argument: str | list[Any]) -> str:
        text, extra = (argument, {}) if isinstance(argument, str) else argument
        variables = self.resolve(extra)

        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in variables:
                return _text(variables[name])
            return _text(self._get_att(name) if "." in name else self._ref(name))

        return re.sub(r"\$\{([^}]+)\}", value, text)

    def _if(self, argument: list[Any]) -> Any:
        name, then, otherwise = argument
        return self.resolve(then if self.condition(name) else otherwise)

    def _find_in_map(self, argument: list[Any]) -> Any:
        node: Any = self._mappings
        for key in map(self.resolve, argument):
            if key not in node:
                raise TemplateError(f"Fn::FindInMap {argument}: there is no {key}")
            node = node[key]
        return node

    def _join(self, argument: list[Any]) -> str:
        return str(argument[0]).join(map(_text, self.resolve(argument[1])))

    def _split(self, argument: list[Any]) -> list[str]:
        return _text(self.resolve(argument[1])).split(argument[0])

    def _select(self, argument: list[Any]) -> Any:
        return self.resolve(argument[1])[int(self.resolve(argument[0]))]

    def _base64(self, argument: Any) -> str:
        return base64.b64encode(_text(self.resolve(argument)).encode()).decode()

    def _equals(self, argument: list[Any]) -> bool:
        left, right = map(self.resolve, argument)
        return _text(left) == _text(right)

    def _and(self, argument: list[Any]) -> bool:
        return all(map(self.resolve, argument))

    def _or(self, argument: list[Any]) -> bool:
        return any(map(self.resolve, argument))

    def _not(self, argument: list[Any]) -> bool:
        return not self.resolve(argument[0])

    _INTRINSICS: ClassVar[Mapping[str, Callable[["Template", Any], Any]]] = {
        "Ref": _ref,
        "Condition": condition,
        "Fn::And": _and,
        "Fn::Base64": _base64,
        "Fn::Equals": _equals,
        "Fn::FindInMap": _find_in_map,
        "Fn::GetAtt": _get_att,
        "Fn::If": _if,
        "Fn::Join": _join,
        "Fn::Not": _not,
        "Fn::Or": _or,
        "Fn::Select": _select,
        "Fn::Split": _split,
        "Fn::Sub": _sub,
    }


def _text(value: Any) -> str:
    """Write a scalar as CloudFormation does."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
