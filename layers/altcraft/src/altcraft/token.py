"""Altcraft's API token, kept in a secret as plain text or as `{"token": "..."}`."""

from __future__ import annotations

import json
from typing import Protocol


class Secret(Protocol):
    """A text kept somewhere safe, and cached here. `refresh` reads it again now."""

    def text(self) -> str: ...

    def refresh(self) -> str: ...


class UnusableToken(Exception):
    """The secret can be read but holds no token. The message names the remedy and quotes nothing of the secret."""


class Token:
    """The token of one secret; `renew` reads the secret again, for when Altcraft has refused what we had."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret
        self._given = ""

    def value(self) -> str:
        """The token, from the cache where it is fresh.

        Raises:
            UnusableToken: the secret holds none.
        """
        self._given = _token_in(self._secret.text())
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
        except (ValueError, KeyError):
            token = None
    if not isinstance(token, str) or not token or not token.isprintable():
        raise UnusableToken('the secret holds no Altcraft token: store it as plain text or as {"token": "..."}')
    return token
