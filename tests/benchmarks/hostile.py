"""The CPU time and duration of the worst deliveries in the intake, without the calls to AWS.

`python -m tests.benchmarks.hostile`. Bodies are as large as Lambda accepts; each figure is the worst of three.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from activate.activation_queue import ActivationQueue
from activate.bodies import FORM
from activate.intake import Intake
from activate.quarantine import Quarantine
from activate.sources import Sources, parse
from lambda_support.http import Request, answering
from ops.signing import sign
from tests.benchmarks.report import table

MOST = 4_700_000
JSON = "application/json"
DOCUMENT: dict[str, dict[str, Any]] = {
    "shop": {"platform": "shopify", "secrets": ["current", "previous"], "loyalty_id": 5},
    "tilda": {"platform": "tilda", "secrets": ["current"], "loyalty_id": 5},
    "xml": {"platform": "insales", "secrets": ["s"], "loyalty_id": 5, "codes": "discounts[].description"},
    "slow": {"platform": "shopify", "secrets": ["s"], "loyalty_id": 5, "codes": "sort_by(items[?a == `1`], &a)[].code"},
    "pattern": {
        "platform": "shopify",
        "secrets": ["s"],
        "programs": [{"pattern": "^(VIP-?|[A-Z]+)+[0-9]{4}$", "loyalty_id": 5}],
        "capture": r"(\S+)$",
    },
}
HOSTILE = {"type": "discount_code", "code": "A" * 28}


class _FakeAws:
    """Replaces AWS and the secret, and accepts everything."""

    def text(self) -> str:
        return json.dumps(DOCUMENT)

    refresh = text

    def send_message_batch(self, **batch: Any) -> dict[str, Any]:
        return {"Successful": [{"Id": entry["Id"], "MessageId": "m"} for entry in batch["Entries"]]}

    def put_object(self, **_: object) -> None:
        """Accept the object."""


@dataclass(frozen=True)
class _Case:
    name: str
    source: str
    body: bytes
    media_type: str
    limit: str
    signed: bool = True


def _cases() -> Iterator[_Case]:
    paid = {"id": 1, "financial_status": "paid", "discount_applications": [HOSTILE]}
    filler = json.dumps({**paid, "note": "x" * MOST}).encode()[: MOST - 2]
    within = "≤ 3 s"
    yield _Case(
        "an order with a long note", "shop", json.dumps({**paid, "note": "x" * (MOST - 200)}).encode(), JSON, within
    )
    yield _Case("JSON cut off", "shop", filler, JSON, within)
    yield _Case("JSON of lists", "shop", b"[" + b"[]," * (MOST // 3) + b"[]]", JSON, within)
    yield _Case("JSON of numbers", "shop", b"[" + b"1," * (MOST // 2) + b"1]", JSON, within)
    items = b'{"financial_status": "paid", "id": 1, "items": [' + b'{"a":1},' * 190_000 + b"{}]}"
    yield _Case("JMESPath over 190,000 items", "slow", items, JSON, within)
    yield _Case("a form of one field", "tilda", b"a=" + b"%41" * (MOST // 3), FORM, within)
    yield _Case("XML of elements", "xml", b"<o>" + b"<a/>" * (MOST // 4) + b"</o>", "application/xml", within)
    for source, body, media_type in (
        ("shop", filler, JSON),
        ("tilda", b'{"token":[' + b"[]," * (MOST // 3), JSON),
        ("tilda", b"token=" + b"%41" * (MOST // 3), FORM),
        ("tilda", b'{"token":[' + b"[]," * 43_000 + b"[]]}", JSON),
    ):
        yield _Case(
            f"forged, {len(body):,} B, {source}, {media_type}", source, body, media_type, "≤ 50 ms", signed=False
        )
    order = json.dumps(paid).encode()
    yield _Case("a hostile code for a pattern", "pattern", order, JSON, "≤ 2.5 ms")
    many = [{"type": "discount_code", "code": "A" * 220 + f" B{number:04}"} for number in range(200)]
    yield _Case(
        "200 hostile texts", "pattern", json.dumps({**paid, "discount_applications": many}).encode(), JSON, within
    )


def _request(case: _Case) -> Request:
    sources = parse(json.dumps(DOCUMENT)).sources
    delivery = sign(sources[case.source], case.body, case.media_type, delivery_id="m", now=time.time())
    headers = {name.lower(): value for name, value in delivery.headers.items()}
    query = dict(delivery.query)
    if not case.signed:
        headers = {
            name: base64.b64encode(b"0" * 32).decode() if "hmac" in name else value for name, value in headers.items()
        }
        query = {}
    return Request("POST", "/webhooks/{source}", {"source": case.source}, headers, query, case.body)


def _intake(aws: Any) -> Intake:
    return Intake(Sources(aws), ActivationQueue(aws, ""), Quarantine(lambda: aws, "bucket", ""))


def _measured(run: Callable[[], object]) -> tuple[float, float]:
    cpu, clock = time.process_time(), time.perf_counter()
    run()
    return (time.process_time() - cpu) * 1000, (time.perf_counter() - clock) * 1000


def main() -> None:
    """Measure, print."""
    rows = []
    for case in _cases():
        intake = _intake(_FakeAws())
        request = _request(case)

        def deliver(intake: Intake = intake, request: Request = request, source: str = case.source) -> Any:
            return answering(request, lambda request: intake.receive(source, request))

        deliver()
        worst = max(_measured(deliver) for _ in range(3))
        answer = deliver()
        rows.append((case.name, str(answer["statusCode"]), f"{worst[0]:.1f}", f"{worst[1]:.1f}", case.limit))
    print(table(("delivery", "answer", "CPU ms", "ms", "to reach"), rows))


if __name__ == "__main__":
    main()
