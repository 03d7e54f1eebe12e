"""The log at any level: the libraries that see secrets log nothing below INFO."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import json, logging
logging.getLogger().setLevel(logging.DEBUG)  # as Lambda's runtime does, before it imports the function
from lambda_support.telemetry import logger

def lowest(name):
    levels = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
    return next(logging.getLevelName(level) for level in levels if logging.getLogger(name).isEnabledFor(level))

names = ["botocore.parsers", "urllib3.connectionpool", "urllib3.connection", "requests.sessions", "made.later"]
found = {"ours": logging.getLevelName(logger.log_level), "at once": {name: lowest(name) for name in names}}
logging.getLogger().setLevel(logging.DEBUG)
found["afterwards"] = {name: lowest(name) for name in names[:-1]}
print(json.dumps(found))
"""


def levels(**environment: str) -> dict[str, Any]:
    """The levels of the loggers of a new process, ours and others."""
    variables = {"PATH": os.environ.get("PATH", ""), **environment}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=variables, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("environment", "ours"),
    [
        ({"AWS_LAMBDA_LOG_LEVEL": "DEBUG", "POWERTOOLS_LOG_LEVEL": "DEBUG"}, "DEBUG"),
        ({"POWERTOOLS_LOG_LEVEL": "DEBUG", "POWERTOOLS_DEV": "true"}, "DEBUG"),
        ({"AWS_LAMBDA_LOG_LEVEL": "TRACE"}, "NOTSET"),
        ({"POWERTOOLS_LOGGER_SAMPLE_RATE": "1"}, "DEBUG"),
    ],
)
def test_given_our_logger_prints_everything_then_no_library_does_even_if_the_root_is_lowered_again(
    environment: dict[str, str], ours: str
) -> None:
    found = levels(**environment)
    libraries = dict.fromkeys(("botocore.parsers", "urllib3.connectionpool", "requests.sessions"), "INFO")
    libraries["urllib3.connection"] = "ERROR"
    assert found == {"ours": ours, "at once": libraries | {"made.later": "INFO"}, "afterwards": libraries}
