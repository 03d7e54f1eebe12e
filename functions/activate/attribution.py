"""Whose activation it was: the time that Altcraft gives for it, compared with the time of an order's first request.

The clocks may differ, and a time may have been written without its zone, or be rounded. A time that cannot decide it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from activate.ledger import CLOCKS_APART
from activate.redemption import TryAgain
from altcraft.errors import Refused

if TYPE_CHECKING:
    from activate.inquiry import Inquiry

LARGEST_SKEW: Final = timedelta(hours=26)
"""The largest error that a wrong clock or a missing time zone can cause."""


SMALLEST_SKEW: Final = timedelta(minutes=15)
"""Wrong zones and clocks usually differ by more: an activation time less than this after a try belongs to that try, where no
other order tried before, and nothing shows Altcraft's clock."""


class Attribution:
    """Decides whether an activation is an order's own."""

    def __init__(self, inquiry: Inquiry, now: Callable[[], datetime]) -> None:
        self._inquiry = inquiry
        self._now = now

    def is_ours(
        self,
        activated: datetime | None,
        since: datetime,
        tried_at: datetime | None = None,
        *,
        is_alone: bool,
    ) -> bool:
        """Whether Altcraft activated a code after an order's first try.

        Args:
            activated: when Altcraft activated it, by its own clock.
            since: when the order's first try began, by ours.
            tried_at: when this run began, if its own request may have been carried out.
            is_alone: no other order's try is known that may have activated it before.

        Raises:
            TryAgain: its time cannot decide that.
            AltcraftError, TryAgain: another code's time, which is needed for comparison, is not known.
        """
        is_ours = self._is_ours(activated, since, tried_at, is_alone)
        if is_ours is None:
            raise TryAgain(
                "unsettled", "the code is activated, and the time that Altcraft gives does not show by which order"
            )
        return is_ours

    def _is_ours(
        self, activated: datetime | None, since: datetime, tried_at: datetime | None, is_alone: bool
    ) -> bool | None:
        if activated is None:
            return None
        zoned = activated.tzinfo is not None
        activated = activated if zoned else activated.replace(tzinfo=UTC)
        if activated + LARGEST_SKEW < since:
            return False
        plausible = zoned and since <= activated + CLOCKS_APART and activated <= self._now() + CLOCKS_APART
        if plausible and tried_at is not None and tried_at <= activated + CLOCKS_APART:
            return True
        # A clock that is ahead makes another order's activation look like one after our try.
        skew = self._skew(zoned=zoned)
        if skew is None:
            return True if plausible and is_alone and activated - since <= SMALLEST_SKEW else None
        if since <= activated - skew + CLOCKS_APART:
            return True
        return None if since <= activated - skew + _coarseness(activated) else False

    def _skew(self, *, zoned: bool) -> timedelta | None:
        """Altcraft's clock minus ours, measured by codes whose activation times are in the ledger.

        One code is not enough: its time may be that of another activation, by hand, or an earlier one if Altcraft accepts the
        activation of a used code. So at least two have to agree.
        """
        skews = []
        for control in self._inquiry.controls():
            if control.activated_at is None:
                continue
            with suppress(Refused):
                stamp = self._inquiry.get(control.code).activated_at()
                if stamp is not None and (stamp.tzinfo is not None) is zoned and not _coarseness(stamp):
                    skews.append((stamp if zoned else stamp.replace(tzinfo=UTC)) - control.activated_at)
        return _agreed(skews)


def _agreed(skews: Sequence[timedelta]) -> timedelta | None:
    """The skew on which most of them agree, at least two; None if there is no such skew, or more than one."""
    groups = [[other for other in skews if skew - 2 * CLOCKS_APART <= other <= skew] for skew in skews]
    most = max(map(len, groups), default=0)
    agreed = {max(group) for group in groups if len(group) == most}
    return agreed.pop() if most > 1 and len(agreed) == 1 else None


def _coarseness(stamp: datetime) -> timedelta:
    """The precision to which a time seems to have been rounded."""
    if stamp.second or stamp.microsecond:
        return timedelta()
    return timedelta(minutes=1) if stamp.hour or stamp.minute else timedelta(days=1)
