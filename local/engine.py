"""The laptop's AWS: a ministack process on a free port, with a fixed fake account. It ends with the process that started it.

ministack pins one version of botocore, so it runs in an environment of its own, `.venv-engine`, by `local.engine_process`.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import boto3
import urllib3
from botocore.config import Config

from local.address import reachable

ACCOUNT: Final = "123456789012"
REGION: Final = "eu-central-1"
CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_SESSION_TOKEN": "local"}
"""Any others are accepted too, and belong to the account above. Only presigned links are checked against these."""

START_SECONDS: Final = 60
STOP_SECONDS: Final = 10
STANDARD_ERROR: Final = 2

_ROOT: Final = Path(__file__).parents[1]
_PYTHON: Final = _ROOT / ".venv-engine" / "bin" / "python"


class EngineError(Exception):
    """The AWS does not start; the message names the reason."""


class Aws:
    """S3, SQS, DynamoDB, Lambda and the rest on a port of this machine, from `start` to `stop` or as a context manager.

    Its output goes to the file descriptor `log`. It and its functions write into `folder`, which `stop` removes.
    """

    folder: Path

    def __init__(self, host: str = "127.0.0.1", log: int = STANDARD_ERROR) -> None:
        self.host = host
        self.log = log
        self.endpoint_url = ""

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which any AWS SDK uses this AWS, and neither the engineer's profile nor an instance's role."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            **CREDENTIALS,
        }

    @property
    def pid(self) -> int:
        """The engine's process id; the functions' processes are in its process group."""
        return self._process.pid

    @property
    def settings(self) -> dict[str, str]:
        """The engine's own variables, which its functions must not see."""
        port = self.endpoint_url.rpartition(":")[2]
        return {
            "GATEWAY_PORT": port,
            "MINISTACK_HOST": reachable(self.host),
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MINISTACK_REGION": REGION,
            "S3_DATA_DIR": f"{self.folder}/s3",
            "STATE_DIR": f"{self.folder}/state",
            "LOG_LEVEL": "ERROR",
            # As in an AWS account. The default depends on the machine's memory, and further invocations are refused.
            "LAMBDA_ACCOUNT_CONCURRENCY": "1000",
            "LAMBDA_WARM_TTL_SECONDS": "60",
            # Not needed: servers of other protocols, and Docker, in which the engine would remove its containers.
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "DOCKER_HOST": f"unix://{self.folder}/no-docker",
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
        """Start the engine and wait until it serves. Raises EngineError where it does not."""
        if not _PYTHON.exists():
            raise EngineError(f"there is no engine in {_PYTHON.parents[1]}: `make install` makes it")
        # The open socket is handed over, so that no other process can take the port in between.
        with socket.create_server((self.host, 0), backlog=512) as listening:
            self.endpoint_url = f"http://{reachable(self.host)}:{listening.getsockname()[1]}"
            self.folder = Path(tempfile.mkdtemp(prefix="altcraft-aws-"))
            self._process = subprocess.Popen(
                # -P keeps this folder's modules out of that environment.
                [_PYTHON, "-P", Path(__file__).with_name("engine_process.py"), str(listening.fileno())],
                env={"PATH": os.environ["PATH"], "TMPDIR": str(self.folder), **self.environment, **self.settings},
                stdin=subprocess.PIPE,
                stdout=self.log,
                stderr=self.log,
                pass_fds=[listening.fileno()],
                start_new_session=True,  # Ctrl-C is for the stack, which then ends this process
            )
        try:
            urllib3.request("GET", f"{self.endpoint_url}/_ministack/ready", timeout=START_SECONDS, retries=False)
        except urllib3.exceptions.HTTPError as error:
            self._kill()
            raise EngineError(f"the AWS (ministack) did not start; its own message is above: {error}") from error
        except BaseException:  # an interrupt must not leave the process behind
            self._kill()
            raise
        return self

    def stop(self) -> None:
        """Let the functions' processes exit, then kill the engine; everything in it is lost."""
        with suppress(urllib3.exceptions.HTTPError):
            urllib3.request("POST", f"{self.endpoint_url}/_ministack/reset", timeout=STOP_SECONDS, retries=False)
        self._kill()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
