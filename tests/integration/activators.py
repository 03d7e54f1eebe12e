"""Helpers for tests of activations: an activator with a real table and a real client, and its secret."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from activate.activation import Activator
from activate.ledger import Ledger
from activate.redemption import Redemption, Result
from altcraft.client import Client
from altcraft.token import Token
from altcraft.wire import Wire
from local.engine import Aws
from tests.secret import Secret


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
    client = Client(url, Token(secret or Secret()), wire)
    return Orders(Activator(client, ledger), ledger)
