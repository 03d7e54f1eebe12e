"""The exceptions of calls to Altcraft.

    AltcraftError
    ├── ErrorReply           Altcraft's envelope, with an `error` other than 0
    │   ├── Refused          it understood the request and refuses it
    │   ├── TokenRefused     it refuses the token
    │   └── NotUnderstood    it does not work, or its error is not about this request
    ├── Unreachable          no reply, or HTTP 429 or 5xx, whatever the body
    └── IncoherentReply      a reply that is not Altcraft's envelope

Messages never hold the token. `error` and `error_text` are Altcraft's own, for the operator to read:
nothing is decided by the text, and nothing final by an error number that Altcraft does not document.

Source: Altcraft documentation, "API response codes" (0 success, 400 incorrect request, 401 API token required, 402 tariff
limit reached, 403 no permission, 440 without a meaning, 500 on one item of an import).
"""

from __future__ import annotations

from typing import ClassVar, Literal

AltcraftFailure = Literal["token_refused", "altcraft_unreachable", "altcraft_failing", "altcraft_incoherent", "refused"]
"""The names of these failures wherever one is reported: by the API, a metric, the ledger, a dead letter, a manifest."""


class AltcraftError(Exception):
    """Altcraft did not confirm the request."""

    kind: ClassVar[AltcraftFailure]

    retryable: ClassVar[bool] = True
    """The same request may succeed later, unchanged."""

    may_be_applied: bool = False
    """Altcraft may have carried the request out nevertheless."""

    refusal: ErrorReply | None = None
    """Altcraft's error, if it returned one."""


class ErrorReply(AltcraftError):
    """A well-formed reply whose `error` is not 0."""

    def __init__(self, error: int, error_text: str) -> None:
        super().__init__(f"Altcraft refused: error {error}, {error_text!r}")
        self.error = error
        self.error_text = error_text
        self.refusal = self


class Refused(ErrorReply):
    """Altcraft refuses this request, and did not carry it out."""

    kind = "refused"
    retryable = False


class TokenRefused(ErrorReply):
    """Altcraft refuses the token. Retryable, because an operator can replace the token, but not a lost code."""

    kind = "token_refused"


class NotUnderstood(ErrorReply):
    """Altcraft is overloaded or does not work, or its error is not about the request, such as a tariff's limit."""

    kind = "altcraft_failing"
    may_be_applied = True


class Unreachable(AltcraftError):
    """No answer: no connection, no reply in time, or HTTP 429 or 5xx, with or without an envelope.

    `sent` is False if the request was certainly not sent. `refusal`: the envelope, if there was one.
    """

    kind = "altcraft_unreachable"

    def __init__(self, message: str, *, sent: bool = True, refusal: ErrorReply | None = None) -> None:
        super().__init__(message)
        self.may_be_applied = sent
        self.refusal = refusal


class IncoherentReply(AltcraftError):
    """An answer that is not Altcraft's envelope: an HTML page, a reply cut off, a wrong shape, bytes that are not UTF-8."""

    kind = "altcraft_incoherent"
    may_be_applied = True


def is_lost(error: AltcraftError) -> bool:
    """Whether the reply is lost: there was no answer, or an error of the server, 500 to 599, in its place."""
    return error.may_be_applied and not (isinstance(error, ErrorReply) and not 500 <= error.error <= 599)


def error_reply(error: int, error_text: str) -> ErrorReply:
    """Make the exception for an envelope with this `error`, which is not 0.

    By Altcraft's documentation, 401 and 403 are about the token, and 402 and 440 are not about a code. 429 is an overload
    wherever it is used, and 500 to 599 may be returned for a request that was carried out.
    """
    if error in (401, 403):
        return TokenRefused(error, error_text)
    return (NotUnderstood if error in (402, 429, 440) or 500 <= error <= 599 else Refused)(error, error_text)
