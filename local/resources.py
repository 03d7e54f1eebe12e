"""The template's resources, made in the embedded AWS as the template describes them when something first refers to one."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from local.application import FUNCTION
from local.aws import ACCOUNT, REGION, Aws
from local.template import Template, TemplateError

# What CloudFormation's `!Ref` (under None) and `!GetAtt` give for one resource.
Names = dict[str | None, str]


class Resources:
    """Makes buckets, tables, queues and secrets, once each, and knows the names they got.

    `secrets` holds values for secrets by logical id, in place of what the template puts there.
    """

    def __init__(
        self,
        aws: Aws,
        document: Mapping[str, Any],
        parameters: Mapping[str, str],
        secrets: Mapping[str, str],
        stack_name: str = "local",
    ) -> None:
        self._aws = aws
        self._secrets = secrets
        self._stack_name = stack_name
        self._names: dict[str, Names] = {}
        self.template = Template(document, parameters, self.name, stack_name)

    def make_all(self) -> None:
        """Make every resource of a kind this AWS has."""
        for logical_id, resource in self.template.resources.items():
            if resource["Type"] in self._MAKERS:
                self.name(logical_id)

    def name(self, logical_id: str, attribute: str | None = None) -> str:
        """Return what `!Ref`, or `!GetAtt` of an attribute, gives. Raises TemplateError where that is not known here."""
        kind = self.template.resources[logical_id]["Type"]
        if logical_id not in self._names:
            make = self._MAKERS.get(kind)
            if make is None:
                raise TemplateError(f"{logical_id}: the embedded stack has no {kind}")
            self._names[logical_id] = make(self, logical_id, self.template.properties(logical_id))
        try:
            return self._names[logical_id][attribute]
        except KeyError:
            raise TemplateError(f"{logical_id}.{attribute}: that attribute of {kind} is not known here") from None

    def _default_name(self, logical_id: str) -> str:
        return f"{self._stack_name}-{logical_id}"

    def _function(self, logical_id: str, written: dict[str, Any]) -> Names:
        name = self.template.resolve(written.get("FunctionName")) or self._default_name(logical_id)
        return {None: name, "Arn": function_arn(name)}

    def _bucket(self, logical_id: str, written: dict[str, Any]) -> Names:
        s3 = self._aws.client("s3")
        name = self.template.resolve(written.get("BucketName")) or self._default_name(logical_id).lower()
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        if versioning := self.template.resolve(written.get("VersioningConfiguration")):
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=versioning)
        return {None: name, "Arn": f"arn:aws:s3:::{name}"}

    def _table(self, logical_id: str, written: dict[str, Any]) -> Names:
        dynamodb = self._aws.client("dynamodb")
        name = self.template.resolve(written.get("TableName")) or self._default_name(logical_id)
        shape = {key: written[key] for key in ("AttributeDefinitions", "KeySchema", "BillingMode") if key in written}
        made = dynamodb.create_table(TableName=name, **self.template.resolve(shape))
        if "TimeToLiveSpecification" in written:
            ttl = self.template.resolve(written["TimeToLiveSpecification"])
            dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=ttl)
        return {None: name, "Arn": made["TableDescription"]["TableArn"]}

    def _queue(self, logical_id: str, written: dict[str, Any]) -> Names:
        sqs = self._aws.client("sqs")
        properties = self.template.resolve(written)
        name = properties.pop("QueueName", None) or self._default_name(logical_id)
        properties.pop("Tags", None)
        attributes = {key: value if isinstance(value, str) else json.dumps(value) for key, value in properties.items()}
        url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return {None: url, "QueueUrl": url, "QueueName": name, "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"}

    def _secret(self, logical_id: str, written: dict[str, Any]) -> Names:
        name = self.template.resolve(written.get("Name")) or self._default_name(logical_id)
        value = self._secrets.get(logical_id) or self.template.resolve(written.get("SecretString"))
        contents = {"SecretString": value} if value else {}
        arn = self._aws.client("secretsmanager").create_secret(Name=name, **contents)["ARN"]
        return {None: arn, "Id": arn}

    _MAKERS: Mapping[str, Callable[["Resources", str, dict[str, Any]], Names]] = {
        FUNCTION: _function,
        "AWS::DynamoDB::Table": _table,
        "AWS::S3::Bucket": _bucket,
        "AWS::SQS::Queue": _queue,
        "AWS::SecretsManager::Secret": _secret,
    }


def function_arn(name: str) -> str:
    """Return the ARN of a function of this account."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
