"""The samplers and schedules that packs add to the lists of `comfy.samplers` at their import."""

import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor

from nodes.comfy.values.inner_model import ModelSampling
from nodes.comfy.values.sampling.samplers import PackSampling
from nodes.sampling.noise_schedule.parameterization import Parameterization
from nodes.sampling.noise_schedule.schedules import ADDED_SCHEDULES, SCHEDULES
from nodes.sampling.samplers.registry import (
    ADDED_SAMPLERS,
    NAMED_SAMPLERS,
    Answerer,
    NamedSampler,
    Process,
)

SAMPLERS, SCHEDULERS = "samplers", "schedulers"
"""The kinds of names; see `Pack.choices`."""
_MODULE = f"{__package__}.samplers"


def added_names() -> Mapping[str, tuple[str, ...]]:
    """Return the names in the lists that are not ours, by kind; none if no pack uses the lists."""
    module: Any = sys.modules.get(_MODULE)
    if module is None:
        return {}
    lists = {
        SAMPLERS: ([*module.KSampler.SAMPLERS, *module.SAMPLER_NAMES], NAMED_SAMPLERS),
        SCHEDULERS: (
            [*module.KSampler.SCHEDULERS, *module.SCHEDULER_NAMES, *module.SCHEDULER_HANDLERS],
            SCHEDULES,
        ),
    }
    return {
        kind: tuple(dict.fromkeys(str(name) for name in names if name not in own))
        for kind, (names, own) in lists.items()
    }


def register_names(before: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    """Let our own nodes know the names, and return those that came since, by kind.

    Args:
        before: what `added_names` returned then.
    """
    names = added_names()
    for name in names.get(SAMPLERS, ()):
        drops = name in _samplers().KSampler.DISCARD_PENULTIMATE_SIGMA_SAMPLERS
        ADDED_SAMPLERS[name] = NamedSampler(AddedSampler(name), drops_penultimate=drops)
    for name in names.get(SCHEDULERS, ()):
        ADDED_SCHEDULES[name] = partial(_schedule, name)
    new = {
        kind: tuple(name for name in found if name not in before.get(kind, ()))
        for kind, found in names.items()
    }
    return {kind: found for kind, found in new.items() if found}


class AddedSampler:
    """A sampler that a pack added by its name; a `DirectSampler`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def sample(self, x: Tensor, sigmas: Tensor, process: Process, model: Answerer, /) -> Tensor:
        """Sample with the function that the name stands for now."""
        value = _samplers().sampler_object(self.name)
        return PackSampling(value).sample(x, sigmas, process, model)


def _schedule(name: str, parameterization: Parameterization, steps: int) -> Tensor:
    found: Tensor = _samplers().calculate_sigmas(ModelSampling(parameterization), name, steps)
    return found.detach().float().cpu()


def _samplers() -> Any:
    """Return the stand-in for `comfy.samplers`, in which packs replace functions."""
    return sys.modules[_MODULE]
