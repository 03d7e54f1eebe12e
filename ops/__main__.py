"""The operators' command: `python -m ops`. Each of its commands is a module beside this one; the Makefile names them."""

import click

from ops.explain import explain


@click.group()
def main() -> None:
    """Commands for operators."""


main.add_command(explain)

if __name__ == "__main__":
    main(prog_name="python -m ops")
