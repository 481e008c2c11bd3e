"""Images a second of queued prompts: one after another, in batches, and merged.

For each family, prompts that are encoded already and differ in their seeds: one after another,
each a batch of 4 or of 8, and several at once whose model calls are merged (the setting `merge`);
then prompts of three sizes in turn, one after another and merged. Sampling and decoding are in it.
"""

import statistics
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count, cycle
from typing import NamedTuple, TypeAlias

from benchmarks.engines import Picture, engine_in, run_all, text_to_image
from benchmarks.gpu.device_clock import TimeBudget, device_seconds
from benchmarks.gpu.families import FAMILIES, Family, write_checkpoint
from benchmarks.gpu.space import add_space_options, open_space
from benchmarks.report import Report
from nodegraph.execution.engine import Engine
from nodegraph.graph.graph import Graph

USUAL = ("SD-Turbo", "SDXL-Turbo")
BATCHES, AT_ONCE = (1, 4, 8), (4, 8)
SIZES = (1.0, 1.25, 1.5)
"""Of the mixed prompts, beside the usual size."""
IMAGES_A_SECOND = {"SD-Turbo": 100}
ROUNDS = 3
_TINY_IMAGES = 8
Make: TypeAlias = Callable[[Picture], Graph]
"""Returns a graph with a seed of its own."""


class Way(NamedTuple):
    """A way to make queued images."""

    name: str
    pictures: Sequence[Picture]
    """Taken in turn."""
    at_once: int = 1


def add_options(parser: ArgumentParser) -> None:
    """Declare its own options."""
    parser.add_argument("--families", nargs="+", choices=list(FAMILIES), default=list(USUAL))
    parser.add_argument("--images", type=int, default=32, help="queued")
    parser.add_argument("--seconds", type=float, default=240.0, help="for all families together")
    add_space_options(parser)


def measure(options: Namespace, report: Report) -> None:
    """Measure, and report each figure when it is known."""
    budget = TimeBudget(options.seconds)
    with open_space(options) as models:
        for name in options.families:
            family = FAMILIES[name]
            write_checkpoint(models, family, tiny=options.tiny)
            engines = {merge: engine_in(models / "work", models, merge=merge) for merge in (0, 1)}
            rates: dict[str, float] = {}
            seeds = count()

            def make(
                picture: Picture, family: Family = family, seeds: "count[int]" = seeds
            ) -> Graph:
                return text_to_image(family.checkpoint(), next(seeds), picture)

            for way in ways(family.picture(tiny=options.tiny)):
                if rates and budget.left == 0:
                    report.keep(f"{name}, {way.name}: left out", "no time was left")
                    continue
                rate = rate_of(engines[way.at_once > 1], way, options, make)
                rates[way.name] = report.add(f"{name}: {way.name}", rate, "images/s")
            compare(name, rates, report, tiny=options.tiny)
            for engine in engines.values():
                engine.free()


def ways(usual: Picture) -> list[Way]:
    """Return the ways that are compared."""
    mixed = [replace(usual, size=int(usual.size * each) // 16 * 16) for each in SIZES]
    return [
        *(Way(f"batches of {each}", [replace(usual, batch=each)]) for each in BATCHES),
        *(Way(f"merged, {each} at once", [usual], each) for each in AT_ONCE),
        Way("mixed sizes", mixed),
        *(Way(f"mixed sizes, merged, {each} at once", mixed, each) for each in AT_ONCE[-1:]),
    ]


def rate_of(engine: Engine, way: Way, options: Namespace, make: Make) -> float:
    """Return the images a second, the median of some rounds after one that warms up."""
    batch = way.pictures[0].batch
    times: list[float] = []
    for _ in range(2 if options.tiny else ROUNDS + 1):
        pictures = cycle(way.pictures)
        number = max(1, (_TINY_IMAGES if options.tiny else options.images) // batch)
        graphs = [make(next(pictures)) for _ in range(number)]
        work = device_seconds(
            lambda graphs=graphs: run_all(engine, graphs, "decode", at_once=way.at_once)
        )
        times.append(work / (number * batch))
    return 1 / statistics.median(times[1:])


def compare(name: str, rates: dict[str, float], report: Report, *, tiny: bool) -> None:
    """Report the best rate beside its goal, and the merged ones beside one after another."""
    serial = rates[f"batches of {BATCHES[0]}"]
    goal = f">= {IMAGES_A_SECOND[name]}" if name in IMAGES_A_SECOND and not tiny else ""
    report.add(f"{name}: best", max(rates.values()), "images/s", goal)
    merged = [rate for way, rate in rates.items() if way.startswith("merged")]
    if merged:
        least = "" if tiny else ">= 1"
        report.add(f"{name}: merged beside one after another", min(merged) / serial, "x", least)
