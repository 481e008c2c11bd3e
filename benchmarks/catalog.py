"""The benchmarks by their names, found without importing them."""

import ast
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Protocol

from benchmarks.report import Report

_FOLDER = Path(__file__).parent
PLACES: Mapping[str, str] = {
    "exec_overhead": "benchmarks.cpu.exec_overhead",
    "cached_rerun": "benchmarks.cpu.cached_rerun",
    "server_throughput": "benchmarks.cpu.server_throughput",
    "dedupe": "benchmarks.cpu.dedupe",
    "load": "benchmarks.cpu.load",
    "cold_start": "benchmarks.cpu.cold_start",
    "warm_start": "benchmarks.cpu.warm_start",
    "batch_tiny": "benchmarks.cpu.batch_tiny",
    "host_cpu": "benchmarks.cpu.host_cpu",
    "cancel": "benchmarks.cpu.cancel",
    "crowd": "benchmarks.cpu.crowd",
    "overlap": "benchmarks.cpu.overlap",
    "sharing": "benchmarks.cpu.sharing",
    "placement": "benchmarks.cpu.placement",
    "latency": "benchmarks.gpu.latency",
    "throughput": "benchmarks.gpu.throughput",
    "memory_pressure": "benchmarks.gpu.memory_pressure",
    "gpu": "benchmarks.gpu.gpu",
}
"""The module of each benchmark."""


class Benchmark(Protocol):
    """The contents of a benchmark's module."""

    def add_options(self, parser: ArgumentParser) -> None:
        """Declare its own options."""
        ...

    def measure(self, options: Namespace, report: Report) -> None:
        """Measure, and report each figure when it is known."""
        ...


def benchmark(name: str) -> Benchmark:
    """Import a benchmark.

    Raises:
        KeyError: there is none of that name.
    """
    return resolve_name(PLACES[name])


def description(name: str) -> str:
    """Return the docstring of a benchmark's module.

    Raises:
        KeyError: there is none of that name.
    """
    path = _FOLDER.joinpath(*PLACES[name].split(".")[1:]).with_suffix(".py")
    return ast.get_docstring(ast.parse(path.read_text())) or ""


def summary(name: str) -> str:
    """Return the first sentence of it.

    Raises:
        KeyError: there is none of that name.
    """
    return " ".join(description(name).partition("\n\n")[0].split())
