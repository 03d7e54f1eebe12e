"""What the embedded stack publishes on its bus: everything once it has happened, again rather than not at all, and never at
the cost of what it reports."""

import json
import os
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from activate.sources import parse
from local.emulator import Emulator
from local.stack import SOURCES, Options, Stack
from local.waiting import wait_until
from ops.signing import sign
from tests.buses import fake_bus
from tests.e2e.api import Api
from tests.e2e.conftest import EVENTS
from tests.e2e.workflows import Listener
from tests.event_schemas import faults
from tests.unit.synthesis import LEAST, synthesise

ACTIVATIONS = 20
MEDIAN_SECONDS = 2.0


@pytest.fixture(scope="module")
def listener(stack: Stack) -> Listener:
    return Listener(stack, {"source": ["altcraft.promocodes"]})


@pytest.fixture
def code(altcraft: Emulator) -> str:
    """A code of program 5 that nobody has used."""
    name = f"Code-{uuid.uuid4()}"
    altcraft.programs.add(5, name, attached=True)
    return name


def activate(api: Api, code: str, order_id: str = "1001") -> int:
    return api.post("/promocodes/activate", {"code": code, "loyalty_id": 5, "order_id": order_id}).status_code


def invoke(stack: Stack, function: str, event: object) -> Any:
    answer = stack.aws.client("lambda").invoke(
        FunctionName=stack.ready.functions[function], Payload=json.dumps(event).encode()
    )
    assert "FunctionError" not in answer, answer["Payload"].read()
    return json.load(answer["Payload"])


def test_an_activation_is_published_within_two_seconds(
    stack: Stack, altcraft: Emulator, api: Api, listener: Listener
) -> None:
    waits = []
    for _ in range(ACTIVATIONS):
        name = f"Code-{uuid.uuid4()}"
        altcraft.programs.add(5, name, attached=True)
        assert activate(api, name) == 200
        answered = time.monotonic()
        (event,) = listener.wait(code=name)
        waits.append(time.monotonic() - answered)
        assert event["detail-type"] == "Promo Code Activated"
        assert event["detail"]["order_id"] == "1001"
        assert faults(event["detail-type"], event["detail"]) == []

    assert statistics.median(waits) <= MEDIAN_SECONDS


def test_a_refusal_and_a_second_order_are_published(
    altcraft: Emulator, api: Api, listener: Listener, code: str
) -> None:
    free = f"Free-{uuid.uuid4()}"
    altcraft.programs.add(5, free)

    assert [activate(api, free), activate(api, code), activate(api, code, "1002")] == [422, 200, 409]

    (refused,) = listener.wait(code=free)
    assert (refused["detail-type"], refused["detail"]["outcome"]) == ("Promo Code Not Activated", "not_attached")
    activated, second = listener.wait(2, code=code)
    assert activated["detail-type"] == "Promo Code Activated"
    assert second["detail-type"] == "Promo Code Double Redemption"
    assert (second["detail"]["order_id"], second["detail"]["first_order_id"]) == ("1002", "1001")
    assert [faults(one["detail-type"], one["detail"]) for one in (refused, second)] == [[], []]


def test_the_order_of_a_webhook_is_published_with_its_source(api: Api, listener: Listener, code: str) -> None:
    body = (EVENTS / "bodies" / "shopify.json").read_bytes().replace(b"Code-1", code.encode())
    source = parse(SOURCES.read_text()).find("eu-shop")
    delivery = sign(source, body, "application/json", delivery_id=code, now=time.time())

    assert api.send("POST", "/webhooks/eu-shop", delivery.body, dict(delivery.headers)).status_code == 200

    (event,) = listener.wait(code=code)
    assert event["detail-type"] == "Promo Code Activated"
    assert event["detail"]["source"] == "eu-shop"
    assert event["detail"]["order_id"].startswith("eu-shop/")
    assert faults(event["detail-type"], event["detail"]) == []


def test_a_code_that_is_given_back_is_published_and_so_is_its_next_order(
    stack: Stack, api: Api, listener: Listener, code: str
) -> None:
    assert activate(api, code) == 200
    back = {"code": code, "loyalty_id": 5, "order_id": "1001", "action": "deactivate"}
    assert invoke(stack, "ActivateFunction", back)["outcome"] == "deactivated"
    assert activate(api, code, "1002") == 200

    found = listener.wait(3, code=code)
    assert [(one["detail-type"], one["detail"]["order_id"]) for one in found] == [
        ("Promo Code Activated", "1001"),
        ("Promo Code Deactivated", "1001"),
        ("Promo Code Activated", "1002"),
    ]
    assert [faults(one["detail-type"], one["detail"]) for one in found] == [[], [], []]


def test_the_sample_of_the_stream_is_published_and_again_under_the_same_ids(stack: Stack, listener: Listener) -> None:
    sample = json.loads((EVENTS / "stream-batch.json").read_text())
    noted: dict[str, Any] = {"order_id": "blog/727", "first_order_id": "eu-shop/1001"}
    before = len(listener.of(**noted))

    for _ in range(2):
        assert invoke(stack, "ActivateFunction", sample) == {"batchItemFailures": []}

    first, second = listener.wait(before + 2, **noted)[before:]
    assert first["detail-type"] == "Promo Code Double Redemption"
    assert first["detail"] == second["detail"]


def test_changes_that_were_read_from_the_stream_are_published_by_hand(
    stack: Stack, api: Api, listener: Listener, code: str
) -> None:
    assert activate(api, code) == 200
    (published,) = listener.wait(code=code)
    table = stack.aws.client("dynamodb").describe_table(TableName=stack.ready.redemptions_table)["Table"]
    streams, arn = stack.aws.client("dynamodbstreams"), table["LatestStreamArn"]
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    place = {"StreamArn": arn, "ShardId": shard["ShardId"]}
    every = streams.get_records(
        ShardIterator=streams.get_shard_iterator(**place, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    )["Records"]
    start = next(one["dynamodb"]["SequenceNumber"] for one in every if one["dynamodb"]["Keys"]["code"]["S"] == code)

    iterator = streams.get_shard_iterator(**place, ShardIteratorType="AT_SEQUENCE_NUMBER", SequenceNumber=start)
    changes = streams.get_records(ShardIterator=iterator["ShardIterator"], Limit=10)
    # As the AWS CLI writes it.
    written = json.loads(json.dumps({"Records": changes["Records"]}, default=datetime.isoformat))
    assert invoke(stack, "ActivateFunction", written) == {"batchItemFailures": []}

    again = listener.wait(2, code=code)[1]
    assert again["detail"] == published["detail"]


def test_an_export_is_published(api: Api, altcraft: Emulator, listener: Listener) -> None:
    altcraft.programs.add(6, "A", "B")

    begun = api.post("/promocodes/export_all", {"loyalty_id": 6}).json()

    (event,) = listener.wait(export_id=begun["export_id"])
    manifest = api.get(f"/promocodes/exports/{begun['export_id']}").json()
    assert event["detail-type"] == "Export Succeeded"
    assert faults(event["detail-type"], event["detail"]) == []
    assert manifest.items() - {("download_url", manifest["download_url"])} <= event["detail"].items()


@pytest.mark.parametrize(("to", "published"), [("s3:", True), ("s3://{}/elsewhere/", True), ("{folder}/", False)])
def test_make_export_publishes_what_it_puts_into_the_stacks_bucket(
    stack: Stack, altcraft: Emulator, listener: Listener, tmp_path: Any, to: str, published: bool
) -> None:
    altcraft.programs.add(6, "A", "B")
    where = to.format(stack.ready.export_bucket, folder=tmp_path)

    ran = subprocess.run(
        [sys.executable, "-m", "ops", "export", "--local", stack.ready.api_url, "--loyalty-id", "6", "--to", where],
        env=os.environ | stack.aws.environment,
        capture_output=True,
        text=True,
        check=True,
    )

    def heard() -> list[dict[str, Any]]:
        return [one for one in listener.of(loyalty_id=6) if one["detail"]["export_id"] in ran.stdout]

    if published:
        (event,) = wait_until(heard)
        assert event["detail"]["key"] in ran.stdout
    else:
        assert heard() == []


# --- a bus that is ill, missing, or not wanted ----------------------------------------------------------------------------


@pytest.fixture
def measured() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}


@pytest.mark.long
def test_an_ill_bus_changes_no_answer_and_gets_its_events_once_it_is_well(measured: dict[str, str]) -> None:
    with fake_bus(denied="AccessDeniedException") as fake:
        environment = measured | {"AWS_ENDPOINT_URL_EVENTBRIDGE": fake.url}
        with Stack(Options(environment=environment)) as stack:
            api, altcraft = Api(stack.ready.api_url, stack.ready.api_key), stack.emulator
            assert altcraft
            codes = [f"Code-{number}" for number in range(15)]
            altcraft.programs.add(5, *codes, attached=True)

            assert [activate(api, name) for name in codes] == [200] * 15
            manifest = invoke(stack, "ExportAllFunction", {"loyalty_id": 5})
            assert (manifest["status"], manifest["codes"]) == ("succeeded", 15)
            wait_until(lambda: fake.calls)
            assert fake.accepted == []

            fake.denied = ""
            activations = wait_until(
                lambda: found if len(found := published_codes(fake.accepted)) >= len(codes) else None
            )

    assert activations is not None
    assert list(dict.fromkeys(activations)) == codes
    assert len({json.loads(one["Detail"])["event_id"] for one in fake.accepted}) == len(codes)


def published_codes(entries: list[dict[str, Any]]) -> list[str]:
    """The codes of the events, in their order."""
    return [json.loads(one["Detail"])["code"] for one in entries if one["DetailType"] == "Promo Code Activated"]


def test_the_rule_that_keeps_the_bus_is_refused_where_there_is_none(stack: Stack) -> None:
    events = stack.aws.client("events")

    def put(bus: str) -> None:
        rule = synthesise(LEAST | {"EventBusName": bus}).of("AWS::Events::Rule")["EventBusExists"]
        events.put_rule(Name=f"keeps-{uuid.uuid4()}", **rule | {"EventPattern": json.dumps(rule["EventPattern"])})

    put(stack.ready.event_bus_name)
    with pytest.raises(events.exceptions.ResourceNotFoundException):
        put("missing")


@pytest.fixture
def off(measured: dict[str, str]) -> Iterator[Stack]:
    with Stack(Options(parameters={"EventBusName": ""}, environment=measured)) as running:
        yield running


def test_without_a_bus_there_is_no_stream_and_nothing_is_published(off: Stack) -> None:
    assert off.emulator
    off.emulator.programs.add(5, "Code-1", attached=True)
    api = Api(off.ready.api_url, off.ready.api_key)

    assert [activate(api, "Code-1"), activate(api, "Code-1", "1002")] == [200, 409]

    table = off.aws.client("dynamodb").describe_table(TableName=off.ready.redemptions_table)["Table"]
    mappings = off.aws.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    item = off.aws.client("dynamodb").scan(TableName=off.ready.redemptions_table)["Items"][0]
    assert off.ready.event_bus_name == ""
    assert not table.get("LatestStreamArn")
    assert [mapping["EventSourceArn"].split(":")[2] for mapping in mappings] == ["sqs"]
    assert "note" not in item
    # What an update of the stack leaves for a moment: a batch of the stream, and no bus.
    sample = json.loads((EVENTS / "stream-batch.json").read_text())
    assert invoke(off, "ActivateFunction", sample) == {"batchItemFailures": []}
