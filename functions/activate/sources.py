"""The document of webhook sources: one JSON object, source name → settings, kept in one secret.

Invalid settings affect only their own source: its deliveries are answered 503, so that the shop delivers again after the
settings were corrected.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from activate import checks, signatures
from activate.checks import Check, InvalidSettings
from activate.orders import CASES, ESCAPES, ON_REVERSAL, Program, Reader
from activate.paths import is_constant
from activate.patterns import ANYTHING, Pattern
from activate.presets import FETCHES, PRESETS, REVERSALS, WITHOUT_FETCH
from activate.signatures import Auth, SharedSecret
from lambda_support.secrets import SecretError
from lambda_support.telemetry import logger

if TYPE_CHECKING:
    from activate.fetch import Fetch  # noqa: TC004 - the module is loaded only if a source has `fetch`
    from activate.orders import Reading

REREAD_SECONDS: Final = 30
"""The least time between two readings of the secret that bypass its cache, however many deliveries are refused."""


class UnknownSource(LookupError):
    """No source has this name."""


class SourceUnavailable(Exception):
    """The source cannot be used now: its settings are wrong, or the secret that holds them cannot be read. For an operator."""

    def __init__(self, message: str, source: str = "") -> None:
        """`source`: the one whose settings are wrong; `""` if the whole document is at fault."""
        super().__init__(message)
        self.source = source


@dataclass(frozen=True)
class Source:
    """One shop, as its settings and its platform's preset describe it."""

    name: str
    auth: Auth
    keys: tuple[bytes, ...] = field(repr=False)
    """One for each secret; empty, if the source delivers only through AWS."""
    reader: Reader
    fetch: Fetch | None
    """The call to the shop's API, if the webhook holds only an id."""
    handshake: Pattern | None
    """The body of the unsigned call by which the platform tests the address."""
    challenge: str
    """The query parameter of a GET whose value the platform expects to be echoed."""
    event_source: str
    """Where the source's events come from: the name of an EventBridge partner event source, or the ARN of an SQS queue."""

    def read(self, body: Any) -> list[Reading]:
        """Read every order in a webhook's body.

        Raises:
            UnreadableOrder: the body holds more than a delivery may.
        """
        return self.fetch.read(self.reader, body) if self.fetch else self.reader.read(body)

    @property
    def secrets_in_body(self) -> tuple[bytes, ...]:
        """The secrets that the shop sends in a field of the body, and that must not be stored with it."""
        return self.keys if isinstance(self.auth, SharedSecret) and self.auth.field else ()


@dataclass(frozen=True)
class Document:
    """The parsed secret: the usable sources, and the faults of the others."""

    sources: Mapping[str, Source]
    faults: Mapping[str, InvalidSettings]

    def find(self, name: str) -> Source:
        """The source of this name.

        Raises:
            UnknownSource: there is none.
            SourceUnavailable: its settings are wrong.
        """
        if fault := self.faults.get(name):
            raise SourceUnavailable(str(fault), name)
        try:
            return self.sources[name]
        except KeyError:
            raise UnknownSource(name) from None

    def find_sender(self, sender: str) -> Source:
        """The source with this `event_source`, or else the source without one whose name is the last part of `sender`.

        Raises:
            UnknownSource: there is neither.
            SourceUnavailable: its settings are wrong.
        """
        for source in self.sources.values():
            if source.event_source == sender:
                return source
        source = self.find(re.split("[/:]", sender)[-1])
        if source.event_source:
            raise UnknownSource(sender)
        return source


_PROGRAM: Final[Mapping[str, Check]] = {"pattern": checks.pattern, "loyalty_id": checks.whole_number}


def _program(value: object) -> Program:
    settings = checks.table(value, _PROGRAM)
    if missing := [(name, "is missing") for name in _PROGRAM if name not in settings]:
        raise InvalidSettings(*missing)
    return Program(**settings)


SETTINGS: Final[Mapping[str, Check]] = {
    "platform": checks.one_of(PRESETS),
    "auth": signatures.auth,
    "secrets": checks.list_of(checks.secret),
    "unescape": checks.one_of(ESCAPES),
    "json_fields": checks.list_of(checks.text),
    "fetch": lambda value: _fetch(value),
    "handshake": checks.pattern,
    "challenge": checks.text,
    "event_source": checks.text,
    "paid": checks.expression,
    "reversed": checks.expression,
    "on_reversal": checks.one_of(ON_REVERSAL),
    "order_id": checks.expression,
    "codes": checks.expression,
    "split": checks.text,
    "capture": checks.pattern,
    "case": checks.one_of(CASES),
    "loyalty_id": checks.whole_number,
    "programs": checks.list_of(_program),
}
"""Every setting of a source, and its check."""


_READING: Final = ("split", "capture", "case", "unescape", "json_fields", "reversed", "on_reversal")
"""The optional settings of the `Reader`."""


def parse(text: str) -> Document:
    """Parse the document.

    Raises:
        InvalidSettings: it is not a JSON object at all. Faults within a source are in the document's `faults`.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise checks.invalid(f"the document of sources is not JSON{where}") from error
    if not isinstance(document, dict):
        raise checks.invalid("the document of sources is not an object, source name → settings")
    sources: dict[str, Source] = {}
    faults: dict[str, InvalidSettings] = {}
    for name, settings in document.items():
        try:
            sources[name] = source(name, settings)
        except InvalidSettings as error:
            faults[name] = error
    return Document(sources, faults)


def source(name: str, settings: object) -> Source:
    """Check one source's settings, completed by its platform's preset.

    Raises:
        InvalidSettings: with every fault found.
    """
    checks.name(name)
    if isinstance(settings, Mapping) and isinstance(platform := settings.get("platform"), str):
        settings = _completed(platform, settings)
    values = checks.table(settings, SETTINGS)
    required = ("auth", "paid", "order_id", "codes") if "platform" in values else ("platform",)
    remedy = "; or write fetch, to call the shop's API" if values.get("platform") in WITHOUT_FETCH else ""
    faults = [(name, f"is missing, and no preset has it{remedy}") for name in required if name not in values]
    if ("loyalty_id" in values) == ("programs" in values):
        faults.append(
            ("loyalty_id", "write either loyalty_id or programs: each code needs the id of its loyalty program")
        )
    if "secrets" not in values and "event_source" not in values:
        faults.append(("secrets", "is missing: without a secret nothing can be verified"))
    if values.get("platform") in FETCHES and values["platform"] not in WITHOUT_FETCH and "fetch" not in values:
        faults.append(("fetch", "is missing: this platform's webhook holds only an id"))
    if values.get("on_reversal") == "deactivate":
        faults += _indistinct(values)
    if faults:
        raise InvalidSettings(*faults)
    programs = values["programs"] if "programs" in values else (Program(ANYTHING, values["loyalty_id"]),)
    reading = {setting: values[setting] for setting in _READING if setting in values}
    return Source(
        name=name,
        auth=values["auth"],
        keys=_keys(values["auth"], values["secrets"]) if "secrets" in values else (),
        reader=Reader(values["paid"], values["order_id"], values["codes"], programs, **reading),
        fetch=values.get("fetch"),
        handshake=values.get("handshake"),
        challenge=values.get("challenge", "challenge"),
        event_source=values.get("event_source", ""),
    )


def _indistinct(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Why a reversed order cannot be known from a paid one."""
    faults = []
    if "reversed" not in values:
        remedy = "; without fetch there is one" if "reversed" in PRESETS.get(values.get("platform", ""), {}) else ""
        faults.append(
            (
                "reversed",
                f"is missing, and no preset has it{remedy}: with on_reversal deactivate, say which order is reversed",
            )
        )
    if "paid" in values and is_constant(values["paid"]):
        faults.append(
            ("paid", "says the same of every order: with on_reversal deactivate, say by what a paid order is known")
        )
    return faults


def _completed(platform: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Merge a source's settings into its platform's presets, and the parts of its `fetch` into theirs."""
    rows = [PRESETS.get(platform, {})]
    if "fetch" in settings:
        rows.append(FETCHES.get(platform, {}))
    if settings.get("on_reversal") == "deactivate":
        rows.append(REVERSALS.get(platform, {}))
    preset = {name: value for row in rows for name, value in row.items() if name != "fetch"}
    completed = {name: value for name, value in preset.items() if value is not None} | dict(settings)
    if isinstance(written := settings.get("fetch"), Mapping):
        parts = [row["fetch"] for row in rows if "fetch" in row]
        completed["fetch"] = {name: value for part in (*parts, written) for name, value in part.items()}
    return completed


def _fetch(value: object) -> Fetch:
    from activate import fetch  # loaded only if a source has it

    return fetch.fetch(value)


def _keys(auth: Auth, secrets: tuple[str, ...]) -> tuple[bytes, ...]:
    check = checks.list_of(lambda secret: auth.key(str(secret)))
    keys: tuple[bytes, ...] = checks.table({"secrets": list(secrets)}, {"secrets": check})["secrets"]
    return keys


class SecretText(Protocol):
    """A cached secret, such as `lambda_support.secrets.Secret`."""

    def text(self) -> str: ...

    def refresh(self) -> str: ...


class Sources:
    """The current document: read from its secret, parsed once for each version."""

    def __init__(self, secret: SecretText, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: monotonic seconds."""
        self._secret = secret
        self._clock = clock
        self._text = ""
        self._document: Document | None = None
        self._next_read_at = float("-inf")
        self._next_reread_at = float("-inf")

    def find(self, name: str) -> Source:
        """The source of this name.

        Raises:
            UnknownSource: there is none.
            SourceUnavailable: its settings are wrong, or the document cannot be read.
        """
        return self._find(lambda document: document.find(name))

    def find_sender(self, sender: str) -> Source:
        """The source whose events come from `sender`: an EventBridge event's `source`, or an SQS queue's ARN.

        Raises:
            UnknownSource: there is none.
            SourceUnavailable: its settings are wrong, or the document cannot be read.
        """
        return self._find(lambda document: document.find_sender(sender))

    def reread(self) -> bool:
        """Read the secret again, bypassing its cache; True if it has changed.

        Done at most once in `REREAD_SECONDS`, so that forged deliveries cannot cause a call to Secrets Manager each.

        Raises:
            SourceUnavailable: the document cannot be read.
        """
        if self._clock() < self._next_reread_at:
            return False
        self._next_reread_at = self._clock() + REREAD_SECONDS
        before = self._text
        try:
            self._take(self._secret.refresh())
        except (SecretError, InvalidSettings) as error:
            raise SourceUnavailable(str(error)) from error
        return self._text != before

    def _find(self, find: Callable[[Document], Source]) -> Source:
        try:
            return find(self._current())
        except (UnknownSource, SourceUnavailable):
            # It may have been added or corrected a moment ago.
            if not self.reread():
                raise
            return find(self._current())

    def _current(self) -> Document:
        """The document; while the secret cannot be read or holds no document, the last one that was read."""
        if self._document is None or self._clock() >= self._next_read_at:
            try:
                return self._take(self._secret.text())
            except (SecretError, InvalidSettings) as error:
                if self._document is None:
                    raise SourceUnavailable(str(error)) from error
                self._next_read_at = self._clock() + REREAD_SECONDS
                logger.error(
                    "The document of sources cannot be read; the one read last stays in use", detail=str(error)
                )
        return self._document

    def _take(self, text: str) -> Document:
        if self._document is None or text != self._text:
            self._document, self._text = parse(text), text
            for name, fault in self._document.faults.items():
                logger.error("A source's settings are invalid", source=name, detail=str(fault))
        return self._document
