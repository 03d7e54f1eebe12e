"""The alarms on missing events: no alarm before the first event, then an alarm if the event does not happen again in time.

The states are computed as CloudWatch documents them: "Configuring how CloudWatch alarms treat missing data" for the metric
alarms, "Create a composite alarm" for those that combine them. CloudWatch may evaluate some more periods than an alarm names,
so a state may begin that much later than here.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import pytest

from activate.sources import parse
from tests.unit.synthesis import EVERYTHING, Stack, document, synthesise

NO_DATA: Final = "INSUFFICIENT_DATA"
HOUR: Final = 3600

STACK: Final = synthesise(EVERYTHING | {"SilentHours": "24", "ExportMissingHours": "26"})

Point = float | None
"""A metric's value for an hour; None if nothing was recorded."""

EXPRESSIONS: Final[Mapping[str, Callable[[Sequence[Point]], Point]]] = {
    "IF(SUM(FILL(METRICS(), 0)) > 0, 1)": lambda points: 1 if sum(point or 0 for point in points) > 0 else None,
}


class Watch(NamedTuple):
    """An alarm, the hours it waits, and what it waits for: a metric's name and one of its dimensions."""

    alarm: str
    hours: int
    metric: str
    dimension: tuple[str, str]


AWAITED: Final = [
    Watch("NoExportAlarm", 26, "Exports", ("status", "succeeded")),
    *(
        Watch("NoDeliveryAlarm", 24, "Intake", ("result", result))
        for result in ("accepted", "no_codes", "not_paid", "reversed")
    ),
]

each_awaited = pytest.mark.parametrize("watch", AWAITED, ids=lambda watch: f"{watch.alarm}: {watch.dimension[1]}")


def _value(metric: Mapping[str, Any], happened: Watch | None) -> Point:
    dimensions = {(one["Name"], one["Value"]) for one in metric["Dimensions"]}
    return 1 if happened and metric["MetricName"] == happened.metric and happened.dimension in dimensions else None


def _point(alarm: Mapping[str, Any], happened: Watch | None) -> Point:
    """The value of an hour for a metric alarm."""
    if "Metrics" not in alarm:
        return _value(alarm, happened)
    (expression,) = [one["Expression"] for one in alarm["Metrics"] if "Expression" in one]
    return EXPRESSIONS[expression](
        [_value(one["MetricStat"]["Metric"], happened) for one in alarm["Metrics"] if "MetricStat" in one]
    )


def _state(alarm: Mapping[str, Any], points: Sequence[Point], before: str) -> str:
    """The state of a metric alarm on less than its threshold in each of its periods."""
    assert alarm["ComparisonOperator"] == "LessThanThreshold"
    window = points[-int(alarm["EvaluationPeriods"]) :]
    treatment = alarm["TreatMissingData"]
    if all(point is None for point in window) and treatment in {"missing", "ignore"}:
        return NO_DATA if treatment == "missing" else before
    filler = {"breaching": -1.0, "notBreaching": float(alarm["Threshold"])}.get(treatment, -1.0)
    filled = [filler if point is None else point for point in window]
    return "ALARM" if all(point < float(alarm["Threshold"]) for point in filled) else "OK"


def _history(stack: Stack, name: str, hours: Sequence[Watch | None]) -> list[str]:
    """The states of a composite alarm, hour by hour, since the stack was created."""
    rule = stack.of("AWS::CloudWatch::CompositeAlarm")[name]["AlarmRule"]
    parts = re.findall(r'(OK|ALARM|INSUFFICIENT_DATA)\("(\w+)"\)', rule)
    assert rule == " AND ".join(f'{state}("{part}")' for state, part in parts)
    alarms = stack.of("AWS::CloudWatch::Alarm")
    states = dict.fromkeys((part for _, part in parts), NO_DATA)
    history = []
    for hour in range(len(hours)):
        for part in states:
            alarm = alarms[part]
            # Hours before the stack was created are empty, like hours without an event.
            points = [None] * 200 + [_point(alarm, happened) for happened in hours[: hour + 1]]
            states[part] = _state(alarm, points, states[part])
        history.append("ALARM" if all(states[part] == state for state, part in parts) else "OK")
    return history


@each_awaited
def test_given_a_new_stack_then_there_is_no_alarm(watch: Watch) -> None:
    assert set(_history(STACK, watch.alarm, [None] * 400)) == {"OK"}


@each_awaited
def test_given_a_first_event_then_its_absence_afterwards_is_a_lasting_alarm(watch: Watch) -> None:
    history = _history(STACK, watch.alarm, [None] * 30 + [watch] + [None] * 400)

    assert history.index("ALARM") == 30 + watch.hours
    assert set(history[30 + watch.hours :]) == {"ALARM"}


@each_awaited
def test_given_an_alarm_when_the_event_happens_again_then_the_alarm_ends(watch: Watch) -> None:
    history = _history(STACK, watch.alarm, [watch] + [None] * 100 + [watch] + [None] * 5)

    assert history[100] == "ALARM"
    assert set(history[101:]) == {"OK"}


@each_awaited
def test_given_a_daily_event_then_there_is_never_an_alarm(watch: Watch) -> None:
    assert set(_history(STACK, watch.alarm, ([None] * 3 + [watch] + [None] * 20) * 10)) == {"OK"}


def test_given_deliveries_that_are_not_understood_then_they_do_not_end_the_alarm() -> None:
    understood = Watch("NoDeliveryAlarm", 24, "Intake", ("result", "accepted"))
    foreign = understood._replace(dimension=("result", "unrecognised"))

    assert _history(STACK, "NoDeliveryAlarm", [understood] + [foreign] * 100)[-1] == "ALARM"
    assert set(_history(STACK, "NoDeliveryAlarm", [foreign] * 100)) == {"OK"}


def test_given_an_alarm_of_two_parts_then_it_alone_notifies() -> None:
    alarms = STACK.of("AWS::CloudWatch::Alarm")
    composites = STACK.of("AWS::CloudWatch::CompositeAlarm").values()
    parts = {part for composite in composites for part in re.findall(r'"(\w+)"', composite["AlarmRule"])}

    assert {name for name, alarm in alarms.items() if "AlarmActions" not in alarm} == parts
    assert all(composite["AlarmActions"] == composite["OKActions"] == ["arn:AlarmTopic"] for composite in composites)
    # In alarm they would be shown in red in every list of alarms.
    assert all(alarms[part]["TreatMissingData"] in {"missing", "ignore"} for part in parts)


def test_given_another_source_to_watch_then_the_alarm_waits_for_its_first_delivery() -> None:
    names = {
        synthesise(EVERYTHING | {"WatchedSource": source}).of("AWS::CloudWatch::Alarm")["FirstDelivery"]["AlarmName"]
        for source in ("eu-shop", "blog")
    }

    assert len(names) == 2


@pytest.mark.parametrize("name", ["eu-shop", "Shop_1.test", "x" * 64, "x" * 65, "a b", "a/b", 'a"b', "ä"])
def test_given_a_name_then_it_can_be_watched_if_a_source_can_have_it(name: str) -> None:
    source = {"platform": "shopify", "secrets": ["current"], "loyalty_id": 5}
    pattern = document()["Parameters"]["WatchedSource"]["AllowedPattern"]

    assert bool(re.fullmatch(pattern, name)) is (name in parse(json.dumps({name: source})).sources)
