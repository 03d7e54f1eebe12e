"""What can go wrong when Altcraft is asked something, and whether asking again is safe.

Messages never hold the token. `error` and `error_text` are Altcraft's own words: they are for the operator to read, and
nothing is decided by the text, nor by a code that Altcraft does not document.

Source: Altcraft documentation, "API response codes" (0 success, 400 incorrect request, 401 API token required, 402 tariff
limit reached, 403 no permission).
"""

from __future__ import annotations

from typing import ClassVar, Final

TOKEN_REFUSED_ERRORS: Final = frozenset({401, 403})
"""The documented codes that speak of the token rather than of the request."""


class AltcraftError(Exception):
    """Altcraft did not do what was asked. `retryable`: the same request may succeed later without anyone changing it."""

    retryable: ClassVar[bool] = False


class Refused(AltcraftError):
    """Altcraft understood and said no: a well-formed reply whose `error` is not 0."""

    def __init__(self, error: int, error_text: str) -> None:
        super().__init__(f"Altcraft refused: error {error}, {error_text!r}")
        self.error = error
        self.error_text = error_text


class TokenRefused(Refused):
    """Altcraft refused our token. Worth trying again: an operator mends the secret, and nobody mends a lost code."""

    retryable = True


class Unreachable(AltcraftError):
    """No answer: no connection, no reply in time, HTTP 429, or HTTP 5xx without an envelope.

    `sent` is False where the request surely never left, so that nothing can have been applied.
    """

    retryable = True

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class IncoherentReply(AltcraftError):
    """An answer that is not Altcraft's envelope: an HTML page, a reply cut off, a wrong shape, bytes that are not UTF-8."""

    retryable = True
