"""`make deploy`: deploy the stack by `sam deploy`, with four questions the first time and none after that.

The answers are kept in samconfig.toml, from where SAM reads them; none of them is a secret. What may be given is what
template.yaml allows, which is checked before anything is sent to AWS.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
import click
import tomlkit
import yaml
from tomlkit.exceptions import TOMLKitError

from ops import interruption
from ops.errors import Unusable
from ops.target import DEFAULT_STACK

ROOT: Final = Path(__file__).parents[1]
SAM: Final = ROOT / ".venv-sam" / "bin" / "sam"

_COPIED: Final = ("capabilities", "confirm_changeset", "resolve_s3", "tags")
"""What a new section of samconfig.toml takes from the section `default`."""


class _Loader(yaml.SafeLoader):
    """Reads a template without its intrinsic functions, of which no parameter makes use."""


_Loader.add_multi_constructor("!", lambda _loader, _suffix, _node: None)


@dataclass(frozen=True)
class Parameter:
    """What an answer may be, and how it is asked for. A parameter of the template, or the name or the region of the stack."""

    name: str
    variable: str
    explanation: str
    pattern: str = ""
    values: tuple[str, ...] = ()
    is_number: bool = False
    least: float = float("-inf")
    most: float = float("inf")
    rule: str = "is not a value of it"

    def checked(self, value: str) -> str:
        """The value.

        Raises:
            click.BadParameter: it may not have it; the message names the variable and the rule.
        """
        value = value.strip()
        if self.is_number and not (re.fullmatch(r"-?[0-9]{1,18}", value) and self.least <= int(value) <= self.most):
            rule = "must be a whole number within its limits (docs/configuration.md)"
        elif self.values and value not in self.values:
            rule = f"must be one of {', '.join(self.values)}"
        elif self.pattern and not re.fullmatch(self.pattern, value):
            rule = self.rule
        else:
            return value
        raise click.BadParameter(f"{self.name} {rule}, not {value!r} ({self.variable}=...)")


REGION_CODE: Final = r"[a-z]{2,}(-[a-z]+)+-[0-9]+"

_STACK: Final = Parameter(
    "Stack name",
    "STACK",
    "CloudFormation's name for the stack; the names of its parts begin with it.",
    r"[A-Za-z][A-Za-z0-9-]{0,127}",
    rule="must begin with a letter and consist of letters, digits and hyphens",
)
_REGION: Final = Parameter(
    "Region",
    "REGION",
    "The AWS region that the stack is in; one near your Altcraft and your shops.",
    REGION_CODE,
    rule="must be the code of a region, such as eu-central-1",
)


def parameters(template: Path = ROOT / "template.yaml") -> dict[str, Parameter]:
    """The parameters that a template declares, by name."""
    declared = yaml.load(template.read_text("utf-8"), _Loader)["Parameters"]  # noqa: S506 - a safe loader
    return {
        name: Parameter(
            name,
            _VARIABLES.get(name, f"PARAMETERS={name}"),
            " ".join(str(one.get("Description", "")).split()),
            one.get("AllowedPattern", ""),
            tuple(str(value) for value in one.get("AllowedValues", ())),
            one["Type"] == "Number",
            float(one.get("MinValue", "-inf")),
            float(one.get("MaxValue", "inf")),
            one.get("ConstraintDescription", "must not be empty"),
        )
        for name, one in declared.items()
    }


_VARIABLES: Final[Mapping[str, str]] = {
    "AltcraftUrl": "ALTCRAFT_URL",
    "AlarmEmail": "ALARM_EMAIL",
    "Architecture": "ARCH",
}
"""Parameters of the template that have a variable of their own; the first two are asked for."""


class Configuration:
    """A section of samconfig.toml: what SAM deploys, and with which parameters."""

    def __init__(self, file: Path, section: str) -> None:
        """Read it.

        Raises:
            Unusable: the file cannot be read.
        """
        self._file = file
        try:
            self._document = tomlkit.parse(file.read_text("utf-8")) if file.exists() else tomlkit.document()
        except (OSError, UnicodeDecodeError, TOMLKitError) as error:
            raise Unusable(f"{file}: cannot be read: {error}") from error
        if "version" not in self._document:
            self._document["version"] = 0.1
        default = self._table("default")
        self._saved = self._table(section)
        if section != "default":
            for name in _COPIED:
                if name in default:
                    self._saved.setdefault(name, default[name])
        self.stack_name = str(self._saved.get("stack_name") or self._shared(section, "stack_name"))
        self.region = str(self._saved.get("region") or self._shared(section, "region"))
        self.overrides = self._overrides()

    def _table(self, section: str) -> Any:
        table: Any = self._document
        for name in (section, "deploy", "parameters"):
            table = table.setdefault(name, tomlkit.table(is_super_table=name != "parameters"))
        return table

    def _shared(self, section: str, name: str) -> str:
        return str(self._document.get(section, {}).get("global", {}).get("parameters", {}).get(name, ""))

    def _overrides(self) -> dict[str, str]:
        saved = self._saved.get("parameter_overrides", "")
        try:
            pairs = shlex.split(saved) if isinstance(saved, str) else [str(one) for one in saved]
            return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}
        except ValueError as error:
            raise Unusable(f"{self._file}: parameter_overrides cannot be read: {error}") from error

    def save(self, stack_name: str, region: str, overrides: Mapping[str, str]) -> None:
        """Write the answers, and keep whatever else is in the file.

        Raises:
            Unusable: the file cannot be written; it is as it was.
        """
        quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in overrides.values())
        self._saved["stack_name"] = stack_name
        self._saved["region"] = region
        self._saved["parameter_overrides"] = " ".join(
            f'{name}="{value}"' for name, value in zip(overrides, quoted, strict=True)
        )
        part = self._file.with_name(f".{self._file.name}.part")  # so that a full disk leaves no half of a file
        try:
            part.write_bytes(tomlkit.dumps(self._document).encode())
            part.replace(self._file)
        except OSError as error:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise Unusable(f"{self._file}: cannot be written: {error}") from error


def _pairs(text: str, declared: Mapping[str, Parameter]) -> dict[str, str]:
    """The parameters in PARAMETERS, each with a value that it may have."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise click.UsageError(
            f"PARAMETERS: {error}: write Name=value, and quotes around a value with blanks"
        ) from error
    values = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in declared:
            raise click.UsageError(
                f"PARAMETERS: {word!r} is not a parameter of the template and its value, such as LoyaltyIds=5,6; "
                "docs/configuration.md lists them"
            )
        values[name] = declared[name].checked(value)
    return values


def _ask(parameter: Parameter, default: str | None, *, unasked: bool) -> str:
    """Ask for a value until it is one; `unasked`: take the default, if there is one."""
    if unasked and default is not None:
        return default
    click.echo(f"\n{parameter.name}: {parameter.explanation}")
    try:
        answer: str = click.prompt(
            f"  {parameter.name}", default=default, value_proc=parameter.checked, show_default=bool(default)
        )
    except click.Abort as error:
        raise click.UsageError(f"no answer for {parameter.name}: give it by {parameter.variable}=...") from error
    return answer


def _same_place(given: Mapping[Parameter, str], saved: Mapping[Parameter, str], file: Path, section: str) -> None:
    for parameter, value in given.items():
        if value and saved[parameter] and value != saved[parameter]:
            raise click.UsageError(
                f"{file.name} has {saved[parameter]} as the {parameter.name.lower()} of its section {section}, and "
                f"{parameter.variable} is {value}: CONFIG_ENV=name gives another stack a section of its own"
            )


@click.command("make deploy")
@click.option("--stack", envvar="STACK", default="", help="The stack's name.")
@click.option("--region", envvar="REGION", default="", help="The AWS region.")
@click.option("--altcraft-url", envvar="ALTCRAFT_URL", default="", help="Your Altcraft: https:// and a host.")
@click.option("--alarm-email", envvar="ALARM_EMAIL", help="Who is notified of alarms; empty for nobody.")
@click.option(
    "--parameters", "text", envvar="PARAMETERS", default="", help="Others, as Name=value, with blanks between."
)
@click.option("--arch", envvar="ARCH", default="", help="The processor that the stack was built for.")
@click.option("--yes", envvar="YES", is_flag=True, help="Deploy the changes without showing them first.")
@click.option("--config-env", envvar="CONFIG_ENV", default="default", help="The section of samconfig.toml.")
@click.option(
    "--config-file", type=click.Path(path_type=Path), default=ROOT / "samconfig.toml", help="Another samconfig.toml."
)
@click.option("--sam", type=click.Path(path_type=Path), default=SAM, help="The sam command.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def command(
    stack: str,
    region: str,
    altcraft_url: str,
    alarm_email: str | None,
    text: str,
    arch: str,
    yes: bool,
    config_env: str,
    config_file: Path,
    sam: Path,
    options: Sequence[str],
) -> None:
    """Deploy the stack. Asks for what is missing the first time, and keeps the answers in samconfig.toml.

    OPTIONS go to `sam deploy` as they are.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", config_env):
        raise click.UsageError(f"CONFIG_ENV: must be letters, digits, hyphens and underscores, not {config_env!r}")
    declared = parameters()
    configuration = Configuration(config_file, config_env)
    given = _pairs(text, declared)
    of_variables = {"AltcraftUrl": altcraft_url or None, "AlarmEmail": alarm_email, "Architecture": arch or None}
    given |= {name: declared[name].checked(value) for name, value in of_variables.items() if value is not None}
    overrides = configuration.overrides | given
    stack, region = (one.checked(value) if value else "" for one, value in ((_STACK, stack), (_REGION, region)))
    first = "AltcraftUrl" not in configuration.overrides
    if first:
        if not yes:
            click.echo("Everything else has a default (docs/configuration.md). Enter takes the value in brackets.")
        stack = stack or _ask(_STACK, configuration.stack_name or DEFAULT_STACK, unasked=yes)
        region = region or _ask(_REGION, configuration.region or _usual_region(), unasked=yes)
        for name, default in (("AltcraftUrl", None), ("AlarmEmail", "")):
            if name not in overrides:
                overrides[name] = _ask(declared[name], default, unasked=yes)
    else:
        saved = {_STACK: configuration.stack_name, _REGION: configuration.region}
        _same_place({_STACK: stack, _REGION: region}, saved, config_file, config_env)
        stack, region = configuration.stack_name or stack, configuration.region or region
    if first or overrides != configuration.overrides:
        configuration.save(stack, region, overrides)
        click.echo(f"\nThe answers are kept in {config_file.name}. None of them is a secret: commit it to your fork.")
    unseen = ("--no-confirm-changeset",) if yes else ()
    status = _deploy(sam, config_file, config_env, (*unseen, *options))
    if status == 0:
        where = f"STACK={stack}" if region in ("", _usual_region()) else f"STACK={stack} AWS_REGION={region}"
        steps = ("token", "sources FILE=sources.json", "doctor") if first else ("doctor",)
        click.echo(f"Once it is deployed: {', '.join(f'make {step} {where}' for step in steps)}")
    raise SystemExit(status)


def _usual_region() -> str | None:
    """The region of the environment or the profile."""
    region = os.environ.get("AWS_REGION") or boto3.Session().region_name
    return region if region and re.fullmatch(REGION_CODE, region) else None


def _deploy(sam: Path, file: Path, section: str, options: Sequence[str]) -> int:
    """Run `sam deploy`; its exit status."""
    handler = signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for SAM, in front of the same terminal
    section_of = ("--config-file", str(file.resolve()), "--config-env", section)
    try:
        return subprocess.call([str(sam), "deploy", *section_of, "--no-fail-on-empty-changeset", *options])
    except OSError as error:
        raise Unusable(f"cannot run {sam}: {error.strerror}; `make deploy` installs it") from error
    finally:
        signal.signal(signal.SIGINT, handler)


if __name__ == "__main__":
    interruption.leave_at_once(["deploy"])
    command()
