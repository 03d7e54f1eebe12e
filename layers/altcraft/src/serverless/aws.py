"""botocore clients: made on first use, kept for the life of the sandbox.

botocore without boto3 on top, because a start-up pays for each module, and nothing here needs boto3's resources.
"""

from __future__ import annotations

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
    return _session().create_client(service, config=_CONFIG)


@cache
def _session() -> Session:
    session = Session()
    session.register_component("data_loader", _OurServices())
    return session


class _OurServices(Loader):
    """botocore's models of services. To know whether it has one, the original looks into 400 folders: a tenth of a start."""

    def list_available_services(self, type_name: str) -> list[str]:
        return ["dynamodb", "lambda", "s3", "secretsmanager", "sqs"]
