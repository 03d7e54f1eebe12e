"""`make lookup`: see what is true of one promo code now, without using it."""

from __future__ import annotations

import json
from typing import Any, Final

import click
from botocore.config import Config

from activate.lookup import subject_from
from lambda_support.fields import InvalidField
from ops.errors import Unusable, refused_by_aws
from ops.target import Target, with_target

_PATIENCE: Final = Config(read_timeout=70)
"""The function answers within 60 seconds, or is ended."""


def look_up(target: Target, code: str, loyalty_id: str) -> dict[str, Any]:
    """The facts about a code, from the target's function: no API key is needed.

    Raises:
        Unusable: there are none. The message says why.
    """
    try:
        subject = subject_from({"code": code, "loyalty_id": loyalty_id})
    except InvalidField as error:
        raise Unusable(f"{error.field.upper()}{str(error).removeprefix(error.field)}") from error
    event = {"action": "get", "code": subject.code, "loyalty_id": subject.loyalty_id}
    (function,) = target.names("activate_function")
    with refused_by_aws(f"cannot invoke {function} of {target}"):
        reply = target.client("lambda", _PATIENCE).invoke(
            FunctionName=function, Qualifier="live", Payload=json.dumps(event).encode()
        )
        answer: dict[str, Any] = json.loads(reply["Payload"].read())
    if "FunctionError" in reply:
        raise Unusable(f"not looked up ({answer.get('errorType')}): {answer.get('errorMessage')}")
    if answer.get("outcome") == "not_found":
        raise Unusable(
            f"Altcraft knows no code {subject.code!r} in the program {subject.loyalty_id}: check CODE, its case, and LOYALTY_ID"
        )
    return answer


@click.command("lookup")
@click.option("--code", envvar="CODE", default="", help="The promo code, exactly as Altcraft has it.")
@click.option("--loyalty-id", envvar="LOYALTY_ID", default="", help="The program that it belongs to.")
@with_target(laptop=True)
def command(target: Target, code: str, loyalty_id: str) -> None:
    """Show what is true of one promo code now, without using it.

    Prints Altcraft's facts and the order that holds the code, as JSON. Exits 1 where Altcraft does not know the code.
    """
    facts = look_up(target, code, loyalty_id)
    click.echo(json.dumps(facts, ensure_ascii=False, indent=2).encode(errors="backslashreplace"))
