"""The run of our denoising loop that a pack's sampler or guider is in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nodes.comfy.values.errors import NotOfferedError
from nodes.sampling.guidance.session import SamplingSession
from nodes.sampling.samplers.registry import Process

StepCallback = Callable[[int, Tensor, Tensor, int], object]
"""Gets (step from 0, x0, x, steps in all)."""


@dataclass(frozen=True, slots=True, eq=False)
class StepReports:
    """The callback of a run of a sampler: tells the run, and who asked for it, of each step."""

    session: SamplingSession
    callback: StepCallback | None

    def __call__(self, step: int, denoised: Tensor, x: Tensor, total_steps: int) -> None:
        """Tell of a step; see `StepCallback`."""
        self.session.report(step, denoised)
        if self.callback is not None:
            self.callback(step, denoised, x, total_steps)


def before_last_scaling(latent: Tensor, sigmas: Tensor, process: Process) -> Tensor:
    """Return a latent as our samplers return it, before its fading is undone at the last level."""
    scale = process.parameterization.inverse_noise_scaling(sigmas[-1], torch.ones_like(latent))
    return latent / scale


def session_of(model: object) -> SamplingSession:
    """Return the run of the denoising loop that answers a sampler.

    Raises:
        NotOfferedError: it is none.
    """
    if isinstance(model, SamplingSession):
        return model
    what = "a sampler of a pack without a run"
    raise NotOfferedError(what)


def options_in(options: Mapping[str, Any], sigmas: Tensor) -> dict[str, Any]:
    """Return model options with the noise levels of a run."""
    inside = {**options.get("transformer_options", {}), "sample_sigmas": sigmas}
    return {**options, "transformer_options": inside}


def seed_of(session: SamplingSession) -> int:
    """Return the seed of a run, that of the first image if each has its own."""
    seed = session.request.seed
    return seed if isinstance(seed, int) else seed[0]
