"""Orders of lost webhooks, delivered again or activated from a file, by the operators' commands against a whole stack."""

import csv
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from local.emulator import Emulator
from local.emulator.faults import Drop
from local.stack import Stack
from local.waiting import wait_until
from tests.e2e.test_burst import messages_in


def start(stack: Stack, name: str, file: Path) -> subprocess.Popen[str]:
    """An operators' command, sending as fast as it can."""
    known = {"LOCAL": stack.ready.api_url, "FILE": str(file), "RATE": "1000"} | {"SOURCE": "eu-shop"}
    return subprocess.Popen(
        [sys.executable, "-m", "ops", name],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | known,
    )


def run(stack: Stack, name: str, file: Path) -> tuple[int, str]:
    """The exit status of a command, and what it printed last, up to the name of its result file."""
    with start(stack, name, file) as process:
        out, _ = process.communicate(timeout=300)
    return process.returncode, out.splitlines()[-1].partition(";")[0]


def end(stack: Stack, name: str, file: Path, signals: dict[signal.Signals, int]) -> None:
    """Run a command as often as there are signals; each ends one run, once so many rows have an outcome."""
    for number, wanted in signals.items():
        with start(stack, name, file) as process:
            wait_until(lambda wanted=wanted: len(result(file)) >= wanted, 120)  # type: ignore[misc]
            process.send_signal(number)
            process.communicate(timeout=60)
        assert process.returncode in {-number, 128 + number}


def result(file: Path) -> list[dict[str, str]]:
    path = file.with_name(f"{file.stem}.result.csv")
    if not path.exists():
        return []
    with path.open(newline="") as rows:
        return list(csv.DictReader(rows))


def table(file: Path, orders: Mapping[str, str]) -> Path:
    """A file of codes, each with its order."""
    rows = [(code, "5", order_id) for code, order_id in orders.items()]
    file.write_text("\n".join(map(",".join, [("code", "loyalty_id", "order_id"), *rows])))
    return file


def deliveries(file: Path, codes: Iterable[str]) -> Path:
    """A file of orders, numbered from 0, each with a code."""
    bodies = [
        {"id": number, "financial_status": "paid", "discount_applications": [{"type": "discount_code", "code": code}]}
        for number, code in enumerate(codes)
    ]
    file.write_text("\n".join(map(json.dumps, bodies)))
    return file


def wait_for_queue(stack: Stack) -> None:
    sqs = stack.aws.client("sqs")
    wait_until(lambda: messages_in(sqs, stack.ready.activation_queue_url) == 0, 120)


def test_given_orders_of_lost_webhooks_then_a_file_delivers_them_and_another_activates_nothing_twice(
    stack: Stack, altcraft: Emulator, tmp_path: Path
) -> None:
    codes = [f"{uuid.uuid4()}" for _ in range(12)]
    altcraft.programs.add(5, *codes, attached=True)

    # When they are delivered, then each is accepted and activated
    assert run(stack, "backfill", deliveries(tmp_path / "orders.jsonl", codes[:8])) == (0, "8 accepted 1")
    assert altcraft.programs.wait_for_activations(lambda done: len(done) == 8, 30)
    wait_for_queue(stack)

    # When a file names some of these orders too, other orders with their codes, and codes that were not delivered
    of_webhooks = {code: f"eu-shop/{number}" for number, code in enumerate(codes[:4])}
    of_others = dict.fromkeys(codes[4:8], "another")
    file = table(tmp_path / "codes.csv", of_webhooks | of_others | dict.fromkeys(codes[8:], "1001"))

    # Then each row has its outcome
    assert run(stack, "activate", file) == (1, "8 activated, 4 already_activated")
    assert {row["code"] for row in result(file) if row["outcome"] == "already_activated"} == of_others.keys()
    assert set(altcraft.programs.activations.values()) == {1}


@pytest.mark.long
def test_given_a_thousand_orders_half_of_them_delivered_and_half_of_the_answers_lost_then_each_is_activated_once(
    stack: Stack, altcraft: Emulator, tmp_path: Path
) -> None:
    codes = [f"{uuid.uuid4()}" for _ in range(1000)]
    altcraft.programs.add(5, *codes, attached=True)
    altcraft.faults.set([Drop(endpoints=frozenset({"activate"}), calls=None, fraction=0.5, applied=True)])
    orders = deliveries(tmp_path / "orders.jsonl", codes)
    file = table(tmp_path / "codes.csv", {code: f"eu-shop/{number}" for number, code in enumerate(codes)})

    # When half of the orders are delivered by runs that are killed and stopped
    end(stack, "backfill", orders, {signal.SIGKILL: 250, signal.SIGTERM: 500})
    assert 500 <= len(result(orders)) < 1000
    wait_for_queue(stack)
    # And all codes are activated from a file, by runs that are stopped and killed, and one that is not
    end(stack, "activate", file, {signal.SIGTERM: 250, signal.SIGKILL: 500})
    assert 500 <= len(result(file)) < 1000
    assert run(stack, "activate", file) == (0, "1,000 activated")
    # And the other half of the orders is delivered too
    assert run(stack, "backfill", orders) == (0, "1,000 accepted 1")
    wait_for_queue(stack)

    # Then each has its outcome, and Altcraft has activated each once
    assert sorted(row["code"] for row in result(file)) == sorted(codes)
    assert altcraft.programs.activations == dict.fromkeys(((5, code) for code in codes), 1)
    assert messages_in(stack.aws.client("sqs"), stack.ready.dead_letter_queue_url) == 0
