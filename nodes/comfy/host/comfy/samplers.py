"""`comfy.samplers`: the names of samplers and schedulers, and the noise schedules."""

from typing import ClassVar

from torch import Tensor

from nodes.comfy.absent import absent
from nodes.comfy.host.node_classes import call
from nodes.comfy.values.models import ModelSampling
from nodes.sampling.noise_schedule.schedules import SCHEDULES
from nodes.sampling.samplers.registry import NAMED_SAMPLERS, SAMPLERS, sigmas_for

SAMPLER_NAMES = list(SAMPLERS)
SCHEDULER_NAMES = list(SCHEDULES)
KSAMPLER_NAMES = SAMPLER_NAMES
SCHEDULER_HANDLERS = dict.fromkeys(SCHEDULER_NAMES)


class KSampler:
    """The class whose attributes list the names."""

    SAMPLERS: ClassVar = SAMPLER_NAMES
    SCHEDULERS: ClassVar = SCHEDULER_NAMES
    DISCARD_PENULTIMATE_SIGMA_SAMPLERS: ClassVar = {
        name for name, each in NAMED_SAMPLERS.items() if each.drops_penultimate
    }
    sample = absent("comfy.samplers.KSampler.sample")


def sampler_object(name: str) -> object:
    """Return a sampler, by its name."""
    return call("KSamplerSelect", {"sampler_name": name})[0]


def calculate_sigmas(model_sampling: ModelSampling, scheduler_name: str, steps: int) -> Tensor:
    """Return the noise levels of a schedule, [steps + 1]."""
    return sigmas_for(model_sampling.parameterization, scheduler_name, "euler", steps, 1.0)
