"""The worker's part of `fetch`: make a queued call, read its answer, and queue its codes like any order's.

An answer that is not positively understood is retried with the queue's backoff, for a day, and then becomes a dead letter with
its reason: an order of a shop whose API is down is not lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from activate.action import Action
from activate.activation_queue import ActivationQueue, FetchMessage, Unqueued, messages_of
from activate.orders import Order, UnreadableOrder
from activate.paths import EXPRESSION_ERRORS, Means, Search
from activate.redemption import TryAgain
from activate.shop_api import Pool, Unanswered, call, connect
from activate.sources import Source, Sources, SourceUnavailable, UnknownSource
from lambda_support.telemetry import Metric, count, logger

if TYPE_CHECKING:
    from activate.fetch import Fetch


class Fetcher:
    """Makes queued calls to the APIs of shops, for the life of a sandbox."""

    def __init__(self, sources: Sources, queue: ActivationQueue, connect_to: Callable[[str], Pool] = connect) -> None:
        self._sources = sources
        self._queue = queue
        self._connect_to = connect_to

    def take(self, message: FetchMessage) -> None:
        """Make one call, and queue the codes in its answer.

        Raises:
            TryAgain: nothing is certain yet.
        """
        try:
            source = self._sources.find(message.source)
        except (UnknownSource, SourceUnavailable) as error:
            raise TryAgain("source_unavailable", f"the source {message.source} cannot be used: {error}") from error
        if source.fetch is None:
            raise TryAgain("source_unavailable", f"the source {message.source} has no fetch any more")
        answer = self._call(source.fetch, message.fetch)
        orders = self._orders(source, source.fetch, message, answer)
        messages = messages_of(orders, source.name, message.received_at)
        try:
            self._queue.send(messages)
        except Unqueued as error:
            raise TryAgain("queue_unavailable", str(error)) from error
        for reason, dropped in (
            ("unusable", sum(len(order.unusable) for order in orders)),
            ("no_program", sum(len(order.foreign) for order in orders)),
        ):
            if dropped:
                count(Metric.DROPPED_CODES, dropped, source=source.name, reason=reason)
        logger.info("An order was fetched", source=source.name, order_id=message.order_id, accepted=len(messages))

    def _call(self, fetch: Fetch, path: str) -> Any:
        try:
            pool = self._connect_to(fetch.host)
            try:
                return call(pool, fetch.host, fetch.method, path, fetch.filled_headers())
            finally:
                pool.close()
        except Unanswered as error:
            raise TryAgain(error.reason, str(error)) from error

    def _orders(self, source: Source, fetch: Fetch, message: FetchMessage, answer: Any) -> Sequence[Order]:
        """The paid and reversed orders in an answer; empty, if the answer is definite about there being none.

        Raises:
            TryAgain: the answer is not understood.
        """
        if answer is None:
            return []  # 204: an order without coupons
        try:
            found = Search().find(fetch.order, answer) if fetch.order else answer
            if fetch.answers == "codes":
                is_reversed = message.action is Action.DEACTIVATE
                return [source.reader.read_codes(found, Search(), message.order_id, is_reversed=is_reversed)]
            readings = source.reader.read(found)
        except EXPRESSION_ERRORS as error:
            raise TryAgain("shop_incoherent", f"the answer cannot be read: {error}") from error
        for reading in readings:
            if isinstance(reading, UnreadableOrder):
                raise TryAgain("shop_incoherent", f"the answer cannot be read: {reading}") from reading
            if reading is Means.UNRECOGNISED:
                raise TryAgain("shop_incoherent", "paid: it finds nothing in the answer")
        return [reading for reading in readings if isinstance(reading, Order)]
