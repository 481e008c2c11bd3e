"""All benchmarks of full-size models one after the other, in less than 25 minutes.

Each is a process of its own with a time of its own, and writes its figures as they come, so that
what was measured stays if one fails. They share the files with random weights, which lie in memory
where there is such a folder (45 GB at most at one time).
"""

import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace

from benchmarks.gpu.families import FAMILIES
from benchmarks.gpu.memory_pressure import MODELS
from benchmarks.gpu.space import add_space_options, open_space
from benchmarks.gpu.throughput import USUAL
from benchmarks.report import Report

SECONDS = {"latency": 780, "throughput": 240, "memory_pressure": 240}
SLACK = 90
"""Seconds that a part may take beyond its own: its start, and what it has begun."""
MOST = 25 * 60


def add_options(parser: ArgumentParser) -> None:
    """Declare its own options."""
    parser.add_argument("--parts", nargs="+", choices=list(SECONDS), default=list(SECONDS))
    add_space_options(parser)


def measure(options: Namespace, report: Report) -> None:
    """Run the parts, and report the seconds of each."""
    begin = time.monotonic()
    later = [*USUAL, *MODELS]
    kept = sorted({FAMILIES[name].model for name in later})
    with open_space(options) as models:
        for part in options.parts:
            start = time.monotonic()
            command = [sys.executable, "-m", "benchmarks", part, "--models", str(models)]
            command += ["--results", str(report.path.parent), "--seconds", str(SECONDS[part])]
            command += ["--tiny"] * options.tiny + ["--keep", *kept]
            report.keep(f"{part}: ended", run(command, SECONDS[part] + SLACK))
            report.add(f"{part}: seconds", time.monotonic() - start, "s")
    report.add("all parts", time.monotonic() - begin, "s", f"<= {MOST}")


def run(command: list[str], seconds: float) -> str:
    """Run a command; returns how it ended."""
    try:
        code = subprocess.run(command, check=False, timeout=seconds).returncode
    except subprocess.TimeoutExpired:
        return f"stopped after {seconds:.0f} s"
    return "as it should" if code == 0 else f"with code {code}"
