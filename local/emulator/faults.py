"""The ways in which the emulated Altcraft can be made to fail.

A fault names the endpoints it spoils (none: all), how many `calls` (null: until it is replaced), and which `fraction`
of them. `applied` says whether the operation is carried out before its reply is spoiled.
"""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from local.emulator.http import HangUp, Response
from local.emulator.settings import Refusal

HTML = "<!DOCTYPE html><html><body><h1>Technical works</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Call:
    """What a fault may do with the call it spoils.

    `answer` carries the call out; `answer_late` carries an export out that ends, after some records, in a refusal.
    `wait` pauses for a number of seconds, shorter when the emulator stops.
    """

    answer: Callable[[], Response]
    answer_late: Callable[[int, Refusal], Response]
    refuse: Callable[[Refusal, int | None], Response]
    wait: Callable[[float], object]


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag=str.lower):
    """Which calls to spoil. Each kind says how in `_reply`; this one would spoil nothing."""

    endpoints: frozenset[str] = frozenset()
    calls: Annotated[int, msgspec.Meta(ge=1)] | None = 1
    fraction: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    applied: bool = False

    def spoil(self, call: Call) -> Response:
        """Return the spoiled reply, or raise HangUp."""
        if self.applied:
            call.answer()
        return self._reply(call)

    def _reply(self, call: Call) -> Response:
        return call.answer()


class Refuse(Fault, frozen=True):
    """Refuse with this error, whatever the state, once the token is found good; `status` is HTTP's, if not the usual."""

    error: int
    error_text: str
    status: int | None = None

    def _reply(self, call: Call) -> Response:
        return call.refuse(Refusal(self.error, self.error_text), self.status)


class Page(Fault, frozen=True):
    """Answer with something that is no envelope: an HTML page, a bare 503, a 429 with Retry-After."""

    status: int = 503
    content_type: str = "text/html; charset=utf-8"
    body: str = HTML
    headers: dict[str, str] = {}

    def _reply(self, call: Call) -> Response:
        return Response(self.status, self.body.encode(), [("Content-Type", self.content_type), *self.headers.items()])


class Drop(Fault, frozen=True):
    """Break the connection without a reply; with `applied`, the reply of a call that was carried out is lost."""

    def _reply(self, call: Call) -> Response:
        raise HangUp


class Cut(Fault, frozen=True):
    """Carry the call out and break the connection after so many bytes of the reply's body."""

    after: Annotated[int, msgspec.Meta(ge=0)] = 10

    def _reply(self, call: Call) -> Response:
        whole = super()._reply(call)
        if not isinstance(whole.body, bytes):
            return Response(whole.status, _cut(whole.body, self.after), whole.headers)
        length = ("Content-Length", str(len(whole.body)))
        return Response(whole.status, _cut(iter((whole.body,)), self.after), [*whole.headers, length])


class Delay(Fault, frozen=True):
    """Carry the call out, and keep its reply back for so many seconds."""

    seconds: Annotated[float, msgspec.Meta(ge=0)]

    def _reply(self, call: Call) -> Response:
        whole = super()._reply(call)
        call.wait(self.seconds)
        return whole


class Late(Fault, frozen=True):
    """Export so many records, then end with this error."""

    rows: Annotated[int, msgspec.Meta(ge=0)]
    error: int
    error_text: str

    def _reply(self, call: Call) -> Response:
        return call.answer_late(self.rows, Refusal(self.error, self.error_text))


AnyFault = Refuse | Page | Drop | Cut | Delay | Late


def _cut(body: Iterator[bytes], after: int) -> Iterator[bytes]:
    for block in body:
        if len(block) > after:
            yield block[:after]
            break
        yield block
        after -= len(block)
    raise HangUp


class Faults:
    """The faults in force, in order: the first that matches a call spoils it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[AnyFault] = []
        self._random = random.Random(0)  # noqa: S311 - the same calls fail in every run

    def set(self, faults: Sequence[AnyFault]) -> None:
        """Replace what is in force; an empty list ends them all."""
        with self._lock:
            self._faults = list(faults)
            self._random.seed(0)

    def left(self) -> list[AnyFault]:
        """Return what is still in force, each with the calls it has yet to spoil."""
        with self._lock:
            return list(self._faults)

    def take(self, endpoint: str) -> AnyFault | None:
        """Return the fault which spoils this call, None where it is spared."""
        with self._lock:
            for index, fault in enumerate(self._faults):
                if fault.endpoints and endpoint not in fault.endpoints:
                    continue
                if self._random.random() >= fault.fraction:
                    continue
                if fault.calls == 1:
                    del self._faults[index]
                elif fault.calls is not None:
                    self._faults[index] = msgspec.structs.replace(fault, calls=fault.calls - 1)
                return fault
        return None
