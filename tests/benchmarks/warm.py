"""The CPU time of a warm webhook: one delivery compared with a bare handler's invocation, without the calls to AWS.

`python -m tests.benchmarks.warm`. Both handlers run in Lambda's own runtime, in warm sandboxes, in alternating rounds.
"""

import statistics
import tempfile
from pathlib import Path

from local.stack import SOURCES
from tests.benchmarks.report import table
from tests.runtime.parts import ROOT, Build, Runtime
from tests.runtime.sandbox import Sandbox

INSIDE = ROOT / "tests/benchmarks/inside"
DELIVERIES = (
    "webhook-shopify.json",
    "webhook-woocommerce.json",
    "webhook-standard-webhooks.json",
    "webhook-tilda.json",
)
ROUNDS = 11
INVOCATIONS = 200
TO_REACH_MS = 1.5

ENVIRONMENT = {
    "AWS_LAMBDA_FUNCTION_NAME": "warm",
    "AWS_LAMBDA_FUNCTION_TIMEOUT": "60",
    "POWERTOOLS_SERVICE_NAME": "activate",
    "SOURCES_FILE": str(SOURCES),
    **dict.fromkeys(
        (
            *("ALTCRAFT_URL", "ALTCRAFT_SECRET_ID", "SOURCES_SECRET_ID", "ACTIVATION_QUEUE_URL"),
            *("DEAD_LETTER_QUEUE_URL", "REDEMPTIONS_TABLE", "EXPORT_BUCKET"),
        ),
        "not-called",
    ),
}


def cpu_ms(sandbox: Sandbox, event: bytes) -> float:
    """CPU milliseconds of one invocation, averaged over many."""
    before = sandbox.invoke(b'"cpu"')
    for _ in range(INVOCATIONS):
        answer = sandbox.invoke(event)
    if answer.get("statusCode") != 200:
        raise RuntimeError(f"the delivery was not accepted: {answer}")
    return float(sandbox.invoke(b'"cpu"') - before) * 1000 / INVOCATIONS


def measure(runtime: Runtime, build: Build) -> list[tuple[str, float, float]]:
    """For each delivery, the median CPU milliseconds of a bare invocation and of ours."""
    with tempfile.TemporaryFile() as log:
        sandboxes = [
            Sandbox(runtime, build, "ActivateFunction", f"warm.{name}", ENVIRONMENT, log, (INSIDE,))
            for name in ("bare", "webhook")
        ]
        with sandboxes[0] as bare, sandboxes[1] as ours:
            found = []
            for file in DELIVERIES:
                event = (ROOT / "events" / file).read_bytes()
                rounds = [(cpu_ms(bare, event), cpu_ms(ours, event)) for _ in range(1 + ROUNDS)][1:]
                found.append((file, *map(statistics.median, zip(*rounds, strict=True))))
    return found


def main() -> None:
    """Build, measure, print."""
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Runtime.find(), Build.make(Path(folder) / "build"))
    print(f"\nWarm webhook, CPU ms an invocation; medians of {ROUNDS} rounds of {INVOCATIONS}")
    print(
        table(
            ("delivery", "bare handler", "ours", "above bare", "to reach"),
            [
                (file, f"{bare:.2f}", f"{ours:.2f}", f"{ours - bare:.2f}", f"≤ {TO_REACH_MS}")
                for file, bare, ours in found
            ],
        )
    )


if __name__ == "__main__":
    main()
