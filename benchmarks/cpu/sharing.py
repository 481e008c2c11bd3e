"""The memory that two runs share, and the cost of switching LoRAs: bytes and seconds.

Two runs with FLUX.1 models of their own and one T5 in a file of its own (0.3 GB of random fp16
weights, of XXL's width but two layers); then a LoRA for Stable Diffusion 1.5 (134 M parameters) at
ever other strengths. Resident is what the process has of its own (RssAnon). Bytes read are those of
read(2), and the mapped pages that had to come from a disk; a LoRA's own tensors are mapped, so its
file's size is shown beside them.
"""

import resource
import statistics
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from benchmarks.machine import anonymous
from benchmarks.report import Report
from nodegraph.files.files import Files
from nodegraph.files.folders import Folders
from nodegraph.runtime.model_pool import ModelPool
from nodes.models.loading.checkpoint import open_checkpoint, open_model
from nodes.models.loading.forward import denoise
from nodes.models.loading.handles import ClipHandle, ModelHandle
from nodes.models.loading.text_files import open_text_files
from nodes.models.patches.lora import lora_patch
from nodes.models.patches.lora_file import LoraFile
from nodes.models.text.textual_inversion import Embeddings
from nodes.values import CondBatch
from tests.tiny_models.checkpoints import small_flux, tiny, write

Result = TypeVar("Result")


class Cost(NamedTuple):
    """What something took."""

    seconds: float
    grown: float
    """MB by which the resident memory grew."""
    read: float
    """MB read."""


def add_options(parser: ArgumentParser) -> None:
    """Declare its own options."""
    parser.add_argument("--switches", type=int, default=10, help="of LoRAs")


def measure(options: Namespace, report: Report) -> None:
    """Measure, and report each figure when it is known."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        share_t5(Path(folder), report)
    switch_loras(options.switches, report)


def read_bytes() -> int:
    """Return what this process has read by read(2), and page faults that went to a disk."""
    line = Path("/proc/self/io").read_text().splitlines()[0]
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
    return int(line.split()[1]) + faults * resource.getpagesize()


def cost_of(work: Callable[[], Result]) -> tuple[Result, Cost]:
    """Return a call's result and what it took."""
    memory, read, start = anonymous(), read_bytes(), time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    return result, Cost(seconds, (anonymous() - memory) / 1e6, (read_bytes() - read) / 1e6)


def add(report: Report, name: str, cost: Cost) -> None:
    """Report what something took."""
    report.add(name, cost.seconds, "s")
    report.add(f"{name}: resident", cost.grown, "MB")
    report.add(f"{name}: read", cost.read, "MB")


def share_t5(folder: Path, report: Report) -> None:
    """Two runs, each with a transformer of its own, and the text encoders that they share."""
    texts = [tiny(f"text_encoders/{name}.safetensors") for name in ("tiny_clip_l", "tiny_t5xxl")]
    embeddings = Embeddings(Files(Folders.under(folder)), print)
    held: list[object] = []
    models = ModelPool()
    for seed, run in enumerate(("first", "second")):
        path = write(folder / f"{run}.safetensors", small_flux(seed))

        def load(path: Path = path) -> tuple[ModelHandle, ClipHandle]:
            text = open_text_files([(file, file.name) for file in texts], "flux", models)
            return ModelHandle(open_model(path, path.name, models)), ClipHandle(text)

        def encode(pair: tuple[ModelHandle, ClipHandle]) -> tuple[object, ...]:
            return *pair, pair[1].encode("a fox", embeddings), pair[0].model.network.module()

        pair, cost = cost_of(lambda load=load: encode(load()))
        held.append(pair)
        add(report, f"{run} run: load and encode", cost)


def denoised(model: ModelHandle) -> Tensor:
    """Return one prediction."""
    x = torch.linspace(-1, 1, 4 * 16 * 16).reshape(1, 4, 16, 16)
    return denoise(model, x, torch.tensor([2.0]), CondBatch(torch.ones(1, 77, 768)))


def switch_loras(switches: int, report: Report) -> None:
    """Put a LoRA on, always at another strength, and take it off."""
    path = tiny("checkpoints/tiny_sd15.safetensors")
    lora = LoraFile(tiny("loras/tiny_sd15_lora.safetensors"), "lora")
    model = ModelHandle(open_checkpoint(path, path.name, ModelPool()).model)
    before, cost = cost_of(lambda: denoised(model))
    add(report, "the base: load and predict", cost)
    add(report, "the base: predict", cost_of(lambda: denoised(model))[1])
    network = model.model.network
    report.add("the LoRA's file", lora.path.stat().st_size / 1e6, "MB")
    costs: list[Cost] = []
    for switch in range(switches):
        patched = model.with_patch(lora_patch(lora, 0.1 * (switch + 1), network))
        costs.append(cost_of(partial(network.module, patched.patches))[1])
        assert not torch.equal(denoised(patched), before)
    add(report, "a switch", Cost(*(statistics.median(each) for each in zip(*costs, strict=True))))
    assert torch.equal(denoised(model), before), "the base predicts otherwise than before"
