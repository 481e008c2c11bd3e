"""Nodes that make noise levels for the custom samplers."""

from typing import Annotated, Literal

from pydantic import Field

from nodegraph.definition.markers import Round, Step
from nodegraph.definition.node import node
from nodes.builtin.inputs import Ratio, Steps
from nodes.builtin.sampling.ksampler import Scheduler
from nodes.models.loading.handles import ModelHandle
from nodes.sampling.noise_schedule.errors import BadSettingError
from nodes.sampling.noise_schedule.schedule_tables import (
    ALIGN_YOUR_STEPS,
    OPTIMAL_STEPS,
    tabled_sigmas,
)
from nodes.sampling.noise_schedule.schedules import (
    beta_sigmas,
    exponential_sigmas,
    karras_sigmas,
    laplace_sigmas,
    measured_mu,
    polyexponential_sigmas,
    stretched_sigmas,
    turbo_sigmas,
    vp_sigmas,
)
from nodes.sampling.samplers.registry import sigmas_for
from nodes.values import Latent, Sigmas

Level = Annotated[float, Field(ge=0.0, le=5000.0), Step(0.01), Round(False)]
Exponent = Annotated[float, Field(ge=0.0, le=100.0), Step(0.01), Round(False)]
BetaParameter = Annotated[float, Field(ge=0.0, le=50.0), Step(0.01), Round(False)]
PictureSide = Annotated[int, Field(ge=16, le=16384)]

_TOKEN_PIXELS = 16 * 16
_FEW_PIXELS, _MANY_PIXELS = 1024, 4096
_SCHEDULERS = "sampling/custom_sampling/schedulers"


@node("BasicScheduler", category=_SCHEDULERS)
def basic_scheduler(
    model: ModelHandle,
    scheduler: Scheduler,
    steps: Steps = 20,
    denoise: Ratio = 1.0,
) -> Sigmas:
    """Make the noise levels of a named schedule, as KSampler uses them.

    `denoise` below 1 gives the tail of a longer schedule: `steps` steps that begin where this
    share of the noise is left.
    """
    return sigmas_for(model.parameterization, scheduler, "", steps, denoise)


@node("KarrasScheduler", category=_SCHEDULERS)
def karras_scheduler(
    steps: Steps = 20,
    sigma_max: Level = 14.614642,
    sigma_min: Level = 0.0291675,
    rho: Exponent = 7.0,
) -> Sigmas:
    """Noise levels evenly spaced in sigma^(1/`rho`): the higher `rho`, the more low levels."""
    _check_above_0("rho", rho)
    return karras_sigmas(steps, sigma_min, sigma_max, rho)


@node("ExponentialScheduler", category=_SCHEDULERS)
def exponential_scheduler(
    steps: Steps = 20, sigma_max: Level = 14.614642, sigma_min: Level = 0.0291675
) -> Sigmas:
    """Noise levels evenly spaced in the logarithm of sigma."""
    _check_above_0("sigma_max", sigma_max)
    _check_above_0("sigma_min", sigma_min)
    return exponential_sigmas(steps, sigma_min, sigma_max)


@node("PolyexponentialScheduler", category=_SCHEDULERS)
def polyexponential_scheduler(
    steps: Steps = 20,
    sigma_max: Level = 14.614642,
    sigma_min: Level = 0.0291675,
    rho: Exponent = 1.0,
) -> Sigmas:
    """Noise levels along a polynomial of degree `rho` in log sigma; 1 is exponential."""
    _check_above_0("sigma_max", sigma_max)
    _check_above_0("sigma_min", sigma_min)
    return polyexponential_sigmas(steps, sigma_min, sigma_max, rho)


@node("LaplaceScheduler", category=_SCHEDULERS)
def laplace_scheduler(
    steps: Steps = 20,
    sigma_max: Level = 14.614642,
    sigma_min: Level = 0.0291675,
    mu: Annotated[float, Field(ge=-10.0, le=10.0), Step(0.1), Round(False)] = 0.0,
    beta: Annotated[float, Field(ge=0.0, le=10.0), Step(0.1), Round(False)] = 0.5,
) -> Sigmas:
    """Noise levels concentrated around e^`mu` with the spread `beta`, down to `sigma_min`."""
    return laplace_sigmas(steps, sigma_min, sigma_max, mu, beta)


@node("VPScheduler", category=_SCHEDULERS)
def vp_scheduler(
    steps: Steps = 20,
    beta_d: Annotated[float, Field(ge=0.0, le=5000.0), Step(0.01), Round(False)] = 19.9,
    beta_min: Annotated[float, Field(ge=0.0, le=5000.0), Step(0.01), Round(False)] = 0.1,
    eps_s: Annotated[float, Field(ge=0.0, le=1.0), Step(0.0001), Round(False)] = 0.001,
) -> Sigmas:
    """Noise levels of a variance-preserving process at even times, down to the time `eps_s`."""
    return vp_sigmas(steps, beta_d, beta_min, eps_s)


@node("BetaSamplingScheduler", category=_SCHEDULERS)
def beta_sampling_scheduler(
    model: ModelHandle,
    steps: Steps = 20,
    alpha: BetaParameter = 0.6,
    beta: BetaParameter = 0.6,
) -> Sigmas:
    """Take a model's noise levels at the quantiles of a beta distribution.

    With `alpha` and `beta` below 1, most levels are near both ends.
    """
    _check_above_0("alpha", alpha)
    _check_above_0("beta", beta)
    return beta_sigmas(model.parameterization, steps, alpha, beta)


@node("SDTurboScheduler", category=_SCHEDULERS)
def sd_turbo_scheduler(
    model: ModelHandle,
    steps: Annotated[int, Field(ge=1, le=10)] = 1,
    denoise: Ratio = 1.0,
) -> Sigmas:
    """The noise levels that SD-Turbo was distilled at; `denoise` below 1 leaves out the first."""
    return turbo_sigmas(model.parameterization, steps, denoise)


@node("AlignYourStepsScheduler", category=_SCHEDULERS)
def align_your_steps_scheduler(
    model_type: Literal["SD1", "SDXL", "SVD"],
    steps: Steps = 10,
    denoise: Ratio = 1.0,
) -> Sigmas:
    """Noise levels optimised for a model family at ten steps; other counts are interpolated."""
    return tabled_sigmas(ALIGN_YOUR_STEPS[model_type], steps, denoise)


@node("OptimalStepsScheduler", category=_SCHEDULERS)
def optimal_steps_scheduler(
    model_type: Literal["FLUX"],
    steps: Annotated[int, Field(ge=3, le=1000)] = 20,
    denoise: Ratio = 1.0,
) -> Sigmas:
    """Noise levels found by search for FLUX.1-dev at ten steps; other counts are interpolated."""
    return tabled_sigmas(OPTIMAL_STEPS[model_type], steps, denoise)


@node("LTXVScheduler", category=_SCHEDULERS)
def ltxv_scheduler(
    steps: Steps = 20,
    max_shift: Annotated[float, Field(ge=0.0, le=100.0), Step(0.01)] = 2.05,
    base_shift: Annotated[float, Field(ge=0.0, le=100.0), Step(0.01)] = 0.95,
    stretch: bool = True,
    terminal: Annotated[float, Field(ge=0.0, le=0.99), Step(0.01)] = 0.1,
    latent: Latent | None = None,
) -> Sigmas:
    """Noise levels of a flow model, shifted up the more, the larger the latent is.

    `base_shift` is for 1024 latent pixels, `max_shift` for 4096, the size assumed without a
    latent. `stretch` spreads the levels until the last one above 0 is `terminal`.
    """
    pixels = latent.samples[0, 0].numel() if latent else _MANY_PIXELS
    way = (pixels - _FEW_PIXELS) / (_MANY_PIXELS - _FEW_PIXELS)
    mu = base_shift + way * (max_shift - base_shift)
    return stretched_sigmas(steps, mu, terminal if stretch else None)


@node("Flux2Scheduler", category=_SCHEDULERS)
def flux2_scheduler(
    steps: Annotated[int, Field(ge=1, le=4096)] = 20,
    width: PictureSide = 1024,
    height: PictureSide = 1024,
) -> Sigmas:
    """Noise levels of FLUX.2, shifted by what its authors measured for a size and so many steps.

    `width` and `height` are the image's, in pixels: the larger it is, the more noise is left for
    longer.
    """
    tokens = round(width * height / _TOKEN_PIXELS)
    return stretched_sigmas(steps, measured_mu(tokens, steps), None)


def _check_above_0(name: str, value: float) -> None:
    if value <= 0:
        raise BadSettingError(name=name, what="is 0", hint="Use a number above 0.")
