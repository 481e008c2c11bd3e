"""Prompts of two models in turn that do not fit together: bytes moved, seconds, peak, and failures.

FLUX.1-dev and SDXL with a budget of 24 GB for weights (`memory_budget`), each prompt with a new
text, so that text encoders work, too. Bytes are counted in a round of their own, since counting
takes time. Beside them are the bytes of whole networks that the least recently used leave for
(computed for the same order of uses), and the least that any choice moves: what does not fit.
"""

import statistics
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import count
from typing import NamedTuple, cast

import torch

from benchmarks.engines import engine_in, text_to_image
from benchmarks.gpu.copies import CopyCounter
from benchmarks.gpu.device_clock import TimeBudget, device_seconds
from benchmarks.gpu.families import FAMILIES, Family, write_checkpoint
from benchmarks.gpu.space import add_space_options, open_space
from benchmarks.report import Report
from nodegraph.execution.engine import Engine
from nodegraph.execution.events import Event, Notice
from nodegraph.runtime.devices import default_device, has_own_memory
from nodes.models.loading.handles import ClipHandle, ModelHandle, VaeHandle
from nodes.models.loading.network import Network

MODELS = ("FLUX.1-dev", "SDXL")
BUDGET = 24e9
FULL_BYTES = 40.7e9
"""The weights of both models at full size; tiny ones get the same share of theirs."""
OUT_OF_MEMORY = "out of memory"


class Alternation(NamedTuple):
    """Prompts of several models, one after another."""

    engine: Engine
    families: Sequence[Family]
    steps: int
    tiny: bool
    notices: list[str]
    texts: "count[int]"

    def round(self) -> list[float]:
        """Make an image of each model; returns the seconds of each."""
        return [
            device_seconds(lambda family=family: self._image(family)) for family in self.families
        ]

    def _image(self, family: Family) -> None:
        number = next(self.texts)
        picture = family.picture(tiny=self.tiny)
        picture = replace(picture, steps=min(picture.steps, self.steps), text=f"fox {number}")
        graph = text_to_image(family.checkpoint(), number, picture)
        self.engine.run(graph, targets=["decode"], emit=self._hear)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Notice):
            self.notices.append(event.message)

    def networks(self) -> list[list[Network]]:
        """Return the networks of each model, in the order in which an image uses them."""
        found: list[list[Network]] = []
        for family in self.families:
            graph = text_to_image(family.checkpoint(), 0, family.picture(tiny=self.tiny))
            outputs = self.engine.run(graph, targets=["load"]).outputs["load"]
            model, clip, vae = cast("tuple[ModelHandle, ClipHandle, VaeHandle]", outputs)
            texts = [encoder.network for encoder in clip.text.encoders]
            found.append([*texts, model.model.network, vae.vae.network])
        return found


def add_options(parser: ArgumentParser) -> None:
    """Declare its own options."""
    parser.add_argument("--budget", type=float, default=BUDGET, help="bytes for weights")
    parser.add_argument("--steps", type=int, default=8, help="of each sampler, at the most")
    parser.add_argument("--rounds", type=int, default=5, help="of one prompt of each model")
    parser.add_argument("--seconds", type=float, default=240.0, help="for all rounds")
    add_space_options(parser)


def measure(options: Namespace, report: Report) -> None:
    """Measure, and report each figure when it is known."""
    budget = TimeBudget(options.seconds)
    families = [FAMILIES[name] for name in MODELS]
    with open_space(options) as models:
        for family in families:
            write_checkpoint(models, family, tiny=options.tiny)
        first = engine_in(models / "work", models)
        state = Alternation(first, families, options.steps, options.tiny, [], count(1))
        order = [network.nbytes() for networks in state.networks() for network in networks]
        limit = int(options.budget * sum(order) / FULL_BYTES if options.tiny else options.budget)
        engine = engine_in(models / "work", models, memory_budget=limit, weights_cache=limit)
        state = state._replace(engine=engine)
        report.add("weights of both models", sum(order) / 1e9, "GB")
        report.add("budget for weights", limit / 1e9, "GB")
        measure_rounds(state, options.rounds, budget, report)
        measure_bytes(state, order, limit, report)
        failures = [text for text in state.notices if OUT_OF_MEMORY in text]
        report.add("times that memory ran out", len(failures), "times", "<= 0")
        report.keep("notices", state.notices)
        engine.free()


def measure_rounds(state: Alternation, rounds: int, budget: TimeBudget, report: Report) -> None:
    """Report the seconds of prompts once both models have been there, and the highest memory."""
    report.add("first prompts", sum(state.round()), "s")
    if has_own_memory(default_device()):
        torch.accelerator.reset_peak_memory_stats()
    found: list[list[float]] = []
    while len(found) < rounds and (not found or budget.left > sum(found[-1])):
        found.append(state.round())
    for name, times in zip(MODELS, zip(*found, strict=True), strict=True):
        report.add(f"a prompt of {name}", statistics.median(times), "s")
    if has_own_memory(default_device()):
        peak = torch.accelerator.max_memory_allocated()
        report.add("highest memory", peak / 1e9, "GB")


def measure_bytes(state: Alternation, order: Sequence[int], limit: int, report: Report) -> None:
    """Report the bytes that a round moves to the device, beside those of other ways to choose."""
    with CopyCounter() as counter:
        state.round()
    moved = report.add("moved in a round", counter.nbytes / 1e9, "GB")
    lru = report.add("moved in a round by LRU", lru_bytes(order, limit) / 1e9, "GB")
    least = report.add("least to move in a round", max(0, sum(order) - limit) / 1e9, "GB")
    if moved:
        report.add("LRU beside nodegraph", lru / moved, "x", ">= 1.5")
        report.add("nodegraph beside the least", moved / least if least else 1.0, "x")


def lru_bytes(order: Iterable[int], limit: int, rounds: int = 3) -> int:
    """Return the bytes that the last round loads if whole networks leave, the oldest use first.

    Args:
        order: the bytes of each network, in the order of their uses.
        limit: the bytes that may be there.
        rounds: of these uses.
    """
    sizes = list(order)
    there: list[int] = []
    loaded = 0
    for _ in range(rounds):
        loaded = 0
        for number, size in enumerate(sizes):
            if number in there:
                there.remove(number)
            else:
                loaded += size
            while there and size + sum(sizes[each] for each in there) > limit:
                there.pop(0)
            there.append(number)
    return loaded
