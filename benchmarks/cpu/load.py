"""Opening a checkpoint until it is ready to run on the CPU: seconds and memory, next to diffusers.

Writes a Stable Diffusion 1.5 of full size with random bf16 weights (2.1 GB) to a temporary folder.
Every measurement is a fresh process that has imported its libraries; the ways take turns. Warm, the
file is in the page cache; cold, it was dropped from it. Memory is what the process has of its own
(RssAnon), sampled; pages of the mapped file are not in it.

- `nodegraph open`: the handles that a loader node returns. Only the header is read.
- `nodegraph ready`: all three networks built, every weight materialised in float32, which is what
  is computed in.
- `diffusers float32`: `StableDiffusionPipeline.from_single_file` with a local folder of
  configurations, in the same precision.
- `diffusers bfloat16`: the same in the file's own precision: less memory, but not float32 numbers.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from benchmarks.machine import anonymous
from benchmarks.report import Report
from benchmarks.sd15_checkpoint import write_checkpoint, write_configs

WAYS = ("nodegraph open", "nodegraph ready", "diffusers float32", "diffusers bfloat16")


def add_options(parser: ArgumentParser) -> None:
    """Declare its own options."""
    parser.add_argument("--rounds", type=int, default=3, help="of each way, warm and cold")
    parser.add_argument("--folder", type=Path, help="for the file; a temporary one if not given")


def measure(options: Namespace, report: Report) -> None:
    """Measure, and report each figure when it is known."""
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path, configs = Path(folder) / "sd15.safetensors", Path(folder) / "configs"
        report.add("the file", write_checkpoint(path) / 1e9, "GB")
        write_configs(configs)
        for state in ("warm", "cold"):
            seconds = measure_ways(state, path, configs, options.rounds, report)
            ratio = seconds["nodegraph ready"] / seconds["diffusers float32"]
            report.add(f"{state}: nodegraph beside diffusers", ratio, "x", "<= 1.1")


def measure_ways(
    state: str, path: Path, configs: Path, rounds: int, report: Report
) -> dict[str, float]:
    """Let the ways take turns; returns the median seconds of each."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            if state == "cold":
                drop_from_cache(path)
            command = [sys.executable, "-m", "benchmarks.cpu.load", way, path, configs]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[way].append(json.loads(done.stdout.splitlines()[-1]))
    seconds: dict[str, float] = {}
    for way, ones in found.items():
        middle = {key: statistics.median(one[key] for one in ones) for key in ones[0]}
        seconds[way] = report.add(f"{state}: {way}", middle["seconds"], "s")
        if state == "warm":
            report.add(f"{way}: highest memory", middle["peak"], "MB")
            report.add(f"{way}: memory kept", middle["kept"], "MB")
    return seconds


def drop_from_cache(path: Path) -> None:
    """Ask the system to forget a file's pages, so that it is read from the disk again."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Sampler(threading.Thread):
    """Looks every few milliseconds, and keeps the highest."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = anonymous()
        self._done = threading.Event()

    def run(self) -> None:
        """As the base class."""
        while not self._done.wait(0.005):
            self.peak = max(self.peak, anonymous())

    def stop(self) -> int:
        """Return the highest."""
        self._done.set()
        self.join()
        return max(self.peak, anonymous())


def ours(path: Path, *, ready: bool) -> Callable[[], object]:
    """Return our way; the imports are done then."""
    from nodegraph.runtime.model_pool import ModelPool
    from nodes.models.families.registry import architecture_of
    from nodes.models.loading.checkpoint import open_checkpoint
    from nodes.models.networks.factory import skeleton
    from nodes.models.weights.header import read_header

    architecture = architecture_of(read_header(path))
    skeleton(architecture.model.network)  # imports diffusers' classes

    def load() -> object:
        opened = open_checkpoint(path, "benchmark", ModelPool())
        if ready:
            opened.model.network.module()
            opened.vae.network.module()
            opened.text.encoders[0].network.module()
        return opened

    return load


def theirs(path: Path, configs: Path, dtype: str) -> Callable[[], object]:
    """Return diffusers' way; the imports are done then."""
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import (
        StableDiffusionPipeline,
    )
    from transformers import CLIPTextModel

    from_single_file = cast("Any", StableDiffusionPipeline).from_single_file
    del AutoencoderKL, UNet2DConditionModel, CLIPTextModel

    def load() -> object:
        return from_single_file(
            str(path),
            config=str(configs),
            torch_dtype=getattr(torch, dtype),
            local_files_only=True,
            safety_checker=None,
        )

    return load


def measure_once(way: str, path: Path, configs: Path) -> dict[str, float]:
    """Load once, in this process."""
    who, what = way.split()
    load = ours(path, ready=what == "ready") if who == "nodegraph" else theirs(path, configs, what)
    before = anonymous()
    sampler = Sampler()
    sampler.start()
    start = time.perf_counter()
    held = load()
    seconds = time.perf_counter() - start
    peak = sampler.stop()
    after = anonymous()
    del held
    return {"seconds": seconds, "peak": (peak - before) / 1e6, "kept": (after - before) / 1e6}


if __name__ == "__main__":
    print(json.dumps(measure_once(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))))
