"""The cost of an export, from an HTTP server to an S3 endpoint, compared with other ways to do it.

    make bench-export                      everything; half an hour, on a machine that does nothing else
    make bench-export BENCH="--rounds 1 --largest 1000000"

Each way runs in a fresh process, the ways in turn, so that a change of the machine's speed affects all of them; the round with
the least CPU counts, because disturbances only add time. It prints the tables and draws `docs/export-growth.svg`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks.report import table

MILLION: Final = 1_000_000
PICTURE: Final = Path(__file__).parents[2] / "docs" / "export-growth.svg"

Way = tuple[str, str]
"""A way's name and the reply's format."""

# The ways to compare, with the reply's format; dlt's plain way takes half a minute and is run once.
COMPARED: Final = (
    ("floor", "json"),
    ("jsonl", "json"),
    ("csv", "json"),
    ("parquet", "json"),
    ("jsonl", "xml"),
    ("plain", "json"),
    ("xmltodict_stream", "xml"),
    ("dlt_arrow", "json"),
)
GROWTH: Final = (10_000, 30_000, 100_000, 300_000, MILLION, 3 * MILLION, 10 * MILLION)

# The largest exports of each way: those that hold the whole reply in memory must not exhaust it.
GROWING: Final = {
    ("jsonl", "json"): 10 * MILLION,
    ("jsonl", "xml"): 10 * MILLION,
    ("parquet", "json"): 10 * MILLION,
    ("plain", "json"): 3 * MILLION,
    ("dlt_arrow", "json"): 3 * MILLION,
}


@dataclass(frozen=True)
class Figures:
    """One run: CPU and wall seconds, and the process's peak memory in MB."""

    cpu: float
    wall: float
    peak: float
    codes: int


@dataclass(frozen=True)
class Machine:
    """Runs ways between the two servers on this machine."""

    altcraft_port: str
    s3_port: str

    def run(self, way: str, wire: str, codes: int, *, slow: bool = False) -> Figures:
        """Run a way once."""
        command = [sys.executable, "-m", "tests.benchmarks.export_ways", way, wire, str(codes)]
        ports = [self.altcraft_port, self.s3_port, *(["slow"] if slow else [])]
        output = subprocess.run([*command, *ports], check=True, stdout=subprocess.PIPE, text=True).stdout
        figures = Figures(**json.loads(output.splitlines()[-1]))
        if figures.codes != codes:
            raise RuntimeError(f"{way} counted {figures.codes} codes of {codes}")
        return figures

    def best(self, ways: Sequence[Way], codes: int, rounds: int) -> dict[Way, Figures]:
        """Run the ways in turn, in several rounds; return the run of each way with the least CPU."""
        runs = [(way, self.run(*way, codes)) for _ in range(rounds) for way in ways]
        return {way: min((run for ran, run in runs if ran == way), key=lambda run: run.cpu) for way in ways}


@contextmanager
def machine() -> Iterator[Machine]:
    """Start the servers, and stop them at the end."""
    command = [sys.executable, "-m", "tests.benchmarks.export_servers"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as servers:
        assert servers.stdout is not None
        altcraft_port, s3_port = servers.stdout.readline().split()
        try:
            yield Machine(altcraft_port, s3_port)
        finally:
            servers.kill()


def print_comparison(found: dict[Way, Figures]) -> None:
    """Print the table of codes per CPU second, peak memory and the ratio to the floor."""
    floor = found["floor", "json"]
    rows = [
        (
            *(f"{way}, {wire}", f"{run.cpu:.2f}", f"{run.codes / run.cpu / MILLION:.2f}", f"{run.peak:.0f}"),
            f"{run.cpu / floor.cpu:.1f}",
        )
        for (way, wire), run in found.items()
    ]
    print("\n" + table(("way", "CPU s", "M codes per CPU s", "peak MB", "against the floor"), rows))


def print_ratios(found: dict[Way, Figures]) -> None:
    """Print the targets at 1 M codes, and the results."""

    def ratio(way: Way, other: Way) -> float:
        return found[way].cpu / found[other].cpu

    ours: Way = ("jsonl", "json")
    floor: Way = ("floor", "json")
    parquet: Way = ("parquet", "json")
    arrow: Way = ("dlt_arrow", "json")
    rows = [
        ("CPU of JSON to jsonl.gz against the floor", "<= 2.4", ratio(ours, floor)),
        ("CPU of the plain way against JSON to jsonl.gz", ">= 10", ratio(("plain", "json"), ours)),
        ("CPU of dlt, plain resource, against JSON to jsonl.gz", ">= 50", ratio(("dlt_jsonl", "json"), ours)),
        ("CPU of Parquet against dlt yielding Arrow", "<= 1", ratio(parquet, arrow)),
        ("memory of Parquet against dlt yielding Arrow", "<= 0.4", found[parquet].peak / found[arrow].peak),
        ("CPU of CSV against the floor", "<= 4", ratio(("csv", "json"), floor)),
        ("CPU of xmltodict against XML to jsonl.gz", ">= 5", ratio(("xmltodict_stream", "xml"), ("jsonl", "xml"))),
    ]
    print("\n" + table(("ratio", "to reach", "reached"), [(name, wanted, f"{got:.2f}") for name, wanted, got in rows]))


def print_growth(bench: Machine, largest: int, rounds: int) -> dict[Way, list[Figures]]:
    """Run the growing ways at every size; print the table of CPU per code and of memory."""
    grown: dict[Way, list[Figures]] = {way: [] for way in GROWING}
    for codes in (size for size in GROWTH if size <= largest):
        ways = [way for way, most in GROWING.items() if codes <= most]
        for way, run in bench.best(ways, codes, rounds if codes <= MILLION else max(1, rounds // 2)).items():
            grown[way].append(run)
    rows = [
        (f"{name}, {wire}", f"{run.codes:,}", f"{run.cpu / run.codes * 1e9:.0f}", f"{run.peak:.0f}")
        for (name, wire), runs in grown.items()
        for run in runs
    ]
    print("\n" + table(("way", "codes", "CPU ns a code", "peak MB"), rows))
    return grown


def print_limits(bench: Machine, largest: int) -> None:
    """Print the memory at the largest size, the growth of the CPU time, and the gain of overlapping the steps."""
    rows = []
    for wire in ("json", "xml"):
        some, most = bench.run("jsonl", wire, 10 * MILLION), bench.run("jsonl", wire, largest)
        sizes = f"10 M and {largest // MILLION} M codes, {wire}"
        rows.append((f"peak MB at {sizes}", "<= 115, within 5 %", f"{some.peak:.0f}, {most.peak:.0f}"))
    ours: Way = ("jsonl", "json")
    one, ten = (bench.best([ours], codes, 3)[ours] for codes in (MILLION, 10 * MILLION))
    rows.append(("CPU per code, 10 M against 1 M", "<= 1.15", f"{ten.cpu / one.cpu / 10:.2f}"))
    walls: dict[str, list[float]] = {"jsonl": [], "in_turn": []}
    for _ in range(3):
        for way, seen in walls.items():
            seen.append(bench.run(way, "json", 10 * MILLION, slow=True).wall)
    overlapped = min(walls["in_turn"]) / min(walls["jsonl"])
    rows.append(("wall time in turn against overlapped, S3 in 100 ms", ">= 1.3", f"{overlapped:.2f}"))
    print("\n" + table(("measure", "to reach", "reached"), rows))


def draw(grown: dict[Way, list[Figures]]) -> None:
    """Draw the growth."""
    import matplotlib as mpl
    from matplotlib import pyplot

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "altcraft", "font.size": 9})
    names = {
        ("jsonl", "json"): "JSON to jsonl.gz",
        ("jsonl", "xml"): "XML to jsonl.gz",
        ("parquet", "json"): "JSON to Parquet",
        ("plain", "json"): "requests, json, gzip, put_object",
        ("dlt_arrow", "json"): "dlt yielding Arrow",
    }
    figure, (time_axes, memory_axes) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for way, runs in grown.items():
        style = "--" if way[0] in ("plain", "dlt_arrow") else "-"
        sizes = [run.codes for run in runs]
        time_axes.loglog(sizes, [run.cpu for run in runs], style, marker=".", label=names[way])
        memory_axes.loglog(sizes, [run.peak for run in runs], style, marker=".", label=names[way])
    time_axes.set(title="CPU seconds", xlabel="codes")
    memory_axes.set(title="Peak memory, MB", xlabel="codes")
    for axes in (time_axes, memory_axes):
        axes.grid(visible=True, which="major", alpha=0.3)
    time_axes.legend(frameon=False)
    figure.savefig(PICTURE, metadata={"Date": None})
    print(f"\ndrawn: {PICTURE.name}")


def main() -> None:
    """Measure, print, draw."""
    options = argparse.ArgumentParser(description="Measure the export, and other ways to compare.")
    options.add_argument("--rounds", type=int, default=5, help="rounds of the comparison (default 5)")
    options.add_argument("--largest", type=int, default=50 * MILLION, help="codes of the largest export (default 50 M)")
    chosen = options.parse_args()
    with machine() as bench:
        found = bench.best(COMPARED, MILLION, chosen.rounds)
        found["dlt_jsonl", "json"] = bench.run("dlt_jsonl", "json", MILLION)
        print_comparison(found)
        print_ratios(found)
        draw(print_growth(bench, min(chosen.largest, GROWTH[-1]), chosen.rounds))
        if chosen.largest > 10 * MILLION:
            print_limits(bench, chosen.largest)


if __name__ == "__main__":
    main()
