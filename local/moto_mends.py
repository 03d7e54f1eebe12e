"""moto, mended where a shop's rush finds it out.

moto 5.2 loses messages that are sent, and revives ones that were deleted, while two others are deleted at once; its receives
look at every message in the queue many times over; its DynamoDB checks a condition and then writes, so that another request
may come between the two; and each call of any service lists moto's own folders first.
"""

import threading
import time
from collections.abc import Callable
from functools import wraps

from moto import backends
from moto.core.common_types import TYPE_RESPONSE
from moto.dynamodb.responses import DynamoHandler
from moto.sqs import models
from moto.sqs.exceptions import ReceiptHandleIsInvalid


class Message(models.Message):
    """A message that asks the clock without detours, as it is asked for each message at each receive."""

    @property
    def visible(self) -> bool:
        return time.time() * 1000 > self.visible_at

    @property
    def delayed(self) -> bool:
        return time.time() * 1000 < self.delayed_until


class Queue(models.Queue):
    """A queue whose messages are deleted under the lock under which they are added, and where they stand."""

    def delete_message(self, receipt_handle: str) -> None:
        with self._messages_lock:
            if receipt_handle in self.deleted_messages:
                return
            for index, message in enumerate(self._messages):
                if message.had_receipt_handle(receipt_handle):
                    del self._messages[index]
                    self.pending_messages.discard(message)
                    self.deleted_messages.update(handle for handle in message.all_receipt_handles if handle)
                    return
        raise ReceiptHandleIsInvalid


def _is_retained(backend: models.SQSBackend, queue_name: str, message: models.Message) -> bool:
    """Look up one attribute of the queue, where moto counts its messages anew for each one that is received."""
    kept: int = backend.get_queue(queue_name).message_retention_period  # type: ignore[attr-defined] # set by name
    sent: int = message.sent_timestamp  # type: ignore[assignment] # None only before it is sent
    return sent / 1000 + kept > time.time()


def _one_at_a_time(
    call_action: Callable[[DynamoHandler], TYPE_RESPONSE],
) -> Callable[[DynamoHandler], TYPE_RESPONSE]:
    """Carry out one request of DynamoDB after the other, from its condition to the text of its reply.

    Reads wait too: moto changes an item where it stands, one attribute after the other, and writes `ALL_OLD` from it last.
    """
    lock = threading.Lock()

    @wraps(call_action)
    def locked(handler: DynamoHandler) -> TYPE_RESPONSE:
        with lock:
            return call_action(handler)

    return locked


def mend() -> None:
    """Put these in moto's place, in this process, before it serves.

    moto offers no way to give it other classes, and to a type checker a class is no variable: hence the ignored types.
    """
    services = frozenset(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: services

    models.Message = Message  # type: ignore[misc]
    models.Queue = Queue  # type: ignore[misc]
    models.SQSBackend.is_message_valid_based_on_retention_period = _is_retained  # type: ignore[method-assign, assignment]
    DynamoHandler.call_action = _one_at_a_time(DynamoHandler.call_action)  # type: ignore[method-assign]
