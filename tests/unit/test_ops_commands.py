"""The operators' command as a whole: its help, its page, its make targets."""

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ops.commands import COMMANDS, main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ops.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def command(name: str) -> click.Command:
    found = main.get_command(click.Context(main), name)
    assert found is not None
    return found


def section(name: str) -> str:
    """The page's section about a command."""
    return next(part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE) if part.startswith(f"{name}\n"))


def test_the_help_is_that_of_the_page() -> None:
    shown = CliRunner().invoke(main, ["--help"], prog_name="python -m ops", terminal_width=80)
    assert shown.output in PAGE
    assert "..." not in shown.output.split("Commands:")[1], "a summary is too long for its line"


def test_given_the_commands_then_make_runs_each_by_its_name() -> None:
    assert f"\n{' '.join(COMMANDS)}: $(VENV)/local.stamp\n\t@exec $(BIN)/python -m ops $@\n" in MAKEFILE


def test_given_another_command_then_it_is_refused() -> None:
    answer = CliRunner().invoke(main, ["sourcs"])
    assert answer.exit_code == 2
    assert "sourcs" in answer.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_given_a_command_then_make_has_a_target_and_the_page_every_option_with_its_variable(name: str) -> None:
    assert re.search(rf"^{name}: ## \S", MAKEFILE, re.MULTILINE)
    text = section(name)
    assert f"make {name}" in text
    for option in command(name).params:
        assert option.envvar, f"{option.name} has no variable"
        if option.name not in {"stack", "local"}:
            variable = option.envvar if isinstance(option.envvar, str) else option.envvar[0]
            flag = option.opts[0] if isinstance(option, click.Option) else str(option.name).upper()
            assert re.search(rf"^\| `{flag}`(, without a flag)? \| `{variable}[`=]", text, re.MULTILINE), (
                flag,
                variable,
            )
