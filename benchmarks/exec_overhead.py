"""What the engine itself costs: milliseconds a node on chains whose nodes do nothing.

Run as `python -m benchmarks.exec_overhead [lengths…]`. "check" validates, "run" plans, calls
every node and emits its events, "again" finds the target cached, "A,B,A" is the second A.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nodegraph.execution.engine import Engine
from nodegraph.execution.events import Event
from nodegraph.graph.graph import Graph
from tests.toys import chain_of, files_in, registry_of

REPEATS = 5


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def reseeded(graph: Graph, seed: int) -> Graph:
    """The same chain from another picture: nothing in it is shared."""
    first = graph.nodes["0"]
    return Graph({**graph.nodes, "0": replace(first, inputs={**first.inputs, "seed": seed})})


def measure(length: int, folder: Path) -> dict[str, float]:
    """Milliseconds a node, by what was measured, on an engine of its own."""
    engine = Engine(registry_of(), files_in(folder))
    graph, other = chain_of(length), reseeded(chain_of(length), 1)
    events: list[Event] = []
    times = {
        "check": seconds(lambda: engine.check(graph)),
        "run": seconds(lambda: engine.run(graph, emit=events.append)),
        "again": seconds(lambda: engine.run(graph)),
    }
    engine.run(other)
    times["A,B,A"] = seconds(lambda: engine.run(graph))
    assert engine.run(graph).executed == 0
    return {name: 1000 * found / length for name, found in times.items()}


def main(lengths: list[int]) -> None:
    """Print the best of some repeats for each length."""
    for length in lengths:
        found: list[dict[str, float]] = []
        for _ in range(REPEATS):
            with tempfile.TemporaryDirectory() as folder:
                found.append(measure(length, Path(folder)))
        best = {name: min(times[name] for times in found) for name in found[0]}
        shown = "  ".join(f"{name} {ms:.4f}" for name, ms in best.items())
        print(f"{length:>6} nodes, ms/node: {shown}")


if __name__ == "__main__":
    main([int(arg) for arg in sys.argv[1:]] or [300, 1_000, 10_000])
