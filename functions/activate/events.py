"""What a change of the ledger means to others: a record of the table's stream, read as an event or as none.

Most changes are no event: that a run has claimed a code, or that there is no outcome yet. An event is the change from the old
image of the item to the new one, so that it needs no write of its own, and a record that is delivered again gives it again.

Source: Amazon DynamoDB Streams API reference, "Record"; AWS Lambda Developer Guide, "Using AWS Lambda with Amazon DynamoDB".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from activate.ledger import State
from activate.redemption import MAX_TEXT, Outcome
from lambda_support.event_bus import Event, event_id
from lambda_support.fields import InvalidField, loyalty_id

ACTIVATED: Final = "Promo Code Activated"
DEACTIVATED: Final = "Promo Code Deactivated"
NOT_ACTIVATED: Final = "Promo Code Not Activated"
DOUBLE_REDEMPTION: Final = "Promo Code Double Redemption"
GIVEN_UP: Final = "Promo Code Given Up"

_REFUSALS: Final = frozenset(
    {Outcome.ALREADY_ACTIVATED, Outcome.NOT_ATTACHED, Outcome.EXPIRED, Outcome.NOT_FOUND},
)
"""The outcomes of an activation that did not activate the code. A reason why there is no outcome yet is no event."""

_Item = Mapping[str, Any]
"""An image of an item in DynamoDB's own JSON, such as `{"code": {"S": "Code-1"}}`."""


def event_of(record: Mapping[str, Any]) -> Event | None:
    """The event that a record of the stream stands for; None if it is none, as for an item that expired or was deleted.

    Raises:
        InvalidField: the item is not as the ledger writes it: it was edited. The message names the attribute.
    """
    change = record["dynamodb"]
    old: _Item = change.get("OldImage") or {}
    new: _Item | None = change.get("NewImage")
    if new is None:
        return None
    if _note_id(new) not in (None, _note_id(old)):
        return _noted(new)
    # Also of a code that is still claimed: a reversal can find out that its order holds the code, before it gives it back.
    if _is_new("redeemed_at", old, new):
        return _event(ACTIVATED, new, _moment(new, "redeemed_at"), _order(new), new["redeemed_at"]["S"])
    if _is_new("released_at", old, new):
        return _event(DEACTIVATED, new, _moment(new, "released_at"), _order(new), new["released_at"]["S"])
    outcome = _text(new, "last_outcome")
    ended = (_text(old, "state"), _text(new, "state")) == (State.CLAIMED, State.RELEASED)
    same_run = _text(old, "claim_id") == _text(new, "claim_id")
    if ended and same_run and outcome in _REFUSALS and "returning_since" not in old:
        return _event(
            NOT_ACTIVATED,
            new,
            _stream_time(change.get("ApproximateCreationDateTime")),
            {**_order(new), "outcome": outcome},
            # A run that is repeated, because it was killed before its answer, finds the same thing.
            *((_text(new, "order_id"), outcome) if "order_id" in new else (_text(new, "claim_id"),)),
        )
    return None


def _noted(item: _Item) -> Event:
    """The event of an item's note: of what changes no code's state, and is written only to be published."""
    note: _Item = item["note"]["M"]
    kind = _text(note, "kind")
    if kind == "double_redemption":
        return _event(
            DOUBLE_REDEMPTION,
            item,
            _moment(note, "at"),
            {**_order(note), "first_order_id": _text(item, "order_id")},
            _note_id(item),
        )
    reason = _text(note, "reason")
    if kind == "given_up" and reason:
        return _event(GIVEN_UP, item, _moment(note, "at"), {**_order(note), "reason": reason}, _note_id(item))
    raise _edited("note")


def _note_id(item: _Item) -> str | None:
    note = item.get("note")
    if note is None:
        return None
    fields = note.get("M") if isinstance(note, Mapping) else None
    identity = _text(fields, "id") if isinstance(fields, Mapping) else None
    if identity is None:
        raise _edited("note")
    return identity


def _event(detail_type: str, item: _Item, at: datetime, facts: Mapping[str, object], *identity: object) -> Event:
    number = item.get("loyalty_id")
    program = loyalty_id("loyalty_id", number.get("N") if isinstance(number, Mapping) else None)
    code = _text(item, "code")
    if not code:
        raise _edited("code")
    detail = {"loyalty_id": program, "code": code, **facts}
    return Event(detail_type, event_id(detail_type, program, code, *identity), at, detail)


def _order(item: _Item) -> dict[str, str | None]:
    return {"order_id": _text(item, "order_id"), "source": _text(item, "source")}


def _is_new(name: str, old: _Item, new: _Item) -> bool:
    return name in new and new[name] != old.get(name)


def _text(item: _Item, name: str) -> str | None:
    """A text attribute; None where the item has none of this name. The ledger writes no longer text than a request may have."""
    attribute = item.get(name)
    if attribute is None:
        return None
    text = attribute.get("S") if isinstance(attribute, Mapping) else None
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise _edited(name)
    return text


def _moment(item: _Item, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(item, name) or "")
    except ValueError as error:
        raise _edited(name) from error
    if moment.tzinfo is None:
        raise _edited(name)
    return moment


def _stream_time(value: object) -> datetime:
    """When the stream got the record: epoch seconds, as Lambda passes them, or a text, as the AWS CLI prints it."""
    try:
        moment = (
            datetime.fromisoformat(value) if isinstance(value, str) else datetime.fromtimestamp(float(str(value)), UTC)
        )
    except (ValueError, OverflowError, OSError) as error:
        raise _edited("ApproximateCreationDateTime") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _edited(name: str) -> InvalidField:
    return InvalidField(name, "is not as the ledger writes it")
