"""Cold start: CPU time and memory from a started runtime to a function that is ready, compared with the libraries it needs.

`python -m tests.benchmarks.cold_start`. Every start is a fresh process on Lambda's Python, all bytecode compiled; each
round runs every start once, and the medians of the rounds are printed. Lambda's runtime client is loaded before the
clock starts, so that a bare handler takes 0 ms and every other figure is the difference to it. "Ready" means: the handler is
imported, and the objects that the entry point needs are made, its AWS client included.
"""

import statistics
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.report import table
from tests.runtime.parts import ROOT, Build, Runtime

ROUNDS = 15

LOGGER = "from aws_lambda_powertools import Logger; Logger(service='x')"
REQUESTS = "import requests; requests.Session()"


def clients(*services: str) -> str:
    """The statements that make clients of AWS services, in the cheapest documented way."""
    made = "; ".join(f"session.create_client('{service}')" for service in services)
    return f"import botocore.session; session = botocore.session.Session(); {made}"


def usual(*services: str) -> str:
    """A usual handler up to its first line, as the libraries' documentation shows it."""
    return f"""
import boto3, requests
from pydantic import BaseModel
from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities import parameters
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent
from aws_lambda_powertools.utilities.validation import validator
class Order(BaseModel):
    code: str
    loyalty_id: int
logger, tracer, session = Logger(service='x'), Tracer(service='x'), requests.Session()
persistence, config = DynamoDBPersistenceLayer(table_name='x'), IdempotencyConfig()
clients = [boto3.client(service) for service in {services}]
"""


@dataclass(frozen=True)
class Start:
    """A way to start. `function`: the one whose build and layer are used; "" for the usual handler's environment."""

    code: str
    function: str = "ActivateFunction"


@dataclass(frozen=True)
class EntryPoint:
    """An entry point, ready; the libraries that it cannot do without, in one process; and a usual handler for the same job."""

    name: str
    ready: Start
    needs: Start
    usual: Start
    bounds: tuple[float, float] | None = None
    """The targets: the largest ratios to the usual handler, and to the needs."""


WEBHOOK = "from activate import app; app._intake()"
ACTIVATE = "from activate import app; app._acts()"
EXPORT = "from export_all import app; app._exporter()"

ENTRY_POINTS = (
    EntryPoint(
        "activate: webhook",
        Start(WEBHOOK),
        Start(f"{LOGGER}; {clients('sqs')}"),
        Start(usual("sqs"), ""),
        (0.4, 1.2),
    ),
    EntryPoint(
        "activate: webhook, and the client that reads its sources",
        Start(f"{WEBHOOK}; app.aws.client('secretsmanager')"),
        Start(f"{LOGGER}; {clients('sqs', 'secretsmanager')}"),
        Start(usual("sqs", "secretsmanager"), ""),
    ),
    EntryPoint(
        "activate: API, queue",
        Start(ACTIVATE),
        Start(f"{LOGGER}; {REQUESTS}; {clients('dynamodb')}"),
        Start(usual("dynamodb"), ""),
        (0.38, 1.2),
    ),
    EntryPoint(
        "export_all: run",
        Start(EXPORT, "ExportAllFunction"),
        Start(f"{LOGGER}; {REQUESTS}; {clients('s3')}"),
        Start(usual("s3"), ""),
        (0.5, 1.2),
    ),
)

LIBRARIES = {
    "Powertools Logger": LOGGER,
    "Powertools Metrics": "from aws_lambda_powertools import single_metric",
    "msgspec": "import msgspec",
    "isal": "from isal import isal_zlib",
    "jmespath": "import jmespath",
    "xmltodict": "import xmltodict",
    "requests": REQUESTS,
    "botocore, no client": "import botocore.session",
    "one SQS client (botocore)": clients("sqs"),
    "one SQS client (boto3)": "import boto3; boto3.client('sqs')",
    "one S3 client (botocore)": clients("s3"),
    "Powertools Batch": "from aws_lambda_powertools.utilities.batch import BatchProcessor",
    "Powertools Parameters (not ours)": "from aws_lambda_powertools.utilities import parameters",
}
FOREIGN = {
    "Powertools Idempotency (not ours)": "from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer",
    "pydantic (not ours)": "import pydantic",
    "Powertools Tracer (not ours)": "from aws_lambda_powertools import Tracer; Tracer(service='x')",
}

ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONWARNINGS": "ignore",  # requests warns that the library that guesses encodings is missing
    "ALTCRAFT_URL": "https://example.altcraft.com",
    **dict.fromkeys(("ALTCRAFT_SECRET_ID", "SOURCES_SECRET_ID", "REDEMPTIONS_TABLE", "EXPORT_BUCKET"), "x"),
    **dict.fromkeys(("ACTIVATION_QUEUE_URL", "DEAD_LETTER_QUEUE_URL"), "https://sqs.eu-central-1.amazonaws.com/1/x"),
}

_CLOCKED = """
import awslambdaric.bootstrap, resource, time
started = time.process_time()
{}
print(time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@dataclass(frozen=True)
class Cost:
    """CPU milliseconds more than a bare handler, and the process's peak resident memory in MB."""

    cpu_ms: float
    memory_mb: float


class Bench:
    """Runs starts in fresh processes."""

    def __init__(self, runtime: Runtime, usual_python: Path, build: Build) -> None:
        self._runtime = runtime
        self._usual_python = usual_python
        self._build = build

    def once(self, start: Start) -> Cost:
        """Start once."""
        python, path = self._usual_python, ""
        if start.function:
            python = self._runtime.python
            path = f"{self._build.task(start.function)}:{self._build.layer / 'python'}"
        output = subprocess.run(
            [python, "-c", _CLOCKED.format(start.code)],
            env={**ENVIRONMENT, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        seconds, megabytes = map(float, output.split())
        return Cost(seconds * 1000, megabytes)

    def rounds(self, starts: Mapping[str, Start]) -> "Rounds":
        """Start each, round after round, so that a slow moment of the machine affects all."""
        for start in starts.values():
            self.once(start)  # reads every file once
        return Rounds([{name: self.once(start) for name, start in starts.items()} for _ in range(ROUNDS)])


@dataclass(frozen=True)
class Rounds:
    """The costs by name, one mapping per round."""

    costs: Sequence[Mapping[str, Cost]]

    def median(self, name: str) -> Cost:
        """The median cost of a start."""
        found = [one[name] for one in self.costs]
        return Cost(
            statistics.median(cost.cpu_ms for cost in found), statistics.median(cost.memory_mb for cost in found)
        )

    def ratio(self, name: str, other: str) -> float:
        """The ratio of two starts' CPU times: the median of the ratios of each round."""
        return statistics.median(one[name].cpu_ms / one[other].cpu_ms for one in self.costs)


def main() -> None:
    """Build, measure, print."""
    runtime, usual_python = Runtime.find(), ROOT / ".venv-usual/bin/python"
    starts = {"a bare handler": Start("def handler(event, context): return None")}
    for entry in ENTRY_POINTS:
        starts |= {entry.name: entry.ready, f"{entry.name} needs": entry.needs, f"{entry.name} usual": entry.usual}
    starts |= {name: Start(code) for name, code in LIBRARIES.items()}
    starts |= {name: Start(code, "") for name, code in FOREIGN.items()}
    with tempfile.TemporaryDirectory() as folder:
        build = Build.make(Path(folder) / "build")
        layer_mb = sum(file.stat().st_size for file in build.layer.rglob("*") if file.is_file()) / 1e6
        rounds = Bench(runtime, usual_python, build).rounds(starts)

    print(f"\nCold start to ready above a bare handler; medians of {ROUNDS} fresh processes")
    print(
        table(
            ("entry point", "CPU ms", "MB", "usual ms", "of usual", "to reach", "needs ms", "of needs", "to reach"),
            [_row(entry, rounds) for entry in ENTRY_POINTS],
        )
    )
    print("\nEach library alone, in the same run")
    alone = ("a bare handler", *LIBRARIES, *FOREIGN)
    print(table(("library", "CPU ms", "MB"), [(name, *_cells(rounds.median(name))) for name in alone]))
    print(f"\nThe layer unzipped: {layer_mb:.1f} MB; to reach: at most 20")


def _row(entry: EntryPoint, rounds: Rounds) -> list[str]:
    bounds = [f"≤ {bound}" for bound in entry.bounds] if entry.bounds else ["", ""]
    against = [f"{entry.name} usual", f"{entry.name} needs"]
    compared = [
        (f"{rounds.median(other).cpu_ms:.0f}", f"{rounds.ratio(entry.name, other):.2f}", bound)
        for other, bound in zip(against, bounds, strict=True)
    ]
    return [entry.name, *_cells(rounds.median(entry.name)), *compared[0], *compared[1]]


def _cells(cost: Cost) -> tuple[str, str]:
    return f"{cost.cpu_ms:.0f}", f"{cost.memory_mb:.0f}"


if __name__ == "__main__":
    main()
