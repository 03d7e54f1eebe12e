"""The handlers whose warm invocations `tests.benchmarks.warm` compares, run inside the sandbox.

Both answer the event `"cpu"` with the seconds of CPU that their process has used so far.
"""

import os
import time
from pathlib import Path
from typing import Any

from lambda_support import aws


class NoNetwork:
    """Replaces AWS's clients: the document of sources is read from a file, and every message is accepted."""

    def get_secret_value(self, **_: object) -> dict[str, str]:
        return {"SecretString": Path(os.environ["SOURCES_FILE"]).read_text()}

    def send_message_batch(self, Entries: list[dict[str, str]], **_: object) -> dict[str, Any]:  # noqa: N803 - AWS's
        return {"Successful": [{"Id": entry["Id"], "MessageId": entry["Id"]} for entry in Entries]}


aws.client = lambda service: NoNetwork()  # type: ignore[assignment] # a stand-in has none of the cache's methods

from activate import app  # noqa: E402 - the client must be in place before


def bare(event: Any, context: Any) -> Any:
    """Do nothing."""
    return time.process_time() if event == "cpu" else {"statusCode": 200, "body": "{}"}


def webhook(event: Any, context: Any) -> Any:
    """Take the delivery as the deployed function does."""
    return time.process_time() if event == "cpu" else app.handler(event, context)
