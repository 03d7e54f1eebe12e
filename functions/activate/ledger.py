"""Which order used which code: one DynamoDB item for each program and code, written by compare-and-swap.

A code is `claimed` while a run processes it, until `claimed_until` at the latest; then `redeemed`: an order holds it, or
`released`: no order does. An expired claim is that of a run that was killed, and that may have activated the code.

An order that gives a code back claims it again, with `returning_since`; until that is settled, no other order can take the
code. From then on the order is closed for the code: it never gets it again.
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
from typing import Any, Final, Literal, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from activate.redemption import Outcome, Redemption, TryAgain
from lambda_support.fields import InvalidField

MEMORY: Final = timedelta(days=400)
"""How long an item is kept: a year later, a shop may deliver an order's webhook again, or a customer reuse a code."""

CLOCKS_APART: Final = timedelta(seconds=3)
"""The most by which two times of one event may differ: by two sandboxes' clocks, or ours and Altcraft's of whole seconds."""

LATE_ARRIVAL: Final = timedelta(minutes=5)
"""How long after a run's end, or a lost reply, its request may still be carried out: far longer than servers process one."""

MAX_CLOSED: Final = 200
"""Closed orders of one code that an item holds, the newest ones: a universal code may be used in thousands of orders."""

MAX_TRIES: Final = 100
"""Unsettled orders of one code that an item holds: during an Altcraft outage, thousands may use a universal code."""

_NOTES: Final = uuid.UUID("f3b0c1de-4b57-4c3b-9c55-2a0b6f0b7a3e")
"""The namespace of the notes' ids."""

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
    until: datetime | None = None
    """When Lambda has certainly ended the last of them; None if an earlier version of this code wrote it."""


@dataclass(frozen=True)
class Closure:
    """An order that never gets a code again: it gave it back, or was reversed before it was paid."""

    order_id: str
    since: datetime
    gave_back: bool = False
    """It held the code, and no other order has taken it since."""


def disowned(tries: tuple[Try, ...], order_id: str | None) -> tuple[Try, ...]:
    """Detach an order from its tries, once it is certain that they did not activate the code.

    The time of the first try is kept, without the order: the next run calls `get` before it requests an activation.
    """
    others = tuple(one for one in tries if one.order_id not in (order_id, None))
    if len(others) == len(tries):
        return others
    ends = [one.until for one in tries if one.until]
    return (*others, Try(min(one.since for one in tries), until=max(ends, default=None)))


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One item of the table, attribute by attribute. Times are ISO 8601 in UTC, by Lambda's clock."""

    loyalty_id: int
    code: str
    state: State
    order_id: str | None = None
    """The order that claims or holds the code, or did; None for a caller who gave none."""
    source: str | None = None
    """The webhook source that reported this order; None for a caller of the API."""
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
    """When the order that holds the code got it."""
    returning_since: datetime | None = None
    """When this entry's order first began a reversal that may have been carried out."""
    released_at: datetime | None = None
    """When an order last gave the code back."""
    usable_from: datetime | None = None
    """When a lost request to deactivate the code can no longer be carried out, and undo the activation of another order."""
    closed: tuple[Closure, ...] = ()
    last_outcome: str | None = None
    """How the last run ended: an outcome, or the reason why there was none."""
    expiration: int
    """Epoch seconds after which the item is ignored. It is checked on reading: DynamoDB deletes items days later."""

    def closure(self, order_id: str | None) -> Closure | None:
        """The closure of an order for this code; None if it is not closed."""
        return next((one for one in self.closed if one.order_id == order_id), None)

    @property
    def tried_since(self) -> datetime | None:
        """When this entry's order first began a try that may have been applied; None if there was no such try."""
        if self.order_id is None:
            return None
        return next((one.since for one in self.tries if one.order_id == self.order_id), None)

    def tried_before(self, moment: datetime) -> bool:
        """Whether another order, or a caller without one, had begun a try that may have been applied."""
        return any(one.order_id != self.order_id and one.since < moment for one in self.tries)

    @property
    def unsettled(self) -> tuple[Try, ...]:
        """`tries`, including this entry's own run."""
        others = tuple(one for one in self.tries if one.order_id != self.order_id)
        first = next((one.since for one in self.tries if one.order_id == self.order_id), self.claimed_at)
        return (*others, Try(first, self.order_id, self.claimed_until))

    def may_be_held_by(self, order_id: str) -> bool:
        """Whether this order holds the code, or its tries may have activated it, and no other order holds it."""
        if self.order_id == order_id and self.state is not State.RELEASED:
            return True
        held = self.state is State.REDEEMED or self.is_returning
        is_tried = any(one.order_id == order_id for one in self.tries)
        return is_tried and (self.order_id == order_id or not held)

    @property
    def is_returning(self) -> bool:
        """Whether the order that holds the code has begun to give it back, so that this may have been carried out."""
        return self.redeemed_at is not None and self.returning_since is not None

    @property
    def began_earlier(self) -> bool:
        """Whether an earlier run's request to deactivate the code may have been carried out, or may still be."""
        return self.is_returning and self.returning_since != self.claimed_at

    def begun_anew(self) -> Entry:
        """This claim of a reversal, once it is known that the code is still activated: requests that can no longer be carried
        out never were, so that a code that Altcraft refuses to deactivate stays its order's."""
        over = self.usable_from is not None and self.usable_from <= self.claimed_at
        return replace(self, returning_since=self.claimed_at) if over else self

    @property
    def activated_at(self) -> datetime | None:
        """When Altcraft activated the code, by our clock; None if a slow or lost reply makes that uncertain."""
        if self.redeemed_at is None or self.tries:
            return None
        # A reversal has claimed the code after that: how long the activation took is not known any more.
        prompt = timedelta() <= self.redeemed_at - self.claimed_at <= CLOCKS_APART
        return self.redeemed_at if prompt else None


NoteKind = Literal["double_redemption", "given_up"]
"""A fact about a code that changes no state."""


class Ledger:
    """The table, for the life of a sandbox.

    Every method raises `TryAgain` if the table does not answer, if an item cannot be read, or if another run has claimed the
    code.
    """

    def __init__(
        self,
        table: str,
        dynamodb: Any,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        has_events: bool = False,
    ) -> None:
        """`dynamodb`: botocore's client; `has_events`: events are sent of what the table's stream shows."""
        self._table = table
        self._dynamodb = dynamodb
        self._now = now
        self._has_events = has_events

    def find(self, redemption: Redemption) -> Entry | None:
        """The entry of a code, whichever order's it is; None if there is none. Nothing is written."""
        entry = self._get(redemption)
        return entry if entry and entry.expiration > self._now().timestamp() else None

    def claim(self, redemption: Redemption, until: datetime) -> Entry:
        """Claim a code for a run that ends at `until`.

        Returns:
            The claim; or the entry that is in its way: the order is closed for the code (`closure`), an order holds it
            (`redeemed`), or is giving it back (`is_returning`).
        """
        now = self._now()
        claim = self._entry(redemption, State.CLAIMED, until + CLOCKS_APART)
        found = self._swap(None, claim)
        if found is None:
            return claim
        if found.expiration > now.timestamp():
            if found.closure(redemption.order_id):
                return found
            _require_unclaimed(found, now)
            if found.state is State.REDEEMED or found.is_returning:
                return found
            if found.usable_from and found.usable_from > now:
                raise TryAgain(
                    "unsettled", "the reply to a reversal of this code was lost: it may still be carried out"
                )
            tries = found.unsettled if found.state is State.CLAIMED else found.tries
            claim = replace(
                claim,
                tries=tries,
                known_at=found.known_at,
                last_outcome=found.last_outcome,
                released_at=found.released_at,
                closed=found.closed,
            )
        if self._swap(found, claim) is not None:
            raise _in_progress()
        return claim

    def claim_return(self, redemption: Redemption, until: datetime) -> Entry:
        """Claim a code that an order gives back, for a run that ends at `until`; or close an order that does not hold the code.

        Args:
            redemption: the code, and the order, which has an id.

        Returns:
            The claim; or, if there is nothing to give back, an entry in which the order is closed for the code (`closure`).
        """
        now = self._now()
        order_id = str(redemption.order_id)
        closing = replace(self._entry(redemption, State.RELEASED, now), closed=(Closure(order_id, now),))
        found = self._get(redemption)
        entry = closing
        if found and found.expiration > now.timestamp():
            if found.closure(order_id):
                return found
            _require_unclaimed(found, now)
            if found.may_be_held_by(order_id):
                entry = _return_of(found, closing, until + CLOCKS_APART)
            else:
                closed = _bounded(*found.closed, *closing.closed)
                entry = replace(found, claim_id=closing.claim_id, closed=closed, expiration=closing.expiration)
        if self._swap(found, entry) is not None:
            raise _in_progress()
        return entry

    def redeem(self, claim: Entry, tries: tuple[Try, ...]) -> None:
        """Record that the claim's order holds the code; if there are `tries`, it may have done so for some time."""
        now = self._now()
        self._end(
            claim,
            state=State.REDEEMED,
            last_outcome=Outcome.ACTIVATED,
            tries=tries,
            known_at=now,
            redeemed_at=now,
            closed=_outdone(claim.closed),
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

    def hold(self, claim: Entry) -> Entry:
        """Record that the order whose claim this is does hold the code; the claim goes on."""
        held = replace(claim, claim_id=uuid.uuid4().hex, redeemed_at=self._now(), closed=_outdone(claim.closed))
        if self._swap(claim, held) is not None:
            raise _in_progress()
        return held

    def close(self, claim: Entry, outcome: Outcome, *, lost: bool) -> None:
        """Record that the order does not hold the code, and never will: it gave it back, or there was nothing to give back.

        Args:
            claim: the entry that `claim_return` returned.
            outcome: of the reversal.
            lost: the request of this run may still be carried out.
        """
        now = self._now()
        gave_back = outcome is Outcome.DEACTIVATED
        closure = Closure(str(claim.order_id), now, gave_back)
        self._end(
            claim,
            state=State.RELEASED,
            last_outcome=outcome,
            tries=disowned(claim.tries, claim.order_id),
            known_at=now if gave_back else claim.known_at,
            redeemed_at=None,
            returning_since=None,
            released_at=now if gave_back else claim.released_at,
            usable_from=now + LATE_ARRIVAL if lost else claim.usable_from,
            closed=_bounded(*claim.closed, closure),
        )

    def keep(self, claim: Entry, ending: str, *, begun: bool) -> None:
        """Record that the order may not have given the code back. `begun`: this run's request may have been carried out."""
        self._end(
            claim,
            state=State.REDEEMED if claim.redeemed_at else State.RELEASED,
            last_outcome=ending,
            returning_since=claim.returning_since if begun or claim.began_earlier else None,
            usable_from=claim.claimed_until + LATE_ARRIVAL if begun else claim.usable_from,
        )

    def note(self, kind: NoteKind, redemption: Redemption, identity: object, reason: str | None = None) -> None:
        """Write a fact that changes no state into the item, for the events that are derived from the table's stream.

        The item's next write removes it. Nothing is written where the stack sends no events.

        Args:
            kind: the fact.
            redemption: the code, and the order.
            identity: what distinguishes this fact from others of its kind. A run that is repeated writes the same note again.
            reason: why a message was given up.
        """
        if not self._has_events:
            return
        facts = {
            "kind": kind,
            "id": uuid.uuid5(_NOTES, f"{kind} {redemption.order_id} {identity}").hex,
            "at": self._now().isoformat(),
            "order_id": redemption.order_id,
            "source": redemption.source,
            "reason": reason,
        }
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key=_key(redemption),
                UpdateExpression="SET note = :note, expiration = if_not_exists(expiration, :expiration)",
                ExpressionAttributeValues={
                    ":note": {"M": {name: {"S": text} for name, text in facts.items() if text is not None}},
                    ":expiration": {"N": str(_expiration(self._now()))},
                },
            )
        except (ClientError, BotoCoreError) as error:
            raise self._unavailable(error) from error

    def controls(self, redemption: Redemption) -> list[Entry]:
        """Other codes of the program that Altcraft is known to have, the most recently confirmed first; at most three."""
        known = {entry.code: entry for entry in islice(self._known(redemption), _PAGE_ITEMS)}
        newest = sorted(known.values(), key=lambda entry: entry.known_at or entry.claimed_at, reverse=True)
        # Codes with a certain activation time come first, because they also show the difference of Altcraft's clock.
        return sorted(newest, key=lambda entry: entry.activated_at is None)[:_CONTROLS]

    def _known(self, redemption: Redemption) -> Iterator[Entry]:
        """The known codes after this one in the table, then those from the program's first code on."""
        here = _key(redemption)
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

    def _get(self, redemption: Redemption) -> Entry | None:
        try:
            item = self._dynamodb.get_item(TableName=self._table, Key=_key(redemption), ConsistentRead=True).get("Item")
        except (ClientError, BotoCoreError) as error:
            raise self._unavailable(error) from error
        return self._read(item) if item and "claim_id" in item else None  # without it, the item holds a note only

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

    def _entry(self, redemption: Redemption, state: State, until: datetime) -> Entry:
        now = self._now()
        return Entry(
            loyalty_id=redemption.loyalty_id,
            code=redemption.code,
            state=state,
            order_id=redemption.order_id,
            source=redemption.source,
            claim_id=uuid.uuid4().hex,
            claimed_at=now,
            claimed_until=until,
            expiration=_expiration(now),
        )

    def _end(self, claim: Entry, **changes: Any) -> None:
        if self._swap(claim, replace(claim, **changes)) is not None:
            raise _in_progress()

    def _swap(self, seen: Entry | None, entry: Entry) -> Entry | None:
        """Write an item if the table still holds `seen`, or no item; otherwise return the item that it holds."""
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(claim_id)"}
        if seen is not None:
            condition = {
                "ConditionExpression": "attribute_not_exists(claim_id) OR (claim_id = :claim_id AND #state = :state)",
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


def _key(redemption: Redemption) -> dict[str, Any]:
    return {"loyalty_id": {"N": str(redemption.loyalty_id)}, "code": {"S": redemption.code}}


def _expiration(now: datetime) -> int:
    return int((now + MEMORY).timestamp())


def _in_progress() -> TryAgain:
    return TryAgain("in_progress", "this code is being processed by another request")


def _bounded(*closed: Closure) -> tuple[Closure, ...]:
    return closed[-MAX_CLOSED:]


def _outdone(closed: tuple[Closure, ...]) -> tuple[Closure, ...]:
    """The closures of a code that another order has taken."""
    return tuple(replace(one, gave_back=False) for one in closed)


def _require_unclaimed(found: Entry, now: datetime) -> None:
    if found.state is State.CLAIMED and found.claimed_until > now:
        raise _in_progress()


def _return_of(found: Entry, closing: Entry, until: datetime) -> Entry:
    """The claim of an order that holds a code, or may hold it, and gives it back."""
    tries = found.unsettled if found.state is State.CLAIMED and not found.is_returning else found.tries
    # Where an earlier version of this code wrote no end, no try is later than the last run.
    if any(closing.claimed_at < (one.until or found.claimed_until) + LATE_ARRIVAL for one in tries):
        raise TryAgain("unsettled", "the reply to an activation of this code was lost: it may still be carried out")
    was_killed = found.state is State.CLAIMED and found.is_returning
    usable_from = found.claimed_until + LATE_ARRIVAL if was_killed else found.usable_from
    return replace(
        found,
        state=State.CLAIMED,
        order_id=closing.order_id,
        source=closing.source or found.source,
        claim_id=closing.claim_id,
        claimed_at=closing.claimed_at,
        claimed_until=until,
        tries=tries,
        returning_since=found.returning_since if found.is_returning else closing.claimed_at,
        usable_from=usable_from,
        expiration=closing.expiration,
    )


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


def _list_of(kind: type[Try | Closure]) -> _Kind:
    return _Kind(
        "L",
        lambda parts: [{"M": _item(one)} for one in parts],
        lambda items: tuple(kind(**_values(kind, item["M"])) for item in items),
    )


_TEXT: Final = _Kind("S", str, str)
_FLAG: Final = _Kind("BOOL", bool, bool)
_NUMBER: Final = _Kind("N", str, int)
_MOMENT: Final = _Kind("S", datetime.isoformat, _moment)

_ATTRIBUTES: Final[Mapping[str, _Kind]] = {
    "loyalty_id": _NUMBER,
    "code": _TEXT,
    "state": _Kind("S", str, State),
    "order_id": _TEXT,
    "source": _TEXT,
    "claim_id": _TEXT,
    "claimed_at": _MOMENT,
    "claimed_until": _MOMENT,
    "tries": _list_of(Try),
    "since": _MOMENT,
    "until": _MOMENT,
    "known_at": _MOMENT,
    "redeemed_at": _MOMENT,
    "returning_since": _MOMENT,
    "released_at": _MOMENT,
    "usable_from": _MOMENT,
    "closed": _list_of(Closure),
    "gave_back": _FLAG,
    "last_outcome": _TEXT,
    "expiration": _NUMBER,
}


def _item(entry: Entry | Try | Closure) -> dict[str, Any]:
    """Convert an entry to an item of the table; default values are omitted."""
    values = {field.name: getattr(entry, field.name) for field in fields(entry)}
    return {
        name: {_ATTRIBUTES[name].type: _ATTRIBUTES[name].write(value)}
        for name, value in values.items()
        if value not in (None, ())
    }


def _values(kind: type[Entry | Try | Closure], item: Mapping[str, Any]) -> dict[str, Any]:
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
