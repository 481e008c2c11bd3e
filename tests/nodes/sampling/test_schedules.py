"""Noise levels and schedules against the reference numbers, and against closed forms."""

import math

import pytest
import torch
from torch import Tensor

from nodes.sampling.noise_schedule.parameterization import Discrete, Flow
from nodes.sampling.noise_schedule.schedules import (
    SCHEDULES,
    beta_sigmas,
    exponential_sigmas,
    karras_sigmas,
    laplace_sigmas,
    polyexponential_sigmas,
    schedule,
    turbo_sigmas,
    vp_sigmas,
)
from nodes.sampling.samplers.registry import sigmas_for
from tests.nodes.reference import MODELS, numbers, relative

REFERENCE = numbers("sigmas")
TOLERANCE = 1e-6


@pytest.mark.parametrize("model", MODELS)
def test_levels_timesteps_and_percentages_equal_the_reference(model: str) -> None:
    parameterization, expected = MODELS[model], REFERENCE["models"][model]

    table = {i: float(parameterization.sigmas[int(i)]) for i in expected["table_samples"]}
    timesteps = {
        sigma: float(parameterization.timestep(torch.tensor(float(sigma))))
        for sigma in expected["timestep_of"]
    }
    percents = {
        p: parameterization.percent_to_sigma(float(p)) for p in expected["percent_to_sigma"]
    }

    assert len(parameterization.sigmas) == expected["n_sigmas"]
    assert table == pytest.approx(expected["table_samples"], rel=TOLERANCE)
    assert timesteps == expected["timestep_of"]
    assert percents == pytest.approx(expected["percent_to_sigma"], rel=TOLERANCE)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_equals_the_reference(model: str, name: str) -> None:
    for key, expected in REFERENCE["models"][model]["schedules"].items():
        scheduler, steps = key.split("/")
        if scheduler == name:
            assert relative(schedule(MODELS[model], name, int(steps)), expected) <= TOLERANCE, key


@pytest.mark.parametrize("key", REFERENCE["KSampler"])
def test_ksampler_cuts_the_schedule_like_the_reference(key: str) -> None:
    model, sampler, scheduler, steps, denoise = key.split("/")

    sigmas = sigmas_for(MODELS[model], scheduler, sampler, int(steps), float(denoise))

    assert relative(sigmas, REFERENCE["KSampler"][key]) <= TOLERANCE


@pytest.mark.parametrize("size", REFERENCE["ModelSamplingFlux"])
def test_flux_shift_equals_the_reference(size: str) -> None:
    expected = REFERENCE["ModelSamplingFlux"][size]
    flux = Flow.from_mu(expected["shift"])

    assert relative(schedule(flux, "simple", 4), expected["simple/4"]) <= TOLERANCE
    assert relative(schedule(flux, "beta", 8), expected["beta/8"]) <= TOLERANCE


@pytest.mark.parametrize("shift", REFERENCE["ModelSamplingSD3"])
def test_sd3_shift_equals_the_reference(shift: str) -> None:
    flow = Flow.with_shift(float(shift))

    for name, expected in REFERENCE["ModelSamplingSD3"][shift].items():
        assert relative(schedule(flow, name, 8), expected) <= TOLERANCE, name


@pytest.mark.parametrize(
    ("key", "sigmas"),
    [
        ("KarrasScheduler 8", karras_sigmas(8, 0.0291675, 14.614642)),
        ("ExponentialScheduler 8", exponential_sigmas(8, 0.0291675, 14.614642)),
        ("PolyexponentialScheduler 8", polyexponential_sigmas(8, 0.0291675, 14.614642)),
        ("LaplaceScheduler 8", laplace_sigmas(8, 0.0291675, 14.614642)),
        ("VPScheduler 8", vp_sigmas(8)),
        ("BetaSamplingScheduler 8", beta_sigmas(MODELS["sd15_eps"], 8, 0.6, 0.6)),
        ("SDTurboScheduler 4 d1", turbo_sigmas(MODELS["sd15_eps"], 4)),
        ("SDTurboScheduler 2 d0.5", turbo_sigmas(MODELS["sd15_eps"], 2, 0.5)),
    ],
)
def test_sigmas_of_scheduler_nodes_equal_the_reference(key: str, sigmas: Tensor) -> None:
    assert relative(sigmas, REFERENCE["nodes"][key]) <= TOLERANCE


def test_schedules_are_listed_in_comfyui_order() -> None:
    assert list(SCHEDULES)[:9] == [
        "simple", "sgm_uniform", "karras", "exponential", "ddim_uniform",
        "beta", "normal", "linear_quadratic", "kl_optimal",
    ]  # fmt: skip


def test_karras_is_evenly_spaced_in_the_root_of_sigma() -> None:
    roots = karras_sigmas(5, 0.1, 10.0, rho=3.0)[:-1].double() ** (1 / 3)

    assert roots.diff().tolist() == pytest.approx([float(roots[1] - roots[0])] * 4, rel=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_half_log_snr_and_its_inverse_agree(model: str) -> None:
    parameterization = MODELS[model]
    sigma = torch.tensor([0.1, 0.5, 0.9])

    found = parameterization.half_log_snr(sigma)

    assert found.tolist() == pytest.approx((parameterization.alpha(sigma) / sigma).log().tolist())
    assert parameterization.sigma_at(found).tolist() == pytest.approx(sigma.tolist())


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_discrete_recovers_x0_from_a_perfect_prediction(prediction: str) -> None:
    """Each sample has its own sigma."""
    model = Discrete.scaled_linear("v" if prediction == "v" else "eps")
    x0, noise = torch.randn(2, 3, 4, 4, 4, generator=torch.Generator().manual_seed(1)).unbind()
    sigma = torch.tensor([0.1, 1.0, 14.0])
    s = sigma.view(-1, 1, 1, 1)
    output = noise if prediction == "eps" else (noise - s * x0) / (1 + s**2).sqrt()

    x = model.add_noise(sigma, noise, x0)

    assert model.to_x0(x, sigma, output).sub(x0).abs().max() < 1e-5
    assert model.scale_input(x, sigma).sub(x / (1 + s**2).sqrt()).abs().max() < 1e-6


def test_flow_recovers_x0_from_a_perfect_prediction() -> None:
    flow = Flow.with_shift(3.0)
    x0, noise = torch.randn(2, 3, 4, 4, 4, generator=torch.Generator().manual_seed(1)).unbind()
    sigma = torch.tensor([0.1, 0.5, 1.0])

    x = flow.add_noise(sigma, noise, x0)

    assert flow.to_x0(x, sigma, noise - x0).sub(x0).abs().max() < 1e-6
    assert flow.inverse_noise_scaling(torch.tensor(0.2), 0.8 * x0).sub(x0).abs().max() < 1e-6


def test_log_levels_are_rounded_from_double_precision() -> None:
    """Ties between timesteps fall as in the reference only so."""
    roots = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64)
    alphas_bar = (1 - roots**2).cumprod(0)

    exact = ((1 - alphas_bar) / alphas_bar).log() / 2

    assert torch.equal(Discrete.scaled_linear().log_sigmas, exact.float())


def test_max_denoise_covers_a_latent_of_unit_variance() -> None:
    noise = torch.ones(1, 4, 2, 2)

    noised = Discrete.scaled_linear().add_noise(
        torch.tensor(3.0), noise, noise * 0, max_denoise=True
    )

    assert float(noised.max()) == pytest.approx(math.sqrt(10.0))
