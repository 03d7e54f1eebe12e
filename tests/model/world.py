"""A model of what surrounds the ledger and the activation logic: an Altcraft, a table, people and a clock, simple and exact."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from botocore.exceptions import ClientError

from altcraft.codes import CodeState
from altcraft.errors import Refused, error_reply

PROGRAM = 5
BEGINNING = datetime(2026, 1, 1, 9, 17, 23, 400_000, UTC)

Times = Literal["zoned", "no_zone", "empty"]


@dataclass(frozen=True)
class Code:
    """The true state of a code. `activated_by` is an order, a caller without one, or a person."""

    exists: bool = True
    attached: bool = True
    expired: bool = False
    activated_at: datetime | None = None
    activated_by: object = None


@dataclass
class World:
    """The true state of Altcraft, and the time.

    Args:
        skew: Altcraft's clock minus ours.
        times: how it writes a time.
        idempotent: activating an activated code succeeds, instead of being refused.
        refuses_unused: deactivating a code that is not activated is refused, instead of succeeding.
    """

    skew: timedelta = timedelta()
    times: Times = "zoned"
    idempotent: bool = False
    refuses_unused: bool = False
    now: datetime = BEGINNING
    codes: dict[str, Code] = field(default_factory=dict)
    history: list[tuple[datetime, str, Code]] = field(default_factory=list)
    """Each change of a code."""
    activations: list[tuple[datetime, str, object]] = field(default_factory=list)
    """Each activation that was carried out: when, of which code, by whom."""
    repeated: list[str] = field(default_factory=list)
    """Codes that were activated again although one of our requests had activated them."""
    holders: dict[str, object] = field(default_factory=dict)
    """By code, the order that got `activated`."""
    given_back: list[tuple[datetime, str, object, object]] = field(default_factory=list)
    """Each deactivation by one of our requests: when, of which code, which order had got `activated`, on whose behalf."""
    token_is_good: bool = True
    failing_calls: int = 0
    """The number of further calls that are refused with an undocumented error."""

    def clock(self) -> datetime:
        return self.now

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def change(self, name: str, **changes: Any) -> None:
        self.codes[name] = replace(self.codes.get(name, Code()), **changes)
        self.history.append((self.now, name, self.codes[name]))

    def seen_since(self, moment: datetime, name: str) -> list[Code]:
        """The states that a code has had since a moment."""
        before = [code for when, changed, code in self.history if changed == name and when <= moment]
        after = [code for when, changed, code in self.history if changed == name and when > moment]
        return [before[-1] if before else Code(exists=False), *after]

    # --- calls to Altcraft --------------------------------------------------------------------------------------------

    def activate(self, name: str, by: object) -> None:
        self._answer()
        code = self.codes.get(name, Code(exists=False))
        if not code.exists or not code.attached or code.expired or (code.activated_at and not self.idempotent):
            raise Refused(7, "no")
        if code.activated_at and code.activated_by != "a person":
            self.repeated.append(name)
        self.activations.append((self.now, name, by))
        if not code.activated_at:
            self.change(name, activated_at=self.now, activated_by=by)

    def deactivate(self, name: str, by: object) -> None:
        self._answer()
        code = self.codes.get(name, Code(exists=False))
        if not code.exists:
            raise Refused(6, "no")
        if not code.activated_at and self.refuses_unused:
            raise Refused(5, "no")
        if code.activated_at:
            self.given_back.append((self.now, name, self.holders.get(name), by))
            self.change(name, activated_at=None, activated_by=None)

    def get(self, name: str) -> CodeState:
        self._answer()
        code = self.codes.get(name, Code(exists=False))
        if not code.exists:
            raise Refused(8, "no")
        return CodeState(
            is_attached=code.attached,
            is_activated=code.activated_at is not None,
            is_expired=code.expired,
            code=name,
            loyalty_id=str(PROGRAM),
            activated=self._written(code.activated_at),
        )

    def _answer(self) -> None:
        self.pass_time(0.05)
        if self.failing_calls:
            self.failing_calls -= 1
            raise Refused(9, "?")
        if not self.token_is_good:
            raise error_reply(401, "token")

    def _written(self, moment: datetime | None) -> str:
        if moment is None or self.times == "empty":
            return ""
        stamp = (moment + self.skew).replace(microsecond=0)
        # A whole minute may have been rounded, and so cannot be used to compare clocks.
        stamp = stamp.replace(second=stamp.second or 1)
        return stamp.isoformat() if self.times == "zoned" else stamp.replace(tzinfo=None).isoformat()


class Table:
    """A DynamoDB table, with the calls that the ledger makes."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}

    def put_item(self, *, Item: dict[str, Any], **request: Any) -> dict[str, Any]:  # noqa: N803 - AWS's name
        name = Item["code"]["S"]
        there = self.items.get(name)
        seen: Mapping[str, Any] | None = request.get("ExpressionAttributeValues")
        if there is not None and (seen is None or (there["claim_id"], there["state"]) != tuple(seen.values())):
            error = {"Error": {"Code": "ConditionalCheckFailedException", "Message": ""}, "Item": copy.deepcopy(there)}
            raise ClientError(error, "PutItem")  # type: ignore[arg-type]  # the item is in none of its types
        self.items[name] = copy.deepcopy(Item)
        return {}

    def get_item(self, **request: Any) -> dict[str, Any]:
        item = self.items.get(request["Key"]["code"]["S"])
        return {"Item": copy.deepcopy(item)} if item else {}

    def query(self, **request: Any) -> dict[str, Any]:
        after = request["ExclusiveStartKey"]["code"]["S"] if "ExclusiveStartKey" in request else ""
        names = [name for name in sorted(self.items) if name > after and "known_at" in self.items[name]]
        return {"Items": [copy.deepcopy(self.items[name]) for name in names]}


class Altcraft:
    """Altcraft as a run calls it: each call stops the run."""

    def __init__(
        self,
        world: World,
        call: Callable[[str, Callable[[], Any]], Any],
        by: object,
        claimed_by: Callable[[str], object],
    ) -> None:
        """`claimed_by`: the order on whose behalf a code is processed."""
        self._world, self._call, self._by, self._claimed_by = world, call, by, claimed_by

    def activate(self, code: str, loyalty_id: int) -> None:
        self._call("activate", lambda: self._world.activate(code, self._by))

    def deactivate(self, code: str, loyalty_id: int) -> None:
        order_id = self._claimed_by(code)
        self._call("deactivate", lambda: self._world.deactivate(code, order_id))

    def get(self, code: str, loyalty_id: int) -> CodeState:
        state: CodeState = self._call("get", lambda: self._world.get(code))
        return state

    def renew_token(self) -> bool:
        return False


class DynamoDB:
    """The table as a run calls it: each call stops the run."""

    def __init__(self, table: Table, call: Callable[[str, Callable[[], Any]], Any]) -> None:
        self._table, self._call = table, call

    def put_item(self, **request: Any) -> Any:
        return self._call("put_item", lambda: self._table.put_item(**request))

    def get_item(self, **request: Any) -> Any:
        return self._call("get_item", lambda: self._table.get_item(**request))

    def query(self, **request: Any) -> Any:
        return self._call("query", lambda: self._table.query(**request))
