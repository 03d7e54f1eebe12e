"""What `make doctor` checks of a stack. Each check yields findings; one that is not well has its remedy.

Sources: the API references of CloudFormation, CloudWatch, DynamoDB, EventBridge Scheduler, SNS and SQS.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from itertools import islice
from typing import Any, Final

import requests
from botocore.exceptions import BotoCoreError, ClientError

from activate.checks import InvalidSettings
from activate.intake import Result
from activate.redemption import Outcome
from activate.sources import parse
from lambda_support.telemetry import Metric
from ops.commands.sources import checked
from ops.errors import Unusable
from ops.target import Target

DAYS: Final = 14
"""How far back deliveries are looked for; CloudWatch lists no metric that is older than two weeks."""

_HOUR: Final = 3_600
_RECENT: Final = timedelta(minutes=15)
_PAGES: Final = 20
_CONTROLS: Final = 3
"""Codes to try, because one may have been deleted in Altcraft."""

_ANSWER_SECONDS: Final = 40
"""API Gateway ends a request after 29 seconds."""

_NOT_FOUND: Final = f"urn:altcraft-promocodes:problem:{Outcome.NOT_FOUND}"

_DENIED: Final = re.compile("AccessDenied|AuthorizationError|NotAuthorized|UnauthorizedOperation")

_NOT_UNDERSTOOD: Final[Mapping[str, str]] = {
    Result.BAD_SIGNATURE: "compare its secret in the shop with its `secrets`, and `make sources`",
    Result.UNRECOGNISED: "`make explain` names the setting at fault; the newest sample is in quarantine",
    Result.UNREADABLE: "`make explain` says why; the newest sample is in quarantine",
    Result.MISCONFIGURED: "`make sources` names the setting at fault",
    Result.UNQUEUED: "SQS accepted no message: see AWS's health page; the shop may deliver again",
}
"""The results of a delivery of which nothing was made, and what to do."""


class State(StrEnum):
    """How a finding is shown."""

    WELL = "ok"
    MISSING = "MISSING"
    """Something is missing, or cannot be proved."""
    NOTE = "-"
    """Off by choice, or nothing that this stack could have."""


@dataclass(frozen=True)
class Finding:
    """One line. `remedy` is the next step where something is missing."""

    state: State
    text: str
    remedy: str = ""


def _missing(text: str, remedy: str) -> Finding:
    return Finding(State.MISSING, text, remedy)


@dataclass(frozen=True)
class Check:
    """One check of a stack, and the IAM permission that each AWS operation in it needs."""

    name: str
    look: Callable[[Target], Iterator[Finding]]
    permissions: Mapping[str, str]

    def findings(self, target: Target) -> Iterator[Finding]:
        """What it finds. If it cannot be carried out, that is a finding too."""
        try:
            yield from self.look(target)
        except (ClientError, BotoCoreError) as error:
            yield self._failed(error, str(error))
        except Unusable as error:
            yield self._failed(error.__cause__, str(error))

    def _failed(self, cause: BaseException | None, text: str) -> Finding:
        said = " ".join(text.split())
        if isinstance(cause, ClientError) and _DENIED.search(cause.response["Error"]["Code"]):
            permission = self.permissions.get(cause.operation_name, cause.operation_name)
            return _missing(f"not checked: {said}", f"give yourself the permission {permission}, or ask who has it")
        return _missing(f"not checked: {said}", "run it again; if it lasts, see AWS's health page")


# --- the token ----------------------------------------------------------------------------------------------------------


def _token(target: Target) -> Iterator[Finding]:
    """Let the stack's own function ask Altcraft for a code that Altcraft is known to have.

    Without one, a code that cannot exist is asked for: a token that is unreadable or refused is noticed then too.
    """
    refused = ""
    for loyalty_id, code in _controls(target):
        answer = _look_up(target, loyalty_id, code)
        if isinstance(answer, Finding):
            yield answer
            return
        refused = f"Altcraft no longer returns {code} of the program {loyalty_id} ({answer})"
    if not refused:
        answer = _look_up(target, "1", uuid.uuid4().hex)
        if isinstance(answer, Finding):
            yield answer
            return
        refused = f"the ledger has no code yet that Altcraft has returned ({answer})"
    yield _missing(
        f"nothing is proved yet: {refused}",
        f"`make lookup {target.argument} CODE=... LOYALTY_ID=...` with a code that exists proves it",
    )


def _controls(target: Target) -> Iterator[tuple[str, str]]:
    """Codes that Altcraft has returned, with their programs."""
    (table,) = target.names("redemptions_table")
    pages = (
        target.client("dynamodb")
        .get_paginator("scan")
        .paginate(
            TableName=table,
            FilterExpression="attribute_exists(known_at)",
            ProjectionExpression="loyalty_id, code",
            PaginationConfig={"PageSize": 100},
        )
    )
    known = (item for page in islice(pages, _PAGES) for item in page["Items"])
    return ((item["loyalty_id"]["N"], item["code"]["S"]) for item in islice(known, _CONTROLS))


def _look_up(target: Target, loyalty_id: str, code: str) -> Finding | str:
    """What a lookup by the API shows of the token; or, if it shows nothing, the reason that it gives."""
    try:
        reply = requests.post(
            f"{target.api_url}/promocodes/get",
            json={"code": code, "loyalty_id": int(loyalty_id)},
            headers={"x-api-key": target.api_key},
            timeout=_ANSWER_SECONDS,
        )
        answer = dict(reply.json())
    except (requests.RequestException, TypeError, ValueError) as error:
        return _missing(
            f"the API at {target.api_url} does not answer ({type(error).__name__})", "see the log of `activate`"
        )
    # `not_found` is an answer only if Altcraft has returned another code right after.
    if reply.status_code == HTTPStatus.OK or answer.get("type") == _NOT_FOUND:
        return Finding(State.WELL, "readable, and Altcraft accepts it")
    reason, detail = str(answer.get("reason", "")), answer.get("detail", "")
    (url,) = target.names("altcraft_url")
    remedies = {
        "token_unreadable": f"`make token {target.argument}`",
        "token_refused": f"`make token {target.argument}`, with a token that Altcraft accepts",
        "altcraft_unreachable": f"check AltcraftUrl, {url}, and the way to it from AWS",
        "altcraft_incoherent": f"check AltcraftUrl, {url}: something else answers there",
        "table_unavailable": "see AWS's health page, and whether the role or the key's policy was changed",
    }
    if reason in remedies:
        return _missing(f"{reason}: {detail}", remedies[reason])
    if reply.status_code == HTTPStatus.SERVICE_UNAVAILABLE and reason:
        return reason
    return _missing(
        f"the API answers HTTP {reply.status_code} {detail}".rstrip(), "see docs/api.md and the log of `activate`"
    )


# --- webhooks -----------------------------------------------------------------------------------------------------------


def _document(target: Target) -> str:
    (secret_id,) = target.names("sources_secret_id")
    return str(target.client("secretsmanager").get_secret_value(SecretId=secret_id).get("SecretString", ""))


def _sources(target: Target) -> Iterator[Finding]:
    remedy = f"`make sources FILE=sources.json {target.argument}`"
    text = _document(target)
    try:
        sources = checked(text)
    except Unusable as error:
        yield from (_missing(line, f"correct it, and {remedy}") for line in str(error).splitlines())
        return
    if sources:
        yield Finding(State.WELL, f"all {len(sources)} can be used: {', '.join(sources)}")
    else:
        yield _missing("no webhook source yet, so no shop can deliver", f"write one, docs/webhooks/, and {remedy}")


def _deliveries(target: Target) -> Iterator[Finding]:
    try:
        sources = parse(_document(target)).sources
    except InvalidSettings:
        return  # the check of the sources says it
    if not target.is_deployed:
        if sources:
            yield Finding(
                State.NOTE, "when the sources last delivered is not known: a laptop's engine keeps no metrics"
            )
        return
    for name in sources:
        yield _delivery(name, _last_of_each_result(target, name))


def _delivery(name: str, last: Mapping[str, datetime]) -> Finding:
    if not last:
        return _missing(
            f"{name}: none in {DAYS} days",
            "paste its address into the shop, as docs/webhooks/ says; `make sources` prints it",
        )
    newest = max(last.values())
    results = sorted(result for result, at in last.items() if at == newest)
    text = f"{name}: last in the hour from {newest:%Y-%m-%d %H:%M} UTC: {', '.join(results)}"
    remedy = _NOT_UNDERSTOOD.get(results[0], "")
    if not _NOT_UNDERSTOOD.keys() >= set(results):
        return Finding(State.WELL, text)
    understood = max((at for result, at in last.items() if result not in _NOT_UNDERSTOOD), default=None)
    before = f"{understood:%Y-%m-%d %H:%M}" if understood else f"none in {DAYS} days"
    return _missing(f"{text}; the last that was understood: {before}", remedy)


def _last_of_each_result(target: Target, source: str) -> dict[str, datetime]:
    """The beginning of the last hour with each result of a source's deliveries."""
    cloudwatch, namespace = target.client("cloudwatch"), f"Altcraft/{target.stack_name}"
    pages = cloudwatch.get_paginator("list_metrics").paginate(
        Namespace=namespace, MetricName=Metric.INTAKE.value, Dimensions=[{"Name": "source", "Value": source}]
    )
    metrics = [metric for page in pages for metric in page["Metrics"]]
    now = datetime.now(UTC)
    series = _series(cloudwatch, metrics, "Sum", _HOUR, now - timedelta(days=DAYS), now)
    found: dict[str, datetime] = {}
    for metric, values in zip(metrics, series, strict=True):
        result = next(one["Value"] for one in metric["Dimensions"] if one["Name"] == "result")
        if times := [at.astimezone(UTC) for at, value in values if value > 0]:
            found[result] = max(times)
    return found


def _series(
    cloudwatch: Any, metrics: list[dict[str, Any]], stat: str, period: int, start: datetime, end: datetime
) -> list[list[tuple[datetime, float]]]:
    """The values of each metric, with the beginnings of their periods."""
    queries: list[dict[str, Any]] = [
        {"Id": f"m{at}", "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}}
        for at, metric in enumerate(metrics)
    ]
    values: dict[str, list[tuple[datetime, float]]] = {query["Id"]: [] for query in queries}
    if queries:
        pages = cloudwatch.get_paginator("get_metric_data").paginate(
            MetricDataQueries=queries, StartTime=start, EndTime=end
        )
        for page in pages:
            for one in page["MetricDataResults"]:
                values[one["Id"]] += zip(one["Timestamps"], one["Values"], strict=True)
    return list(values.values())


# --- queues -------------------------------------------------------------------------------------------------------------


def _length(target: Target, url: str) -> tuple[int, int]:
    """How many messages wait, those of a later try too; and how many are being processed."""
    names = ("", "Delayed", "NotVisible")
    attributes = target.client("sqs").get_queue_attributes(
        QueueUrl=url, AttributeNames=[f"ApproximateNumberOfMessages{name}" for name in names]
    )["Attributes"]
    visible, delayed, hidden = (int(attributes.get(f"ApproximateNumberOfMessages{name}", 0)) for name in names)
    return visible + delayed, hidden


def _queue(target: Target) -> Iterator[Finding]:
    (url,) = target.names("activation_queue_url")
    waiting, processed = _length(target, url)
    yield Finding(State.WELL, f"{waiting} messages wait, {processed} are being processed or wait for their next try")
    if not target.is_deployed:
        yield Finding(State.NOTE, "how long the oldest has waited is not known: a laptop's engine keeps no metrics")
        return
    metrics: list[dict[str, Any]] = [
        {
            "Namespace": "AWS/SQS",
            "MetricName": "ApproximateAgeOfOldestMessage",
            "Dimensions": [{"Name": "QueueName", "Value": url.rpartition("/")[2]}],
        },
        # SQS leaves a message out that was received several times; each try of a code reports its age itself.
        {
            "Namespace": f"Altcraft/{target.stack_name}",
            "MetricName": Metric.MESSAGE_AGE.value,
            "Dimensions": [{"Name": "service", "Value": "activate"}],
        },
    ]
    now = datetime.now(UTC)
    series = _series(target.client("cloudwatch"), metrics, "Maximum", 300, now - _RECENT, now)
    minutes = max((value for values in series for _, value in values), default=0) / 60
    text = f"the longest wait in the last {_RECENT.seconds // 60} minutes: {minutes:.0f} minutes"
    if minutes >= int(target.values.get("OldestMessageMinutes", 60)):
        yield _missing(text, "docs/operations.md#oldestmessagealarm lists the reasons; nothing is lost yet")
    else:
        yield Finding(State.WELL, text)


_FAILED: Final[Mapping[str, tuple[str, str]]] = {
    "dead_letter_queue_url": (
        "codes that were given up",
        "fix the cause, which each has as `reason`, and `make redrive {}`",
    ),
    "FailedIntakeQueueUrl": ("webhooks from AWS that were not accepted", "docs/operations.md#failedintakealarm"),
    "FailedEventsQueueUrl": ("changes that could not be published", "docs/operations.md#failedeventsalarm"),
}
"""The queues that are empty if all is well: what is in them, and what to do."""


def _dead_letters(target: Target) -> Iterator[Finding]:
    target.names("dead_letter_queue_url")
    for part, (what, remedy) in _FAILED.items():
        if url := target.values.get(part):
            number = sum(_length(target, url))
            text = f"{what}: {number}"
            yield _missing(text, remedy.format(target.argument)) if number else Finding(State.WELL, text)


# --- alarms and exports -------------------------------------------------------------------------------------------------


def _alarms(target: Target) -> Iterator[Finding]:
    topic = target.resources("AWS::SNS::Topic")["AlarmTopic"]
    pages = target.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    # Until the link in AWS's message is followed, the ARN is the word PendingConfirmation; then Deleted if it was ended.
    arns = [one["SubscriptionArn"] for page in pages for one in page["Subscriptions"]]
    confirmed = [arn for arn in arns if arn.startswith("arn:")]
    if confirmed:
        yield Finding(State.WELL, f"subscribers who are notified: {len(confirmed)}")
    elif not target.is_deployed:
        yield Finding(State.NOTE, "nobody is notified: this is a laptop")
    elif "PendingConfirmation" in arns:
        yield _missing("the subscription is not confirmed", "follow the link in AWS's message to that address")
    else:
        yield _missing(
            "nobody is notified", "`make deploy ALARM_EMAIL=...`, or subscribe to the topic in AlarmTopicArn"
        )


def _schedule(target: Target) -> Iterator[Finding]:
    scheduler, exports = target.client("scheduler"), False
    for logical_id, name in target.resources("AWS::Scheduler::Schedule").items():
        schedule = scheduler.get_schedule(Name=name.rpartition("/")[2])
        exports = exports or ":function:" in schedule["Target"]["Arn"]
        when = f"{logical_id}, {schedule['ScheduleExpression']} {schedule.get('ScheduleExpressionTimezone', 'UTC')}"
        if schedule["State"] == "ENABLED":
            yield Finding(State.WELL, f"on: {when}")
        elif not target.is_deployed:
            yield Finding(State.NOTE, f"off on a laptop: {when}; `make schedule` fires it")
        elif target.values.get("ExportScheduleState") == "DISABLED":
            yield Finding(State.NOTE, f"off by the parameter ExportScheduleState: {when}")
        else:
            yield _missing(f"off, though ExportScheduleState is ENABLED: {when}", "enable it in EventBridge Scheduler")
    if not exports:
        yield Finding(State.NOTE, "no exports are scheduled: LoyaltyIds names no program")


_OF_STACK: Final = {"ListStackResources": "cloudformation:ListStackResources"}

CHECKS: Final = (
    Check("token", _token, {"Scan": "dynamodb:Scan", "GetApiKey": "apigateway:GET"}),
    Check("sources", _sources, {"GetSecretValue": "secretsmanager:GetSecretValue"}),
    Check(
        "deliveries",
        _deliveries,
        {
            "GetSecretValue": "secretsmanager:GetSecretValue",
            "ListMetrics": "cloudwatch:ListMetrics",
            "GetMetricData": "cloudwatch:GetMetricData",
        },
    ),
    Check(
        "queue", _queue, {"GetQueueAttributes": "sqs:GetQueueAttributes", "GetMetricData": "cloudwatch:GetMetricData"}
    ),
    Check("dead letters", _dead_letters, {"GetQueueAttributes": "sqs:GetQueueAttributes"}),
    Check("alarms", _alarms, {**_OF_STACK, "ListSubscriptionsByTopic": "sns:ListSubscriptionsByTopic"}),
    Check("schedule", _schedule, {**_OF_STACK, "GetSchedule": "scheduler:GetSchedule"}),
)
"""The checks, in the order in which a new stack is completed."""
