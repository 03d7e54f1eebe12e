"""A secret in memory, where a test has no use for Secrets Manager."""

from dataclasses import dataclass

from lambda_support.secrets import SecretError

TOKEN = "local-altcraft-token"


@dataclass
class Secret:
    """Stands in for `lambda_support.secrets.Secret`: `stored` is what a reading gives, `cached` what the last one gave.

    It counts its `reads`, and raises SecretError at each while it is not `readable`.
    """

    stored: str = TOKEN
    cached: str | None = None
    readable: bool = True
    reads: int = 0

    def text(self) -> str:
        """The cached text; the stored one where there is none."""
        return self.refresh() if self.cached is None else self.cached

    def refresh(self) -> str:
        """The stored text, cached from now on."""
        self.reads += 1
        if not self.readable:
            raise SecretError("cannot read the secret name-of-the-secret")
        self.cached = self.stored
        return self.stored
