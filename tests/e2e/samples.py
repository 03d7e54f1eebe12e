"""The sample events of `events/`: which function each is for, and what it must answer where Altcraft has the samples' codes."""

from typing import Any

from altcraft.wire import MEDIA_TYPES, Wire, decode
from docs.generate.sample_events import REVERSALS
from local.emulator import Emulator
from tests.e2e.conftest import EVENTS

ACTIVATED = {"outcome": "activated"}
DEACTIVATED = {"outcome": "deactivated"}

FILES = sorted(path.name for path in EVENTS.glob("*.json") if path.name != "sources.json")

# file → the function, the HTTP status where it is an HTTP event, and what the answer must hold
SAMPLES: dict[str, tuple[str, int | None, dict[str, Any]]] = {
    "activate-api-json.json": ("ActivateFunction", 200, {"code": "Code-1", "loyalty_id": 5} | ACTIVATED),
    "activate-api-xml.json": ("ActivateFunction", 200, {"code": "Code-2", "loyalty_id": "5"} | ACTIVATED),
    "direct-activate.json": ("ActivateFunction", None, {"code": "Code-3", "loyalty_id": 5} | ACTIVATED),
    "deactivate-api-json.json": ("ActivateFunction", 200, {"code": "Code-1", "loyalty_id": 5} | DEACTIVATED),
    "deactivate-api-xml.json": ("ActivateFunction", 200, {"code": "Code-2", "loyalty_id": "5"} | DEACTIVATED),
    "direct-deactivate.json": ("ActivateFunction", None, {"code": "Code-3", "loyalty_id": 5} | DEACTIVATED),
    "direct-get.json": ("ActivateFunction", None, {"code": "Code-4", "attached": True}),
    "get-api-json.json": ("ActivateFunction", 200, {"code": "Code-4", "loyalty_id": 5, "attached": True}),
    "get-api-xml.json": ("ActivateFunction", 200, {"code": "Code-4", "loyalty_id": "5", "attached": "true"}),
    "direct-export.json": ("ExportAllFunction", None, {"loyalty_id": 6, "status": "succeeded", "codes": 2}),
    "export-run.json": ("ExportAllFunction", None, {"status": "succeeded", "codes": 2}),
    "export-status.json": ("ExportAllFunction", 200, {"status": "succeeded", "codes": 2}),
    "export_all-api-json.json": ("ExportAllFunction", 202, {"status": "running"}),
    "export_all-api-xml.json": ("ExportAllFunction", 202, {"status": "running"}),
    "export_all-api-accept-fewer.json": ("ExportAllFunction", 202, {"status": "running"}),
    "export_all-api-idempotency-key.json": ("ExportAllFunction", 202, {"status": "running"}),
    "direct-export-accept-fewer.json": ("ExportAllFunction", None, {"status": "succeeded", "accept_fewer": True}),
    "schedule.json": ("ExportAllFunction", None, {}),
    "schedule-accept-fewer.json": ("ExportAllFunction", None, {}),
    "stream-batch.json": ("ActivateFunction", None, {"batchItemFailures": []}),
    "queue-batch.json": ("ActivateFunction", None, {"batchItemFailures": []}),
    "eventbridge-shopify.json": ("ActivateFunction", None, {}),
    "eventbridge-stripe.json": ("ActivateFunction", None, {}),
    "saleor-sqs.json": ("ActivateFunction", None, {"batchItemFailures": []}),
    "webhook-bigcommerce.json": ("ActivateFunction", 200, {}),
    "webhook-ecwid.json": ("ActivateFunction", 200, {}),
    "webhook-insales-coupons.json": ("ActivateFunction", 200, {}),
    "webhook-stripe-promotions.json": ("ActivateFunction", 200, {}),
    "webhook-generic.json": ("ActivateFunction", 200, {}),
    "webhook-insales.json": ("ActivateFunction", 200, {}),
    "webhook-retailcrm.json": ("ActivateFunction", 200, {}),
    "webhook-saleor.json": ("ActivateFunction", 200, {}),
    "webhook-shopify.json": ("ActivateFunction", 200, {}),
    "webhook-shopware.json": ("ActivateFunction", 200, {}),
    "webhook-standard-webhooks.json": ("ActivateFunction", 200, {}),
    "webhook-stripe.json": ("ActivateFunction", 200, {}),
    "webhook-tilda-json-field.json": ("ActivateFunction", 200, {}),
    "webhook-tilda-json.json": ("ActivateFunction", 200, {}),
    "webhook-tilda.json": ("ActivateFunction", 200, {}),
    "webhook-woocommerce.json": ("ActivateFunction", 200, {}),
    **{file: ("ActivateFunction", 200, {}) for file in REVERSALS},
}


PRECEDING = {
    "export-status.json": "export-run.json",
    "deactivate-api-json.json": "activate-api-json.json",
    "deactivate-api-xml.json": "activate-api-xml.json",
    "direct-deactivate.json": "direct-activate.json",
}
"""The samples that ask for what another one does, or undo it: that one comes first."""


def fill(altcraft: Emulator) -> None:
    """Give Altcraft the samples' codes, unused."""
    altcraft.programs.clear()
    altcraft.programs.add(5, *(f"Code-{number}" for number in range(1, 10)), attached=True)
    altcraft.programs.add(6, "Code-1", "Code-2")


def check(file: str, answer: Any) -> None:
    """Assert that this is what the sample's function is to answer."""
    _, status, expected = SAMPLES[file]
    if status is not None:
        assert answer["statusCode"] == status, answer["body"]
        answer = spoken(answer)
    assert {name: answer[name] for name in expected} == expected
    assert answer.get("accepted") != 0


def spoken(response: dict[str, Any]) -> Any:
    """The message in a proxy response, of either format."""
    wire: Wire = "xml" if response["headers"]["Content-Type"] == MEDIA_TYPES["xml"] else "json"
    return decode(response["body"].encode(), wire)
