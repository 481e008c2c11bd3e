"""Steps without the model: when it is asked, and what stands in for its answers."""

import logging
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from nodes.sampling.guidance.loop import Request, noise_for, sample
from nodes.sampling.guidance.settings import PLAIN, StepCacheSettings
from nodes.sampling.noise_schedule.parameterization import Discrete, Flow
from nodes.sampling.noise_schedule.schedules import schedule
from nodes.values import Cond, CondBatch, Conditioning, Latent
from tests.nodes.closed_form import ClosedForm
from tests.nodes.reference import distance

STEPS = 12
LATENT = Latent(torch.zeros(1, 4, 8, 8))
A, B = (Conditioning((Cond(torch.full((1, 1, 1), value)),)) for value in (0.5, -0.3))


class Adding(ClosedForm):
    """A network that adds a constant to its input, which reuse repeats exactly."""

    def denoise(self, x: Tensor, sigma: Tensor, cond: CondBatch) -> Tensor:
        self.calls.append((list(x.shape), float(sigma[0])))
        s = sigma.view(-1, 1, 1, 1)
        return x - s * (self.parameterization.scale_input(x, sigma) + cond.tokens.mean())


def run(model, reuse=None, sampler="euler", positive=A, cfg=3.0):
    sigmas = schedule(model.parameterization, "simple", STEPS)
    guidance = replace(PLAIN, step_cache=reuse)
    request = Request(model, sampler, sigmas, positive, B, cfg, 7, guidance)
    return sample(request, LATENT, noise_for(LATENT, 7)), len(model.calls)


FACTS = [Flow.with_shift(3.0), Discrete.scaled_linear()]


@pytest.mark.parametrize("facts", FACTS, ids=["flow", "noise"])
@pytest.mark.parametrize("guided", [False, True])
def test_a_threshold_of_nothing_always_asks_the_model(facts, guided):
    plain, calls = run(ClosedForm(facts))

    found, asked = run(ClosedForm(facts), StepCacheSettings(0.0, 0.0, 1.0, guided=guided))

    assert torch.equal(found, plain)
    assert asked == calls == STEPS


@pytest.mark.parametrize("facts", FACTS, ids=["flow", "noise"])
@pytest.mark.parametrize("guided", [False, True])
def test_what_a_network_adds_to_its_input_is_repeated(facts, guided):
    """At a guidance of 1, where the guided answer is the network's own."""
    plain, _ = run(Adding(facts), cfg=1.0)

    found, asked = run(Adding(facts), StepCacheSettings(1000.0, 0.0, 1.0, guided=guided), cfg=1.0)

    assert asked == 2
    assert distance(found, plain) <= 1e-4


def test_the_more_error_is_borne_the_less_the_model_is_asked():
    facts = Flow.with_shift(3.0)
    plain, _ = run(ClosedForm(facts))

    made = [run(ClosedForm(facts), StepCacheSettings(t, 0.0, 1.0)) for t in (0.0, 0.1, 0.3, 1000.0)]

    asked, off = [calls for _, calls in made], [distance(x, plain) for x, _ in made]
    assert asked == sorted(asked, reverse=True)
    assert asked[0] > asked[1] > asked[2] > asked[3] == 2
    assert off == sorted(off)
    assert off[1] < 0.05


def test_it_holds_in_its_part_of_the_schedule_only():
    """Which is counted before the shift, so that simple's steps are even there."""
    model = ClosedForm(Flow.with_shift(3.0))

    run(model, StepCacheSettings(1000.0, 0.5, 0.75))

    levels = schedule(model.parameterization, "simple", STEPS)
    first, last = (model.parameterization.percent_to_sigma(f) for f in (0.5, 0.75))
    outside = [float(s) for s in levels[:-1] if not last <= float(s) <= first]
    assert [sigma for _, sigma in model.calls] == pytest.approx(outside)


def test_what_changes_on_the_way_is_asked_anew_unless_it_is_guided_as_one():
    """Half of the way there are two prompts, and more rows in a call."""
    both = Conditioning((*A.conds, replace(A.conds[0], start=0.5)))
    model, lazy = ClosedForm(Flow.with_shift(1.0)), ClosedForm(Flow.with_shift(1.0))

    _, asked = run(model, StepCacheSettings(1000.0, 0.0, 1.0), positive=both)
    _, guided = run(lazy, StepCacheSettings(1000.0, 0.0, 1.0, guided=True), positive=both)

    assert [shape[0] for shape, _ in model.calls] == [2, 2, 3]
    assert asked == 3
    assert guided == 2


@pytest.mark.parametrize("sampler", ["euler_cfg_pp", "heun", "dpmpp_2m_sde"])
@pytest.mark.parametrize("guided", [False, True])
def test_samplers_of_all_kinds_go_on_with_answers_from_before(sampler, guided):
    model = ClosedForm(Discrete.scaled_linear())
    _, calls = run(ClosedForm(Discrete.scaled_linear()), sampler=sampler, cfg=1.5)

    found, asked = run(
        model, StepCacheSettings(1.0, 0.0, 1.0, guided=guided), sampler=sampler, cfg=1.5
    )

    assert found.isfinite().all()
    assert 2 <= asked < calls


def test_what_is_skipped_is_logged_when_asked_for(caplog):
    caplog.set_level(logging.INFO)
    _, silent = run(ClosedForm(Flow.with_shift(3.0)), StepCacheSettings(0.3, 0.0, 1.0))
    assert not caplog.records

    run(ClosedForm(Flow.with_shift(3.0)), StepCacheSettings(0.3, 0.0, 1.0, verbose=True))

    assert len(caplog.records) == STEPS - silent
