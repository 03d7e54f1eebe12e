"""template.yaml with several sets of parameters: its resources, the safety of data, and agreement with the code."""

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any, get_type_hints

import pytest

from activate.settings import Settings as ActivateSettings
from activate.worker import MAX_AGE_SECONDS, MAX_BACKOFF_SECONDS, backoff
from docs.generate import configuration
from export_all.formats.registry import OUTPUT_FORMATS
from export_all.keys import data_folder
from export_all.latest import LATEST_MINIMUM_PERCENT
from export_all.manifest import Manifest
from export_all.settings import Settings as ExportSettings
from lambda_support.event_bus import SOURCE
from tests.unit.cloudformation import Template
from tests.unit.synthesis import EVERYTHING, LEAST, TEMPLATE, as_list, document, synthesise
from tests.unit.test_events import CLAIMED, HAPPENED, REDEEMED, record

both = pytest.mark.parametrize("parameters", [LEAST, EVERYTHING], ids=["least", "everything"])

STREAM_SECONDS = 24 * 3600
"""How long a stream keeps a record. Source: DynamoDB Developer Guide, "Change data capture for DynamoDB Streams"."""

DATA = {
    "AWS::DynamoDB::Table",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::SQS::Queue",
    "AWS::SecretsManager::Secret",
}


@both
@pytest.mark.parametrize(
    ("function", "settings"), [("ActivateFunction", ActivateSettings), ("ExportAllFunction", ExportSettings)]
)
def test_given_a_function_then_its_environment_has_every_setting_it_reads_and_no_other(
    parameters: Mapping[str, str], function: str, settings: type[ActivateSettings | ExportSettings]
) -> None:
    variables = synthesise(parameters).of("AWS::Lambda::Function")[function]["Environment"]["Variables"]

    declared = {name.lower() for name in variables if not name.startswith("POWERTOOLS_")}

    assert declared == {field.name for field in dataclasses.fields(settings)}
    # Nothing logs events, which hold signatures and API keys, or Powertools' internals.
    assert {name.removeprefix("POWERTOOLS_") for name in variables if name.startswith("POWERTOOLS_")} == {
        "METRICS_NAMESPACE",
        "LOG_LEVEL",
        "SERVICE_NAME",
    }


@both
def test_given_a_function_then_its_log_is_json_kept_for_a_time_and_no_metric_is_filtered_away(
    parameters: Mapping[str, str],
) -> None:
    stack = synthesise(parameters)
    groups = stack.of("AWS::Logs::LogGroup")

    for function in stack.of("AWS::Lambda::Function").values():
        logging = function["LoggingConfig"]
        assert logging["LogFormat"] == "JSON"
        assert groups[logging["LogGroup"]]["RetentionInDays"] == "90"
        # A line without a level, as a metric is, counts as INFO.
        assert logging["ApplicationLogLevel"] in {"DEBUG", "INFO"}
    assert set(document()["Parameters"]["LogLevel"]["AllowedValues"]) == {"DEBUG", "INFO"}


def test_given_an_export_that_fails_then_it_is_retried_and_then_reported() -> None:
    (config,) = synthesise(LEAST).of("AWS::Lambda::EventInvokeConfig").values()

    assert config["FunctionName"] == "ExportAllFunction"
    assert config["MaximumRetryAttempts"] == 2
    assert config["DestinationConfig"] == {"OnFailure": {"Destination": "arn:AlarmTopic"}}


def test_given_an_event_of_the_shops_bus_that_fails_then_it_is_kept() -> None:
    stack = synthesise(EVERYTHING)
    config = stack.of("AWS::Lambda::EventInvokeConfig")["ActivateAsyncConfig"]
    (target,) = stack.of("AWS::Events::Rule")["ShopifyRule"]["Targets"]

    assert config["Qualifier"] == target["Arn"].rpartition(":")[2] == "live"
    assert config["DestinationConfig"]["OnFailure"] == {"Destination": "arn:FailedIntakeQueue"}
    assert target["DeadLetterConfig"] == {"Arn": "arn:FailedIntakeQueue"}


def test_given_the_webhook_route_then_it_has_its_own_limit() -> None:
    (stage,) = synthesise(LEAST | {"WebhookRateLimit": "77"}).of("AWS::ApiGateway::Stage").values()

    limits = {
        (setting["ResourcePath"], setting["HttpMethod"]): setting.get("ThrottlingRateLimit")
        for setting in stage["MethodSettings"]
    }

    assert limits["/~1webhooks~1{source}", "POST"] == limits["/~1webhooks~1{source}", "PUT"] == "77"
    assert limits["/*", "*"] is None


def test_given_access_logs_then_they_hold_nothing_that_a_caller_wrote() -> None:
    (stage,) = synthesise(LEAST).of("AWS::ApiGateway::Stage").values()

    fields = json.loads(stage["AccessLogSetting"]["Format"])

    assert fields["route"] == "$context.resourcePath"
    assert not {"$context.path", "$context.requestOverride.path"} & set(fields.values())


@pytest.mark.parametrize(("choice", "made"), [("on-with-role", True), ("on", False), ("off", False)])
def test_given_a_choice_of_access_logs_then_the_accounts_role_is_set_up_only_when_wanted(
    choice: str, made: bool
) -> None:
    stack = synthesise(LEAST | {"AccessLogs": choice})
    (stage,) = stack.of("AWS::ApiGateway::Stage").values()

    assert bool(stack.of("AWS::ApiGateway::Account")) is made
    assert ("AccessLogSetting" in stage) is (choice != "off")


@both
def test_given_the_routes_then_only_those_of_promocodes_need_a_key(parameters: Mapping[str, str]) -> None:
    body = synthesise(parameters).of("AWS::ApiGateway::RestApi")["Api"]["Body"]

    keyed = {
        (method, path): "security" in operation
        for path, methods in body["paths"].items()
        for method, operation in methods.items()
    }

    assert keyed == {
        ("post", "/promocodes/activate"): True,
        ("post", "/promocodes/deactivate"): True,
        ("post", "/promocodes/get"): True,
        ("post", "/promocodes/export_all"): True,
        ("get", "/promocodes/exports/{export_id}"): True,
        ("post", "/webhooks/{source}"): False,
        ("put", "/webhooks/{source}"): False,
        ("get", "/webhooks/{source}"): False,
    }
    assert body["x-amazon-apigateway-binary-media-types"] == ["*/*"]


def test_given_an_error_of_api_gateways_own_then_it_is_a_problem() -> None:
    body = synthesise(LEAST).of("AWS::ApiGateway::RestApi")["Api"]["Body"]

    for case, response in body["x-amazon-apigateway-gateway-responses"].items():
        problem = json.loads(response["responseTemplates"]["application/json"])
        assert problem.keys() == {"type", "title", "status", "detail", "retryable"}, case
        assert str(problem["status"]) == response["statusCode"]
        assert response["responseParameters"]["gatewayresponse.header.Content-Type"] == "'application/problem+json'"


def test_given_a_day_of_failures_then_the_queue_gives_a_message_up_long_after_the_worker() -> None:
    queue = synthesise(LEAST).of("AWS::SQS::Queue")["ActivationQueue"]
    age, tries = 0, 1
    while age < MAX_AGE_SECONDS:
        age += backoff(age)
        tries += 1

    receives = queue["RedrivePolicy"]["maxReceiveCount"]
    assert tries * 1.5 < receives
    # If the worker cannot start, the message is received again after each visibility timeout.
    assert receives * queue["VisibilityTimeout"] > MAX_AGE_SECONDS
    assert queue["MessageRetentionPeriod"] > MAX_AGE_SECONDS + MAX_BACKOFF_SECONDS


@both
def test_given_a_queue_that_feeds_a_function_then_it_hides_a_message_for_six_runs(
    parameters: Mapping[str, str],
) -> None:
    stack = synthesise(parameters)
    queues = stack.of("AWS::SQS::Queue")
    timeout = stack.of("AWS::Lambda::Function")["ActivateFunction"]["Timeout"]
    mappings = [
        mapping
        for mapping in stack.of("AWS::Lambda::EventSourceMapping").values()
        if mapping["EventSourceArn"].removeprefix("arn:") in queues
    ]

    assert len(mappings) == (2 if parameters is EVERYTHING else 1)
    for mapping in mappings:
        assert queues[mapping["EventSourceArn"].removeprefix("arn:")]["VisibilityTimeout"] >= 6 * timeout
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_given_the_dead_letter_queue_then_only_the_activation_queue_may_fill_it() -> None:
    queues = synthesise(LEAST).of("AWS::SQS::Queue")

    (source,) = queues["DeadLetterQueue"]["RedriveAllowPolicy"]["sourceQueueArns"]

    assert source.rpartition(":")[2] == queues["ActivationQueue"]["QueueName"]


@both
def test_given_data_then_it_is_retained_except_by_a_first_deployment_that_failed(
    parameters: Mapping[str, str],
) -> None:
    for name, resource in synthesise(parameters).resources.items():
        if resource["Type"] in DATA:
            assert resource["DeletionPolicy"] == "RetainExceptOnCreate", name
            assert resource["UpdateReplacePolicy"] == "Retain", name


def test_given_the_accounts_role_for_access_logs_then_nothing_takes_it_from_other_apis() -> None:
    kept = {name for name, resource in document()["Resources"].items() if resource.get("DeletionPolicy") == "Retain"}

    # CloudFormation does not take the account's setting back, so without its role every API of the account stops logging.
    assert kept == {"ApiLogsAccount", "ApiLogsRole"}


@both
def test_given_queues_and_bucket_then_they_refuse_access_without_tls(parameters: Mapping[str, str]) -> None:
    stack = synthesise(parameters)
    policies = [
        policy["PolicyDocument"]
        for kind in ("AWS::SQS::QueuePolicy", "AWS::S3::BucketPolicy")
        for policy in stack.of(kind).values()
    ]
    guarded = {
        resource
        for policy in policies
        for statement in policy["Statement"]
        if statement["Effect"] == "Deny"
        and statement["Principal"] == "*"
        and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        for resource in as_list(statement["Resource"])
    }

    assert guarded == {f"arn:{queue}" for queue in stack.of("AWS::SQS::Queue")} | {
        "arn:ExportBucket",
        "arn:ExportBucket/*",
    }


def test_given_a_key_then_all_stored_data_is_encrypted_with_it() -> None:
    stack = synthesise(EVERYTHING)
    key = EVERYTHING["KmsKeyArn"]

    for name, resource in stack.resources.items():
        if resource["Type"] in DATA | {"AWS::SNS::Topic", "AWS::Lambda::Function", "AWS::Athena::WorkGroup"}:
            assert key in json.dumps(resource["Properties"]), name


@both
def test_given_the_bucket_then_it_is_private_and_cleans_up_after_itself(parameters: Mapping[str, str]) -> None:
    bucket = synthesise(parameters).of("AWS::S3::Bucket")["ExportBucket"]
    prefix = parameters.get("ExportPrefix", "")
    rules = {rule["Id"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}

    assert all(bucket["PublicAccessBlockConfiguration"].values())
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rules["half-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert "Prefix" not in rules["half-uploads"]
    assert rules["quarantine"]["Prefix"] == f"{prefix}quarantine/"
    assert ("exports" in rules) == (parameters is EVERYTHING)
    assert rules["ledger"]["Prefix"] == f"{prefix}ledger/"


def test_given_the_table_then_its_items_expire_and_it_can_be_restored() -> None:
    table = synthesise(LEAST).of("AWS::DynamoDB::Table")["RedemptionsTable"]

    assert table["KeySchema"] == [
        {"AttributeName": "loyalty_id", "KeyType": "HASH"},
        {"AttributeName": "code", "KeyType": "RANGE"},
    ]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expiration", "Enabled": True}
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]


def test_given_an_event_bus_then_the_tables_stream_is_published_from_its_beginning_and_nothing_is_lost_unnoticed() -> (
    None
):
    stack = synthesise(EVERYTHING)
    mapping = stack.of("AWS::Lambda::EventSourceMapping")["EventMapping"]
    table = stack.of("AWS::DynamoDB::Table")["RedemptionsTable"]
    alarm = stack.of("AWS::CloudWatch::Alarm")["FailedEventsAlarm"]

    assert table["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert mapping["EventSourceArn"] == "arn:RedemptionsTable/stream/1"
    assert mapping["FunctionName"].endswith(":live")
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert mapping["MaximumBatchingWindowInSeconds"] <= 1
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    # A person has as long as the retries, before the stream forgets the record.
    assert mapping["MaximumRecordAgeInSeconds"] == STREAM_SECONDS / 2
    assert mapping["DestinationConfig"] == {"OnFailure": {"Destination": "arn:FailedEventsQueue"}}
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": "FailedEventsQueue"}]


def _passes(pattern: Mapping[str, Any], value: Any) -> bool:
    """Whether Lambda's event filtering lets a record pass, as far as our patterns go."""
    if not isinstance(value, Mapping):
        return False
    for name, wanted in pattern.items():
        if isinstance(wanted, Mapping):
            if not _passes(wanted, value.get(name)):
                return False
        elif not (wanted == [{"exists": True}] and name in value) and value.get(name) not in wanted:
            return False
    return True


@pytest.mark.parametrize(("old", "new"), [(old, new) for old, new, *_ in HAPPENED.values()], ids=HAPPENED)
def test_given_a_change_that_is_an_event_then_the_filter_lets_it_pass(
    old: dict[str, Any] | None, new: dict[str, Any]
) -> None:
    mapping = synthesise(EVERYTHING).of("AWS::Lambda::EventSourceMapping")["EventMapping"]
    patterns = [json.loads(one["Pattern"]) for one in mapping["FilterCriteria"]["Filters"]]

    assert any(_passes(pattern, record(old, new)) for pattern in patterns)
    assert not any(_passes(pattern, record(None, CLAIMED)) for pattern in patterns)
    assert not any(_passes(pattern, record(REDEEMED, None)) for pattern in patterns)


def test_given_an_event_bus_then_the_deployment_fails_without_it_and_it_cannot_be_deleted_afterwards() -> None:
    rule = synthesise(EVERYTHING).of("AWS::Events::Rule")["EventBusExists"]

    assert (rule["EventBusName"], rule["State"]) == ("shop-events", "DISABLED")
    assert rule["EventPattern"] == {"source": [SOURCE]}


def test_given_no_event_bus_then_there_is_neither_a_stream_nor_anything_that_costs() -> None:
    stack = synthesise(LEAST)

    assert "StreamSpecification" not in stack.of("AWS::DynamoDB::Table")["RedemptionsTable"]
    assert not stack.resources.keys() & {
        "EventMapping",
        "EventBusExists",
        "EventsNotSentAlarm",
        "FailedEventsAlarm",
        "FailedEventsQueue",
        "FailedEventsQueuePolicy",
    }
    for function in stack.of("AWS::Lambda::Function").values():
        assert function["Environment"]["Variables"]["EVENT_BUS_NAME"] == ""


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("", True),
        ("default", True),
        ("shop.events_2-eu", True),
        ("aws.partner/shopify.com/1/shop", False),
        ("arn:aws:events:eu-central-1:123456789012:event-bus/shop", False),
        ("shop events", False),
        ("x" * 257, False),
    ],
)
def test_given_a_name_then_it_can_be_the_bus_if_a_bus_of_the_account_can_have_it(name: str, allowed: bool) -> None:
    parameter = document()["Parameters"]["EventBusName"]

    assert bool(re.fullmatch(parameter["AllowedPattern"], name)) is allowed
    assert parameter["Default"] == ""


def test_given_no_parameters_but_the_address_then_no_optional_part_is_made() -> None:
    kinds = {resource["Type"] for resource in synthesise(LEAST).resources.values()}

    assert not kinds & {
        "AWS::Athena::WorkGroup",
        "AWS::CodeDeploy::DeploymentGroup",
        "AWS::Events::Rule",
        "AWS::Glue::Table",
        "AWS::SNS::Subscription",
        "AWS::Scheduler::Schedule",
        "AWS::WAFv2::WebACLAssociation",
    }


def test_given_loyalty_ids_then_the_schedule_sends_them_with_the_time_it_was_due() -> None:
    target = synthesise(EVERYTHING).of("AWS::Scheduler::Schedule")["ExportScheduleEntry"]["Target"]

    assert json.loads(target["Input"]) == {
        "loyalty_ids": [5, 6],
        "output_format": "jsonl",
        "scheduled_at": "<aws.scheduler.scheduled-time>",
    }
    assert target["Arn"] == "arn:ExportAllFunction"


def test_given_analytics_then_the_tables_read_where_the_exports_lie() -> None:
    inputs = [table["TableInput"] for table in synthesise(EVERYTHING).of("AWS::Glue::Table").values()]
    tables = {one["Name"]: one for one in inputs if one["TableType"] == "EXTERNAL_TABLE"}

    assert tables.keys() == {
        *(f"promocodes_{output_format}" for output_format in OUTPUT_FORMATS),
        "exports",
        "latest_exports",
        "ledger_files",
    }
    for output_format in OUTPUT_FORMATS:
        parameters = tables[f"promocodes_{output_format}"]["Parameters"]
        folder = data_folder("crm/", 5, output_format).removesuffix("loyalty_id=5/")
        location = parameters["storage.location.template"]
        assert location == f"s3://ExportBucket/{folder}loyalty_id=${{loyalty_id}}/dt=${{dt}}/"
        assert parameters["projection.loyalty_id.values"] == "5,6"


def test_given_the_formats_of_an_export_then_the_schedule_may_have_each() -> None:
    assert document()["Parameters"]["OutputFormat"]["AllowedValues"] == list(OUTPUT_FORMATS)


def test_given_the_tables_of_manifests_then_their_columns_are_a_manifests() -> None:
    tables = synthesise(EVERYTHING).of("AWS::Glue::Table")
    kinds = {str: "string", int: "bigint", bool: "boolean", str | None: "string"}
    fields = {name: kinds.get(kind, "string") for name, kind in get_type_hints(Manifest).items() if name != "error"}

    for table in ("ManifestTable", "LatestTable"):
        columns = tables[table]["TableInput"]["StorageDescriptor"]["Columns"]
        assert {column["Name"]: column["Type"] for column in columns} == fields


def test_given_analytics_then_the_saved_queries_are_those_of_the_docs() -> None:
    stack = synthesise(EVERYTHING)
    queries = stack.of("AWS::Athena::NamedQuery")

    assert {f"{query['Name']}.sql": query["QueryString"] for query in queries.values()} == {
        path.name: path.read_text(encoding="utf-8") for path in (TEMPLATE.parent / "docs" / "queries").glob("*.sql")
    }
    assert {(query["Database"], query["WorkGroup"]) for query in queries.values()} == {
        ("ExportDatabase", "ExportWorkGroup")
    }


@pytest.mark.parametrize("key", ["", EVERYTHING["KmsKeyArn"]])
def test_given_analytics_then_dynamodb_exports_the_ledger_to_where_its_table_reads(key: str) -> None:
    stack = synthesise(EVERYTHING | {"KmsKeyArn": key})
    entry = stack.of("AWS::Scheduler::Schedule")["LedgerExportEntry"]
    asked = json.loads(entry["Target"]["Input"])
    location = stack.of("AWS::Glue::Table")["LedgerTable"]["TableInput"]["StorageDescriptor"]["Location"]
    table = stack.of("AWS::DynamoDB::Table")["RedemptionsTable"]

    assert entry["Target"]["Arn"] == "arn:aws:scheduler:::aws-sdk:dynamodb:exportTableToPointInTime"
    assert (asked["TableArn"], asked["ExportFormat"]) == ("arn:RedemptionsTable", "DYNAMODB_JSON")
    assert asked["S3SseAlgorithm"] == ("KMS" if key else "AES256")
    assert asked.get("S3SseKmsKeyId", "") == key
    assert location == f"s3://{asked['S3Bucket']}/{asked['S3Prefix']}/AWSDynamoDB/"
    # DynamoDB exports from point-in-time recovery, which has to be on.
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
    assert entry["ScheduleExpression"] == "cron(0 3 * * ? *)"
    assert stack.allows("LedgerExportRole", "dynamodb:ExportTableToPointInTime", "arn:RedemptionsTable")
    assert stack.allows("LedgerExportRole", "s3:PutObject", "arn:ExportBucket/crm/ledger/AWSDynamoDB/1/data/a.json.gz")
    assert not stack.allows("LedgerExportRole", "s3:PutObject", "arn:ExportBucket/crm/latest/loyalty_id=5.json")
    assert not stack.allows("LedgerExportRole", "dynamodb:GetItem", "arn:RedemptionsTable")


def test_given_an_operators_secret_then_none_is_created_and_the_functions_use_it() -> None:
    stack = synthesise(EVERYTHING)

    assert stack.of("AWS::SecretsManager::Secret").keys() == {"SourcesSecret"}
    for function in stack.of("AWS::Lambda::Function").values():
        assert function["Environment"]["Variables"]["ALTCRAFT_SECRET_ID"] == EVERYTHING["AltcraftSecretArn"]


def test_given_a_secret_of_the_stack_then_it_begins_without_a_token() -> None:
    secrets = synthesise(LEAST).of("AWS::SecretsManager::Secret")

    assert not secrets["AltcraftSecret"].keys() & {"SecretString", "GenerateSecretString"}
    assert json.loads(secrets["SourcesSecret"]["SecretString"]) == {}


def test_given_a_new_layer_then_the_alias_moves_to_a_new_version() -> None:
    before, after = (
        synthesise(LEAST, layer).of("AWS::Lambda::Version") for layer in ("s3://bucket/1", "s3://bucket/2")
    )

    assert len(before) == len(after) == 1
    assert before.keys() != after.keys()


def test_given_a_gradual_rollout_then_alarms_roll_it_back() -> None:
    stack = synthesise(EVERYTHING)
    (group,) = stack.of("AWS::CodeDeploy::DeploymentGroup").values()

    watched = {alarm["Name"] for alarm in group["AlarmConfiguration"]["Alarms"]}

    assert watched == {"ActivateErrorsAlarm", "WebhookLatencyAlarm"}
    assert watched <= stack.of("AWS::CloudWatch::Alarm").keys()


# --- parameters and rules ---------------------------------------------------------------------------------------------


def _violations(parameters: Mapping[str, str]) -> list[str]:
    """The messages of the rules that these parameters break, as CloudFormation would report them."""
    written = document()
    resolve = Template(written, parameters, lambda name, attribute: name).resolve
    return [
        assertion["AssertDescription"]
        for rule in written["Rules"].values()
        if resolve(rule["RuleCondition"])
        for assertion in rule["Assertions"]
        if not resolve(assertion["Assert"])
    ]


@both
def test_given_parameters_that_agree_then_no_rule_is_broken(parameters: Mapping[str, str]) -> None:
    assert not _violations(parameters)


@pytest.mark.parametrize(
    ("contradiction", "named"),
    [
        ({"OutputFormat": "parquet"}, "ParquetLayerArn"),
        ({"Analytics": "true"}, "LoyaltyIds"),
        ({"SubnetIds": "subnet-0a"}, "SecurityGroupIds"),
        ({"SecurityGroupIds": "sg-0a"}, "SubnetIds"),
        ({"LoyaltyIds": "5", "ExportReservedConcurrency": "0"}, "ExportScheduleState"),
    ],
)
def test_given_parameters_that_contradict_then_a_rule_names_the_remedy(
    contradiction: dict[str, str], named: str
) -> None:
    (violation,) = _violations(LEAST | contradiction)

    assert named in violation


def test_given_the_guard_over_latest_then_its_percentage_has_bounds_and_reaches_the_function() -> None:
    parameter = document()["Parameters"]["LatestMinimumPercent"]
    function = synthesise(LEAST | {"LatestMinimumPercent": "80"}).of("AWS::Lambda::Function")["ExportAllFunction"]

    assert (parameter["MinValue"], parameter["MaxValue"]) == (1, 100)
    assert parameter["Default"] == LATEST_MINIMUM_PERCENT
    assert function["Environment"]["Variables"]["LATEST_MINIMUM_PERCENT"] == "80"


def test_given_a_parameter_then_it_is_explained_and_is_in_one_group() -> None:
    written = document()
    groups = written["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]

    grouped = [parameter for group in groups for parameter in group["Parameters"]]

    assert sorted(grouped) == sorted(written["Parameters"])
    assert all(parameter["Description"].endswith(".") for parameter in written["Parameters"].values())


def test_given_the_template_then_its_page_says_the_same() -> None:
    written = (TEMPLATE.parent / "docs" / "configuration.md").read_text(encoding="utf-8")

    assert written == configuration.page(), "run `make docs`"


def test_given_the_application_repository_then_it_takes_what_the_template_says_of_itself() -> None:
    written = document()["Metadata"]["AWS::ServerlessRepo::Application"]

    # The patterns of the API of the Serverless Application Repository, CreateApplication.
    assert re.fullmatch(r"[a-z0-9](([a-z0-9]|-(?!-))*[a-z0-9])?", written["Author"])
    assert len(written["Author"]) <= 127
    assert re.fullmatch(r"[a-zA-Z0-9-]{1,140}", written["Name"])
    assert 1 <= len(written["Description"]) <= 256
    assert len(written["Labels"]) <= 10
    assert all(re.fullmatch(r"[a-zA-Z0-9+\-_:/@]{1,127}", label) for label in written["Labels"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", written["SemanticVersion"])
    assert all((TEMPLATE.parent / written[name]).is_file() for name in ("LicenseUrl", "ReadmeUrl"))


def test_given_a_suppressed_check_then_its_reason_is_given() -> None:
    suppressions: list[dict[str, Any]] = [
        suppression
        for resource in document()["Resources"].values()
        for suppression in resource.get("Metadata", {}).get("checkov", {}).get("skip", [])
    ]

    assert suppressions
    assert all(len(suppression["comment"]) > len("by parameter") for suppression in suppressions)
