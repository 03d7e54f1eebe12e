"""What each role may do and may not, as IAM would decide, for several sets of parameters."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit.synthesis import EVERYTHING, LEAST, as_list, synthesise

TOKEN = {"least": "arn:AltcraftSecret", "everything": EVERYTHING["AltcraftSecretArn"]}
PREFIX = {"least": "", "everything": "crm/"}

both = pytest.mark.parametrize(
    ("parameters", "name"), [(LEAST, "least"), (EVERYTHING, "everything")], ids=["least", "everything"]
)

ACTIVATE_MAY = [
    ("logs:PutLogEvents", "arn:ActivateLogs"),
    ("secretsmanager:GetSecretValue", "{token}"),
    ("secretsmanager:GetSecretValue", "arn:SourcesSecret"),
    ("sqs:SendMessage", "arn:ActivationQueue"),
    ("sqs:SendMessage", "arn:DeadLetterQueue"),
    ("sqs:ReceiveMessage", "arn:ActivationQueue"),
    ("sqs:DeleteMessage", "arn:ActivationQueue"),
    ("sqs:ChangeMessageVisibility", "arn:ActivationQueue"),
    ("sqs:GetQueueAttributes", "arn:ActivationQueue"),
    ("dynamodb:PutItem", "arn:RedemptionsTable"),
    ("dynamodb:GetItem", "arn:RedemptionsTable"),
    ("dynamodb:Query", "arn:RedemptionsTable"),
    ("s3:PutObject", "arn:ExportBucket/{prefix}quarantine/eu-shop/order.json"),
]

BUS = "arn:aws:events:eu-central-1:123456789012:event-bus/shop-events"

OF_EVENTS = [
    *[
        ("ActivateRole", action, "arn:RedemptionsTable/stream/1")
        for action in (
            "dynamodb:DescribeStream",
            "dynamodb:GetRecords",
            "dynamodb:GetShardIterator",
            "dynamodb:ListStreams",
        )
    ],
    ("ActivateRole", "dynamodb:UpdateItem", "arn:RedemptionsTable"),
    ("ActivateRole", "sqs:SendMessage", "arn:FailedEventsQueue"),
    ("ActivateRole", "events:PutEvents", BUS),
    ("ExportAllRole", "events:PutEvents", BUS),
]
"""What is allowed with an event bus, and only then."""

ACTIVATE_MAY_NOT = [
    ("s3:GetObject", "arn:ExportBucket/{prefix}quarantine/eu-shop/order.json"),
    ("s3:GetObject", "arn:ExportBucket/{prefix}latest/loyalty_id=5.json"),
    ("s3:ListBucket", "arn:ExportBucket"),
    ("s3:PutObject", "arn:ExportBucket/{prefix}promocodes/loyalty_id=5/dt=2026-11-22/forged.jsonl.gz"),
    ("s3:PutObject", "arn:ExportBucket/{prefix}latest/loyalty_id=5.json"),
    ("s3:DeleteObject", "arn:ExportBucket/{prefix}quarantine/eu-shop/order.json"),
    ("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:another"),
    ("secretsmanager:PutSecretValue", "{token}"),
    ("secretsmanager:PutSecretValue", "arn:SourcesSecret"),
    ("sqs:ReceiveMessage", "arn:DeadLetterQueue"),
    ("sqs:PurgeQueue", "arn:ActivationQueue"),
    ("dynamodb:Scan", "arn:RedemptionsTable"),
    ("dynamodb:DeleteItem", "arn:RedemptionsTable"),
    ("dynamodb:PutItem", "arn:aws:dynamodb:eu-west-1:123456789012:table/another"),
    ("lambda:InvokeFunction", "arn:ExportAllFunction"),
    ("logs:PutLogEvents", "arn:ExportAllLogs"),
    ("events:PutEvents", "arn:aws:events:eu-central-1:123456789012:event-bus/another"),
    ("sqs:ReceiveMessage", "arn:FailedEventsQueue"),
]

EXPORT_MAY = [
    ("logs:PutLogEvents", "arn:ExportAllLogs"),
    ("secretsmanager:GetSecretValue", "{token}"),
    ("lambda:InvokeFunction", "arn:ExportAllFunction"),
    ("s3:ListBucket", "arn:ExportBucket"),
    *[
        (action, f"arn:ExportBucket/{{prefix}}{folder}")
        for action in ("s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
        for folder in ("promocodes/loyalty_id=5/dt=2026-11-22/1.jsonl.gz", "exports/1.json", "latest/loyalty_id=5.json")
    ],
]

EXPORT_MAY_NOT = [
    *[
        (action, f"arn:{queue}")
        for action in ("sqs:SendMessage", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
        for queue in ("ActivationQueue", "DeadLetterQueue", "ShopQueue", "FailedIntakeQueue", "FailedEventsQueue")
    ],
    ("events:PutEvents", "arn:aws:events:eu-central-1:123456789012:event-bus/another"),
    ("dynamodb:GetRecords", "arn:RedemptionsTable/stream/1"),
    ("dynamodb:UpdateItem", "arn:RedemptionsTable"),
    ("dynamodb:PutItem", "arn:RedemptionsTable"),
    ("secretsmanager:GetSecretValue", "arn:SourcesSecret"),
    ("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:another"),
    ("dynamodb:GetItem", "arn:RedemptionsTable"),
    ("lambda:InvokeFunction", "arn:ActivateFunction"),
    ("s3:GetObject", "arn:ExportBucket/{prefix}quarantine/eu-shop/order.json"),
    ("s3:PutObject", "arn:ExportBucket/{prefix}quarantine/eu-shop/order.json"),
    ("s3:PutObject", "arn:ExportBucket/elsewhere"),
    ("s3:DeleteObject", "arn:ExportBucket/{prefix}promocodes/loyalty_id=5/dt=2026-11-22/1.jsonl.gz"),
    ("s3:PutBucketPolicy", "arn:ExportBucket"),
]


@pytest.mark.parametrize(("role", "action", "resource"), OF_EVENTS)
def test_given_an_event_bus_then_the_functions_may_publish_on_it_and_without_one_nowhere(
    role: str, action: str, resource: str
) -> None:
    assert synthesise(EVERYTHING).allows(role, action, resource)
    assert not synthesise(LEAST).allows(role, action, resource)


@both
@pytest.mark.parametrize(
    ("role", "action", "resource", "allowed"),
    [
        *[("ActivateRole", *right, True) for right in ACTIVATE_MAY],
        *[("ActivateRole", *right, False) for right in ACTIVATE_MAY_NOT],
        *[("ExportAllRole", *right, True) for right in EXPORT_MAY],
        *[("ExportAllRole", *right, False) for right in EXPORT_MAY_NOT],
    ],
)
def test_given_a_function_then_it_may_do_its_work_and_nothing_else(
    parameters: Mapping[str, str], name: str, role: str, action: str, resource: str, allowed: bool
) -> None:
    resource = resource.format(token=TOKEN[name], prefix=PREFIX[name])

    assert synthesise(parameters).allows(role, action, resource) is allowed


def test_given_a_secret_of_the_operator_then_only_that_one_is_the_token() -> None:
    stack = synthesise(EVERYTHING)

    assert not stack.allows("ActivateRole", "secretsmanager:GetSecretValue", "arn:AltcraftSecret")
    assert not stack.allows("ExportAllRole", "secretsmanager:GetSecretValue", "arn:AltcraftSecret")


def test_given_a_shops_own_queue_then_activate_works_it_and_the_shop_may_only_put_into_it() -> None:
    stack = synthesise(EVERYTHING)
    granted = [
        statement
        for statement in stack.of("AWS::SQS::QueuePolicy")["ShopQueuePolicy"]["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    ]

    assert stack.allows("ActivateRole", "sqs:ReceiveMessage", "arn:ShopQueue")
    assert stack.allows("ActivateRole", "sqs:SendMessage", "arn:FailedIntakeQueue")
    assert granted == [
        {
            "Sid": "TakeWebhooks",
            "Effect": "Allow",
            "Principal": {"AWS": EVERYTHING["QueueSenderArn"]},
            "Action": "sqs:SendMessage",
            "Resource": "arn:ShopQueue",
        }
    ]


@both
def test_given_any_role_then_it_names_what_it_may_do_and_to_what(parameters: Mapping[str, str], name: str) -> None:
    stack = synthesise(parameters)
    vague: list[tuple[str, dict[str, Any]]] = [
        (role, statement)
        for role in stack.of("AWS::IAM::Role")
        for statement in stack.statements(role)
        if any("*" in action for action in as_list(statement["Action"])) or "*" in as_list(statement["Resource"])
    ]

    # X-Ray has no resource-level permissions.
    assert {statement["Sid"] for _, statement in vague} == ({"Trace"} if name == "everything" else set())


@both
def test_given_the_functions_then_each_has_a_role_of_its_own(parameters: Mapping[str, str], name: str) -> None:
    stack = synthesise(parameters)
    roles = {function: properties["Role"] for function, properties in stack.of("AWS::Lambda::Function").items()}
    managed = {
        policy.rpartition("/")[2]
        for role in ("ActivateRole", "ExportAllRole")
        for policy in stack.of("AWS::IAM::Role")[role].get("ManagedPolicyArns", [])
    }

    assert roles == {"ActivateFunction": "arn:ActivateRole", "ExportAllFunction": "arn:ExportAllRole"}
    assert managed == ({"AWSLambdaENIManagementAccess"} if name == "everything" else set())
    for role in ("ActivateRole", "ExportAllRole"):
        (trust,) = stack.of("AWS::IAM::Role")[role]["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}


def test_given_a_key_then_it_is_used_only_through_the_services_that_keep_our_data() -> None:
    stack = synthesise(EVERYTHING)
    for role in ("ActivateRole", "ExportAllRole"):
        (statement,) = [one for one in stack.statements(role) if "kms:Decrypt" in as_list(one["Action"])]
        services = {service.partition(".")[0] for service in statement["Condition"]["StringEquals"]["kms:ViaService"]}

        assert statement["Resource"] == EVERYTHING["KmsKeyArn"]
        assert services <= {"dynamodb", "lambda", "s3", "secretsmanager", "sns", "sqs"}
        assert ("sqs" in services) == (role == "ActivateRole")
