"""The path of a shop's delivery, from the request to the queue. It is fast: Altcraft is not called.

source → handshake → signature → paid or reversed → codes → programs → queue → `{"accepted": N}`

An authentic delivery is answered 200 whatever it holds, because platforms cancel a subscription that is answered otherwise: an
order that is not paid, one without codes, one that cannot be read (kept in quarantine), and one that is not of the shape
its source expects (a sample is kept in quarantine). A bad signature is 401. A failure on this side is 503, after which the shop
delivers again. Deliveries may come twice and in any order: the worker activates a code once for its order, and only
that order can give it back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final

from activate import bodies
from activate.activation_queue import ActivationQueue, FetchMessage, Message, Unqueued, action_of, messages_of
from activate.bodies import UnreadableBody
from activate.orders import Calls, Order, Reading, UnreadableOrder
from activate.paths import Means
from activate.quarantine import NotStored, Quarantine
from activate.sources import Source, Sources, SourceUnavailable, UnknownSource
from lambda_support.http import Problem, Reply, Request, proxy_response, reply
from lambda_support.telemetry import Metric, count, logger

RETRY_AFTER_SECONDS: Final = 60

_NO_SOURCE: Final = "unknown"
"""The metric's dimension for all names that are no source, so that strangers cannot create dimensions without end."""

_LONGEST_HANDSHAKE: Final = 4096
"""Bytes. A platform's test call has some twenty."""

_CHALLENGE: Final = re.compile(r"[A-Za-z0-9._~+/=-]{1,512}")


class Result(StrEnum):
    """The result of a delivery; a dimension of the metric `Intake`."""

    ACCEPTED = "accepted"
    NOT_PAID = "not_paid"
    """`paid` gave a definite no."""
    UNRECOGNISED = "unrecognised"
    """`paid` found nothing: the body is not of the shape that the source expects."""
    NO_CODES = "no_codes"
    """Paid, and without a code of any configured program."""
    REVERSED = "reversed"
    """Cancelled or refunded in full, whether its codes are given back or not."""
    HANDSHAKE = "handshake"
    UNREADABLE = "unreadable"
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_SOURCE = "unknown_source"
    MISCONFIGURED = "misconfigured"
    UNQUEUED = "unqueued"


_SAMPLES: Final[Mapping[Result, str]] = {
    Result.UNRECOGNISED: "%Y-%m-%d/unrecognised-%H",
    Result.NO_CODES: "%Y-%m-%d/no_codes",
}
"""The results of which samples are kept, and the samples' names. The names bound the number of objects per source and day."""

_SAMPLE_REASONS: Final[Mapping[Result, str]] = {
    Result.UNRECOGNISED: "paid: found nothing, so the body is not of the shape that the source expects",
    Result.NO_CODES: "codes: found none of a program, and this source has brought none so far",
}

_NOT_UNDERSTOOD: Final = frozenset({Result.UNRECOGNISED, Result.UNREADABLE})


class Intake:
    """Handles deliveries of shops, by HTTP and through AWS, for the life of a sandbox."""

    def __init__(
        self,
        sources: Sources,
        queue: ActivationQueue,
        quarantine: Quarantine,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._sources = sources
        self._queue = queue
        self._quarantine = quarantine
        self._now = now
        self._understood: set[str] = set()
        """The sources of which this sandbox has understood a delivery."""
        self._accepted: set[str] = set()
        """The sources of which this sandbox has accepted a code."""
        self._sampled: dict[tuple[str, Result], str] = {}
        """The name of the newest sample, by source and result."""

    def receive(self, name: str, request: Request) -> Reply:
        """Handle a delivery over HTTP to `/webhooks/{name}`.

        Raises:
            Problem: 401, 404, 405 or 503.
        """
        try:
            source = self._sources.find(name)
            if request.method == "GET":
                return _challenge(source, request)
            if is_handshake(source, request.body):
                count(Metric.INTAKE, source=source.name, result=Result.HANDSHAKE)
                return reply(request, HTTPStatus.OK, {"accepted": 0})
            accepted = self._accept(self._authenticated(source, request), request.body, request.media_type)
        except UnknownSource as error:
            _refuse(error)
            raise Problem(
                HTTPStatus.NOT_FOUND,
                "unknown_source",
                "There is no such webhook source",
                "The last part of the address must be the name of a source in the document of sources.",
            ) from error
        except (SourceUnavailable, Unqueued, NotStored) as error:
            if isinstance(error, SourceUnavailable):
                _refuse(error)
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "not_accepted",
                "The delivery could not be accepted now",
                "Deliver it again: nothing is activated twice. The function's logs say what is wrong.",
                retryable=True,
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            ) from error
        return reply(request, HTTPStatus.OK, {"accepted": accepted})

    def receive_event(self, event: Mapping[str, Any]) -> dict[str, int]:
        """Handle a platform's webhook that came as an EventBridge partner event. IAM authorised it, so there is no signature.

        Sources: Shopify, "Deliver webhooks through Amazon EventBridge": the order is `detail.payload`; Stripe, "Send events to
        Amazon EventBridge": `detail` is the event itself.

        Raises:
            UnknownSource, SourceUnavailable, Unqueued, NotStored: Lambda retries; then the event goes to the failure queue.
        """
        detail = event.get("detail")
        body = detail.get("payload", detail) if isinstance(detail, Mapping) else detail
        return {"accepted": self._accept_from(event["source"], json.dumps(body).encode())}

    def receive_messages(self, event: Mapping[str, Any]) -> dict[str, list[dict[str, str]]]:
        """Handle webhooks that a platform, such as Saleor, puts into an SQS queue itself, one as the body of each message.

        A message whose source is unknown or unusable, or whose codes cannot be queued, is redelivered by SQS.
        """
        failures = []
        for record in event["Records"]:
            try:
                self._accept_from(record["eventSourceARN"], record["body"].encode())
            except (UnknownSource, SourceUnavailable, Unqueued, NotStored):
                failures.append({"itemIdentifier": record["messageId"]})
        return {"batchItemFailures": failures}

    def _accept_from(self, sender: str, body: bytes) -> int:
        try:
            source = self._sources.find_sender(sender)
        except (UnknownSource, SourceUnavailable) as error:
            _refuse(error)
            raise
        return self._accept(source, body, "application/json")

    def _authenticated(self, source: Source, request: Request) -> Source:
        """Verify the signature; return the source, in its newer version if the document has changed since it was read."""
        now = self._now().timestamp()
        if source.auth.verifies(request, source.keys, now):
            return source
        if self._sources.reread():
            source = self._sources.find(source.name)
            if source.auth.verifies(request, source.keys, now):
                return source
        count(Metric.INTAKE, source=source.name, result=Result.BAD_SIGNATURE)
        logger.warning("None of the source's secrets verifies a delivery's signature", source=source.name)
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "bad_signature",
            "The signature is missing, wrong or too old",
            "Sign the exact bytes of the body with a secret of this source, and check the sender's clock.",
        )

    def _accept(self, source: Source, body: bytes, media_type: str) -> int:
        """Read an authentic delivery, queue its codes, and count the results. Returns the number of queued messages."""
        now = self._now()
        try:
            try:
                readings = source.read(bodies.read(body, media_type))
            except (UnreadableBody, UnreadableOrder) as error:
                readings = [UnreadableOrder(str(error))]
            accepted = self._enqueue(source, readings, now)
            self._keep_faulty(source, readings, body, media_type, now)
        except (Unqueued, NotStored) as error:
            count(Metric.INTAKE, source=source.name, result=Result.UNQUEUED)
            logger.error("A delivery could not be accepted", source=source.name, detail=str(error))
            raise
        self._count(source, readings)
        self._keep_sample(source, {result_of(reading) for reading in readings}, body, media_type, now)
        return accepted

    def _enqueue(self, source: Source, readings: Sequence[Reading], now: datetime) -> int:
        """Queue every code of the delivery's orders, and every call that will return codes; return the number of messages."""
        received_at = now.isoformat()
        orders = (reading for reading in readings if isinstance(reading, Order))
        messages: list[Message | FetchMessage] = [*messages_of(orders, source.name, received_at)]
        messages += [
            FetchMessage(path, calls.order_id, source.name, received_at, action_of(calls))
            for calls in readings
            if isinstance(calls, Calls)
            for path in calls.paths
        ]
        self._queue.send(messages)
        return len(messages)

    def _keep_faulty(
        self, source: Source, readings: Sequence[Reading], body: bytes, media_type: str, now: datetime
    ) -> None:
        """Keep a delivery in quarantine, once, if anything in it cannot be read."""
        faults = [
            str(reading)
            if isinstance(reading, UnreadableOrder)
            else "codes: some are too long, hold control characters or are not texts"
            for reading in readings
            if isinstance(reading, UnreadableOrder) or (isinstance(reading, Order) and reading.unusable)
        ]
        if not faults:
            return
        reason = "; ".join(dict.fromkeys(faults))
        key = self._quarantine.keep(source.name, body, media_type, reason, now, source.secrets_in_body)
        logger.error("A delivery cannot be read: it is in quarantine", source=source.name, detail=reason, key=key)

    def _count(self, source: Source, readings: Sequence[Reading]) -> None:
        for reading in readings:
            result = result_of(reading)
            if isinstance(reading, Order):
                if reading.unusable:
                    count(Metric.DROPPED_CODES, len(reading.unusable), source=source.name, reason="unusable")
                if reading.foreign:
                    count(Metric.DROPPED_CODES, len(reading.foreign), source=source.name, reason="no_program")
                if reading.codes:
                    order_id = f"{source.name}/{reading.id}"
                    logger.info(
                        "A reversed order's codes are queued" if reading.reversed else "An order's codes are queued",
                        source=source.name,
                        order_id=order_id,
                        accepted=len(reading.codes),
                    )
                    self._accepted.add(source.name)
            if isinstance(reading, Calls) and reading.paths:
                logger.info("An order is to be fetched", source=source.name, accepted=len(reading.paths))
                self._accepted.add(source.name)
            if result not in _NOT_UNDERSTOOD:
                self._understood.add(source.name)
            elif source.name not in self._understood:
                count(Metric.NOT_UNDERSTOOD)
            count(Metric.INTAKE, source=source.name, result=result)

    def _keep_sample(
        self, source: Source, results: Collection[Result], body: bytes, media_type: str, now: datetime
    ) -> None:
        """Keep a sample of the deliveries that gave no code, so that a person can check whether they should have."""
        for result, name in _SAMPLES.items():
            sample = now.strftime(name)
            if result not in results or self._sampled.get((source.name, result)) == sample:
                continue
            if result is Result.NO_CODES and source.name in self._accepted:
                continue
            self._sampled[source.name, result] = sample
            try:
                key = self._quarantine.keep(
                    source.name, body, media_type, _SAMPLE_REASONS[result], now, source.secrets_in_body, sample
                )
            except NotStored as error:
                # A sample only helps a person: without it, the shop need not deliver again.
                logger.warning("A sample could not be kept", source=source.name, detail=str(error))
            else:
                logger.warning("A sample is in quarantine", source=source.name, detail=_SAMPLE_REASONS[result], key=key)


def result_of(reading: Reading) -> Result:
    """The result as which one order of a delivery is counted."""
    match reading:
        case UnreadableOrder():
            return Result.UNREADABLE
        case Means.REVERSED | Order(reversed=True) | Calls(reversed=True):
            return Result.REVERSED
        case Order():
            return Result.ACCEPTED if reading.codes else Result.NO_CODES
        case Calls():
            return Result.ACCEPTED if reading.paths else Result.NO_CODES
        case Means.NOT_PAID:
            return Result.NOT_PAID
    return Result.UNRECOGNISED


def _refuse(error: UnknownSource | SourceUnavailable) -> None:
    """Count and log a delivery without a usable source."""
    if isinstance(error, UnknownSource):
        count(Metric.INTAKE, source=_NO_SOURCE, result=Result.UNKNOWN_SOURCE)
        logger.warning("A delivery names an unknown source", detail=str(error)[:200])
    else:
        count(Metric.INTAKE, source=error.source or _NO_SOURCE, result=Result.MISCONFIGURED)
        logger.error("A delivery's source cannot be used", source=error.source, detail=str(error))


def is_handshake(source: Source, body: bytes) -> bool:
    """Whether this is the unsigned call by which the platform tests the address."""
    if source.handshake is None or len(body) > _LONGEST_HANDSHAKE:
        return False
    return source.handshake.fullmatch(body.decode(errors="replace")) is not None


def _challenge(source: Source, request: Request) -> Reply:
    """Answer the GET by which a platform, such as Adobe, verifies the address: echo its challenge.

    Sources: Adobe I/O Events, "Webhooks: the challenge request"; nopCommerce, "Web API webhooks", whose parameter is `echo`.
    """
    challenge = request.query.get(source.challenge, "")
    if not _CHALLENGE.fullmatch(challenge):
        raise Problem(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "post_only",
            "Orders are delivered by POST or PUT",
            "GET only answers a platform's challenge.",
            headers={"Allow": "POST, PUT"},
        )
    count(Metric.INTAKE, source=source.name, result=Result.HANDSHAKE)
    return proxy_response(HTTPStatus.OK, challenge, "text/plain; charset=utf-8", {"X-Content-Type-Options": "nosniff"})
