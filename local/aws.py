"""The embedded AWS: moto over HTTP, on a fixed make-believe account."""

import os
import subprocess
import sys
from typing import Any, Self

import boto3
from botocore.config import Config

from local.http import address

ACCOUNT = "123456789012"  # moto's own
REGION = "eu-central-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_SESSION_TOKEN": "local"}


class Aws:
    """S3, SQS, DynamoDB and Secrets Manager on a port of this machine, from `start` to `stop` or as a context manager."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self.endpoint_url = ""

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which any AWS SDK finds this AWS."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            # Neither the engineer's own profile nor an instance's role may ever be asked.
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            **CREDENTIALS,
        }

    def client(self, service: str, **config: Any) -> Any:
        """Make a boto3 client of this AWS; `config` goes into botocore's Config. Typed by whoever asks."""
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint_url,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=CREDENTIALS["AWS_SESSION_TOKEN"],
            config=Config(**config),
        )

    def start(self) -> Self:
        """Start moto and wait until it listens. Raises RuntimeError where it does not."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "local.moto_process", self.host],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the stack, which then ends this process
        )
        assert self._process.stdout is not None  # noqa: S101 - it was asked for above
        port = self._process.stdout.readline().strip()
        if not port:
            self.stop()
            raise RuntimeError("the embedded AWS (moto) did not start; its own message is above")
        self.endpoint_url = address(self.host, int(port))
        return self

    def stop(self) -> None:
        """Stop moto; all it held is gone."""
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
