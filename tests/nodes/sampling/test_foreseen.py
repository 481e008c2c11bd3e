"""The levels that a sampler asks for, foreseen before its first step."""

from functools import partial

import pytest
import torch

from nodes.sampling.noise_schedule.noise import noise_source
from nodes.sampling.noise_schedule.parameterization import Flow
from nodes.sampling.samplers.dpmpp import dpmpp_2s_ancestral
from nodes.sampling.samplers.foreseen import foresee_levels
from nodes.sampling.samplers.registry import (
    SAMPLERS,
    Call,
    Process,
    Reply,
    SamplerRun,
    Sampling,
    sigmas_for,
)

FLOW = Flow.with_shift(3.0)
STEPS = 6


def levels_of(sampler, sigmas):
    x = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(2))
    calls = SamplerRun(sampler(x, sigmas, Process(FLOW, noise_source(3))))
    found: list[float] = []
    for call in calls:
        found.append(float(call.sigma))
        calls.answer(Reply(call.x * 0.7, call.x * 0.6))
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "dpm_adaptive"])
def test_every_level_is_foreseen_in_its_order(name):
    sigmas = sigmas_for(FLOW, "simple", name, STEPS, 1.0)

    found = foresee_levels(name, sigmas, FLOW)

    assert list(found) == levels_of(SAMPLERS[name], sigmas)


def test_options_of_a_sampler_count():
    sampler = partial(partial(dpmpp_2s_ancestral, eta=0.4), s_noise=0.9)
    sigmas = sigmas_for(FLOW, "simple", "dpmpp_2s_ancestral", STEPS, 1.0)

    found = foresee_levels(sampler, sigmas, FLOW)

    assert list(found) == levels_of(sampler, sigmas)
    assert found != foresee_levels("dpmpp_2s_ancestral", sigmas, FLOW)


def test_a_sampler_that_chooses_its_levels_ends():
    sigmas = sigmas_for(FLOW, "simple", "dpm_adaptive", STEPS, 1.0)

    assert float(sigmas[0]) in foresee_levels("dpm_adaptive", sigmas, FLOW)


def test_samplers_of_others_are_not_run():
    def foreign(x, sigmas, process) -> Sampling:
        pytest.fail("it may do more than sample")
        yield Call(x, sigmas[0], 0)

    sigmas = torch.tensor([1.0, 0.5, 0.5, 0.0])

    assert foresee_levels(foreign, sigmas, FLOW) == (1.0, 0.5)
