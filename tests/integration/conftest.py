"""A table of redemptions for the integration tests."""

import uuid

import pytest

from local.aws import Aws


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
