"""Helpers for tests of activations: an activator with a real table and a real client, and its secret."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from activate.activation import Activator
from activate.ledger import Ledger
from activate.redemption import Redemption, Result
from altcraft.client import Client, Timeouts
from altcraft.token import Token
from altcraft.wire import Wire
from local.aws import Aws

TOKEN = "local-altcraft-token"


@dataclass
class Secret:
    """A secret in memory. `stored`, if set, is its value from the next refresh on."""

    value: str = TOKEN
    stored: str = ""

    def text(self) -> str:
        return self.value

    def refresh(self) -> str:
        self.value = self.stored or self.value
        return self.value


def deadline(seconds: float = 60) -> datetime:
    """The end of a run with this many seconds left."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


@dataclass
class Orders:
    """Activates codes for orders, each in a run with a minute left."""

    activator: Activator
    ledger: Ledger

    def activate(self, code: str, order_id: str | None = "1001", loyalty_id: int = 5) -> Result:
        return self.activator.activate(Redemption(code, loyalty_id, order_id), deadline())


def make_orders(url: str, aws: Aws, table: str, wire: Wire = "json", secret: Secret | None = None) -> Orders:
    ledger = Ledger(table, aws.client("dynamodb"))
    client = Client(url, Token(secret or Secret()), wire, Timeouts(connect=1, read=1, total=2))
    return Orders(Activator(client, ledger), ledger)
