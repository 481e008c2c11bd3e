"""Prompts at the same time that share an encoder and a checkpoint: nothing is computed twice.

Prompts that differ in their seeds run at once in threads of one engine; beside it each of them
alone, one after the other, with nothing cached between them. Calls of the text encoders are counted
in the networks themselves, and the images must be equal. The model is tiny but for its encoder,
which has CLIP's width and three of its layers, so that encoding takes a part of the time as it does
beside the few steps of a turbo model.
"""

import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from benchmarks.engines import Picture, engine_in, run_all, text_to_image
from benchmarks.report import Report
from nodegraph.execution.engine import Engine
from nodegraph.graph.graph import Graph
from tests.tiny_models.checkpoints import write
from tests.tiny_models.random_weights import Draw, Levels, clip, unet, vae

CHECKPOINT = "dedupe.safetensors"
LAYER, LAYERS = "CLIPEncoderLayer", 3
"""The class of the encoder's layers in transformers, and their number in the file."""
WORDS = "a red fox in the snow, " * 40
"""A prompt of several chunks."""


class Ways(NamedTuple):
    """The seconds of each way, its encoder calls and its images, one per round."""

    seconds: list[float]
    calls: list[int]
    images: list[list[Tensor]]


def add_options(parser: ArgumentParser) -> None:
    """Declare its own options."""
    parser.add_argument("--prompts", type=int, default=16, help="at the same time")
    parser.add_argument("--steps", type=int, default=2, help="of each sampler")
    parser.add_argument("--rounds", type=int, default=3, help="of which the fastest counts")


def measure(options: Namespace, report: Report) -> None:
    """Measure, and report each figure when it is known."""
    torch.set_num_threads(1)
    picture = Picture(size=64, steps=options.steps, cfg=3.0, text=WORDS)
    graphs = [text_to_image(CHECKPOINT, seed, picture) for seed in range(options.prompts + 1)]
    first = graphs.pop()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "models/checkpoints" / CHECKPOINT, checkpoint())
        engine = engine_in(folder, folder / "models")
        engine.run(first, targets=["decode"])  # the weights are there
        alone, together = Ways([], [], []), Ways([], [], [])
        for _ in range(options.rounds):
            run(one_by_one, engine, graphs, alone)
            engine.cache.clear()
            run(at_once, engine, graphs, together)
    pairs = zip(alone.images, together.images, strict=True)
    assert all(all(map(torch.equal, *pair)) for pair in pairs), "prompts at the same time differ"
    report.add("encoder calls, one by one", max(alone.calls), "calls")
    least = max(alone.calls) // options.prompts
    report.add("encoder calls, at the same time", max(together.calls), "calls", f"<= {least}")
    report.add("one by one", min(alone.seconds), "s")
    report.add("at the same time", min(together.seconds), "s")
    ratio = min(alone.seconds) / min(together.seconds)
    report.add("at the same time, beside one by one", ratio, "x", ">= 1.5")


def checkpoint() -> dict[str, Tensor]:
    """Return a Stable Diffusion 1 that is tiny but for its text encoder."""
    draw = Draw(15)
    unet(draw, Levels(32))
    vae(draw, multipliers=(1, 1, 1, 1))
    clip(draw, layers=LAYERS)
    return draw.tensors


def run(
    way: Callable[[Engine, list[Graph]], list[Tensor]],
    engine: Engine,
    graphs: list[Graph],
    found: Ways,
) -> None:
    """Run the graphs one way, and note what came of it."""
    with count_calls() as calls:
        begin = time.perf_counter()
        found.images.append(way(engine, graphs))
        found.seconds.append(time.perf_counter() - begin)
    assert calls, f"no {LAYER} was called"
    found.calls.append(len(calls) // LAYERS)


def one_by_one(engine: Engine, graphs: list[Graph]) -> list[Tensor]:
    """Return the image of each graph, nothing of which was cached."""
    images: list[Tensor] = []
    for graph in graphs:
        engine.cache.clear()
        images += cast("list[Tensor]", run_all(engine, [graph], "decode", at_once=1))
    return images


def at_once(engine: Engine, graphs: list[Graph]) -> list[Tensor]:
    """Return the image of each graph, run at the same time."""
    return cast("list[Tensor]", run_all(engine, graphs, "decode", at_once=len(graphs)))


@contextmanager
def count_calls() -> Generator[list[nn.Module]]:
    """Yield a list that grows with every call of an encoder's layer while the block lasts."""
    calls: list[nn.Module] = []

    def note(module: nn.Module, _: object) -> None:
        if type(module).__name__ == LAYER:
            calls.append(module)

    handle = register_module_forward_pre_hook(note)
    try:
        yield calls
    finally:
        handle.remove()
