"""Nodes that say how a model was trained: levels, what they tell the network, what it predicts."""

import math

import pytest
import torch

from nodes.builtin.sampling.model_sampling import (
    model_sampling_aura_flow,
    model_sampling_continuous_edm,
    model_sampling_continuous_v,
    model_sampling_discrete,
    model_sampling_flux,
    model_sampling_sd3,
)
from nodes.sampling.noise_schedule.errors import BadSettingError
from nodes.sampling.noise_schedule.schedules import schedule
from tests.nodes.reference import numbers, relative
from tests.tiny_models.samplable import samplable

REFERENCE = numbers("sigmas")
SIGMAS = torch.tensor([0.05, 1.0, 9.0])
X0, NOISE = torch.randn(2, 3, 4, 4, 4, generator=torch.Generator().manual_seed(1)).unbind()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return samplable(tmp_path_factory.mktemp("models")).model


def wide(sigma=SIGMAS):
    return sigma.view(-1, 1, 1, 1)


@pytest.mark.parametrize("size", REFERENCE["ModelSamplingFlux"])
def test_the_shift_of_flux_depends_on_the_size_as_in_the_reference(model, size):
    width, height = map(int, size.split("x"))

    facts = model_sampling_flux(model, width=width, height=height).parameterization

    expected = REFERENCE["ModelSamplingFlux"][size]
    assert relative(schedule(facts, "simple", 4), expected["simple/4"]) <= 1e-6
    assert relative(schedule(facts, "beta", 8), expected["beta/8"]) <= 1e-6


@pytest.mark.parametrize("shift", REFERENCE["ModelSamplingSD3"])
def test_the_shift_of_sd3_equals_the_reference(model, shift):
    facts = model_sampling_sd3(model, float(shift)).parameterization

    for name, expected in REFERENCE["ModelSamplingSD3"][shift].items():
        assert relative(schedule(facts, name, 8), expected) <= 1e-6, name


def test_aura_flow_is_the_same_line_told_as_itself(model):
    sd3, aura = (
        make(model, 3.0).parameterization for make in (model_sampling_sd3, model_sampling_aura_flow)
    )

    assert torch.equal(sd3.sigmas, aura.sigmas)
    assert sd3.timestep(torch.tensor(0.5)) == 500
    assert aura.timestep(torch.tensor(0.5)) == 0.5


def test_what_was_said_of_the_model_stays_as_it_was(model):
    before = model.parameterization

    changed = model_sampling_sd3(model, 3.0)

    assert model.parameterization is before
    assert changed.parameterization.is_flow
    assert changed == model_sampling_sd3(model, 3.0)


def outputs_of(sampling):
    """What a perfect network answers, by what it predicts."""
    noise_ratio = wide() / (wide() ** 2 + 1).sqrt()
    signal = 1 / (wide() ** 2 + 1).sqrt()
    return {
        "eps": NOISE,
        "v_prediction": signal * NOISE - noise_ratio * X0,
        "x0": X0,
        "img_to_img": X0,
    }[sampling]


@pytest.mark.parametrize("sampling", ["eps", "v_prediction", "x0", "img_to_img"])
def test_a_perfect_prediction_gives_the_latent_back(model, sampling):
    facts = model_sampling_discrete(model, sampling).parameterization
    x = facts.add_noise(SIGMAS, NOISE, X0)

    found = facts.to_x0(x, SIGMAS, outputs_of(sampling))

    torch.testing.assert_close(found, X0, rtol=1e-4, atol=1e-4)
    scaled = x if sampling == "img_to_img" else x / (wide() ** 2 + 1).sqrt()
    torch.testing.assert_close(facts.scale_input(x, SIGMAS), scaled)


def test_zero_terminal_snr_gives_the_highest_level_of_the_reference(model):
    plain, zero = (
        model_sampling_discrete(model, "v_prediction", zsnr).parameterization
        for zsnr in (False, True)
    )

    samples = REFERENCE["models"]["sdxl_v_zsnr"]["table_samples"]
    assert plain.sigma_max == pytest.approx(14.614641, rel=1e-6)
    assert zero.sigma_max == pytest.approx(samples["999"], rel=1e-6)


def test_consistency_models_know_every_twentieth_level(model):
    facts = model_sampling_discrete(model, "lcm").parameterization
    trained = model.parameterization

    assert len(facts.sigmas) == 50
    assert facts.timestep(facts.sigmas).tolist() == [19 + 20 * at for at in range(50)]
    assert torch.equal(facts.sigmas, trained.sigmas[19::20])
    torch.testing.assert_close(facts.sigma(facts.timestep(facts.sigmas)), facts.sigmas)


def test_consistency_models_leave_all_but_clean_latents_alone(model):
    """c_skip = 0.25 / (t^2 + 0.25) and c_out = t / sqrt(t^2 + 0.25) at t = 10 timesteps."""
    facts = model_sampling_discrete(model, "lcm").parameterization
    sigma = facts.sigmas[[0]].expand(3)
    x = facts.add_noise(sigma, NOISE, X0)
    t = 190.0
    skip, out = 0.25 / (t**2 + 0.25), t / math.sqrt(t**2 + 0.25)

    found = facts.to_x0(x, sigma, NOISE)

    torch.testing.assert_close(found, out * X0 + skip * x, rtol=1e-4, atol=1e-4)


def edm_output(sampling):
    """From Karras et al. 2022, eq. 7, with the data's deviation 0.5; v has deviation 1."""
    s = wide()
    if sampling == "eps":
        return NOISE
    data = 1.0 if sampling == "v_prediction" else 0.5
    norm = (s**2 + data**2).sqrt()
    out = (X0 - data**2 / norm**2 * (X0 + s * NOISE)) * norm / (s * data)
    return -out if sampling == "v_prediction" else out


@pytest.mark.parametrize("sampling", ["v_prediction", "edm", "edm_playground_v2.5", "eps"])
def test_continuous_levels_give_the_latent_back_from_a_perfect_prediction(model, sampling):
    changed = model_sampling_continuous_edm(model=model, sampling=sampling)
    facts = changed.parameterization
    x = facts.add_noise(SIGMAS, NOISE, X0)

    found = facts.to_x0(x, SIGMAS, edm_output(sampling))

    data = 0.5 if sampling.startswith("edm") else 1.0
    torch.testing.assert_close(found, X0, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(facts.timestep(SIGMAS), SIGMAS.log() / 4)
    scaled = x / (wide() ** 2 + data**2).sqrt()
    torch.testing.assert_close(facts.scale_input(x, SIGMAS), scaled)
    assert (facts.sigma_min, facts.sigma_max) == pytest.approx((0.002, 120.0))


def test_playground_has_latents_of_its_own(model):
    changed = model_sampling_continuous_edm(model=model, sampling="edm_playground_v2.5")
    mean = torch.tensor([-1.6574, 1.886, -1.383, 2.5155]).view(1, 4, 1, 1)

    assert changed.latent_format.to_model(mean).abs().max() == 0
    assert model.latent_format != changed.latent_format


def test_a_cosmos_flow_is_a_line_over_levels_that_are_ratios(model):
    """At t = sigma / (1 + sigma) the network sees (1 - t) x0 + t noise and says noise - x0."""
    facts = model_sampling_continuous_edm(model=model, sampling="cosmos_rflow").parameterization
    x = facts.add_noise(SIGMAS, NOISE, X0)
    t = wide() / (1 + wide())

    torch.testing.assert_close(facts.scale_input(x, SIGMAS), (1 - t) * X0 + t * NOISE)
    found = facts.to_x0(x, SIGMAS, NOISE - X0)
    torch.testing.assert_close(found, X0, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(facts.sigma(facts.timestep(SIGMAS)), SIGMAS)


def test_continuous_v_is_told_an_angle(model):
    facts = model_sampling_continuous_v(model=model, sampling="v_prediction").parameterization

    assert facts.timestep(torch.tensor([1.0])).tolist() == pytest.approx([0.5])
    torch.testing.assert_close(facts.sigma(facts.timestep(SIGMAS)), SIGMAS)
    assert (facts.sigma_min, facts.sigma_max) == pytest.approx((0.03, 500.0))


def test_continuous_levels_are_even_in_their_logarithm(model):
    facts = model_sampling_continuous_edm(model=model, sampling="edm").parameterization

    assert facts.percent_to_sigma(0.5) == pytest.approx(math.sqrt(0.002 * 120.0))
    steps = facts.sigmas.double().log().diff()
    assert float(steps.max() / steps.min()) == pytest.approx(1.0, rel=1e-2)


@pytest.mark.parametrize(
    "call",
    [
        lambda model: model_sampling_sd3(model, 0.0),
        lambda model: model_sampling_aura_flow(model, 0.0),
        lambda model: model_sampling_continuous_edm(model=model, sampling="edm", sigma_min=200.0),
        lambda model: model_sampling_continuous_v(
            model=model, sampling="v_prediction", sigma_min=0.0
        ),
    ],
)
def test_levels_that_make_no_sense_are_refused(model, call):
    with pytest.raises(BadSettingError):
        call(model)
