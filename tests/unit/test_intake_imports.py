"""The imports of a webhook's cold start: a shop waits a second for the connection, and a slow library takes half of that."""

import json
import subprocess
import sys

SLOW = {
    "requests",
    "boto3",
    "msgspec",
    "pydantic",
    "xmltodict",
    "re2",
    "altcraft.client",
    "activate.activation",
    "activate.redemption",
    "activate.worker",
    "activate.fetch",
    "activate.fetcher",
    "activate.shop_api",
}


def test_given_the_intake_is_imported_then_no_slow_module_is_loaded() -> None:
    code = "import sys, activate.app, activate.intake; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "activate.intake" in found
    assert not SLOW.intersection(found)


def test_given_sources_without_a_pattern_of_their_own_then_re2_is_not_loaded() -> None:
    code = "import sys; from activate import sources; sources.parse(sys.argv[1]); print('re2' in sys.modules)"

    def loads_re2(**settings: object) -> bool:
        document = {
            platform: {"platform": platform, "secrets": ["whsec_c2VjcmV0"], "loyalty_id": 5}
            for platform in ("shopify", "woocommerce", "tilda", "stripe")
        }
        text = json.dumps(document | {"shop": {"platform": "shopify", "secrets": ["s"], **settings}})
        found = subprocess.run([sys.executable, "-c", code, text], check=True, capture_output=True, text=True)
        return found.stdout.strip() == "True"

    assert not loads_re2(loyalty_id=5)
    assert not loads_re2(programs=[{"pattern": "", "loyalty_id": 5}])
    assert loads_re2(programs=[{"pattern": "^VIP-", "loyalty_id": 5}])
    assert loads_re2(loyalty_id=5, capture="(.+)")


def test_given_a_worker_without_a_call_to_make_then_the_modules_for_calls_are_not_loaded() -> None:
    code = "import sys, activate.app, activate.worker; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "activate.worker" in found
    assert not {"activate.fetch", "activate.fetcher", "activate.shop_api", "activate.sources", "re2"}.intersection(
        found
    )
