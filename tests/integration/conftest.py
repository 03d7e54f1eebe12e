"""What the tests of the parts share: a table of redemptions, and a bucket for exports."""

import uuid

import pytest

from local.engine import Aws
from tests.integration.exporters import Bucket


@pytest.fixture
def table(aws: Aws) -> str:
    name = f"redemptions-{uuid.uuid4()}"
    aws.client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "loyalty_id", "KeyType": "HASH"}, {"AttributeName": "code", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "loyalty_id", "AttributeType": "N"},
            {"AttributeName": "code", "AttributeType": "S"},
        ],
    )
    return name


@pytest.fixture
def bucket(aws: Aws) -> Bucket:
    s3 = aws.client("s3")
    name = f"exports-{uuid.uuid4()}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return Bucket(s3, name)
