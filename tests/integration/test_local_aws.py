"""The embedded AWS: what this project mends in moto, and that S3's exact bytes and headers pass its server."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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


# --- DynamoDB ------------------------------------------------------------------------------------------------------------

RACERS = 8
ROUNDS = 20
FIELDS = [f"field{number}" for number in range(20)]
"""Enough of them that moto needs a while for an item. All fields of an item hold one text, so that half of an item shows."""

Item = dict[str, dict[str, Any]]
Racer = Callable[[str, str], Any]


@pytest.fixture
def dynamodb(aws: Aws) -> Any:
    return aws.client("dynamodb", max_pool_connections=RACERS + 1, retries={"total_max_attempts": 1})


def key(code: str) -> Item:
    return {"loyalty_id": {"N": "5"}, "code": {"S": code}}


def item(code: str, text: str) -> Item:
    return key(code) | {field: {"S": text} for field in FIELDS}


def writing(text: str) -> dict[str, Any]:
    """The arguments of an update that sets every field to `text`."""
    return {
        "UpdateExpression": "SET " + ", ".join(f"{field} = :text" for field in FIELDS),
        "ExpressionAttributeValues": {":text": {"S": text}},
    }


def text_of(found: Item) -> str:
    """The text that all fields of an item hold: there are all of them, and they are of one write."""
    (text,) = {json.dumps(found.get(field)) for field in FIELDS}
    return str(json.loads(text)["S"])


def refused(call: Callable[..., Any], **arguments: Any) -> Item | None:
    """The item that a lost condition reports; None where the call was carried out."""
    try:
        call(**arguments, ReturnValuesOnConditionCheckFailure="ALL_OLD")
    except ClientError as lost:
        if lost.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return dict(lost.response["Item"])  # type: ignore[typeddict-item] # DynamoDB's own member, beside the usual
    return None


def race(racer: Racer) -> Iterator[tuple[str, list[Any]]]:
    """Round after round, what all racers came to that began `racer(round, their name)` together."""
    start = threading.Barrier(RACERS)

    def run(round_name: str, name: str) -> Any:
        start.wait()
        return racer(round_name, name)

    with ThreadPoolExecutor(RACERS) as pool:
        for number in range(ROUNDS):
            each = [pool.submit(run, f"round-{number}", f"{number}-{racer}") for racer in range(RACERS)]
            yield f"round-{number}", [one.result() for one in each]


def test_given_many_who_put_one_item_if_it_is_not_there_then_one_wins_and_the_others_see_all_of_it(
    dynamodb: Any, table: str
) -> None:
    def put(code: str, name: str) -> tuple[str, Item | None]:
        # A long item keeps moto busy between the condition and the write.
        long = item(code, name) | {"long": {"L": [{"S": "x"}] * 500}}
        condition = "attribute_not_exists(code)"
        return name, refused(dynamodb.put_item, TableName=table, Item=long, ConditionExpression=condition)

    for code, ends in race(put):
        (winner,) = [name for name, seen in ends if seen is None]
        assert [text_of(seen) for _, seen in ends if seen is not None] == [winner] * (RACERS - 1)
        assert text_of(dynamodb.get_item(TableName=table, Key=key(code))["Item"]) == winner


def test_given_many_who_compare_and_set_one_item_then_one_wins_and_the_others_see_all_of_it(
    dynamodb: Any, table: str
) -> None:
    def compare_and_set(code: str, name: str) -> tuple[str, Item | None]:
        update = writing(name)
        update["ExpressionAttributeValues"][":free"] = {"S": "free"}
        condition = {"Key": key(code), "ConditionExpression": f"{FIELDS[0]} = :free"}
        return name, refused(dynamodb.update_item, TableName=table, **condition, **update)

    for number in range(ROUNDS):
        dynamodb.put_item(TableName=table, Item=item(f"round-{number}", "free"))
    for code, ends in race(compare_and_set):
        (winner,) = [name for name, seen in ends if seen is None]
        assert [text_of(seen) for _, seen in ends if seen is not None] == [winner] * (RACERS - 1)
        assert text_of(dynamodb.get_item(TableName=table, Key=key(code))["Item"]) == winner


def test_given_many_who_delete_one_item_then_one_gets_it_whole(dynamodb: Any, table: str) -> None:
    def delete(code: str, _name: str) -> Item:
        deleted = dynamodb.delete_item(TableName=table, Key=key(code), ReturnValues="ALL_OLD")
        return dict(deleted.get("Attributes", {}))

    for number in range(ROUNDS):
        dynamodb.put_item(TableName=table, Item=item(f"round-{number}", "there"))
    for _, ends in race(delete):
        assert [text_of(deleted) for deleted in ends if deleted] == ["there"]


def test_given_many_who_write_one_new_item_then_each_gets_the_whole_item_of_the_one_before(
    dynamodb: Any, table: str
) -> None:
    def update(code: str, name: str) -> tuple[str, Item]:
        one = {"TableName": table, "Key": key(code), "ReturnValues": "ALL_OLD"}
        return name, dict(dynamodb.update_item(**one, **writing(name)).get("Attributes", {}))

    for code, ends in race(update):
        before = {text_of(seen) if seen else None for _, seen in ends}
        last = text_of(dynamodb.get_item(TableName=table, Key=key(code))["Item"])
        assert before == {None} | {name for name, _ in ends} - {last}


def test_given_two_items_written_in_transactions_when_they_are_read_meanwhile_then_both_are_of_one_transaction(
    dynamodb: Any, table: str
) -> None:
    def write_or_read(code: str, name: str) -> list[str]:
        pair = [f"{code}-a", f"{code}-b"]
        if name.endswith(("-0", "-1")):
            puts = [{"Put": {"TableName": table, "Item": item(one, name)}} for one in pair]
            dynamodb.transact_write_items(TransactItems=puts)
        found = dynamodb.query(
            TableName=table,
            KeyConditionExpression="loyalty_id = :program AND begins_with(code, :pair)",
            ExpressionAttributeValues={":program": {"N": "5"}, ":pair": {"S": f"{code}-"}},
        )
        return [text_of(one) for one in found["Items"]]

    for _, ends in race(write_or_read):
        assert all(texts == texts[:1] * len(texts) and len(texts) in (0, 2) for texts in ends)


def test_a_query_pages_through_a_programs_codes_and_filters_what_it_has_read(dynamodb: Any, table: str) -> None:
    # Given a program of ten codes, every third of them with a mark, and another program
    for number in range(10):
        marked: Item = {"mark": {"S": "x"}} if number % 3 == 0 else {}
        dynamodb.put_item(TableName=table, Item=key(f"C{number}") | marked)
    dynamodb.put_item(TableName=table, Item=key("C0") | {"loyalty_id": {"N": "6"}, "mark": {"S": "x"}})

    # When the marked ones are asked for in pages of four
    paginator = dynamodb.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="loyalty_id = :program",
        FilterExpression="attribute_exists(mark)",
        ExpressionAttributeValues={":program": {"N": "5"}},
        PaginationConfig={"PageSize": 4},
    )

    # Then the limit is of what is read, as DynamoDB has it
    pages = list(paginator)
    assert [[one["code"]["S"] for one in page["Items"]] for page in pages] == [["C0", "C3"], ["C6"], ["C9"]]
    assert [page["ScannedCount"] for page in pages] == [4, 4, 2]


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
