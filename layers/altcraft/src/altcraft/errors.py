"""What can go wrong when Altcraft is asked something.

    AltcraftError
    ├── ErrorReply           Altcraft's envelope, with an `error` other than 0
    │   ├── Refused          it understood, and says no to this request
    │   ├── TokenRefused     it refuses our token
    │   └── NotUnderstood    it does not work, or says nothing about this request
    ├── Unreachable          no reply, or HTTP 429 or 5xx, whatever the body
    └── IncoherentReply      a reply that is not Altcraft's envelope

Messages never hold the token. `error` and `error_text` are Altcraft's own words: they are for the operator to read, and
nothing is decided by the text, nor is anything final by a code that Altcraft does not document.

Source: Altcraft documentation, "API response codes" (0 success, 400 incorrect request, 401 API token required, 402 tariff
limit reached, 403 no permission, 440 without a meaning, 500 on one item of an import).
"""

from __future__ import annotations

from typing import ClassVar, Literal

AltcraftFailure = Literal["token_refused", "altcraft_unreachable", "altcraft_failing", "altcraft_incoherent", "refused"]
"""The names of these failures wherever one is reported: by the API, a metric, the ledger, a dead letter, a manifest."""


class AltcraftError(Exception):
    """Altcraft did not say that it did what was asked."""

    kind: ClassVar[AltcraftFailure]

    retryable: ClassVar[bool] = True
    """The same request may succeed later without anyone changing it."""

    may_be_applied: bool = False
    """It may have carried the request out all the same."""

    refusal: ErrorReply | None = None
    """Altcraft's own words, where it spoke."""


class ErrorReply(AltcraftError):
    """A well-formed reply whose `error` is not 0."""

    def __init__(self, error: int, error_text: str) -> None:
        super().__init__(f"Altcraft refused: error {error}, {error_text!r}")
        self.error = error
        self.error_text = error_text
        self.refusal = self


class Refused(ErrorReply):
    """Altcraft says no to this request, and did not carry it out."""

    kind = "refused"
    retryable = False


class TokenRefused(ErrorReply):
    """Altcraft refuses our token. Worth trying again: an operator replaces the token, and nobody replaces a lost code."""

    kind = "token_refused"


class NotUnderstood(ErrorReply):
    """Altcraft is overloaded or out of order, or its error has nothing to do with the request, as a tariff's limit has."""

    kind = "altcraft_failing"
    may_be_applied = True


class Unreachable(AltcraftError):
    """No answer: no connection, no reply in time, or HTTP 429 or 5xx, with or without an envelope.

    `sent` is False where the request surely never left. `refusal`: the envelope, where there was one.
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
    """Whether an error stands where a reply should: no answer at all, or a failure of the server's own, 500 to 599."""
    return error.may_be_applied and not (isinstance(error, ErrorReply) and not 500 <= error.error <= 599)


def error_reply(error: int, error_text: str) -> ErrorReply:
    """What an envelope with this `error`, which is not 0, means.

    401 and 403 are documented to speak of the token. 402 and 440 are documented to exist and say nothing of a code, 429 is
    an overload wherever it is used, and 500 to 599 may stand in front of a request that was carried out.
    """
    if error in (401, 403):
        return TokenRefused(error, error_text)
    return (NotUnderstood if error in (402, 429, 440) or 500 <= error <= 599 else Refused)(error, error_text)
