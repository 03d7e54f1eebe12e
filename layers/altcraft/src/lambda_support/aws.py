"""botocore clients: made on first use, kept for the life of the sandbox.

botocore without boto3 on top, because a start-up pays for each module, and nothing here needs boto3's resources.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any, Final

from botocore.config import Config
from botocore.loaders import Loader
from botocore.session import Session

# A door answers within 29 s at the most and the queue's worker within a minute: an AWS call that hangs must not eat that.
_CONFIG: Final = Config(connect_timeout=2, read_timeout=10, retries={"mode": "standard", "max_attempts": 3})


@cache
def client(service: str) -> Any:
    """A client of an AWS service, such as `sqs`, by the region and endpoint of the environment."""
    config = _CONFIG.merge(_s3_links()) if service == "s3" else _CONFIG
    return _session().create_client(service, config=config)


def _s3_links() -> Config:
    """Links that always open: botocore's own default signs them by version 2 in the older regions, which a KMS key refuses,
    and addresses them to the global host, whose redirect spoils the signature while a bucket is new."""
    stand_in = any(
        os.environ.get(name) for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
    )  # has no host per bucket
    return Config(signature_version="s3v4", s3={"addressing_style": "path" if stand_in else "virtual"})


@cache
def _session() -> Session:
    session = Session()
    session.register_component("data_loader", _OurServices())
    return session


class _OurServices(Loader):
    """botocore's models of services. To know whether it has one, the original looks into 400 folders: a tenth of a start."""

    def list_available_services(self, type_name: str) -> list[str]:
        return ["dynamodb", "lambda", "s3", "secretsmanager", "sqs"]
