"""Why an export failed, as its manifest says it: by a name, with the remedy, and without secrets.

What fails in Altcraft or in reading its token has the name that it has for an activation, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from altcraft.errors import AltcraftError, AltcraftFailure, ErrorReply
from altcraft.token import UnusableToken
from export_all.aws_errors import detail_of
from export_all.formats.registry import FormatUnavailable
from lambda_support.secrets import SecretError
from lambda_support.settings import SettingsError

FailureType = Literal[
    AltcraftFailure,
    "token_unreadable",
    "not_configured",
    "format_unavailable",
    "storage_unavailable",
    "deadline",
    "killed",
    "not_begun",
    "stopped",
    "internal_error",
]


class DeadlinePassed(Exception):
    """The run would not have ended before Lambda ends it."""


class EndedByHand(Exception):
    """The person who runs the export has ended it."""


class ExportFailed(Exception):
    """A run failed and another try may succeed; raised so that Lambda tries an asynchronous run again."""


@dataclass(frozen=True)
class Failure:
    """What a manifest says of a failure. `retryable`: the same export may succeed without anyone changing anything here."""

    type: FailureType
    detail: str
    retryable: bool = True
    refusal: ErrorReply | None = None

    def members(self) -> dict[str, object]:
        """The failure as it is in the manifest."""
        members: dict[str, object] = {"type": self.type, "detail": self.detail, "retryable": self.retryable}
        if self.refusal is not None:
            members["altcraft"] = {"error": self.refusal.error, "error_text": self.refusal.error_text}
        return members


KILLED: Final = Failure("killed", "The run ended without a word: it was killed, or never began. Export again.")
DEFECT: Final = Failure("internal_error", "The log holds the reason.")


def failure_of(error: BaseException) -> Failure | None:
    """What a manifest says of an error; None for a defect of ours, which is for the log alone."""
    match error:
        case AltcraftError():
            return Failure(error.kind, str(error), error.retryable, error.refusal)
        case SecretError() | UnusableToken():
            return Failure("token_unreadable", str(error))
        case SettingsError():
            return Failure("not_configured", str(error))
        case DeadlinePassed():
            return Failure("deadline", str(error))
        case EndedByHand():
            return Failure("stopped", "The run was ended by hand. Export again.")
        case FormatUnavailable():
            return Failure("format_unavailable", str(error), retryable=False)
        case ClientError() | BotoCoreError() | ResponseParserError():
            return Failure("storage_unavailable", detail_of(error))
    return None
