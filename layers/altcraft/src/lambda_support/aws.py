"""botocore clients: made on first use, kept for the life of the sandbox.

botocore without boto3, because each module lengthens a cold start, and nothing here needs boto3's resources.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from botocore.config import Config
from botocore.loaders import Loader
from botocore.session import Session

# The API has to answer within 29 s, and the queue's worker within a minute: an AWS call that hangs must not use that up.
_CONFIG: Final = Config(connect_timeout=2, read_timeout=10, retries={"mode": "standard", "max_attempts": 3})


@cache
def client(service: str) -> Any:
    """The client of an AWS service, such as `sqs`, for the environment's region and endpoint."""
    own = _OWN_CONFIGS.get(service)
    return _session().create_client(service, config=_CONFIG.merge(own()) if own else _CONFIG)


def _s3_links() -> Config:
    """Settings for valid presigned links: in the older regions botocore signs by version 2, which fails with a KMS key, and
    uses the global host, whose redirect invalidates the signature while a bucket is new."""
    emulated = any(
        os.environ.get(name) for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
    )  # an emulator has no host name per bucket
    return Config(signature_version="s3v4", s3={"addressing_style": "path" if emulated else "virtual"})


def _events() -> Config:
    """Settings for an event bus: an export has 20 s left when it ends, and a bus that hangs must not use that up."""
    return Config(read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2})


_OWN_CONFIGS: Final[Mapping[str, Callable[[], Config]]] = {"events": _events, "s3": _s3_links}
"""What a service's client has beside `_CONFIG`."""


@cache
def _session() -> Session:
    session = Session()
    session.register_component("data_loader", _UsedServices())
    return session


class _UsedServices(Loader):
    """botocore's models of services. The original searches 400 folders for a service, a tenth of a cold start."""

    def list_available_services(self, type_name: str) -> list[str]:
        return ["dynamodb", "events", "lambda", "s3", "secretsmanager", "sqs"]
