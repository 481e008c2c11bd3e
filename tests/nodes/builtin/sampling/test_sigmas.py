"""Nodes that make and change noise levels: against the reference, and by what they promise."""

import math

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)

from nodes.builtin.sampling.schedulers import (
    align_your_steps_scheduler,
    basic_scheduler,
    beta_sampling_scheduler,
    exponential_scheduler,
    flux2_scheduler,
    karras_scheduler,
    laplace_scheduler,
    ltxv_scheduler,
    optimal_steps_scheduler,
    polyexponential_scheduler,
    sd_turbo_scheduler,
    vp_scheduler,
)
from nodes.builtin.sampling.sigmas import (
    extend_intermediate_sigmas,
    flip_sigmas,
    manual_sigmas,
    sampling_percent_to_sigma,
    set_first_sigma,
    split_sigmas,
    split_sigmas_denoise,
)
from nodes.sampling.noise_schedule.errors import BadSettingError
from nodes.sampling.noise_schedule.schedules import SCHEDULES
from nodes.values import Latent
from tests.nodes.pictures import untouched
from tests.nodes.reference import numbers, relative
from tests.tiny_models.samplable import samplable

REFERENCE = numbers("sigmas")
TOLERANCE = 1e-6
LEVELS = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.0])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return samplable(tmp_path_factory.mktemp("models")).model


def expected(key):
    return REFERENCE["nodes"][key]


def test_schedulers_of_a_model_equal_the_reference(model):
    made = {
        "BasicScheduler sd15 normal 8 denoise 0.6": basic_scheduler(model, "normal", 8, 0.6),
        "BetaSamplingScheduler 8": beta_sampling_scheduler(model, 8),
        "SDTurboScheduler 4 d1": sd_turbo_scheduler(model, 4),
        "SDTurboScheduler 2 d0.5": sd_turbo_scheduler(model, 2, 0.5),
    }

    for key, sigmas in made.items():
        assert relative(sigmas, expected(key)) <= TOLERANCE, key


@pytest.mark.parametrize("name", SCHEDULES)
def test_basic_scheduler_knows_every_schedule(model, name):
    for key, sigmas in REFERENCE["models"]["sd15_eps"]["schedules"].items():
        scheduler, steps = key.split("/")
        if scheduler == name:
            assert relative(basic_scheduler(model, name, int(steps)), sigmas) <= TOLERANCE, key


@pytest.mark.parametrize(
    ("key", "scheduler"),
    [
        ("KarrasScheduler 8", karras_scheduler),
        ("ExponentialScheduler 8", exponential_scheduler),
        ("PolyexponentialScheduler 8", polyexponential_scheduler),
        ("LaplaceScheduler 8", laplace_scheduler),
        ("VPScheduler 8", vp_scheduler),
    ],
)
def test_schedulers_without_a_model_equal_the_reference(key, scheduler):
    assert relative(scheduler(8), expected(key)) <= TOLERANCE


@pytest.mark.parametrize("kind", ["SD1", "SDXL", "SVD"])
@pytest.mark.parametrize(("steps", "denoise", "suffix"), [(10, 1.0, "10"), (6, 0.5, "6 d0.5")])
def test_aligned_steps_equal_the_reference(kind, steps, denoise, suffix):
    found = align_your_steps_scheduler(kind, steps, denoise)

    assert relative(found, expected(f"AlignYourSteps {kind} {suffix}")) <= TOLERANCE


def test_optimal_steps_equal_the_reference():
    assert relative(optimal_steps_scheduler("FLUX", 10), expected("OptimalSteps FLUX 10")) <= 1e-6
    assert len(optimal_steps_scheduler("FLUX", 25)) == 26
    assert len(optimal_steps_scheduler("FLUX", 20, 0.25)) == 6
    assert len(optimal_steps_scheduler("FLUX", 20, 0.0)) == 0


@pytest.mark.parametrize(("steps", "side"), [(8, 32), (20, 48), (5, 64)])
def test_stretched_levels_equal_those_of_diffusers(steps, side):
    """Its scheduler is told the logarithm of the shift, which lies on a line over the pixels."""
    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift_terminal=0.1)
    mu = 0.95 + (side**2 - 1024) / (4096 - 1024) * (2.05 - 0.95)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=mu)
    latent = Latent(torch.zeros(1, 4, side, side))

    found = ltxv_scheduler(steps, latent=latent)

    expected = torch.as_tensor(scheduler.sigmas).tolist()
    assert relative(found, expected) <= 1e-5
    assert float(found[-2]) == pytest.approx(0.1)
    if side == 64:
        assert torch.equal(found, ltxv_scheduler(steps))


@pytest.mark.parametrize(
    ("steps", "width", "height", "mu"),
    [
        (20, 1024, 1024, 2.1980220725551165),
        (4, 512, 768, 2.074104738977549),
        (50, 1040, 1040, 2.0368472341236843),
        (9, 2048, 2048, 3.22998634),
    ],
)
def test_levels_of_flux_2_are_those_of_diffusers(steps, width, height, mu):
    """`mu` is what its `compute_empirical_mu` returns."""
    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=mu)

    found = flux2_scheduler(steps, width, height)

    assert relative(found, torch.as_tensor(scheduler.sigmas).tolist()) <= 1e-5


def test_levels_that_are_not_stretched_are_only_shifted():
    even = torch.linspace(1.0, 0.25, 4)
    shift = math.exp(2.05)

    found = ltxv_scheduler(4, stretch=False)[:-1]

    torch.testing.assert_close(found, shift * even / (1 + (shift - 1) * even))


@pytest.mark.parametrize(
    "call",
    [
        lambda: karras_scheduler(4, rho=0.0),
        lambda: exponential_scheduler(4, sigma_min=0.0),
        lambda: polyexponential_scheduler(4, sigma_max=0.0),
    ],
)
def test_settings_that_make_no_levels_are_refused(call):
    with pytest.raises(BadSettingError, match="is 0"):
        call()


def test_a_schedule_is_split_after_a_step_and_joins_where_it_was():
    for step in range(7):
        high, low = split_sigmas(LEVELS, step)
        assert torch.equal(high, LEVELS[: step + 1])
        assert torch.equal(low, LEVELS[step:])


@pytest.mark.parametrize(("denoise", "after"), [(1.0, 0), (0.75, 1), (0.5, 2), (0.25, 3), (0.0, 4)])
def test_a_schedule_is_split_by_the_share_of_its_steps(denoise, after):
    high, low = split_sigmas_denoise(LEVELS, denoise)

    assert torch.equal(high, LEVELS[: after + 1])
    assert torch.equal(low, LEVELS[after:])


def test_flipped_levels_begin_just_above_nothing():
    with untouched(LEVELS):
        flipped = flip_sigmas(LEVELS)

    assert flipped.tolist() == pytest.approx([1e-4, 1.0, 2.0, 4.0, 8.0])
    assert flip_sigmas(torch.empty(0)).tolist() == []


def test_the_first_level_is_set_and_only_that():
    with untouched(LEVELS):
        changed = set_first_sigma(LEVELS, 20.0)

    assert changed.tolist() == [20.0, 4.0, 2.0, 1.0, 0.0]
    assert set_first_sigma(torch.empty(0), 20.0).tolist() == []


def test_steps_between_two_levels_are_made_of_several():
    def extend(spacing, start=-1.0, end=2.0, steps=2):
        return extend_intermediate_sigmas(
            sigmas=LEVELS, steps=steps, start_at_sigma=start, end_at_sigma=end, spacing=spacing
        ).tolist()

    assert extend("linear") == [8.0, 6.0, 4.0, 3.0, 2.0, 1.5, 1.0, 0.0]
    assert extend("linear", start=4.0) == [8.0, 4.0, 3.0, 2.0, 1.5, 1.0, 0.0]
    assert extend("linear", end=9.0) == LEVELS.tolist()
    assert extend("linear", steps=1) == LEVELS.tolist()
    assert extend("cosine", end=8.0)[1] == pytest.approx(8 - 4 * (1 - 0.5**0.5))
    assert extend("sine", end=8.0)[1] == pytest.approx(8 - 4 * 0.5**0.5)


def test_fractions_of_the_schedule_are_levels_of_the_model(model):
    facts = model.parameterization

    for key, sigma in REFERENCE["models"]["sd15_eps"]["percent_to_sigma"].items():
        assert sampling_percent_to_sigma(model, float(key))[0] == pytest.approx(sigma, rel=1e-6)
    assert sampling_percent_to_sigma(model, 0.0, True)[0] == facts.sigma_max
    assert sampling_percent_to_sigma(model, 1.0, True)[0] == facts.sigma_min


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("1, 0.5", [1.0, 0.5]),
        ("1., 0.99375 .5;0", [1.0, 0.99375, 0.5, 0.0]),
        ("[1e0, 2.5E-1, -3]", [1.0, 0.25, -3.0]),
        ("a1b2", [1.0, 2.0]),
    ],
)
def test_all_numbers_of_a_text_are_levels(text, levels):
    assert manual_sigmas(text).tolist() == pytest.approx(levels)


@pytest.mark.parametrize("text", ["", "none", "1e999", "." * 1000])
def test_a_text_without_numbers_is_refused(text):
    with pytest.raises(BadSettingError, match="has no numbers"):
        manual_sigmas(text)
