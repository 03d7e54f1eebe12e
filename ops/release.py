"""`make package`: publish a build for quick-create links, by which a stack is created in CloudFormation's console.

Lambda takes code from a bucket of its own region only, so each region has a bucket, `{BUCKET}-{region}`, and a link. The
template is uploaded last, and never changed: a version that is there stays as it is, so that a run that ended half way can be
repeated.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import boto3
import click
from botocore.exceptions import ClientError

from ops.deploy import REGION_CODE, SAM
from ops.errors import Unusable, refused_by_aws
from ops.target import DEFAULT_STACK

_LARGEST: Final = 1_000_000
"""Bytes of a template that CloudFormation reads from S3."""

_PAGE: Final = "https://{region}.console.aws.amazon.com/cloudformation/home?region={region}#/stacks/quickcreate?{query}"


def for_quick_create(template: dict[str, Any], arch: str) -> dict[str, Any]:
    """A packaged template whose only processor is the one that its layer was built for."""
    architecture = {**template["Parameters"]["Architecture"], "Default": arch, "AllowedValues": [arch]}
    return {**template, "Parameters": {**template["Parameters"], "Architecture": architecture}}


def link(region: str, template_url: str) -> str:
    """The page of CloudFormation's console that asks for the parameters, and creates the stack."""
    query = urlencode({"templateURL": template_url, "stackName": DEFAULT_STACK})
    return _PAGE.format(region=region, query=query)


def publish(template: Path, arch: str, bucket: str, region: str, version: str, sam: Path) -> tuple[str, str]:
    """Upload the code and the template to the region's bucket, under the version; the template's text and its address.

    Raises:
        Unusable: something cannot be uploaded.
    """
    s3, key = boto3.client("s3", region_name=region), f"{version}/template.json"
    # As S3 writes it itself, in every partition.
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}).partition("?")[0]
    with refused_by_aws(f"{bucket}: cannot be read"):
        if (published := _published(s3, bucket, key)) is not None:
            return published, url
    with tempfile.TemporaryDirectory() as folder:
        packaged = Path(folder) / "template.json"
        where = ["--s3-bucket", bucket, "--s3-prefix", version, "--region", region]
        done = subprocess.run(
            [sam, "package", "--template-file", template, *where, "--use-json", "--output-template-file", packaged],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise Unusable(f"{bucket}: sam package failed:\n{done.stdout}")
        text = json.dumps(for_quick_create(json.loads(packaged.read_text("utf-8")), arch))
    if len(text.encode()) > _LARGEST:
        raise Unusable(f"the template has {len(text.encode())} bytes, and CloudFormation reads {_LARGEST} at most")
    with refused_by_aws(f"{bucket}: the template was not uploaded"):
        s3.put_object(Bucket=bucket, Key=key, Body=text.encode(), ContentType="application/json")
    return text, url


def _published(s3: Any, bucket: str, key: str) -> str | None:
    try:
        text: str = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        return None
    return text


@click.command("make package")
@click.option("--bucket", envvar="BUCKET", required=True, help="The buckets' name, without the region at its end.")
@click.option("--regions", envvar="REGIONS", required=True, help="The regions, with blanks between.")
@click.option("--version", envvar="VERSION", required=True, help="The version, such as v1.0.0.")
@click.option("--arch", envvar="ARCH", default="arm64", help="The processor that was built for.")
@click.option("--to", "folder", envvar="TO", type=click.Path(path_type=Path), default="build/release", help="A folder.")
@click.option(
    "--template-file", type=click.Path(path_type=Path), default=".aws-sam/build/template.yaml", help="The build."
)
@click.option("--sam", type=click.Path(path_type=Path), default=SAM, help="The sam command.")
def command(bucket: str, regions: str, version: str, arch: str, folder: Path, template_file: Path, sam: Path) -> None:
    """Publish a build in each region; write the templates and a page with the links into a folder."""
    if not re.fullmatch(r"v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", version):
        raise click.UsageError(f"VERSION: must be like v1.0.0, not {version!r}")
    if unknown := [one for one in regions.split() if not re.fullmatch(REGION_CODE, one)]:
        raise click.UsageError(f"REGIONS: must be codes of regions, such as eu-central-1, not {unknown[0]!r}")
    if not regions.split():
        raise click.UsageError("REGIONS: names no region")
    os.environ.setdefault("SAM_CLI_TELEMETRY", "0")
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["Create a stack in CloudFormation's console, in your account:", ""]
    for region in regions.split():
        text, url = publish(template_file, arch, f"{bucket}-{region}", region, version, sam)
        (folder / f"template-{region}.json").write_text(text, "utf-8")
        lines += [f"- [{region}]({link(region, url)})"]
        click.echo(f"{region}: {url}")
    (folder / "quick-create.md").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    command()
