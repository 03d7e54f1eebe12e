"""docs/configuration.md, written from template.yaml: `make docs` writes what `python -m docs.generate.configuration` prints."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from local import template

TEMPLATE = Path(__file__).parents[2] / "template.yaml"

_HEAD = """\
<!-- Written by `make docs` from template.yaml: change it there. -->
# Configuration

Every parameter of the stack. `make deploy` asks for `AltcraftUrl`, the only one without a default, and for `AlarmEmail`;
`make deploy PARAMETERS=Name=value` gives any other one ([deploy.md](deploy.md#without-questions)). The environment of each
function follows from them.
"""

_FUNCTION = "AWS::Serverless::Function"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").strip() for cell in cells) + " |"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield _row(heads)
    yield _row("---" for _ in heads)
    yield from map(_row, rows)


def _allowed(parameter: Mapping[str, Any]) -> str:
    if "AllowedValues" in parameter:
        return ", ".join(f"`{value}`" for value in parameter["AllowedValues"])
    if "ConstraintDescription" in parameter:
        return str(parameter["ConstraintDescription"])
    least, most = parameter.get("MinValue"), parameter.get("MaxValue")
    if most is not None:
        return f"{least} to {most}"
    return f"{least} or more" if least is not None else ""


def _default(parameter: Mapping[str, Any]) -> str:
    if "Default" not in parameter:
        return "**must be given**"
    return f"`{parameter['Default']}`" if parameter["Default"] != "" else "empty"


def _value(written: Any) -> str:
    """An environment variable's value as a reader would say it."""
    if not isinstance(written, Mapping):
        return f"always `{written}`"
    ((intrinsic, argument),) = written.items()
    match intrinsic:
        case "Ref":
            return f"`{argument}`"
        case "Fn::If":
            return " or ".join(_value(choice) for choice in argument[1:])
        case "Fn::Sub":
            return f"`{argument}`"
    raise template.TemplateError(f"there are no words for {intrinsic}")


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    """The lines of the page."""
    yield _HEAD
    parameters = document["Parameters"]
    for group in document["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]:
        yield f"## {group['Label']['default']}\n"
        yield from _table(
            ("parameter", "default", "allowed", "what it is"),
            (
                (f"`{name}`", _default(parameters[name]), _allowed(parameters[name]), parameters[name]["Description"])
                for name in group["Parameters"]
            ),
        )
        yield ""
    yield "## What contradicts itself\n"
    yield "Rules of the template end such a deployment before anything is changed:\n"
    for rule in document["Rules"].values():
        yield from (f"- {assertion['AssertDescription']}" for assertion in rule["Assertions"])
    yield "\n## Outputs\n"
    yield "`aws cloudformation describe-stacks` and the end of `make deploy` show them.\n"
    yield from _table(
        ("output", "what it is"),
        ((f"`{name}`", output["Description"]) for name, output in document["Outputs"].items()),
    )
    yield "\n## Environment of the functions\n"
    common = document["Globals"]["Function"]["Environment"]["Variables"]
    yield from _table(
        ("variable", "function", "value, by parameter or resource"),
        [
            *((f"`{name}`", "both", _value(value)) for name, value in common.items()),
            *(
                (f"`{name}`", function.removesuffix("Function"), _value(value))
                for function, resource in document["Resources"].items()
                if resource["Type"] == _FUNCTION
                for name, value in resource["Properties"]["Environment"]["Variables"].items()
            ),
        ],
    )


def page(path: Path = TEMPLATE) -> str:
    """The whole page, for one template file."""
    return "\n".join(_lines(template.read(path))) + "\n"


if __name__ == "__main__":
    print(page(), end="")
