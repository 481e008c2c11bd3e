"""`comfy.samplers`: the names of samplers and schedulers, and the levels of noise."""

from typing import ClassVar

from torch import Tensor

from nodes.comfy.models import ModelSampling
from nodes.samplers import SAMPLERS
from nodes.schedules import SCHEDULES, sigmas_for

SAMPLER_NAMES = list(SAMPLERS)
SCHEDULER_NAMES = list(SCHEDULES)
KSAMPLER_NAMES = SAMPLER_NAMES
SCHEDULER_HANDLERS = dict.fromkeys(SCHEDULER_NAMES)


class KSampler:
    """Where packs look the names up."""

    SAMPLERS: ClassVar = SAMPLER_NAMES
    SCHEDULERS: ClassVar = SCHEDULER_NAMES
    DISCARD_PENULTIMATE_SIGMA_SAMPLERS: ClassVar = {
        "dpm_2",
        "dpm_2_ancestral",
        "uni_pc",
        "uni_pc_bh2",
    }


def calculate_sigmas(model_sampling: ModelSampling, scheduler_name: str, steps: int) -> Tensor:
    """A schedule, [steps + 1]."""
    return sigmas_for(model_sampling.parameterisation, scheduler_name, "euler", steps, 1.0)
