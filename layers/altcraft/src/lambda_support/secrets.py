"""Secrets of Secrets Manager, cached with a lifetime.

Powertools' parameters would import boto3 and its S3 transfers, a tenth of a webhook's cold start, to cache one text.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from lambda_support import aws
from lambda_support.telemetry import logger

LIFETIME_SECONDS: Final = 300
"""How long a secret is served from the cache. Where it is refused, `refresh` reads it at once."""

RETRY_SECONDS: Final = 30
"""The time between two attempts to read a secret whose lifetime is over, while it cannot be read; it stays in use meanwhile."""


class SecretError(Exception):
    """A secret cannot be read. The message names the secret and the remedy."""


class Secret:
    """One secret's text, by its name or ARN."""

    def __init__(self, secret_id: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: monotonic seconds."""
        self._id = secret_id
        self._clock = clock
        self._text = ""
        self._fresh_until = float("-inf")

    def text(self) -> str:
        """The secret, from the cache if it is fresh, or if Secrets Manager cannot be read.

        Raises:
            SecretError: it was never read, and does not exist, access is denied, or it is not text.
        """
        if self._clock() < self._fresh_until:
            return self._text
        try:
            return self.refresh()
        except SecretError as error:
            if not self._text:
                raise
            self._fresh_until = self._clock() + RETRY_SECONDS
            logger.error("A secret cannot be read; the last one that was read stays in use", detail=str(error))
            return self._text

    def refresh(self) -> str:
        """Read the secret now, bypassing the cache.

        Raises:
            SecretError: it does not exist, access is denied, or it is not text.
        """
        try:
            secret = aws.client("secretsmanager").get_secret_value(SecretId=self._id)
        except (ClientError, BotoCoreError) as error:
            cause = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
            raise SecretError(
                f"cannot read the secret {self._id} ({cause}): "
                "it must exist, have a value, and be readable by the function's role"
            ) from error
        if "SecretString" not in secret:
            raise SecretError(f"the secret {self._id} is binary: store it as text")
        self._text = secret["SecretString"]
        self._fresh_until = self._clock() + LIFETIME_SECONDS
        return self._text
