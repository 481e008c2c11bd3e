"""Opening a checkpoint until it is ready to run on the CPU: seconds and memory, next to diffusers.

Run as `python -m benchmarks.load [rounds]`. Writes a Stable Diffusion 1.5 of full size with random
bf16 weights (2.1 GB) to a temporary folder. Every measurement is a fresh process that has imported
its libraries; the ways take turns. The file is in the page cache. Memory is what the process has
of its own (RssAnon), sampled; pages of the mapped file are not in it.

- `nodegraph open`: the handles that a loader node returns. Only the header is read.
- `nodegraph ready`: all three networks built, every weight materialised in float32, which is what
  is computed in.
- `diffusers float32`: `StableDiffusionPipeline.from_single_file` with a local folder of
  configurations, in the same precision.
- `diffusers bfloat16`: the same in the file's own precision: less memory, but not float32 numbers.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from benchmarks.full_size import write_checkpoint, write_configs

WAYS = ("nodegraph open", "nodegraph ready", "diffusers float32", "diffusers bfloat16")


def anonymous() -> int:
    """This process's anonymous memory in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


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
        """The highest."""
        self._done.set()
        self.join()
        return max(self.peak, anonymous())


def ours(path: Path, *, ready: bool) -> Callable[[], object]:
    """Our way; the imports are done when this returns."""
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
    """Diffusers' way; the imports are done when this returns."""
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


def measure(way: str, path: Path, configs: Path) -> dict[str, float]:
    """One load, in this process."""
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


def main(rounds: int) -> None:
    """Take turns, and print each measurement and the best of each way."""
    with tempfile.TemporaryDirectory() as folder:
        path, configs = Path(folder) / "sd15.safetensors", Path(folder) / "configs"
        print(f"{write_checkpoint(path) / 1e9:.2f} GB written")
        write_configs(configs)
        found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for turn in range(rounds):
            for way in WAYS:
                command = [sys.executable, "-m", "benchmarks.load", "--one", way, path, configs]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found[way].append(json.loads(done.stdout.splitlines()[-1]))
                print(turn, way, shown(found[way][-1]), flush=True)
    for way in WAYS:
        best = {key: min(one[key] for one in found[way]) for key in found[way][0]}
        print(f"best of {rounds}: {way:20} {shown(best)}")


def shown(one: dict[str, float]) -> str:
    """A measurement in words; megabytes are 10^6 bytes above what the imports take."""
    return f"{one['seconds']:.2f} s, peak {one['peak']:.0f} MB, kept {one['kept']:.0f} MB"


if __name__ == "__main__":
    if "--one" in sys.argv:
        print(json.dumps(measure(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
