"""A shop's delivery, from the door to the queue. Nothing slow is in this path: Altcraft is not called.

source → handshake → signature → paid → codes → programs → queue → `{"accepted": N}`

What is authentic is answered 200 whatever it holds, because platforms end a subscription that is answered otherwise: an
order that is not paid, one without codes, and one that cannot be read, which goes to quarantine. A bad signature is 401, and
a failure of ours is 503, after which the shop delivers again. Deliveries may come twice and in any order: the worker activates
a code once for its order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final

from activate import bodies
from activate.activation_queue import ActivationQueue, Message, Unqueued
from activate.bodies import UnreadableBody
from activate.orders import UnreadableOrder
from activate.quarantine import Quarantine, Unkept
from activate.sources import Source, Sources, SourceUnavailable, UnknownSource
from serverless.http import Problem, Reply, Request, proxy_response, reply
from serverless.telemetry import Metric, count, logger

RETRY_AFTER_SECONDS: Final = 60

_NO_SOURCE: Final = "unknown"
"""The metric's source for names that are none of ours: a dimension must not grow with what strangers type."""

_CHALLENGE: Final = re.compile(r"[A-Za-z0-9._~+/=-]{1,512}")


class Result(StrEnum):
    """What became of a delivery; the metric's dimension."""

    ACCEPTED = "accepted"
    NOT_PAID = "not_paid"
    NO_CODES = "no_codes"
    """Paid, and without a code of any of our programs."""
    HANDSHAKE = "handshake"
    UNREADABLE = "unreadable"
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_SOURCE = "unknown_source"
    MISCONFIGURED = "misconfigured"
    UNQUEUED = "unqueued"


class Intake:
    """Takes deliveries of shops, by HTTP and through AWS, for the life of a sandbox."""

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

    def receive(self, name: str, request: Request) -> Reply:
        """A delivery over HTTP to `/webhooks/{name}`.

        Raises:
            Problem: 401, 404, 405 or 503.
        """
        try:
            source = self._sources.find(name)
            if request.method == "GET":
                return _challenge(source, request)
            if source.handshake and source.handshake.fullmatch(request.body.decode(errors="replace")):
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
        except (SourceUnavailable, Unqueued, Unkept) as error:
            if isinstance(error, SourceUnavailable):
                _refuse(error)
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "not_accepted",
                "The delivery could not be taken now",
                "Deliver it again: nothing is activated twice. The function's logs say what is wrong.",
                retryable=True,
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            ) from error
        return reply(request, HTTPStatus.OK, {"accepted": accepted})

    def receive_event(self, event: Mapping[str, Any]) -> dict[str, int]:
        """A webhook of Shopify as an EventBridge partner event. IAM has let it in, so there is no signature to check.

        Source: Shopify, "Deliver webhooks through Amazon EventBridge": the order is `detail.payload`.

        Raises:
            UnknownSource, SourceUnavailable, Unqueued, Unkept: Lambda runs it again, and then hands it to the failed events.
        """
        detail = event.get("detail")
        payload = detail.get("payload") if isinstance(detail, Mapping) else None
        return {"accepted": self._accept_from(event["source"], json.dumps(payload).encode())}

    def receive_messages(self, event: Mapping[str, Any]) -> dict[str, list[dict[str, str]]]:
        """Webhooks that a platform, such as Saleor, puts into an SQS queue itself: each message's body is one.

        A message whose source is unknown or unusable, or whose codes cannot be queued, comes back by the queue's own rules.
        """
        failures = []
        for record in event["Records"]:
            try:
                self._accept_from(record["eventSourceARN"], record["body"].encode())
            except (UnknownSource, SourceUnavailable, Unqueued, Unkept):
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
        """The source whose signature fits: this one, or what it has become since it was read."""
        now = self._now().timestamp()
        if source.auth.verifies(request, source.keys, now):
            return source
        if self._sources.reread():
            source = self._sources.find(source.name)
            if source.auth.verifies(request, source.keys, now):
                return source
        count(Metric.INTAKE, source=source.name, result=Result.BAD_SIGNATURE)
        logger.warning("A delivery's signature fits none of the source's secrets", source=source.name)
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "bad_signature",
            "The signature is missing, wrong or too old",
            "Sign the exact bytes of the body with a secret of this source, and check the sender's clock.",
        )

    def _accept(self, source: Source, body: bytes, media_type: str) -> int:
        """Take an authentic delivery, and count what became of it; how many codes are in the queue now."""
        try:
            result, accepted = self._enqueue(source, body, media_type)
        except (Unqueued, Unkept) as error:
            count(Metric.INTAKE, source=source.name, result=Result.UNQUEUED)
            logger.error("A delivery could not be taken", source=source.name, detail=str(error))
            raise
        count(Metric.INTAKE, source=source.name, result=result)
        return accepted

    def _enqueue(self, source: Source, body: bytes, media_type: str) -> tuple[Result, int]:
        now = self._now()
        try:
            order = source.reader.read(bodies.read(body, media_type))
        except (UnreadableBody, UnreadableOrder) as error:
            key = self._quarantine.keep(source.name, body, media_type, str(error), now, source.secrets_in_body)
            logger.error(
                "A delivery cannot be read: it is in quarantine", source=source.name, detail=str(error), key=key
            )
            return Result.UNREADABLE, 0
        if order is None:
            return Result.NOT_PAID, 0
        order_id = f"{source.name}/{order.id}"
        self._queue.send(
            [Message(code, loyalty_id, order_id, source.name, now.isoformat()) for code, loyalty_id in order.codes]
        )
        if order.unusable:
            reason = "codes: some are too long, hold control characters or are not texts"
            key = self._quarantine.keep(source.name, body, media_type, reason, now, source.secrets_in_body)
            count(Metric.DROPPED_CODES, order.unusable, source=source.name, reason="unusable")
            logger.error(
                "An order holds unusable codes: it is in quarantine", order_id=order_id, detail=reason, key=key
            )
        if order.foreign:
            count(Metric.DROPPED_CODES, order.foreign, source=source.name, reason="no_program")
        if not order.codes:
            return Result.NO_CODES, 0
        logger.info("An order's codes are queued", source=source.name, order_id=order_id, accepted=len(order.codes))
        return Result.ACCEPTED, len(order.codes)


def _refuse(error: UnknownSource | SourceUnavailable) -> None:
    """Count and log a delivery that has no source to take it. Names which strangers type are no dimension of the metric."""
    if isinstance(error, UnknownSource):
        count(Metric.INTAKE, source=_NO_SOURCE, result=Result.UNKNOWN_SOURCE)
        logger.warning("A delivery names no source of ours", detail=str(error)[:200])
    else:
        count(Metric.INTAKE, source=error.source or _NO_SOURCE, result=Result.MISCONFIGURED)
        logger.error("A delivery's source cannot be used", source=error.source, detail=str(error))


def _challenge(source: Source, request: Request) -> Reply:
    """Answer the call by which a platform, such as Adobe, asks whether the address is willing: echo its challenge.

    Source: Adobe I/O Events, "Webhooks: the challenge request".
    """
    challenge = request.query.get("challenge", "")
    if not _CHALLENGE.fullmatch(challenge):
        raise Problem(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "post_only",
            "Orders are delivered by POST",
            "GET only answers a platform's challenge.",
            headers={"Allow": "POST"},
        )
    count(Metric.INTAKE, source=source.name, result=Result.HANDSHAKE)
    return proxy_response(HTTPStatus.OK, challenge, "text/plain; charset=utf-8", {"X-Content-Type-Options": "nosniff"})
