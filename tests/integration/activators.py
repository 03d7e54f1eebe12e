"""Helpers for tests of activations and reversals, with a real table and a real client."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from activate.action import Action
from activate.activation import Activator
from activate.ledger import Ledger
from activate.redemption import Act, Redemption, Result
from activate.reversal import Reverser
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
    """Activates codes for orders, or gives them back, each in a run with a minute left."""

    activator: Activator
    reverser: Reverser
    ledger: Ledger

    @property
    def acts(self) -> dict[Action, Act]:
        return {Action.ACTIVATE: self.activator.activate, Action.DEACTIVATE: self.reverser.deactivate}

    def activate(self, code: str, order_id: str | None = "1001", loyalty_id: int = 5) -> Result:
        return self.activator.activate(Redemption(code, loyalty_id, order_id), deadline())

    def deactivate(self, code: str, order_id: str = "1001", loyalty_id: int = 5) -> Result:
        return self.reverser.deactivate(Redemption(code, loyalty_id, order_id), deadline())


def make_orders(url: str, aws: Aws, table: str, wire: Wire = "json", secret: Secret | None = None) -> Orders:
    ledger = Ledger(table, aws.client("dynamodb"))
    client = Client(url, Token(secret or Secret()), wire)
    return Orders(Activator(client, ledger), Reverser(client, ledger), ledger)
