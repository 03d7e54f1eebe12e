"""Why an export failed, as its manifest and its callers are told: by a name, with the remedy, and without secrets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from altcraft.errors import (
    AltcraftError,
    ErrorReply,
    IncoherentReply,
    NotUnderstood,
    Refused,
    TokenRefused,
    Unreachable,
)
from altcraft.token import UnusableToken
from export_all.formats import FormatUnavailable
from export_all.storage import storage_detail
from lambda_support.secrets import SecretError
from lambda_support.settings import SettingsError


class DeadlinePassed(Exception):
    """The run would not have ended before Lambda ends it."""


class EndedByHand(Exception):
    """Whoever runs the export wants it no more."""


@dataclass(frozen=True)
class Failure:
    """What is told of an exception. `retryable`: the same export may succeed without anyone changing anything here."""

    type: str
    detail: str
    retryable: bool
    refusal: ErrorReply | None = None

    def members(self) -> dict[str, object]:
        """The failure as it stands in the manifest."""
        members: dict[str, object] = {"type": self.type, "detail": self.detail, "retryable": self.retryable}
        if self.refusal is not None:
            members["altcraft"] = {"error": self.refusal.error, "error_text": self.refusal.error_text}
        return members


_NAMES: Final[dict[type[AltcraftError], str]] = {
    TokenRefused: "token_refused",
    NotUnderstood: "altcraft_failing",
    Refused: "refused",
    Unreachable: "altcraft_unreachable",
    IncoherentReply: "incoherent_reply",
}


def failure(error: BaseException) -> Failure | None:
    """What is told of an error; None for a defect of ours, which tells nothing to anyone but the log."""
    match error:
        case AltcraftError():
            name = next(name for kind, name in _NAMES.items() if isinstance(error, kind))
            return Failure(name, str(error), error.retryable, error.refusal)
        case DeadlinePassed():
            return Failure("deadline", str(error), retryable=True)
        case EndedByHand():
            return Failure("stopped", "The run was ended by hand. Export again.", retryable=True)
        case SecretError() | SettingsError() | UnusableToken():
            return Failure("not_configured", str(error), retryable=True)
        case FormatUnavailable():
            return Failure("format_unavailable", str(error), retryable=False)
        case ClientError() | BotoCoreError() | ResponseParserError():
            return Failure("storage_unavailable", storage_detail(error), retryable=True)
    return None
