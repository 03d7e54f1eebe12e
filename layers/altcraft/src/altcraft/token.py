"""Altcraft's API token, kept in a secret as plain text or as `{"token": "..."}`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Final, Protocol

REREAD_SECONDS: Final = 5
"""The least time between two readings of a secret because it holds no token, however many calls want one."""


class Secret(Protocol):
    """A text kept somewhere safe, and cached here. `refresh` reads it again now."""

    def text(self) -> str: ...

    def refresh(self) -> str: ...


class UnusableToken(Exception):
    """The secret can be read but holds no token. The message names the remedy and quotes nothing of the secret."""


class Token:
    """The token of one secret; `renew` reads the secret again, for when Altcraft has refused what we had."""

    def __init__(self, secret: Secret, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds that only grow."""
        self._secret = secret
        self._clock = clock
        self._given = ""
        self._reread_from = float("-inf")

    def value(self) -> str:
        """The token, from the cache where it is fresh. What holds no token is no use there: it is read again.

        Raises:
            UnusableToken: the secret holds none, or held none less than `REREAD_SECONDS` ago.
        """
        try:
            self._given = _token_in(self._secret.text())
        except UnusableToken:
            if self._clock() < self._reread_from:
                raise
            self._reread_from = self._clock() + REREAD_SECONDS
            self._given = _token_in(self._secret.refresh())
        return self._given

    def renew(self) -> bool:
        """Read the secret again; True when it now holds another token than `value` gave last.

        Raises:
            UnusableToken: the secret holds none.
        """
        return _token_in(self._secret.refresh()) != self._given

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
