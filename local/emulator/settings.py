"""What the emulator answers: the documented refusals, which are fixed, and the undocumented ones, which are settings."""

from typing import Literal

import msgspec

Wire = Literal["json", "xml"]

Times = Literal["utc", "offset", "fractions", "no_zone", "epoch", "minute", "day", "empty"]
"""How `get` writes a time: RFC 3339 in UTC, as documented; or in ways that are not."""


class Refusal(msgspec.Struct, frozen=True):
    """An `error` other than 0 and its `error_text`."""

    error: int
    error_text: str


SUCCESS = Refusal(0, "Successful operation")
INCORRECT = Refusal(400, "Incorrect request")
TOKEN_REQUIRED = Refusal(401, "API token required")
DUPLICATED = Refusal(500, "Promocode duplicated")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything Altcraft does not document. Each value here is invented, and no product code may depend on it.

    `already_activated` of None means that activating twice succeeds twice; the journal counts both.
    `error_status` is the HTTP status that goes with a refusal, `default_format` the reply to a request without `format`.
    `date_skew_seconds` is how far the `Date` header, which a proxy may set, is ahead of the clock of the times.
    """

    tokens: frozenset[str] = frozenset({"local-altcraft-token"})
    wrong_token: Refusal = Refusal(401, "API token required")
    no_program: Refusal = Refusal(1001, "Emulated: loyalty program not found")
    no_code: Refusal = Refusal(1002, "Emulated: promo code not found")
    no_profile: Refusal = Refusal(1003, "Emulated: profile not found")
    no_free_code: Refusal = Refusal(1004, "Emulated: no free promo code")
    not_attached: Refusal = Refusal(1005, "Emulated: promo code is not attached to a profile")
    already_activated: Refusal | None = Refusal(1006, "Emulated: promo code is already activated")
    expired: Refusal = Refusal(1007, "Emulated: promo code has expired")
    taken: Refusal = Refusal(1008, "Emulated: personal promo code belongs to another profile")
    program_limit: int | None = None
    error_status: int = 200
    default_format: Wire = "json"
    times: Times = "utc"
    date_skew_seconds: int = 0
    compress: bool = False
    empty_export_as_null: bool = False
