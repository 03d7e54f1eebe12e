"""Secrets of Secrets Manager, cached with a lifetime, through Powertools' parameters."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from serverless import aws

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.parameters import SecretsProvider

LIFETIME_SECONDS: Final = 300
"""How long a secret is served from the cache. What refuses it calls `refresh` and need not wait."""


class SecretError(Exception):
    """A secret cannot be read. The message names the secret and the remedy."""


class Secret:
    """One secret's text, by its name or ARN."""

    def __init__(self, secret_id: str) -> None:
        self._id = secret_id

    def text(self) -> str:
        """The secret, from the cache where it is fresh.

        Raises:
            SecretError: it does not exist, may not be read, or is not text.
        """
        return self._read(force=False)

    def refresh(self) -> str:
        """The secret as it is now.

        Raises:
            SecretError: as `text`.
        """
        return self._read(force=True)

    def _read(self, *, force: bool) -> str:
        from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

        try:
            value = _provider().get(self._id, max_age=LIFETIME_SECONDS, force_fetch=force)
        except GetParameterError as error:
            raise SecretError(
                f"cannot read the secret {self._id}: it must exist, have a value, and be readable by the function's role"
            ) from error
        if not isinstance(value, str):
            raise SecretError(f"the secret {self._id} is binary: store it as text")
        return value


@cache
def _provider() -> SecretsProvider:
    from aws_lambda_powertools.utilities.parameters import SecretsProvider

    return SecretsProvider(boto3_client=aws.client("secretsmanager"))
