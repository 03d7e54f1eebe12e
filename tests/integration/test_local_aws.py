"""The embedded AWS: what this project mends in moto, and that S3's exact bytes and headers pass its server."""

import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from local import moto_mends
from local.application import Application
from local.aws import Aws
from local.resources import Resources
from local.template import TemplateError, read

PART = 5 * 1024 * 1024


@pytest.fixture(scope="module")
def bucket(aws: Aws) -> str:
    aws.client("s3").create_bucket(
        Bucket="exact-bytes", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    return "exact-bytes"


def test_a_multipart_upload_arrives_whole_with_its_metadata(aws: Aws, bucket: str) -> None:
    s3 = aws.client("s3")
    parts = [b"\r\n\x00" + bytes([number]) * PART for number in range(2)] + [b"last"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="a b/ü", Metadata={"note": "one, two"})["UploadId"]
    target = {"Bucket": bucket, "Key": "a b/ü", "UploadId": upload}
    tags = [
        {"PartNumber": number, "ETag": s3.upload_part(**target, PartNumber=number, Body=part)["ETag"]}
        for number, part in enumerate(parts, 1)
    ]
    s3.complete_multipart_upload(**target, MultipartUpload={"Parts": tags})
    stored = s3.get_object(Bucket=bucket, Key="a b/ü")
    assert stored["Body"].read() == b"".join(parts)
    assert stored["Metadata"] == {"note": "one, two"}
    head = s3.head_object(Bucket=bucket, Key="a b/ü")
    assert head["ContentLength"] == sum(map(len, parts))


def test_a_presigned_link_gives_the_object_to_a_plain_client(aws: Aws, bucket: str) -> None:
    s3 = aws.client("s3")
    s3.put_object(Bucket=bucket, Key="linked", Body=b"content")
    link = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "linked"})
    assert requests.get(link, timeout=10).content == b"content"


def test_a_conditional_write_loses_to_the_first(aws: Aws, bucket: str) -> None:
    s3 = aws.client("s3")
    s3.put_object(Bucket=bucket, Key="once", Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError) as lost:
        s3.put_object(Bucket=bucket, Key="once", Body=b"2", IfNoneMatch="*")
    assert lost.value.response["Error"]["Code"] == "PreconditionFailed"


def test_messages_sent_while_others_are_deleted_stay_and_deleted_ones_do_not_come_back() -> None:
    # Given a queue with messages that two workers delete, while a shop sends
    queue = moto_mends.Queue("rush", "eu-central-1", "123456789012")  # type: ignore[abstract] # as moto itself does
    old, new = [message(f"old-{number}") for number in range(200)], [message(f"new-{number}") for number in range(600)]
    for one in old:
        queue.add_message(one)
    workers = [threading.Thread(target=delete_all, args=(queue, old[start::2])) for start in range(2)]

    # When threads take turns as often as they can
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for worker in workers:
            worker.start()
        for one in new:
            queue.add_message(one)
        for worker in workers:
            worker.join()
    finally:
        sys.setswitchinterval(usual)

    # Then what was sent is there, and nothing else: moto's own queue fails here nearly every time
    assert queue.messages == new


def message(message_id: str) -> moto_mends.Message:
    made = moto_mends.Message(message_id, "body")
    made.mark_sent()
    made.mark_received()
    return made


def delete_all(queue: moto_mends.Queue, messages: list[moto_mends.Message]) -> None:
    for one in messages:
        queue.delete_message(str(one.receipt_handle))


def test_a_message_comes_back_after_its_visibility_and_dies_after_its_last_receive(aws: Aws) -> None:
    sqs = aws.client("sqs")
    dead = sqs.create_queue(QueueName="mended-dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2})
    attributes = {"RedrivePolicy": redrive, "VisibilityTimeout": "1"}
    url = sqs.create_queue(QueueName="mended", Attributes=attributes)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="x")

    def receive(queue: str) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5).get("Messages", [])
        return messages

    assert [message["Body"] for message in receive(url) + receive(url)] == ["x", "x"]
    assert receive(url) == []
    assert [message["Body"] for message in receive(dead)] == ["x"]


def test_deleting_twice_is_nothing_and_an_unknown_receipt_is_refused(aws: Aws) -> None:
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName="receipts")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="x")
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    for _ in range(2):
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    with pytest.raises(ClientError) as refused:
        sqs.delete_message(QueueUrl=url, ReceiptHandle="of another queue")
    assert refused.value.response["Error"]["Code"] == "ReceiptHandleIsInvalid"


# --- resources -----------------------------------------------------------------------------------------------------------

TEMPLATE = """
Resources:
  Bucket: {Type: AWS::S3::Bucket, Properties: {VersioningConfiguration: {Status: Enabled}}}
  Dead: {Type: AWS::SQS::Queue}
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: named
      VisibilityTimeout: 77
      RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 4}
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      BillingMode: PAY_PER_REQUEST
      TimeToLiveSpecification: {AttributeName: expiration, Enabled: true}
  Given: {Type: AWS::SecretsManager::Secret}
  Written: {Type: AWS::SecretsManager::Secret, Properties: {SecretString: "{}"}}
  Empty: {Type: AWS::SecretsManager::Secret}
  Topic: {Type: AWS::SNS::Topic}
"""


@pytest.fixture(scope="module")
def resources(aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> Resources:
    path = tmp_path_factory.mktemp("resources") / "template.yaml"
    path.write_text(TEMPLATE)
    made = Resources(aws, read(path), {}, {"Given": "token"}, stack_name="made")
    made.make_all()
    return made


def test_queues_are_made_as_the_template_says(aws: Aws, resources: Resources) -> None:
    url = resources.name("Queue")
    attributes = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "77"
    assert json.loads(attributes["RedrivePolicy"]) == {
        "deadLetterTargetArn": resources.name("Dead", "Arn"),
        "maxReceiveCount": 4,
    }
    assert attributes["QueueArn"] == resources.name("Queue", "Arn")
    assert url.endswith("/named")


def test_the_table_expires_what_the_template_says(aws: Aws, resources: Resources) -> None:
    told = aws.client("dynamodb").describe_time_to_live(TableName=resources.name("Table"))["TimeToLiveDescription"]
    assert told == {"AttributeName": "expiration", "TimeToLiveStatus": "ENABLED"}


def test_the_bucket_keeps_versions(aws: Aws, resources: Resources) -> None:
    assert aws.client("s3").get_bucket_versioning(Bucket=resources.name("Bucket"))["Status"] == "Enabled"


@pytest.mark.parametrize(("secret", "text"), [("Given", "token"), ("Written", "{}")])
def test_a_secret_holds_what_was_given_or_written(aws: Aws, resources: Resources, secret: str, text: str) -> None:
    value = aws.client("secretsmanager").get_secret_value(SecretId=resources.name(secret))
    assert value["SecretString"] == text


def test_a_secret_without_a_value_has_none(aws: Aws, resources: Resources) -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        aws.client("secretsmanager").get_secret_value(SecretId=resources.name("Empty"))


@pytest.mark.parametrize(
    ("name", "attribute", "message"),
    [("Topic", None, "Topic: the embedded stack has no AWS::SNS::Topic"), ("Queue", "Colour", "Queue.Colour")],
)
def test_what_is_not_there_is_named(resources: Resources, name: str, attribute: str | None, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        resources.name(name, attribute)


def test_the_real_template_needs_nothing_that_is_missing_here(aws: Aws) -> None:
    document = read(Path(__file__).parents[2] / "template.yaml")
    parameters = {"AltcraftUrl": "http://altcraft", "LoyaltyIds": "5,6"}
    made = Resources(aws, document, parameters, {}, stack_name="real")
    made.make_all()
    application = Application(made.template, document["Globals"])
    for name in application.function_ids():
        assert application.function(name).environment["ALTCRAFT_URL"] == "http://altcraft"
    assert {route.resource for route in application.routes()} >= {"/promocodes/activate", "/webhooks/{source}"}
    assert [source.reports_item_failures for source in application.queue_sources()] == [True]
    assert [schedule.expression for schedule in application.schedules()] == ["cron(0 3 * * ? *)"]
