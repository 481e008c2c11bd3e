"""The cost of the engine itself: milliseconds a node in graphs whose nodes do nothing.

In this process, for chains and for a wide graph of toy nodes: "check" validates, "run" plans, calls
every node and emits its events; both the best of some repeats. Over HTTP, for chains of built-in
nodes on an image of 16 by 16 pixels and a wide graph of them: the time from the submission to the
message that the prompt is done, median of fresh prompts.
"""

import asyncio
import statistics
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.clients import Listener, Prompt, chain, fan
from benchmarks.report import Report
from benchmarks.timing import seconds
from nodegraph.execution.engine import Engine
from nodegraph.execution.events import Event
from nodegraph.graph.graph import Graph, Link, Node
from tests.server.serving import serving
from tests.toys import BLANK, chain_of, files_in, registry_of

LENGTHS = (2, 10, 100, 300, 1_000)
RATIOS = {10: 3, 100: 10, 300: 100}
"""How many times as fast as ComfyUI a chain of that length should be."""
WIDE = 300
REPEATS = 10
MOST_MS = 0.05


def add_options(parser: ArgumentParser) -> None:
    """Declare its own options."""
    parser.add_argument("--lengths", type=int, nargs="+", default=list(LENGTHS), help="of chains")
    parser.add_argument("--prompts", type=int, default=7, help="of each length, over HTTP")
    parser.add_argument("--comfyui", metavar="URL", help="a running ComfyUI to compare with")


def measure(options: Namespace, report: Report) -> None:
    """Measure, and report each figure when it is known."""
    for length in options.lengths:
        check, run = best(chain_of(length))
        report.add(f"in process, chain of {length}: check", check, "ms/node")
        goal = f"<= {MOST_MS}" if length >= 100 else ""
        report.add(f"in process, chain of {length}: run", run, "ms/node", goal)
    check, run = best(wide_of(WIDE))
    report.add(f"in process, wide graph of {WIDE}: check", check, "ms/node")
    report.add(f"in process, wide graph of {WIDE}: run", run, "ms/node", f"<= {MOST_MS}")
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server:
        asyncio.run(
            over_http({"nodegraph": server.url, "ComfyUI": options.comfyui}, options, report)
        )


def best(graph: Graph) -> tuple[float, float]:
    """Return the milliseconds a node of `check` and of `run`, the least of some repeats."""
    events: list[Event] = []
    found: list[tuple[float, float]] = []
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            engine = Engine(registry_of(), files_in(Path(folder)))
            check = seconds(lambda engine=engine: engine.check(graph))
            run = seconds(lambda engine=engine: engine.run(graph, emit=events.append))
            found.append((check, run))
    least = [min(times) * 1000 / len(graph.nodes) for times in zip(*found, strict=True)]
    return least[0], least[1]


def wide_of(count: int) -> Graph:
    """Return a graph of about so many toy nodes: many read one picture, and each is shown."""
    nodes = {"0": Node("0", "Blank", BLANK)}
    for number in range(count // 2):
        nodes[f"p{number}"] = Node(f"p{number}", "Pass", {"image": Link("0", 0)})
        nodes[f"s{number}"] = Node(f"s{number}", "Show", {"value": Link(f"p{number}", 0)})
    return Graph(nodes)


async def over_http(urls: dict[str, str | None], options: Namespace, report: Report) -> None:
    """Report the milliseconds a prompt of each server, and their ratios."""
    colors = iter(range(1, 1 << 24))
    makers: list[tuple[int, str, Callable[[int], Prompt]]] = [
        (length, f"chain of {length}", lambda color, length=length: chain(length, color))
        for length in options.lengths
    ]
    makers.append((0, f"wide graph of {2 * WIDE // 3}", lambda color: fan(WIDE // 3, color)))
    for length, name, make in makers:
        found: dict[str, float] = {}
        for server, url in urls.items():
            if url is None or (server == "ComfyUI" and length > 300):
                continue  # ComfyUI refuses longer ones: validation recurses
            ms = await milliseconds(url, make, colors, options.prompts)
            found[server] = report.add(f"HTTP, {name}: {server}", ms, "ms/prompt")
        if "ComfyUI" in found:
            goal = f">= {RATIOS[length]}" if length in RATIOS else ""
            report.add(f"HTTP, {name}", found["ComfyUI"] / found["nodegraph"], "x", goal)


async def milliseconds(
    url: str, make: Callable[[int], Prompt], colors: Iterable[int], count: int
) -> float:
    """Return the median of some prompts that share nothing, after one to warm up."""
    async with Listener.connect(url) as client:
        taken: list[float] = []
        for color, _ in zip(colors, range(count + 1), strict=False):
            taken.append((await client.run(make(color))).seconds)
    return statistics.median(taken[1:]) * 1000
