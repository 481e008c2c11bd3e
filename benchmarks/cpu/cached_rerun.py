"""The cost of a prompt whose results are there: nothing is computed again.

In this process, for a chain of toy nodes: "again" is an identical graph, "A, B, A" the first of two
graphs after the second. Over HTTP the same for a chain of 100 built-in nodes: nodes that were
computed, and milliseconds from the submission to the message that the prompt is done.
"""

import asyncio
import statistics
import tempfile
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path

from benchmarks.clients import Answer, Listener, chain
from benchmarks.report import Report
from benchmarks.timing import seconds
from nodegraph.execution.engine import Engine
from nodegraph.graph.graph import Graph
from tests.server.serving import serving
from tests.toys import chain_of, files_in, registry_of

REPEATS = 10
RATIO = 20
"""How many times as fast as ComfyUI a prompt is whose results are there."""


def add_options(parser: ArgumentParser) -> None:
    """Declare its own options."""
    parser.add_argument("--length", type=int, default=100, help="of the chain")
    parser.add_argument("--comfyui", metavar="URL", help="a running ComfyUI to compare with")


def measure(options: Namespace, report: Report) -> None:
    """Measure, and report each figure when it is known."""
    again, aba, computed = zip(*(in_process(options.length) for _ in range(REPEATS)), strict=True)
    report.add("in process: again", min(again), "ms/node")
    report.add("in process: A, B, A", min(aba), "ms/node")
    report.add("in process: nodes computed again", max(computed), "nodes", "<= 0")
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server:
        asyncio.run(over_http(server.url, options, report))


def in_process(length: int) -> tuple[float, float, int]:
    """Return the milliseconds a node again and in A, B, A, and the nodes that were computed."""
    graph = chain_of(length)
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(registry_of(), files_in(Path(folder)))
        engine.run(graph)
        again = seconds(lambda: engine.run(graph))
        engine.run(reseed(graph, 1))
        aba = seconds(lambda: engine.run(graph))
        computed = engine.run(graph).executed
    return again * 1000 / length, aba * 1000 / length, computed


def reseed(graph: Graph, seed: int) -> Graph:
    """Return the same chain from another picture: nothing in it is shared."""
    first = graph.nodes["0"]
    return Graph({**graph.nodes, "0": replace(first, inputs={**first.inputs, "seed": seed})})


async def over_http(url: str, options: Namespace, report: Report) -> None:
    """Report each server's nodes computed again and times, and the ratio of the times."""
    medians: dict[str, float] = {}
    for name, place in (("nodegraph", url), ("ComfyUI", options.comfyui)):
        if place is None:
            continue
        first, again, aba = await resubmit(place, options.length)
        ours = name == "nodegraph"
        report.add(f"HTTP: {name}, first time", first.seconds * 1000, "ms/prompt")
        medians[name] = statistics.median(answer.seconds for answer in again) * 1000
        report.add(f"HTTP: {name}, again", medians[name], "ms/prompt")
        for what, computed in (("again", max(one.executed for one in again)), ("A, B, A", aba)):
            goal = "<= 0" if ours else ""
            report.add(f"HTTP: {name}, {what}: nodes computed", computed, "nodes", goal)
    if "ComfyUI" in medians:
        ratio = medians["ComfyUI"] / medians["nodegraph"]
        report.add("HTTP: again", ratio, "x", f">= {RATIO}")


async def resubmit(url: str, length: int) -> tuple[Answer, list[Answer], int]:
    """Return the first answer, those of repeats, and the nodes computed for A after B."""
    async with Listener.connect(url) as client:
        await client.run(chain(length, 1))
        first = await client.run(chain(length, 2))
        again = [await client.run(chain(length, 2)) for _ in range(REPEATS)]
        await client.run(chain(length, 3))
        aba = await client.run(chain(length, 2))
    return first, again, aba.executed
