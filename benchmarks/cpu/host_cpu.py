"""Processor time of a sampling step beside its network: what stands still while the host computes.

The networks answer zeros at once, so that a step costs sampler, guidance and the way to the
network alone; latents and texts have the sizes of full models (the text's width, too). It is the
time of the sampling thread, median of the steps of one run, with one torch thread. On a machine
without an accelerator the latents' arithmetic, which a device would do, is in it; with latents of 8
by 8 it is what the code itself takes.

`before` is the same at commit e13db7e, where conditions were gathered and numbers checked at every
step, on two cores of an AMD EPYC at 2.45 GHz.
"""

import statistics
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.report import Report
from nodegraph.runtime.model_pool import ModelPool
from nodes.builtin.sampling.ksampler import ksampler
from nodes.models.loading.checkpoint import open_checkpoint
from nodes.models.loading.handles import ModelHandle
from nodes.values import Cond, Conditioning, Latent
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import write
from tests.tiny_models.random_weights import Draw, Levels, unet
from tests.tiny_models.transformer_networks import flux, mmdit

SAMPLERS = ("euler", "dpmpp_2m", "dpmpp_2m_sde")
BATCH, SMALL = 4, 8
"""Images in a batch; the sides of a latent whose arithmetic costs nothing."""
_WARM = 2
"""Steps at the start of a run that are not counted."""


class Kind(NamedTuple):
    """A family at the sizes of its full model."""

    build: Callable[[Draw], None]
    side: int
    """Of the latent."""
    length: int
    width: int
    """Of the text."""
    pooled: int | None
    cfg: float
    before: Mapping[str, float]
    """Milliseconds a step at commit e13db7e, by what was asked for."""


_SDXL = Levels(64, (1, 1, 2), 1, (0, 1, 2), 2, 2048, linear=True, extra=2816)
KINDS: Mapping[str, Kind] = {
    "SD 1.5": Kind(
        partial(unet, plan=Levels(32)),
        64, 77, 768, None, 7.0, {"euler": 1.5, "euler, batch of 4": 2.6},
    ),
    "SDXL": Kind(
        partial(unet, plan=_SDXL),
        128, 77, 2048, 1280, 7.0,
        {"euler": 2.6, "euler, batch of 4": 7.5, "dpmpp_2m_sde": 40},
    ),
    "SD3-Medium": Kind(
        mmdit, 128, 154, 4096, 2048, 7.0,
        {"euler": 7.0, "euler, batch of 4": 25, "dpmpp_2m_sde": 115},
    ),
    "FLUX.1-dev": Kind(
        partial(flux, width=64, head=32),
        128, 256, 4096, 768, 1.0,
        {"euler": 8.2, "euler, batch of 4": 33, "dpmpp_2m_sde": 86},
    ),
}  # fmt: skip


class Case(NamedTuple):
    """A run that is measured."""

    name: str
    sampler: str = "euler"
    batch: int = 1
    side: int | None = None
    """Of the latent; the full model's if None."""


@dataclass
class StepClock(Bench):
    """A node's context that notes the thread's processor time after every step."""

    marks: list[float] = field(default_factory=list[float])

    def progress(self, value: int, total: int) -> None:
        """Note the time."""
        super().progress(value, total)
        self.marks.append(time.thread_time())


def add_options(parser: ArgumentParser) -> None:
    """Declare its own options."""
    parser.add_argument("--steps", type=int, default=30, help="of each run")
    parser.add_argument("--families", nargs="+", choices=list(KINDS), default=list(KINDS))


def measure(options: Namespace, report: Report) -> None:
    """Measure, and report each figure when it is known."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        for family in options.families:
            kind = KINDS[family]
            model = idle_model(Path(name, f"{family}.safetensors"), kind)
            cases = [Case(sampler, sampler) for sampler in SAMPLERS]
            cases.append(Case(f"euler, batch of {BATCH}", batch=BATCH))
            cases.append(Case(f"euler, latent of {SMALL} by {SMALL}", side=SMALL))
            for wanted in cases:
                ms, case = step_ms(model, kind, wanted, options.steps), wanted.name
                report.add(f"{family}: {case}", ms, "ms/step")
                if case in kind.before:
                    report.add(f"{family}: {case}: before", kind.before[case], "ms/step")
                    report.add(f"{family}: {case}: before beside now", kind.before[case] / ms, "x")


def idle_model(path: Path, kind: Kind) -> ModelHandle:
    """Return a model whose network has next to no weights and answers zeros."""
    draw = Draw(1)
    kind.build(draw)
    write(path, draw.tensors)
    model = ModelHandle(open_checkpoint(path, path.name, ModelPool()).model)
    module: Any = model.model.network.module()

    def answer(*args: Tensor, **kwargs: Any) -> tuple[Tensor]:
        x = args[0] if args else kwargs["hidden_states"]
        return (torch.zeros_like(x),)

    module.forward = answer
    assert isinstance(module, nn.Module)
    return model


def step_ms(model: ModelHandle, kind: Kind, case: Case, steps: int) -> float:
    """Return the milliseconds of processor time of a step."""

    def text(seed: int) -> Conditioning:
        generator = torch.Generator().manual_seed(seed)
        tokens = torch.randn(1, kind.length, kind.width, generator=generator)
        pooled = None if kind.pooled is None else torch.ones(1, kind.pooled)
        return Conditioning((Cond(tokens, pooled),))

    channels = model.latent_format.channels
    side = case.side or kind.side
    latent = Latent(torch.zeros(case.batch, channels, side, side))
    clock = StepClock(Path())
    ksampler(
        model=model, seed=1, steps=steps, cfg=kind.cfg, sampler_name=case.sampler,
        scheduler="normal", positive=text(1), negative=text(2), latent_image=latent, denoise=1.0,
        ctx=clock,
    )  # fmt: skip
    marks = clock.marks[_WARM:]
    return statistics.median(b - a for a, b in pairwise(marks)) * 1000
