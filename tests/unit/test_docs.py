"""The pages in docs/ agree with the code and the template, and their links work."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from cfnlint.api import lint

from activate.api import PROBLEMS
from activate.fetch import MOST_CALLS
from activate.ledger import MEMORY
from activate.orders import LONGEST_ORDER_ID, MOST_CODES
from activate.paths import BUDGET_SECONDS
from activate.redemption import MAX_TEXT, Outcome, TryAgain
from activate.shop_api import CONNECT_SECONDS, MOST_BYTES, READ_SECONDS, TOTAL_SECONDS
from activate.worker import MAX_AGE_SECONDS
from altcraft import export_xml
from altcraft.client import MAX_MESSAGE_BYTES, Timeouts
from altcraft.export import CHUNK_BYTES, PACKED_CHUNK_BYTES
from altcraft.export_batch import LONGEST_ENVELOPE, LONGEST_PIECE
from docs.generate import ways_picture
from export_all import pipeline
from export_all.api import DOWNLOAD_SECONDS
from export_all.aws_errors import StorageUnavailable
from export_all.failures import ExportFailed
from export_all.formats import parquet
from export_all.manifest import LONGEST_MANIFEST
from export_all.manifests import OtherExport
from export_all.requests import LONGEST_KEY
from export_all.upload import part_bytes
from lambda_support.event_bus import SOURCE
from lambda_support.fields import InvalidField
from lambda_support.secrets import LIFETIME_SECONDS
from local.template import read
from tests.description import COMPONENTS, NO_OPERATION, OPERATIONS, kinds
from tests.event_schemas import SCHEMAS, faults

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
AROUND = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / ".github").glob("*.md"))]
API, COST, LIMITS = ((DOCS / f"{name}.md").read_text() for name in ("api", "cost", "limits"))
TEMPLATE = read(ROOT / "template.yaml")


def snippets(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def tables(page: str) -> Iterator[list[dict[str, str]]]:
    """Every table of a page: its rows by heading, without their emphasis."""
    for table in re.findall(r"(?:^\|.*\|\n)+", page, re.MULTILINE):
        heads, _, *rows = [
            [cell.strip(" `") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()
        ]
        yield [dict(zip(heads, row, strict=True)) for row in rows]


def rows(page: str, heading: str) -> list[dict[str, str]]:
    """The rows of every table that has a column of this heading."""
    return [row for table in tables(page) for row in table if heading in row]


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", [*PAGES, *AROUND], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_repository_have_targets(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, wanted = target.partition("#")
        linked = page.parent / file if file else page
        assert linked.exists(), target
        if wanted:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
            assert wanted in {anchor(heading) for heading in headings}, target


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "README.md").read_text()
    for page in PAGES:
        linked = str(page.relative_to(DOCS))
        if page.name != "README.md" and page.parent == DOCS:
            assert f"({linked})" in index


def test_the_api_page_lists_every_problem_and_no_other() -> None:
    described = {
        kind for operation in OPERATIONS for response in operation.responses.values() for kind in kinds(response)
    }
    described |= kinds(NO_OPERATION[404])
    documented = {row["type"] for row in rows(API, "type")}
    assert documented == described - set(Outcome)


def test_the_api_page_lists_every_outcome_with_its_status() -> None:
    documented = {row["outcome"]: int(row["status"]) for row in rows(API, "outcome")}
    assert documented == {Outcome.ACTIVATED: 200, Outcome.DEACTIVATED: 200} | {
        outcome: int(problem.status) for outcome, problem in PROBLEMS.items()
    }


def test_the_errors_of_invocations_have_the_names_of_the_exceptions() -> None:
    documented = {row["error"] for row in rows(API, "error")}
    assert documented == {error.__name__ for error in (TryAgain, InvalidField, OtherExport)}
    assert f"`{ExportFailed.__name__}`" in API


def test_the_json_in_the_pages_is_json() -> None:
    for page in ("api", "events", "workflows"):
        assert [json.loads(snippet) for snippet in snippets((DOCS / f"{page}.md").read_text(), "json")], page


def states(machine: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every state of a machine, and those of its maps."""
    for name, state in machine["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from states(state["ItemProcessor"])


RECIPES = sorted((DOCS / "workflows").glob("*.*"))
MACHINES = {path.name.partition(".")[0]: json.loads(path.read_text()) for path in RECIPES if path.suffix == ".json"}


def test_the_workflows_page_shows_every_recipe_as_it_is() -> None:
    page = (DOCS / "workflows.md").read_text()
    assert sorted(snippets(page, "json") + snippets(page, "yaml")) == sorted(path.read_text() for path in RECIPES)
    assert MACHINES.keys() == {"activate", "export"}


@pytest.mark.parametrize("path", [path for path in RECIPES if path.suffix == ".yaml"], ids=lambda path: path.stem)
def test_a_recipe_is_a_template_without_a_fault(path: Path) -> None:
    found = [f"{match.rule.id} {match.message}" for match in lint(path.read_text())]
    assert found == []
    assert {
        one["Properties"]["DefinitionUri"]
        for one in read(path)["Resources"].values()
        if one["Type"] == "AWS::Serverless::StateMachine"
    } <= {recipe.name for recipe in RECIPES}


def test_the_recipes_wait_for_events_that_there_are() -> None:
    named = {
        detail_type
        for path in RECIPES
        if path.suffix == ".yaml"
        for one in read(path)["Resources"].values()
        if one["Type"] == "AWS::Events::Rule" and one["Properties"]["EventPattern"]["source"] == [SOURCE]
        for detail_type in one["Properties"]["EventPattern"]["detail-type"]
    }
    assert named
    assert named <= SCHEMAS.keys()


def test_the_events_page_lists_every_event_with_its_schema() -> None:
    documented = rows((DOCS / "events.md").read_text(), "detail-type")
    for row in documented:
        schema = SCHEMAS[row["detail-type"]]
        linked = re.search(r"\((.+)\)", row["schema"])
        assert linked
        assert json.loads((DOCS / linked[1]).read_text()) == schema
        fields = set(re.findall(r"`(\w+)`", f"`{row['detail']}`"))
        assert row["detail"] == "the manifest" or fields | {"event_id", "occurred_at", "loyalty_id"} == set(
            schema["properties"]
        )
    assert {row["detail-type"] for row in documented} == SCHEMAS.keys()


def test_the_event_in_the_events_page_is_one() -> None:
    (event,) = (json.loads(one) for one in snippets((DOCS / "events.md").read_text(), "json"))
    assert event["source"] == SOURCE
    assert faults(event["detail-type"], event["detail"]) == []


def test_the_state_machines_handle_our_errors_and_lead_somewhere() -> None:
    activate, export = (dict(states(MACHINES[name])) for name in ("activate", "export"))
    assert TryAgain.__name__ in activate["Activate"]["Retry"][0]["ErrorEquals"]
    assert activate["Activate"]["Catch"][0]["ErrorEquals"] == [InvalidField.__name__]
    assert f"'{Outcome.ACTIVATED}'" in activate["Outcome"]["Choices"][0]["Condition"]
    assert {ExportFailed.__name__, StorageUnavailable.__name__} <= set(export["Export"]["Retry"][0]["ErrorEquals"])
    for machine in (activate, export):
        targets = re.findall(r'"(?:Next|Default)": "(\w+)"', json.dumps(list(machine.values())))
        assert set(targets) <= machine.keys()


def test_the_state_machine_that_activates_retries_for_a_day() -> None:
    retry = MACHINES["activate"]["States"]["Activate"]["Retry"][0]
    pauses = [
        min(retry["IntervalSeconds"] * retry["BackoffRate"] ** number, retry["MaxDelaySeconds"])
        for number in range(retry["MaxAttempts"])
    ]
    assert 24 <= sum(pauses) / 3600 < 25


def test_the_picture_of_the_ways_is_drawn_from_their_table() -> None:
    page = (DOCS / "performance.md").read_text()
    measured = rows(page, "against the floor")

    ways = ways_picture.ways(page)

    assert [(way.name, way.against_floor) for way in ways] == [
        (row["way"].strip("*"), float(row["against the floor"])) for row in measured
    ]
    assert [way.name for way in ways if way.ours] == [row["way"].strip("*") for row in measured if "**" in row["way"]]
    assert (DOCS / "export-ways.svg").read_text() == ways_picture.drawn(ways), "run `make docs`"
    picture = ElementTree.parse(DOCS / "export-ways.svg")  # noqa: S314 - it is ours
    assert len(picture.findall("{*}rect")) == len(ways) + 1


def number(text: str) -> float:
    return float(text.replace(",", ""))


def test_costs_are_the_sums_of_quantities_and_prices() -> None:
    prices = {row["price"]: row for row in rows(COST, "us-east-1")}
    quantities = rows(COST, "webhook")
    costs = {row["region"]: row for row in rows(COST, "region")}
    assert costs.keys() == {"us-east-1", "eu-central-1"}
    columns = {
        "webhook": ("million activations by webhook", 2),
        "API": ("million activations by API", 2),
        "lookup": ("million lookups", 2),
        "export": ("million codes exported", 4),
        "events": ("million events", 2),
    }
    for region, documented in costs.items():
        for quantity, (cost, digits) in columns.items():
            total = sum(number(row[quantity]) * number(prices[row["price"]][region]) for row in quantities)
            assert number(documented[cost]) == round(total, digits), (region, cost)


def test_the_cost_of_an_idle_stack_is_the_sum_of_its_parts() -> None:
    idle = {row["what"]: row for row in rows(COST, "dollars")}
    for row in idle.values():
        assert number(row["dollars"]) == round(number(row["number"]) * number(row["each"]), 2)
    types = Counter(resource["Type"] for resource in TEMPLATE["Resources"].values())
    alarms = [one["Properties"] for one in TEMPLATE["Resources"].values() if one["Type"] == "AWS::CloudWatch::Alarm"]
    metrics = sum(sum("MetricStat" in metric for metric in alarm.get("Metrics", [])) or 1 for alarm in alarms)
    assert number(idle["metrics in alarms"]["number"]) == metrics
    assert number(idle["alarms that combine others"]["number"]) == types["AWS::CloudWatch::CompositeAlarm"]
    assert number(idle["secrets"]["number"]) == types["AWS::SecretsManager::Secret"]


@pytest.mark.parametrize(
    ("buffer", "values"),
    [
        ("the text before", [LONGEST_ENVELOPE >> 20]),
        ("an unfinished record", [LONGEST_PIECE >> 20]),
        ("a block of the reply", [CHUNK_BYTES >> 10]),
        ("a compressed block of the reply", [PACKED_CHUNK_BYTES >> 10, CHUNK_BYTES >> 10]),
        ("separators", [export_xml.MOST_SEPARATORS]),
        ("blocks between decoding and compressing", [pipeline.BATCHES_WAITING]),
        ("parts of the file", [pipeline.PARTS_WAITING, 1, part_bytes(1) >> 20]),
        ("rows of a Parquet row group", [parquet.ROWS_OF_A_GROUP, parquet.BYTES_OF_A_GROUP >> 20]),
        ("a manifest that is read", [LONGEST_MANIFEST >> 10]),
    ],
)
def test_the_buffers_of_an_export_are_those_of_the_code(buffer: str, values: list[int]) -> None:
    (documented,) = [row["bound"] for row in rows(LIMITS, "buffer") if row["buffer"].startswith(buffer)]
    assert [int(found) for found in re.findall(r"\d+", documented.replace(",", ""))][: len(values)] == values


def default(parameter: str) -> int:
    return int(TEMPLATE["Parameters"][parameter]["Default"])


@pytest.mark.parametrize(
    ("limit", "values"),
    [
        ("a code, an `order_id`", [MAX_TEXT]),
        ("an order's id in a webhook", [LONGEST_ORDER_ID]),
        ("an `Idempotency-Key`", [1, LONGEST_KEY]),
        ("codes, and orders, of one delivery", [MOST_CODES]),
        ("all JMESPath of one delivery", [int(BUDGET_SECONDS)]),
        ("calls to a shop's API for one delivery; an answer", [MOST_CALLS, MOST_BYTES // 1_000_000]),
        ("a call to a shop's API", [int(CONNECT_SECONDS), int(READ_SECONDS), int(TOTAL_SECONDS)]),
        ("requests of the API key", [default("ApiRateLimit"), default("ApiBurstLimit")]),
        ("deliveries of webhooks", [default("WebhookRateLimit"), default("WebhookBurstLimit")]),
        ("batches of queued codes at a time", [default("MaximumConcurrency")]),
        ("a call to Altcraft", [int(Timeouts.connect), int(Timeouts.read), int(Timeouts.total)]),
        ("a reply of Altcraft, other than an export", [MAX_MESSAGE_BYTES >> 20]),
        ("one record of an export", [LONGEST_PIECE >> 20]),
        ("the text around the records of an export", [LONGEST_ENVELOPE >> 20]),
        ("a program that shrinks", [default("LatestMinimumPercent")]),
        ("one export", [TEMPLATE["Resources"]["ExportAllFunction"]["Properties"]["Timeout"]]),
        ("a code is retried after a transient failure", [MAX_AGE_SECONDS // 3600]),
        ("a redemption is remembered", [MEMORY.days]),
        ("a changed secret is noticed", [LIFETIME_SECONDS // 60]),
        ("a download link", [DOWNLOAD_SECONDS // 60]),
        ("Athena, a query", [default("AthenaScanLimit") >> 30]),
    ],
)
def test_limits_are_those_of_the_code_and_the_template(limit: str, values: list[int]) -> None:
    documented = next(row["value"] for row in rows(LIMITS, "change it by") if row["limit"] == limit.strip("`"))
    numbers = [int(found) for found in re.findall(r"\d+", documented.replace(",", ""))]
    assert [found for found in numbers if found in values][: len(values)] == values


def test_the_limits_in_the_description_of_the_api_are_those_of_the_code() -> None:
    schemas = COMPONENTS["schemas"]
    order_id = schemas["Activation"]["properties"]["order_id"]
    assert {schemas["Code"]["maxLength"], order_id["anyOf"][0]["maxLength"]} == {MAX_TEXT}
    assert f" {DOWNLOAD_SECONDS // 60} minutes " in schemas["Manifest"]["properties"]["download_url"]["description"]
