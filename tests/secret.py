"""A secret in memory, for tests that do not need Secrets Manager."""

from dataclasses import dataclass

from lambda_support.secrets import SecretError

TOKEN = "local-altcraft-token"


@dataclass
class Secret:
    """Replaces `lambda_support.secrets.Secret`: `stored` is the current value, `cached` the last one that was read.

    It counts its `reads`, and raises SecretError at each while it is not `readable`.
    """

    stored: str = TOKEN
    cached: str | None = None
    readable: bool = True
    reads: int = 0

    def text(self) -> str:
        """The cached text, or the stored one if none is cached."""
        return self.refresh() if self.cached is None else self.cached

    def refresh(self) -> str:
        """The stored text, which becomes the cached one."""
        self.reads += 1
        if not self.readable:
            raise SecretError("cannot read the secret name-of-the-secret")
        self.cached = self.stored
        return self.stored
