"""Queued prompts whose model calls are made as one (the setting `merge`), beside one after another.

A U-Net of two levels, 32 and 64 channels wide, on latents of 16 by 16: so small that a call costs
its overhead, so this is about scheduling, not computing. With guidance a call has two rows already
and gains less: the bare network takes 1.40 times less for one call of 16 rows than for eight of 2.
Samplers run at once in threads of one engine; the latents must be those of each prompt alone.
"""

import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from benchmarks.engines import Picture, engine_in, run_all, text_to_image
from benchmarks.report import Report
from benchmarks.timing import seconds
from nodegraph.graph.graph import Graph
from nodes.values import Latent
from tests.tiny_models.checkpoints import small_sd15, write

CHECKPOINT = "two_levels.safetensors"
MOST_DIFFERENCE = 1e-4
"""Of the size of the latents; float32 gives about 1e-6 a call."""


def add_options(parser: ArgumentParser) -> None:
    """Declare its own options."""
    parser.add_argument("--prompts", type=int, default=8, help="queued")
    parser.add_argument("--steps", type=int, default=20, help="of each sampler")
    parser.add_argument("--rounds", type=int, default=7, help="of which the fastest counts")
    parser.add_argument(
        "--cfg", type=float, nargs="+", default=[1.0, 3.0], help="1: one row a call"
    )
    parser.add_argument("--threads", type=int, default=1, help="of torch")


def measure(options: Namespace, report: Report) -> None:
    """Measure, and report each figure when it is known."""
    torch.set_num_threads(options.threads)
    for cfg in options.cfg:
        measure_one(options, report, cfg)


def measure_one(options: Namespace, report: Report, cfg: float) -> None:
    """Measure with one strength of guidance, which gives calls one row or two."""
    picture = Picture(size=128, steps=options.steps, cfg=cfg)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "models/checkpoints" / CHECKPOINT, small_sd15())
        engines = {merge: engine_in(folder, folder / "models", merge=merge) for merge in (0, 1)}
        times: dict[int, list[float]] = {0: [], 1: []}
        found: dict[int, list[Tensor]] = {}

        def work(merge: int, graphs: list[Graph]) -> None:
            at_once = len(graphs) if merge else 1
            latents = cast(
                "list[Latent]", run_all(engines[merge], graphs, "sample", at_once=at_once)
            )
            found[merge] = [latent.samples for latent in latents]

        differences: list[float] = []
        for turn in range(options.rounds + 1):  # the first one loads
            seeds = range(turn * options.prompts, (turn + 1) * options.prompts)
            graphs = [text_to_image(CHECKPOINT, seed, picture) for seed in seeds]
            for merge in times:
                times[merge].append(seconds(lambda merge=merge, graphs=graphs: work(merge, graphs)))
            differences.append(difference(found[1], found[0]))
        calls, computations = engines[1].merger.counts if engines[1].merger else (0, 0)
    serial, merged = (min(times[merge][1:]) for merge in (0, 1))
    report.add(f"cfg {cfg:g}: one after another", options.prompts / serial, "latents/s")
    report.add(f"cfg {cfg:g}: merged", options.prompts / merged, "latents/s")
    report.add(f"cfg {cfg:g}: merged", serial / merged, "x", ">= 1.4")
    report.add(f"cfg {cfg:g}: calls in one", calls / computations, "calls")
    report.add(f"cfg {cfg:g}: largest difference", max(differences), "x", f"<= {MOST_DIFFERENCE}")
    assert max(differences) <= MOST_DIFFERENCE, "merged prompts give other latents"


def difference(found: list[Tensor], wanted: list[Tensor]) -> float:
    """Return the largest difference of two lists of latents, by the largest number in them."""
    pairs = list(zip(found, wanted, strict=True))
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)
