"""`make token`: put Altcraft's API token into the stack's secret, from standard input.

A command line can be seen by others on the machine, and stays in the shell's history: there is no option for the token.
"""

from __future__ import annotations

import getpass
import json
import sys
from typing import Any, Final

import click
from botocore.exceptions import ClientError

from ops import interruption
from ops.errors import Unusable, refused_by_aws
from ops.target import Target, with_target

LONGEST: Final = 4_096
"""Characters of a token that is accepted; Altcraft's have some dozens. A file given by mistake is longer."""


def checked(text: str) -> str:
    """The token in what was typed or piped: blanks around it and one line end are removed.

    Raises:
        Unusable: it is no token. The message quotes nothing of it.
    """
    token = text.removesuffix("\n").removesuffix("\r").strip(" \t")
    if not token:
        raise Unusable(_refused("there is no token on standard input"))
    if len(token) > LONGEST:
        raise Unusable(_refused(f"it has more than {LONGEST} characters"))
    if len(token.splitlines()) > 1:
        raise Unusable(_refused("it has more than one line"))
    if not token.isprintable():
        raise Unusable(_refused("it holds a control or invisible character"))
    if token.startswith("{"):
        raise Unusable(_refused("it is JSON: give the token alone; a secret that holds JSON keeps that form"))
    return token


def stored(token: str, present: str) -> str:
    """The secret's next text: in its present form, which is the token alone, or a JSON object with other fields beside it."""
    try:
        fields = json.loads(present) if present.lstrip().startswith("{") else None
    except (ValueError, RecursionError):
        fields = None  # no function can read it
    return json.dumps({**fields, "token": token}, ensure_ascii=False) if isinstance(fields, dict) else token


def _refused(reason: str) -> str:
    return f"the token was not stored: {reason}"


def _typed_or_piped() -> str:
    """What standard input has: a line typed without echo, or a pipe to its end."""
    if sys.stdin is None:  # closed
        return ""
    if sys.stdin.isatty():
        with interruption.unwinding("Stopped; the secret was not changed."):
            try:
                return getpass.getpass("Altcraft token (it is not shown): ")
            except EOFError:
                return ""
    try:
        return sys.stdin.buffer.read(LONGEST * 4 + 2).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unusable(_refused("it is not text in UTF-8")) from error


def _present(secrets: Any, secret_id: str) -> str:
    """The secret's text, empty where it has none yet."""
    try:
        return str(secrets.get_secret_value(SecretId=secret_id).get("SecretString", ""))
    except ClientError as error:
        # The stack's own secret has no value before the first token; of one that does not exist, writing says so.
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return ""


@click.command("token")
@with_target()
def command(target: Target) -> None:
    """Put Altcraft's token, typed or piped, into the stack's secret.

    Asks for it on a terminal, without showing it, and else reads standard input: make token STACK=name < token.txt
    """
    (secret_id,) = target.names("altcraft_secret_id")
    token = checked(_typed_or_piped())
    with refused_by_aws(_refused(f"the secret {secret_id} cannot be read or written")):
        secrets = target.client("secretsmanager")
        text = stored(token, _present(secrets, secret_id))
        secrets.put_secret_value(SecretId=secret_id, SecretString=text)
    form = "alone" if text == token else 'as {"token": ...}'
    click.echo(f"The token is in the secret {secret_id}, {form}; the functions use it within five minutes.")
