"""The routes by which tests and people control the emulator. JSON throughout:

GET, PUT /_emulator/settings            the undocumented answers (Settings)
GET, PUT /_emulator/faults              a list of faults: {"kind": "page", "status": 503, "calls": 3, ...}
PUT      /_emulator/programs/{id}       {"universal": false, "generated": 1000000}
POST     /_emulator/programs/{id}/codes {"codes": [...], "attached": true, "activated": false, "expire_date": null}
GET      /_emulator/journal             calls by endpoint, the most at once, activations by program and code
DELETE   /_emulator                     forget programs, faults and journal
"""

import re
from datetime import datetime
from typing import Annotated

import msgspec

from local.emulator.faults import AnyFault
from local.emulator.http import Request, Response
from local.emulator.settings import Settings
from local.emulator.state import State

CONTROL = "/_emulator"


class _Seed(msgspec.Struct, forbid_unknown_fields=True):
    codes: list[str]
    attached: bool = False
    activated: bool = False
    expire_date: datetime | None = None


class _Kind(msgspec.Struct, forbid_unknown_fields=True):
    universal: bool = False
    generated: Annotated[int, msgspec.Meta(ge=0)] = 0


class Control:
    """The routes under `/_emulator`, as an application for the emulator's server."""

    def __init__(self, state: State) -> None:
        self._state = state

    def __call__(self, request: Request) -> Response:
        """Carry out one order and show what came of it."""
        try:
            shown = self._order(f"{request.method} {request.path.removeprefix(CONTROL)}", request.body)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            return Response(400, str(error).encode(), [("Content-Type", "text/plain; charset=utf-8")])
        except LookupError:
            return Response(404, (__doc__ or "").encode(), [("Content-Type", "text/plain; charset=utf-8")])
        return Response(200, msgspec.json.encode(shown), [("Content-Type", "application/json")])

    def _order(self, order: str, body: bytes) -> object:
        """Carry one order out and return what to show. Raises LookupError for an unknown one."""
        if program := re.fullmatch(r"(?:PUT|POST) /programs/(\d+)(/codes)?", order):
            return self._seed(int(program[1]), body, codes=program[2] is not None)
        match order:
            case "PUT /settings":
                changes = msgspec.json.decode(body, type=dict[str, object])
                self._state.settings = msgspec.convert(msgspec.to_builtins(self._state.settings) | changes, Settings)
            case "PUT /faults":
                self._state.faults.set(msgspec.json.decode(body, type=list[AnyFault]))
            case "DELETE ":
                self._state.clear()
        return {
            "GET /settings": lambda: self._state.settings,
            "PUT /settings": lambda: self._state.settings,
            "GET /faults": self._state.faults.left,
            "PUT /faults": self._state.faults.left,
            "GET /journal": self._journal,
            "DELETE ": self._journal,
        }[order]()

    def _seed(self, loyalty_id: int, body: bytes, *, codes: bool) -> object:
        if codes:
            seed = msgspec.json.decode(body, type=_Seed)
            self._state.programs.add(
                loyalty_id, *seed.codes, attached=seed.attached, activated=seed.activated, expire_date=seed.expire_date
            )
            return seed
        kind = msgspec.json.decode(body or b"{}", type=_Kind)
        self._state.programs.create(loyalty_id, universal=kind.universal, generated=kind.generated)
        return kind

    def _journal(self) -> object:
        activations: dict[str, dict[str, int]] = {}
        for (loyalty_id, code), times in self._state.programs.activations.items():
            activations.setdefault(str(loyalty_id), {})[code] = times
        return {
            "calls": self._state.journal.calls,
            "most_at_once": self._state.journal.most_at_once,
            "activations": activations,
        }
