"""The noise levels that a sampler will ask a model for, known before its first step."""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from nodes.sampling.noise_schedule.noise import Brownian
from nodes.sampling.noise_schedule.parameterization import Parameterization
from nodes.sampling.samplers.protocol import DirectSampler, Process, Reply, SamplerRun
from nodes.sampling.samplers.registry import SamplerOrName, sampler_of

_OWN = __name__.rpartition(".")[0] + "."
_MOST_CALLS = 8
"""The calls that are foreseen, for each step of the schedule."""


class _Silence:
    """A source of noise that is all zeros."""

    def white(self, x: Tensor) -> Tensor:
        """Return zeros of the shape and on the device of x."""
        return torch.zeros_like(x)

    def brownian(self, x: Tensor, sigma_min: float, sigma_max: float) -> Brownian:
        """Return a path that stays where it is."""
        del sigma_min, sigma_max
        return _Still(x)


class _Still(NamedTuple):
    x: Tensor

    def __call__(self, sigma: Tensor, sigma_next: Tensor) -> Tensor:
        """Return zeros."""
        del sigma, sigma_next
        return torch.zeros_like(self.x)


@torch.no_grad()
def foresee_levels(
    sampler: SamplerOrName, sigmas: Tensor, parameterization: Parameterization
) -> tuple[float, ...]:
    """Return the levels in the order in which they come, each once.

    One of our samplers is run on a latent of one number. For those of others, which may do more
    than sample, they are the levels of the schedule, as they are the most that can be known of
    `dpm_adaptive`, which chooses its levels by the predictions.

    Args:
        sampler: or its name.
        sigmas: [steps + 1], descending, on the CPU.
        parameterization: of the model.
    """
    run = sampler_of(sampler)
    function: object = run
    while isinstance(function, partial):
        function = function.func
    schedule = [float(sigma) for sigma in sigmas[:-1]]
    own = str(getattr(function, "__module__", "")).startswith(_OWN)
    if isinstance(run, DirectSampler) or not own:
        return tuple(dict.fromkeys(schedule))
    process = Process(parameterization, _Silence())
    calls = SamplerRun(run(torch.zeros(1, 1, 1, 1), sigmas, process))
    return tuple(dict.fromkeys(islice(_levels(calls), _MOST_CALLS * len(schedule))))


def _levels(calls: SamplerRun) -> Iterator[float]:
    for call in calls:
        yield float(call.sigma)
        calls.answer(Reply(call.x, call.x))
