"""`make local`: the embedded stack in the foreground, until Ctrl-C or SIGTERM.

Environment, all optional: PORT (3000; 0 is any free one), HOST (127.0.0.1), ALTCRAFT_URL (else the emulator), ALTCRAFT_TOKEN,
ALTCRAFT_WIRE (json or xml), SOURCES (a JSON file of webhook sources). Standard output gets one line: `ready ` and JSON.
It stops too when its terminal is closed; and with the argument --with-parent when the process that started it is gone: a make
that was killed.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from local.deploy import DeployError
from local.engine import EngineError
from local.example import seed
from local.stack import Options, Stack, Unavailable
from local.template import TemplateError
from ops.target import DEFAULT_PORT

LOOK_AROUND_SECONDS = 1.0
STANDARD_INPUT = 0
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class Unusable(Exception):
    """The environment asks for something that cannot be; the message names the variable and the remedy."""


def options(environ: Mapping[str, str]) -> Options:
    """Read what the environment asks for. Raises Unusable."""
    given: dict[str, Any] = {
        field: environ[variable]
        for field, variable in {
            "host": "HOST",
            "altcraft_url": "ALTCRAFT_URL",
            "altcraft_token": "ALTCRAFT_TOKEN",
            "altcraft_wire": "ALTCRAFT_WIRE",
        }.items()
        if environ.get(variable)
    }
    if given.get("altcraft_wire", "json") not in {"json", "xml"}:
        raise Unusable("ALTCRAFT_WIRE must be json or xml")
    port = environ.get("PORT") or DEFAULT_PORT
    if not port.isdecimal() or int(port) > 65535:
        raise Unusable(f"PORT must be a number from 0 to 65535, not {port!r}")
    if path := environ.get("SOURCES"):
        given["sources"] = _sources(Path(path))
    return Options(port=int(port), **given)


def _sources(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
        json.loads(text)
    except (OSError, ValueError) as error:
        raise Unusable(f"SOURCES must name a JSON file of webhook sources; {path}: {error}") from error
    return text


def _end(*_: object) -> NoReturn:
    """End in order, in whatever this process is; a second signal does not disturb that."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    sys.exit()


def main() -> None:
    """Start the stack, print where it is, and stop it on a signal."""
    parent = os.getppid() if "--with-parent" in sys.argv else None
    at_terminal = os.isatty(STANDARD_INPUT)
    for number in SIGNALS:
        signal.signal(number, _end)
    try:
        wanted = options(os.environ)
        with Stack(wanted) as stack:
            if stack.emulator:
                seed(stack.emulator)
            print(f"ready {json.dumps(asdict(stack.ready))}", flush=True)
            # A terminal that is closed signals only the first of its processes; make then still waits for this one.
            while parent in {None, os.getppid()} and os.isatty(STANDARD_INPUT) is at_terminal:
                time.sleep(LOOK_AROUND_SECONDS)
    except (Unusable, Unavailable, TemplateError, DeployError, EngineError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
