"""Which order used which code: one DynamoDB item for each program and code, written by compare-and-swap.

A code is `claimed` while a run processes it, until `claimed_until` at the latest; then `redeemed`: an order holds it, or
`released`: no order does. An expired claim is that of a run that was killed, and that may have activated the code.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import Any, Final, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from activate.redemption import Outcome, Redemption, TryAgain
from lambda_support.fields import InvalidField

MEMORY: Final = timedelta(days=400)
"""How long an item is kept: a year later, a shop may deliver an order's webhook again, or a customer reuse a code."""

CLOCKS_APART: Final = timedelta(seconds=3)
"""The most by which two times of one event may differ: by two sandboxes' clocks, or ours and Altcraft's of whole seconds."""

MAX_TRIES: Final = 100
"""Unsettled orders of one code that an item holds: during an Altcraft outage, thousands may use a universal code."""

_CONTROLS: Final = 3
"""Control codes to choose from: one may have been deleted in Altcraft."""

_PAGE_ITEMS: Final = 100
_PAGES: Final = 5


class State(StrEnum):
    """Whether an order holds the code."""

    CLAIMED = "claimed"
    REDEEMED = "redeemed"
    RELEASED = "released"


@dataclass(frozen=True)
class Try:
    """An order's tries that may have been applied without a reply. Callers without an order share one, as none is repeated."""

    since: datetime
    """When the first of them began."""
    order_id: str | None = None


def disowned(tries: tuple[Try, ...], order_id: str | None) -> tuple[Try, ...]:
    """Detach an order from its tries, once it is certain that they did not activate the code.

    The time of the first try is kept, without the order: the next run calls `get` before it requests an activation.
    """
    others = tuple(one for one in tries if one.order_id not in (order_id, None))
    return (*others, Try(min(one.since for one in tries))) if len(others) < len(tries) else others


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One item of the table, attribute by attribute. Times are ISO 8601 in UTC, by Lambda's clock."""

    loyalty_id: int
    code: str
    state: State
    order_id: str | None = None
    """The order that claims or holds the code, or did; None for a caller who gave none."""
    claim_id: str
    """The id of the run that wrote the item; it also identifies a caller without an order."""
    claimed_at: datetime
    claimed_until: datetime
    """When Lambda has certainly ended that run."""
    tries: tuple[Try, ...] = ()
    """Those that are not settled."""
    known_at: datetime | None = None
    """When Altcraft last answered error 0 for this code, so that it can serve as a control code; None for never."""
    redeemed_at: datetime | None = None
    last_outcome: str | None = None
    """How the last run ended: an outcome, or the reason why there was none."""
    expiration: int
    """Epoch seconds after which the item is ignored. It is checked on reading: DynamoDB deletes items days later."""

    @property
    def tried_since(self) -> datetime | None:
        """When this entry's order first began a try that may have been applied; None if there was no such try."""
        if self.order_id is None:
            return None
        return next((one.since for one in self.tries if one.order_id == self.order_id), None)

    @property
    def unsettled(self) -> tuple[Try, ...]:
        """`tries`, including this entry's own run."""
        if any(one.order_id == self.order_id for one in self.tries):
            return self.tries
        return (*self.tries, Try(self.claimed_at, self.order_id))

    @property
    def activated_at(self) -> datetime | None:
        """When Altcraft activated the code, by our clock; None if a slow or lost reply makes that uncertain."""
        prompt = self.redeemed_at and not self.tries and self.redeemed_at - self.claimed_at <= CLOCKS_APART
        return self.redeemed_at if prompt else None


class Ledger:
    """The table, for the life of a sandbox.

    Every method raises `TryAgain` if the table does not answer, if an item cannot be read, or if another run has claimed the
    code.
    """

    def __init__(self, table: str, dynamodb: Any, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`dynamodb`: botocore's client."""
        self._table = table
        self._dynamodb = dynamodb
        self._now = now

    def claim(self, redemption: Redemption, until: datetime) -> Entry:
        """Claim a code for a run that ends at `until`; or, if an order holds the code, return that order's entry."""
        now = self._now()
        claim = Entry(
            loyalty_id=redemption.loyalty_id,
            code=redemption.code,
            state=State.CLAIMED,
            order_id=redemption.order_id,
            claim_id=uuid.uuid4().hex,
            claimed_at=now,
            claimed_until=until + CLOCKS_APART,
            expiration=int((now + MEMORY).timestamp()),
        )
        found = self._swap(None, claim)
        if found is None:
            return claim
        if found.expiration > now.timestamp():
            if found.state is State.REDEEMED:
                return found
            if found.state is State.CLAIMED and found.claimed_until > now:
                raise _in_progress()
            tries = found.unsettled if found.state is State.CLAIMED else found.tries
            claim = replace(claim, tries=tries, known_at=found.known_at, last_outcome=found.last_outcome)
        if self._swap(found, claim) is not None:
            raise _in_progress()
        return claim

    def redeem(self, claim: Entry, tries: tuple[Try, ...]) -> None:
        """Record that the claim's order holds the code; if there are `tries`, it may have done so for some time."""
        now = self._now()
        self._end(
            claim, state=State.REDEEMED, last_outcome=Outcome.ACTIVATED, tries=tries, known_at=now, redeemed_at=now
        )

    def release(self, claim: Entry, ending: str, tries: tuple[Try, ...], *, exists: bool) -> None:
        """Record that no order holds the code.

        Args:
            claim: the entry that `claim` returned.
            ending: the outcome, or the reason why there is none.
            tries: those still unsettled.
            exists: Altcraft answered error 0 for the code.
        """
        known_at = self._now() if exists else claim.known_at
        self._end(claim, state=State.RELEASED, last_outcome=ending, tries=tries, known_at=known_at)

    def holder(self, redemption: Redemption) -> Entry | None:
        """The entry of the order that holds a code, whichever order it is; None if none does. Nothing is claimed by that."""
        try:
            found = self._dynamodb.get_item(
                TableName=self._table,
                Key={"loyalty_id": {"N": str(redemption.loyalty_id)}, "code": {"S": redemption.code}},
                ConsistentRead=True,
            )
        except (ClientError, BotoCoreError) as error:
            raise self._unavailable(error) from error
        if "Item" not in found:
            return None
        entry = self._read(found["Item"])
        return entry if entry.state is State.REDEEMED and entry.expiration > self._now().timestamp() else None

    def controls(self, redemption: Redemption) -> list[Entry]:
        """Other codes of the program that Altcraft is known to have, the most recently confirmed first; at most three."""
        known = {entry.code: entry for entry in islice(self._known(redemption), _PAGE_ITEMS)}
        newest = sorted(known.values(), key=lambda entry: entry.known_at or entry.claimed_at, reverse=True)
        # Codes with a certain activation time come first, because they also show the difference of Altcraft's clock.
        return sorted(newest, key=lambda entry: entry.activated_at is None)[:_CONTROLS]

    def _known(self, redemption: Redemption) -> Iterator[Entry]:
        """The known codes after this one in the table, then those from the program's first code on."""
        here = {"loyalty_id": {"N": str(redemption.loyalty_id)}, "code": {"S": redemption.code}}
        for start in (here, None):
            for _ in range(_PAGES):
                page = self._query(here["loyalty_id"], start)
                for item in page["Items"]:
                    with suppress(InvalidField):  # an item that was edited wrongly is skipped: another one will do
                        if item["code"] != here["code"]:
                            yield Entry(**_values(Entry, item))
                start = page.get("LastEvaluatedKey")
                if not start:
                    break

    def _query(self, loyalty_id: Mapping[str, str], start: Mapping[str, Any] | None) -> Any:
        try:
            return self._dynamodb.query(
                TableName=self._table,
                KeyConditionExpression="loyalty_id = :loyalty_id",
                FilterExpression="attribute_exists(known_at)",
                ExpressionAttributeValues={":loyalty_id": loyalty_id},
                Limit=_PAGE_ITEMS,
                **({"ExclusiveStartKey": start} if start else {}),
            )
        except (ClientError, BotoCoreError) as error:
            raise self._unavailable(error) from error

    def _end(self, claim: Entry, **changes: Any) -> None:
        if self._swap(claim, replace(claim, **changes)) is not None:
            raise _in_progress()

    def _swap(self, seen: Entry | None, entry: Entry) -> Entry | None:
        """Write an item if the table still holds `seen`, or no item; otherwise return the item that it holds."""
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(code)"}
        if seen is not None:
            condition = {
                "ConditionExpression": "attribute_not_exists(code) OR (claim_id = :claim_id AND #state = :state)",
                "ExpressionAttributeNames": {"#state": "state"},
                "ExpressionAttributeValues": {":claim_id": {"S": seen.claim_id}, ":state": {"S": seen.state.value}},
            }
        try:
            self._dynamodb.put_item(
                TableName=self._table, Item=_item(entry), ReturnValuesOnConditionCheckFailure="ALL_OLD", **condition
            )
        except (ClientError, BotoCoreError) as error:
            response: Mapping[str, Any] = error.response if isinstance(error, ClientError) else {}
            if "Item" not in response:
                raise self._unavailable(error) from error
            found = self._read(response["Item"])
        else:
            return None
        # The reply to a write can be lost; then botocore writes again, and finds its own first write.
        return None if (found.claim_id, found.state) == (entry.claim_id, entry.state) else found

    def _read(self, item: Mapping[str, Any]) -> Entry:
        try:
            return Entry(**_values(Entry, item))
        except InvalidField as error:
            key = json.dumps({name: item[name] for name in ("loyalty_id", "code")})
            raise TryAgain(
                "table_unavailable",
                f"the table {self._table} holds an item that cannot be read ({error}): correct or delete it; its key is {key}",
            ) from error

    def _unavailable(self, error: ClientError | BotoCoreError) -> TryAgain:
        cause = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
        return TryAgain("table_unavailable", f"the table {self._table} does not answer ({cause})")


def _in_progress() -> TryAgain:
    return TryAgain("in_progress", "this code is being activated by another request")


class _Kind(NamedTuple):
    """How an attribute's values are written in DynamoDB's API, such as `{"S": "text"}`."""

    type: str
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    return moment


_TEXT: Final = _Kind("S", str, str)
_NUMBER: Final = _Kind("N", str, int)
_MOMENT: Final = _Kind("S", datetime.isoformat, _moment)

_ATTRIBUTES: Final[Mapping[str, _Kind]] = {
    "loyalty_id": _NUMBER,
    "code": _TEXT,
    "state": _Kind("S", str, State),
    "order_id": _TEXT,
    "claim_id": _TEXT,
    "claimed_at": _MOMENT,
    "claimed_until": _MOMENT,
    "tries": _Kind(
        "L",
        lambda tries: [{"M": _item(one)} for one in tries],
        lambda items: tuple(Try(**_values(Try, item["M"])) for item in items),
    ),
    "since": _MOMENT,
    "known_at": _MOMENT,
    "redeemed_at": _MOMENT,
    "last_outcome": _TEXT,
    "expiration": _NUMBER,
}


def _item(entry: Entry | Try) -> dict[str, Any]:
    """Convert an entry to an item of the table; default values are omitted."""
    values = {field.name: getattr(entry, field.name) for field in fields(entry)}
    return {
        name: {_ATTRIBUTES[name].type: _ATTRIBUTES[name].write(value)}
        for name, value in values.items()
        if value not in (None, ())
    }


def _values(kind: type[Entry | Try], item: Mapping[str, Any]) -> dict[str, Any]:
    """Read an item, or a part of one.

    Raises:
        InvalidField: the ledger did not write it so: it was edited. The message names the attribute.
    """
    values = {}
    for field in fields(kind):
        name, attribute = field.name, _ATTRIBUTES[field.name]
        if name in item:
            try:
                values[name] = attribute.read(item[name][attribute.type])
            except (KeyError, TypeError, ValueError) as error:
                raise InvalidField(name, "is not as it was written") from error
        elif field.default is MISSING:
            raise InvalidField(name, "is missing")
    return values
