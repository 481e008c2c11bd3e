"""Processor time until a fresh process answers: `--help`, `validate`, and the server's HTTP.

Medians of several processes each. The server's is its own processor time and memory when
`/healthz` first answers; its worker imports torch beside it, and is not in it.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

from benchmarks.machine import children_seconds, memory, processor
from benchmarks.report import Report
from tests.server.serving import WORKFLOWS, serving

COMMANDS = {
    "--help": (["--help"], 0.1),
    "validate": (["validate", str(WORKFLOWS / "txt2img.json")], 0.3),
}
"""The arguments of each command, and the most processor seconds that it should take."""
HEALTHZ = 0.5


def add_options(parser: ArgumentParser) -> None:
    """Declare its own options."""
    parser.add_argument("--rounds", type=int, default=11, help="processes of each kind")


def measure(options: Namespace, report: Report) -> None:
    """Measure, and report each figure when it is known."""
    for name, (arguments, most) in COMMANDS.items():
        found = [command(arguments) for _ in range(options.rounds + 1)][1:]
        cpu, wall = (statistics.median(times) for times in zip(*found, strict=True))
        report.add(f"{name}: processor time", cpu, "s", f"<= {most}")
        report.add(f"{name}: wall time", wall, "s")
    cpus: list[float] = []
    sizes: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            with serving(Path(folder), ready=False) as server:
                server.get("/healthz")
                cpus.append(processor(server.process.pid))
                sizes.append(memory(server.process.pid))
    report.add("server: processor time", statistics.median(cpus), "s", f"<= {HEALTHZ}")
    report.add("server: memory", statistics.median(sizes), "MiB")


def command(arguments: list[str]) -> tuple[float, float]:
    """Return the processor and the wall seconds of a fresh process of `nodegraph`."""
    before, begin = children_seconds(), time.perf_counter()
    line = [sys.executable, "-m", "nodegraph", *arguments]
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    return children_seconds() - before, time.perf_counter() - begin
