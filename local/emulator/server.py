"""The emulated Altcraft as a server: the API's transport rules over the state, spoiled by whatever faults are in force."""

import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Self

import msgspec

from local.emulator.control import CONTROL, Control
from local.emulator.endpoints import MESSAGES, OfProgram
from local.emulator.export import export
from local.emulator.faults import Call
from local.emulator.http import Request, Response, Server
from local.emulator.programs import Refused
from local.emulator.settings import INCORRECT, SUCCESS, TOKEN_REQUIRED, Refusal, Settings, Wire
from local.emulator.state import State
from local.emulator.wire import CONTENT_TYPES, envelope, parse, wire_of

API = "/api/v1.1/promocodes/"


def _now() -> datetime:
    return datetime.now(UTC)


class Emulator(State):
    """Altcraft's promo code API on a port of this machine, as a context manager.

    Its state may be looked at and changed while it serves.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        super().__init__(settings or Settings(), clock)
        self._clock = clock
        self._control = Control(self)
        self._stopping = threading.Event()
        self._server = Server(self._serve, host, port)

    @property
    def url(self) -> str:
        """Scheme, host and port: what ALTCRAFT_URL takes."""
        return self._server.url

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()  # replies that are delayed are sent at once
        self._server.__exit__()

    def _serve(self, request: Request) -> Response:
        if request.path.startswith(CONTROL):
            return self._control(request)
        endpoint = request.path.removeprefix(API)
        if endpoint == request.path or endpoint not in {*MESSAGES, "export_all"}:
            return Response(404, b"404 page not found")
        if request.method != "POST":
            return Response(405, b"405 method not allowed", [("Allow", "POST")])
        self.journal.begin(endpoint)
        try:
            return self._dated(self._compressed(request, self._call(endpoint, request)))
        finally:
            self.journal.end()

    def _call(self, endpoint: str, request: Request) -> Response:
        wire = wire_of(request.headers["Content-Type"])
        try:
            fields = parse(request.body, wire)
        except ValueError:
            fields = {}
        reply_wire = self._reply_wire(request, fields)

        def answer(late: tuple[int, Refusal] | None = None) -> Response:
            try:
                self._check_token(request, fields)
                return self._carry_out(endpoint, fields, wire, reply_wire, late)
            except Refused as refused:
                return self._refuse(refused.refusal, reply_wire)

        def refuse(refusal: Refusal, status: int | None) -> Response:
            try:
                self._check_token(request, fields)
            except Refused as refused:
                return self._refuse(refused.refusal, reply_wire)
            return self._refuse(refusal, reply_wire, status)

        fault = self.faults.take(endpoint)
        if fault is None:
            return answer()
        return fault.spoil(
            Call(
                answer,
                answer_late=lambda rows, refusal: answer((rows, refusal)),
                refuse=refuse,
                wait=self._stopping.wait,
            )
        )

    def _reply_wire(self, request: Request, fields: dict[str, object]) -> Wire:
        asked = request.query.get("format") or fields.get("format")
        return asked if asked in CONTENT_TYPES else self.settings.default_format

    def _check_token(self, request: Request, fields: dict[str, object]) -> None:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        token = fields.get("token") or bearer
        if not token:
            raise Refused(TOKEN_REQUIRED)
        if token not in self.settings.tokens:
            raise Refused(self.settings.wrong_token)

    def _carry_out(
        self, endpoint: str, fields: dict[str, object], wire: Wire, reply_wire: Wire, late: tuple[int, Refusal] | None
    ) -> Response:
        shape, operate = MESSAGES.get(endpoint, (OfProgram, None))
        try:
            # XML is untyped: there "5" is a number and "true" a boolean.
            asked = msgspec.convert(fields, shape, strict=wire == "json")
        except msgspec.ValidationError:
            raise Refused(INCORRECT) from None
        if operate is None:
            return self._export(asked.loyalty_id, reply_wire, late)
        return self._envelope(operate(self.programs, asked, self._clock()), SUCCESS, reply_wire)

    def _export(self, loyalty_id: int, wire: Wire, late: tuple[int, Refusal] | None) -> Response:
        stored, generated = self.programs.rows(loyalty_id)
        outcome = SUCCESS
        if late:
            rows, outcome = late
            stored, generated = stored[:rows], min(generated, max(0, rows - len(stored)))
        null = self.settings.empty_export_as_null
        body = export(stored, generated, outcome, wire, self._clock(), null_when_empty=null)
        return Response(200, body, [("Content-Type", CONTENT_TYPES[wire])])

    def _refuse(self, refusal: Refusal, wire: Wire, status: int | None = None) -> Response:
        return self._envelope({"data": None}, refusal, wire, status or self.settings.error_status)

    def _envelope(self, fields: dict[str, object], outcome: Refusal, wire: Wire, status: int = 200) -> Response:
        whole = fields | {"error": outcome.error, "error_text": outcome.error_text}
        return Response(status, envelope(whole, wire), [("Content-Type", CONTENT_TYPES[wire])])

    def _compressed(self, request: Request, response: Response) -> Response:
        if not self.settings.compress or "gzip" not in request.headers.get("Accept-Encoding", ""):
            return response
        body = iter((response.body,)) if isinstance(response.body, bytes) else response.body
        return Response(response.status, _gzip(body), [*response.headers, ("Content-Encoding", "gzip")])

    def _dated(self, response: Response) -> Response:
        """Add the time by the clock that the codes' times have, unless a proxy's is set to differ."""
        date = self._clock() + timedelta(seconds=self.settings.date_skew_seconds)
        return replace(response, headers=[*response.headers, ("Date", format_datetime(date, usegmt=True))])


def _gzip(body: Iterator[bytes]) -> Iterator[bytes]:
    pack = zlib.compressobj(1, wbits=zlib.MAX_WBITS | 16)
    for block in body:
        if packed := pack.compress(block):
            yield packed
    yield pack.flush()
