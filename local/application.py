"""What a SAM template says of its application: functions, routes, queues that feed functions, and schedules.

Source: AWS SAM specification, resources and event source types.
"""

import re
from dataclasses import dataclass
from typing import Any

from local.template import Template, TemplateError

API = "AWS::Serverless::Api"
FUNCTION = "AWS::Serverless::Function"
SCHEDULE = "AWS::Scheduler::Schedule"


@dataclass(frozen=True, slots=True)
class Function:
    """One Lambda function. `retries` is how often an asynchronous invocation that failed is run again."""

    logical_id: str
    name: str
    handler: str
    timeout_seconds: int
    memory_mb: int
    retries: int
    environment: dict[str, str]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path of the REST API, and the function behind it (its logical id)."""

    method: str
    resource: str
    function: str
    api_key_required: bool


@dataclass(frozen=True, slots=True)
class GatewayResponse:
    """What the API itself answers in a case such as THROTTLED. `body` is sent as it is; no status keeps API Gateway's."""

    status: int | None
    headers: dict[str, str]
    body: str | None


@dataclass(frozen=True, slots=True)
class QueueSource:
    """A queue (its ARN) that feeds a function. `maximum_concurrency` of None sets no bound."""

    queue_arn: str
    function: str
    batch_size: int
    maximum_concurrency: int | None
    reports_item_failures: bool


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule and the event (JSON text) it sends to a function."""

    name: str
    function: str
    expression: str
    input: str


class Application:
    """Reads a template on demand, so that nothing is looked up that nobody asks for. Raises TemplateError."""

    def __init__(self, template: Template, globals_: dict[str, Any]) -> None:
        self._template = template
        self._globals = globals_.get("Function") or {}

    def function_ids(self) -> list[str]:
        """Return the logical ids of the functions."""
        return [name for name, one in self._template.resources.items() if one["Type"] == FUNCTION]

    def function(self, logical_id: str) -> Function:
        """Return a function with its environment resolved."""
        resolve = self._template.resolve
        merged = _merge(self._globals, self._template.properties(logical_id))
        settings = {
            name: resolve(merged[name])
            for name in ("FunctionName", "Handler", "Timeout", "MemorySize", "Environment")
            if name in merged
        }
        if "Handler" not in settings:
            raise TemplateError(f"the function {logical_id} names no Handler")
        return Function(
            logical_id=logical_id,
            name=settings.get("FunctionName") or self._template.resolve({"Ref": logical_id}),
            handler=settings["Handler"],
            timeout_seconds=int(settings.get("Timeout", 3)),
            memory_mb=int(settings.get("MemorySize", 128)),
            retries=int(resolve((merged.get("EventInvokeConfig") or {}).get("MaximumRetryAttempts", 2))),
            environment={
                name: _spell(value) for name, value in settings.get("Environment", {}).get("Variables", {}).items()
            },
        )

    def routes(self) -> list[Route]:
        """Return the routes of the API events of every function."""
        required_by_default = any((api.get("Auth") or {}).get("ApiKeyRequired", False) for api in self._apis())
        return [
            Route(
                method=str(event["Method"]).upper(),
                resource=event["Path"],
                function=function,
                api_key_required=bool((event.get("Auth") or {}).get("ApiKeyRequired", required_by_default)),
            )
            for function, event in self._events({"Api"}, "Path", "Method", "Auth")
        ]

    def gateway_responses(self) -> dict[str, GatewayResponse]:
        """Return what the template has the API answer in its own name, by API Gateway's name of the case."""
        return {
            case: GatewayResponse(
                status=int(written["StatusCode"]) if "StatusCode" in written else None,
                # A static value is written in single quotes.
                headers={name: value.strip("'") for name, value in parameters.get("Headers", {}).items()},
                body=written.get("ResponseTemplates", {}).get("application/json"),
            )
            for api in self._apis()
            for case, written in self._template.resolve(api.get("GatewayResponses") or {}).items()
            for parameters in [written.get("ResponseParameters") or {}]
        }

    def queue_sources(self) -> list[QueueSource]:
        """Return the queues that feed functions."""
        return [
            QueueSource(
                queue_arn=event["Queue"],
                function=function,
                batch_size=int(event.get("BatchSize", 10)),
                maximum_concurrency=int(bound) if (bound := scaling.get("MaximumConcurrency")) else None,
                reports_item_failures="ReportBatchItemFailures" in event.get("FunctionResponseTypes", []),
            )
            for function, event in self._events({"SQS"}, "Queue", "BatchSize", "FunctionResponseTypes", "ScalingConfig")
            for scaling in [event.get("ScalingConfig") or {}]
        ]

    def schedules(self) -> list[Schedule]:
        """Return the schedules, be they resources or events of a function."""
        of_functions = [
            Schedule(event.get("Name") or function, function, event["ScheduleExpression"], event.get("Input", "{}"))
            for function, event in self._events({"Schedule", "ScheduleV2"}, "Name", "ScheduleExpression", "Input")
        ]
        return of_functions + [
            self._schedule(name) for name, one in self._template.resources.items() if one["Type"] == SCHEDULE
        ]

    def _apis(self) -> list[dict[str, Any]]:
        """Return the APIs' properties, unresolved."""
        return [self._template.properties(name) for name, one in self._template.resources.items() if one["Type"] == API]

    def _schedule(self, logical_id: str) -> Schedule:
        written = self._template.properties(logical_id)
        target = written["Target"]
        # The function is wanted, not its ARN: the reference is read before it is resolved.
        reference = target["Arn"].get("Fn::GetAtt", "")
        function = (reference if isinstance(reference, str) else ".".join(reference)).partition(".")[0]
        if function not in self.function_ids():
            raise TemplateError(f"the schedule {logical_id} has a target that is not a function of this template")
        resolve = self._template.resolve
        return Schedule(
            name=logical_id,
            function=function,
            expression=resolve(written["ScheduleExpression"]),
            input=resolve(target.get("Input", "{}")),
        )

    def _events(self, types: set[str], *names: str) -> list[tuple[str, dict[str, Any]]]:
        """Return these properties of the events of these types, each with the logical id of its function.

        The other properties may refer to what this stack does not have.
        """
        return [
            (function, self._template.resolve({name: written[name] for name in names if name in written}))
            for function in self.function_ids()
            for event in (self._template.properties(function).get("Events") or {}).values()
            if event["Type"] in types
            for written in [event.get("Properties") or {}]
        ]


def path_pattern(resource: str) -> re.Pattern[str]:
    """Return what matches the paths of a resource such as `/webhooks/{source}`, its variables as groups."""
    parts = re.split(r"(\{\w+\+?\})", resource)
    return re.compile(
        "".join(
            (f"(?P<{part[1:-2]}>.+)" if part.endswith("+}") else f"(?P<{part[1:-1]}>[^/]+)")
            if part.startswith("{")
            else re.escape(part)
            for part in parts
        )
    )


def _merge(general: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Lay a function's own properties over the template's Globals: maps are merged, lists joined, the rest replaced."""
    merged = dict(general)
    for name, value in own.items():
        before = merged.get(name)
        if isinstance(before, dict) and isinstance(value, dict) and not _is_intrinsic(value):
            merged[name] = _merge(before, value)
        elif isinstance(before, list) and isinstance(value, list):
            merged[name] = before + value
        else:
            merged[name] = value
    return merged


def _is_intrinsic(value: dict[str, Any]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref"))


def _spell(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
