"""Metrics and log lines: what the code writes, and what alarms, dashboard and saved queries look for, are the same."""

import ast
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args, get_type_hints

import pytest

from activate.intake import Result
from activate.redemption import FetchReason, QueueReason, Reason
from export_all.manifest import Manifest
from lambda_support.telemetry import Metric
from tests.unit.synthesis import EVERYTHING, LEAST, TEMPLATE, synthesise

ROOT = TEMPLATE.parent
SOURCES = [*ROOT.glob("functions/**/*.py"), *ROOT.glob("layers/altcraft/src/**/*.py")]
OURS = "Altcraft/local"


class Watched(NamedTuple):
    """One use of a metric: by an alarm or on the dashboard."""

    by: str
    metric: str
    dimensions: frozenset[str]


def _alarms() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, alarm in synthesise(EVERYTHING).of("AWS::CloudWatch::Alarm").items():
        for metric in [
            alarm,
            *(one["MetricStat"]["Metric"] for one in alarm.get("Metrics", []) if "MetricStat" in one),
        ]:
            if metric.get("Namespace") == OURS:
                yield name, metric


def _dashboard() -> dict[str, Any]:
    (dashboard,) = synthesise(EVERYTHING).of("AWS::CloudWatch::Dashboard").values()
    body: dict[str, Any] = json.loads(dashboard["DashboardBody"])
    return body


def _watched() -> Iterator[Watched]:
    for name, metric in _alarms():
        yield Watched(name, metric["MetricName"], frozenset(one["Name"] for one in metric["Dimensions"]))
    for widget in _dashboard()["widgets"]:
        title = widget["properties"]["title"]
        for row in widget["properties"]["metrics"]:
            if isinstance(row[0], dict):
                search = re.fullmatch(
                    r"SEARCH\('\{\"(.+?)\",(.+?)\} MetricName=\"(\w+)\"', '\w+', \d+\)", row[0]["expression"]
                )
                assert search, f"{title}: {row[0]['expression']}"
                assert search[1] == OURS
                yield Watched(title, search[3], frozenset(search[2].split(",")))
            elif row[0] == OURS:
                words = [word for word in row[2:] if isinstance(word, str)]
                yield Watched(title, row[1], frozenset(words[::2]))


def _written() -> dict[str, set[frozenset[str]]]:
    """The dimensions that the code gives each metric, by the calls `count(Metric.NAME, ..., dimension=...)`."""
    written = defaultdict(set)
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "count"
                and isinstance(node.args[0], ast.Attribute)
            ):
                # Powertools adds the service to every metric.
                names = {keyword.arg for keyword in node.keywords if keyword.arg} - {"value"}
                written[Metric[node.args[0].attr].value].add(frozenset(names | {"service"}))
    return written


def test_given_a_metric_then_the_code_writes_it_by_one_set_of_dimensions() -> None:
    written = _written()

    assert written.keys() == {metric.value for metric in Metric}
    assert {name: sets for name, sets in written.items() if len(sets) > 1} == {}


def test_given_a_metric_then_the_dashboard_shows_it() -> None:
    titles = {widget["properties"]["title"] for widget in _dashboard()["widgets"]}
    shown = {look.metric for look in _watched() if look.by in titles}

    assert shown == {metric.value for metric in Metric}


@pytest.mark.parametrize("look", sorted(_watched()), ids=lambda look: f"{look.by}: {look.metric}")
def test_given_an_alarm_or_a_widget_then_the_code_writes_what_it_looks_for(look: Watched) -> None:
    assert look.dimensions in _written()[look.metric]


def test_given_an_alarm_then_the_values_it_looks_for_are_ones_the_code_knows() -> None:
    known = {
        "service": {
            function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
            for function in synthesise(LEAST).of("AWS::Lambda::Function").values()
        },
        "result": {result.value for result in Result},
        "status": set(get_args(get_type_hints(Manifest)["status"])) - {"running"},
        "reason": {*get_args(Reason), *get_args(QueueReason)},
        "source": {EVERYTHING["WatchedSource"]},
    }

    for name, metric in _alarms():
        for dimension in metric["Dimensions"]:
            assert dimension["Value"] in known[dimension["Name"]], name


def test_given_the_functions_then_they_write_into_the_namespace_that_is_watched() -> None:
    for function in synthesise(LEAST).of("AWS::Lambda::Function").values():
        assert function["Environment"]["Variables"]["POWERTOOLS_METRICS_NAMESPACE"] == OURS


def _notifying() -> dict[str, dict[str, Any]]:
    """The alarms that a person hears of; the others are parts of one of these."""
    stack = synthesise(EVERYTHING)
    alarms = stack.of("AWS::CloudWatch::Alarm") | stack.of("AWS::CloudWatch::CompositeAlarm")
    return {name: alarm for name, alarm in alarms.items() if "AlarmActions" in alarm}


def test_given_an_alarm_then_it_says_what_to_do_and_notifies_the_topic() -> None:
    for name, alarm in _notifying().items():
        assert alarm["AlarmActions"] == alarm["OKActions"] == ["arn:AlarmTopic"], name
        assert alarm["AlarmDescription"].endswith("."), name


def test_given_an_alarm_then_the_operators_page_says_what_it_means() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    documented = {
        alarm for heading in re.findall(r"^### (.+)$", page, re.MULTILINE) for alarm in re.findall(r"\w+Alarm", heading)
    }

    assert documented == _notifying().keys()


def test_given_a_reason_to_wait_then_the_operators_page_says_what_to_do() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")

    assert {
        reason
        for reason in (*get_args(Reason), *get_args(QueueReason), *get_args(FetchReason))
        if f"`{reason}`" not in page
    } == set()


def test_given_no_schedule_and_no_watched_source_then_nothing_is_missed() -> None:
    stack = synthesise(LEAST)

    assert not stack.of("AWS::CloudWatch::CompositeAlarm")
    assert (
        not {"FailedIntakeAlarm", "FailedEventsAlarm", "EventsNotSentAlarm"} & stack.of("AWS::CloudWatch::Alarm").keys()
    )


def test_given_a_saved_query_then_the_code_writes_the_lines_it_filters() -> None:
    code = "\n".join(source.read_text(encoding="utf-8") for source in SOURCES)
    messages = {
        message
        for query in synthesise(LEAST).of("AWS::Logs::QueryDefinition").values()
        for message in re.findall(r'message = "(.+?)"', query["QueryString"])
    }

    assert messages
    assert {message for message in messages if f'"{message}"' not in code} == set()


def test_given_the_dashboard_then_its_widgets_do_not_overlap() -> None:
    cells = [
        (x, y)
        for widget in _dashboard()["widgets"]
        for x in range(widget["x"], widget["x"] + widget["width"])
        for y in range(widget["y"], widget["y"] + widget["height"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
