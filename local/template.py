"""A SAM template file, read."""

from pathlib import Path
from typing import Any

import yaml


class TemplateError(Exception):
    """The file is no template; the message names it."""


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
