"""A manifest: what is known of one export, as S3 keeps it and as callers see it.

One that was written by hand, or by another version of this product, is read by the fields known here: a field that is missing
or of another type is refused, and an unknown one is ignored.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from export_all.failures import KILLED

if TYPE_CHECKING:
    from export_all.requests import ExportRequest

LONGEST_MANIFEST: Final = 64 << 10
"""Bytes of a manifest; ours have less than 2,000."""

Status = Literal["running", "succeeded", "failed"]


class UnreadableManifest(Exception):
    """An object in the place of a manifest is none that this version understands. The message names it."""


@dataclass(frozen=True)
class Manifest:
    """What is known of an export. Times are RFC 3339, UTC; sizes in bytes; the counts are those so far while it runs."""

    export_id: str
    loyalty_id: int
    status: Status
    output_format: str
    started_at: str
    finished_at: str | None = None
    codes: int = 0
    attached: int = 0
    activated: int = 0
    expired: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    key: str | None = None
    sha256: str | None = None
    error: dict[str, object] | None = None
    suspect: bool = False
    """Whole, but with no codes, or with too few compared with the newest good export before it."""
    accept_fewer: bool = False
    """`latest` moves to it all the same, because the request said so."""

    @property
    def withheld(self) -> bool:
        """Whether `latest` must not move to it."""
        return self.suspect and not self.accept_fewer

    @property
    def age(self) -> tuple[datetime, str]:
        """By which exports are ordered: when they began."""
        return datetime.fromisoformat(self.started_at).astimezone(UTC), self.export_id

    @property
    def states(self) -> dict[str, int]:
        """How many codes there are, and how many of them are in each state; an activated one is attached too."""
        return {
            "all": self.codes,
            "attached": self.attached,
            "activated": self.activated,
            "expired": self.expired,
        }

    @property
    def seconds(self) -> float:
        """How long it took; 0 while it runs."""
        if self.finished_at is None:
            return 0.0
        return (datetime.fromisoformat(self.finished_at) - datetime.fromisoformat(self.started_at)).total_seconds()

    def killed(self) -> Manifest:
        """The manifest of a run that says running and cannot be running any more."""
        return replace(self, status="failed", error=KILLED.members())


def begun(export_id: str, request: ExportRequest, now: datetime) -> Manifest:
    """The manifest of an export that begins."""
    return Manifest(
        export_id,
        request.loyalty_id,
        "running",
        request.output_format,
        rfc3339(now),
        accept_fewer=request.accept_fewer,
    )


def too_few(codes: int, newest: Manifest | None, least_percent: int) -> bool:
    """Whether a whole export is suspect: it has no codes, or fewer than this percentage of what the newest good one has."""
    return codes == 0 or (newest is not None and codes * 100 < newest.codes * least_percent)


def rfc3339(moment: datetime) -> str:
    """A moment in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_manifest(body: bytes, key: str) -> Manifest:
    """Read a manifest strictly.

    Args:
        body: the object; at most one byte more than `LONGEST_MANIFEST` of it.
        key: where it is, for the message.

    Raises:
        UnreadableManifest: names the key and what is wrong with it.
    """
    if len(body) > LONGEST_MANIFEST:
        raise UnreadableManifest(f"{key} is no manifest: it has more than {LONGEST_MANIFEST} bytes")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnreadableManifest(f"{key} is no manifest: it is not JSON") from error
    if not isinstance(found, dict):
        raise UnreadableManifest(f"{key} is no manifest: it is not a JSON object")
    known = {field.name: found[field.name] for field in fields(Manifest) if field.name in found}
    for name, check in _CHECKS.items():
        if name not in known and name in _REQUIRED:
            raise UnreadableManifest(f"{key} is no manifest of this version: it has no {name}")
        if name in known and not check(known[name]):
            raise UnreadableManifest(f"{key} is no manifest of this version: its {name} is not what it must be")
    return Manifest(**known)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_moment(value: object) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _or_null(check: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or check(value)


_REQUIRED: Final = ("export_id", "loyalty_id", "status", "output_format", "started_at")
_CHECKS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "export_id": _is_text,
    "loyalty_id": lambda value: _is_count(value) and value > 0,
    "status": lambda value: value in get_args(Status),
    "output_format": _is_text,
    "started_at": _is_moment,
    "finished_at": _or_null(_is_moment),
    **dict.fromkeys(("codes", "attached", "activated", "expired", "bytes_in", "bytes_out"), _is_count),
    "key": _or_null(_is_text),
    "sha256": _or_null(_is_text),
    "error": _or_null(lambda value: isinstance(value, dict)),
    "suspect": lambda value: isinstance(value, bool),
    "accept_fewer": lambda value: isinstance(value, bool),
}
