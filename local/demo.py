"""`make demo`: the whole system at work on this laptop, step by step. Ends by itself; status 0 only if all went well."""

import gzip
import json
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import requests
from tqdm import tqdm

from activate.sources import parse
from local.deploy import DeployError
from local.emulator import Emulator
from local.engine import EngineError
from local.example import LARGE_PROGRAM, LARGE_PROGRAM_CODES, SHOP_PROGRAM, seed
from local.stack import ROOT, SOURCES, Options, Stack
from local.waiting import wait_until
from ops.signing import sign

LOG = ROOT / "build" / "demo.log"
SOURCE = "eu-shop"
ORDER = ROOT / "events" / "bodies" / "shopify.json"
ORDERED_CODE = "Code-1"
ROWS_SHOWN = 4
PATIENCE_SECONDS = 60

# code, order id → the status and the outcome that the API must answer
ACTIVATIONS = [
    ("Code-2", "order-1", 200, "activated"),
    ("Code-2", "order-1", 200, "activated"),
    ("Code-2", "order-2", 409, "already_activated"),
    ("FREE-1", "order-3", 422, "not_attached"),
    ("OLD-1", "order-4", 410, "expired"),
    ("TYPO-1", "order-5", 404, "not_found"),
]


class Unexpected(Exception):
    """A step did not go as it must; the message says what was seen."""


def expect(what: str, seen: object, wanted: object) -> None:
    """Raise Unexpected where what is seen is not what is wanted."""
    if seen != wanted:
        raise Unexpected(f"{what}: expected {wanted!r}, saw {seen!r}")


def show(label: str, value: object) -> None:
    """Print one line of a step."""
    print(f"   {label:<24} {value}", flush=True)


def progress(manifest: Mapping[str, Any]) -> str:
    """How far the export of the large program is, and how fast its run goes."""
    began, until = (
        datetime.fromisoformat(manifest[name]) if manifest[name] else datetime.now(UTC)
        for name in ("started_at", "finished_at")
    )
    seconds = max((until - began).total_seconds(), 0.001)
    bar_format = "[{bar:30}] {percentage:3.0f}%  {n:,} codes, {rate:,.0f} codes/s"
    return tqdm.format_meter(manifest["codes"], LARGE_PROGRAM_CODES, seconds, ascii=" =", bar_format=bar_format)


class Demo:
    """The steps, over a running stack and its emulated Altcraft."""

    def __init__(self, stack: Stack, emulator: Emulator) -> None:
        self._ready = stack.ready
        self._s3 = stack.aws.client("s3")
        self._sqs = stack.aws.client("sqs")
        self._emulator = emulator
        self._http = requests.Session()
        self._http.trust_env = False
        self._http.headers["x-api-key"] = self._ready.api_key

    def run(self) -> None:
        """Take every step. Raises Unexpected at the first that fails."""
        steps: list[tuple[str, Callable[[], None]]] = [
            (
                "CloudFormation has deployed template.yaml to an AWS on this machine, beside an emulated Altcraft",
                self._where,
            ),
            (f"A shop reports a paid order with the code {ORDERED_CODE}: a signed Shopify webhook", self._webhook),
            ("A shop's back end asks for activations itself: POST /promocodes/activate", self._activations),
            (
                f"The {LARGE_PROGRAM_CODES:,} codes of program {LARGE_PROGRAM} go to S3: POST /promocodes/export_all",
                self._export,
            ),
        ]
        with self._http:
            for number, (title, step) in enumerate(steps, 1):
                print(f"\n{number}. {title}")
                step()

    def _where(self) -> None:
        show("the API", self._ready.api_url)
        show("AWS (ministack)", self._ready.aws_endpoint_url)
        show("Altcraft (emulated)", self._ready.altcraft_url)

    def _webhook(self) -> None:
        source = parse(SOURCES.read_text(encoding="utf-8")).find(SOURCE)
        delivery = sign(source, ORDER.read_bytes(), "application/json", delivery_id="demo", now=time.time())
        url = f"{self._ready.api_url}/webhooks/{SOURCE}"
        headers = dict(delivery.headers)
        show("before", self._state(ORDERED_CODE))
        forged = self._http.post(url, delivery.body.replace(b"79.00", b"00.00"), headers=headers, timeout=30)
        show("forged", f"{forged.status_code} {forged.json()['title']}")
        expect("a forged delivery", forged.status_code, 401)
        for label in ("delivered", "delivered again"):
            answer = self._http.post(url, delivery.body, headers=headers, timeout=30)
            show(label, f"{answer.status_code} {answer.text}")
            expect("the delivery", (answer.status_code, answer.json()), (200, {"accepted": 1}))
        activations = self._emulator.programs
        if not activations.wait_for_activations(lambda seen: seen[SHOP_PROGRAM, ORDERED_CODE] > 0, PATIENCE_SECONDS):
            raise Unexpected(f"{ORDERED_CODE} was not activated within {PATIENCE_SECONDS} seconds")
        wait_until(self._queue_is_empty, PATIENCE_SECONDS)
        show("after", self._state(ORDERED_CODE))
        expect(f"activations of {ORDERED_CODE}", activations.activations[SHOP_PROGRAM, ORDERED_CODE], 1)

    def _activations(self) -> None:
        for code, order_id, status, outcome in ACTIVATIONS:
            body = {"code": code, "loyalty_id": SHOP_PROGRAM, "order_id": order_id}
            answer = self._http.post(f"{self._ready.api_url}/promocodes/activate", json=body, timeout=30)
            seen = answer.status_code, answer.json().get("outcome")
            show(f"{code} for {order_id}", f"{seen[0]} {seen[1]}")
            expect(f"{code} for {order_id}", seen, (status, outcome))
        expect("activations of Code-2", self._emulator.programs.activations[SHOP_PROGRAM, "Code-2"], 1)

    def _export(self) -> None:
        body = {"loyalty_id": LARGE_PROGRAM}
        begun = self._http.post(f"{self._ready.api_url}/promocodes/export_all", json=body, timeout=30)
        show("asked", f"{begun.status_code} {begun.text}")
        expect("the status of the request", begun.status_code, 202)
        manifest = wait_until(lambda: self._ended(begun.json()["status_url"]), PATIENCE_SECONDS)
        show("exported", progress(manifest))
        download_url = manifest.pop("download_url", None)
        print("   the manifest")
        print(textwrap.indent(json.dumps(manifest, indent=2), "     "))
        expect("status and codes", (manifest["status"], manifest["codes"]), ("succeeded", LARGE_PROGRAM_CODES))
        print("   in the bucket")
        for item in self._s3.list_objects_v2(Bucket=self._ready.export_bucket, Prefix=manifest["key"])["Contents"]:
            print(f"     s3://{self._ready.export_bucket}/{item['Key']}  {item['Size']:,} bytes")
        rows = gzip.decompress(self._http.get(download_url, timeout=30).content).decode().splitlines()
        expect("rows in the file", len(rows), LARGE_PROGRAM_CODES)
        print(f"   the first {ROWS_SHOWN} of {len(rows):,} rows")
        for row in rows[:ROWS_SHOWN]:
            print(f"     {row}")

    def _ended(self, status_url: str) -> dict[str, Any]:
        """Return the manifest of an export that has ended, or nothing."""
        manifest: dict[str, Any] = self._http.get(status_url, timeout=30).json()
        if manifest["status"] != "running":
            return manifest
        if sys.stdout.isatty():
            print(f"   {'exporting':<24} {progress(manifest)}\x1b[K", end="\r", flush=True)
        return {}

    def _state(self, code: str) -> str:
        state = self._emulator.programs.get(SHOP_PROGRAM, code)
        return f"{code} is used since {state.activated:%H:%M:%S}" if state.activated else f"{code} is not used"

    def _queue_is_empty(self) -> bool:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        url = self._ready.activation_queue_url
        attributes = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return not any(int(attributes[name]) for name in names)


def main() -> None:
    """Run the demo; a step that fails ends it with a message and status 1."""
    began = time.monotonic()
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("wb") as log:
        print("Starting the embedded stack ...", flush=True)
        try:
            with Stack(Options(log=log.fileno())) as stack:
                assert stack.emulator is not None  # noqa: S101 - no other Altcraft was named
                seed(stack.emulator)
                Demo(stack, stack.emulator).run()
        except (Unexpected, TimeoutError, EngineError, DeployError, requests.RequestException) as error:
            sys.exit(f"\nThe demo failed. {error}\nWhat the functions said: {LOG.relative_to(ROOT)}")
    print(f"\nAll as expected, in {time.monotonic() - began:.0f} s. What the functions said: {LOG.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
