"""Altcraft's API token, kept in a secret as plain text or as `{"token": "..."}`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Final, Protocol

REREAD_SECONDS: Final = 5
"""The least time between two readings of a secret that holds no token, however many calls need one."""


class Secret(Protocol):
    """A cached secret text. `refresh` reads it again, bypassing the cache."""

    def text(self) -> str: ...

    def refresh(self) -> str: ...


class UnusableToken(Exception):
    """The secret can be read but holds no token. The message names the remedy and quotes nothing of the secret."""


class Token:
    """The token of one secret; `renew` reads the secret again, for use when Altcraft has refused the token."""

    def __init__(self, secret: Secret, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: monotonic seconds."""
        self._secret = secret
        self._clock = clock
        self._last = ""
        self._next_reread_at = float("-inf")

    def value(self) -> str:
        """The token, from the secret's cache if it is fresh. If the cached text holds no token, the secret is read again.

        Raises:
            UnusableToken: the secret holds none, or held none less than `REREAD_SECONDS` ago.
        """
        try:
            self._last = _token_in(self._secret.text())
        except UnusableToken:
            if self._clock() < self._next_reread_at:
                raise
            self._next_reread_at = self._clock() + REREAD_SECONDS
            self._last = _token_in(self._secret.refresh())
        return self._last

    def renew(self) -> bool:
        """Read the secret again; True if it now holds another token than `value` returned last.

        Raises:
            UnusableToken: the secret holds none.
        """
        return _token_in(self._secret.refresh()) != self._last

    def __repr__(self) -> str:
        return "Token(...)"


def _token_in(text: str) -> str:
    token: object = text.strip()
    if text.lstrip().startswith("{"):
        try:
            token = json.loads(text)["token"]
        except (ValueError, KeyError, RecursionError):
            token = None
    if not isinstance(token, str) or not token or not token.isprintable():
        raise UnusableToken('the secret holds no Altcraft token: store it as plain text or as {"token": "..."}')
    return token
