"""Nodes that set how a model was trained to remove noise, where its file does not say."""

from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from nodegraph.definition.markers import Choices, Round, Step
from nodegraph.definition.node import node
from nodes.builtin.inputs import LatentSide
from nodes.models.loading.handles import ModelHandle
from nodes.sampling.conditioning.latents import LatentFormat
from nodes.sampling.noise_schedule.errors import BadSettingError
from nodes.sampling.noise_schedule.parameterization import X0, Discrete, Flow, ImageToImage
from nodes.sampling.noise_schedule.variance_exploding import CosmosFlow, Edm, broadcast

_KEPT = 64
"""Schedules that are kept for the next run; a change of the shift makes another one."""
_LCM_LEVELS = 50
_LCM_SIGMA_DATA = 0.5
_LCM_TIMESTEP_SCALE = 10.0
_PLAYGROUND = LatentFormat(
    channels=4,
    downscale=8,
    scale=(0.5 / 8.4927, 0.5 / 5.9022, 0.5 / 6.5498, 0.5 / 5.2299),
    shift=(-1.6574, 1.886, -1.383, 2.5155),
)
"""Playground v2.5's latents, by the mean and the deviation of each channel."""
_SMALL, _LARGE = 256, 4096
"""The tokens of images that FLUX's two shifts are for: 256x256 and 1024x1024 pixels."""

Shift = Annotated[float, Field(ge=0.0, le=100.0), Step(0.01)]
Level = Annotated[float, Field(ge=0.0, le=1000.0), Step(0.001), Round(False)]


@dataclass(frozen=True, slots=True, eq=False)
class Consistency(Discrete):
    """A latent consistency model, distilled at every 20th of 1000 levels.

    Luo et al. 2023 (arXiv:2310.04378), with the boundary scalings of diffusers' `LCMScheduler`.
    """

    stride: int = 1
    """Training timesteps from one level to the next."""

    def timestep(self, sigma: Tensor) -> Tensor:
        """Return the training timestep of the nearest level."""
        return Discrete.timestep(self, sigma) * self.stride + (self.stride - 1)

    def sigma(self, timestep: Tensor) -> Tensor:
        """Return the level of a timestep: the inverse of `timestep`."""
        return Discrete.sigma(self, (timestep.float() - (self.stride - 1)) / self.stride)

    def to_x0(self, x: Tensor, sigma: Tensor, output: Tensor) -> Tensor:
        """Compute x0 from the predicted noise, with scalings that make timestep 0 exact."""
        t = broadcast(self.timestep(sigma), x) * _LCM_TIMESTEP_SCALE
        norm = t**2 + _LCM_SIGMA_DATA**2
        x0 = x - output * broadcast(sigma, x)
        return x0 * t / norm.sqrt() + x * (_LCM_SIGMA_DATA**2 / norm)


@node("ModelSamplingDiscrete", category="advanced/model")
def model_sampling_discrete(
    model: ModelHandle,
    sampling: Annotated[str, Choices(("eps", "v_prediction", "lcm", "x0", "img_to_img"))],
    zsnr: bool = False,
) -> ModelHandle:
    """Set what a model predicts, where its file does not say.

    This is noise (eps), v, the clean latent (x0; lcm for consistency models) or another image's
    latent (img_to_img).

    `zsnr` starts at nearly pure noise, for models trained with zero terminal SNR.
    """
    return replace(model, sampling=_parameterization(sampling, zsnr))


@node("ModelSamplingSD3", category="advanced/model")
def model_sampling_sd3(model: ModelHandle, shift: Shift = 3.0) -> ModelHandle:
    """Shift a flow model's noise levels up; larger images need more, 1 is no shift."""
    return replace(model, sampling=_flow(_above_0("shift", shift), 1000.0))


@node("ModelSamplingAuraFlow", category="advanced/model")
def model_sampling_aura_flow(model: ModelHandle, shift: Shift = 1.73) -> ModelHandle:
    """Shift a flow model's noise levels, for timesteps from 0 to 1; see ModelSamplingSD3."""
    return replace(model, sampling=_flow(_above_0("shift", shift), 1.0))


@node("ModelSamplingFlux", category="advanced/model")
def model_sampling_flux(
    model: ModelHandle,
    max_shift: Shift = 1.15,
    base_shift: Shift = 0.5,
    width: LatentSide = 1024,
    height: LatentSide = 1024,
) -> ModelHandle:
    """Shift FLUX's noise levels by the size of the image.

    `base_shift` is for 256x256 pixels, `max_shift` for 1024x1024; for other sizes the shift is
    interpolated by the number of pixels.
    """
    tokens = (width / 16) * (height / 16)
    way = (tokens - _SMALL) / (_LARGE - _SMALL)
    return replace(model, sampling=_mu(base_shift + way * (max_shift - base_shift)))


@node("ModelSamplingContinuousEDM", category="advanced/model")
def model_sampling_continuous_edm(
    *,
    model: ModelHandle,
    sampling: Literal["v_prediction", "edm", "edm_playground_v2.5", "eps", "cosmos_rflow"],
    sigma_max: Level = 120.0,
    sigma_min: Level = 0.002,
) -> ModelHandle:
    """Set the noise levels of a model trained on a continuous range of them (EDM).

    The network reads a quarter of the level's logarithm, and predicts v, the noise (eps) or EDM's
    mix of both (edm; edm_playground_v2.5 has its own latent format). cosmos_rflow is a flow over
    the same levels.
    """
    _check_levels(sigma_min, sigma_max)
    if sampling == "cosmos_rflow":
        return replace(model, sampling=CosmosFlow.between(sigma_min, sigma_max))
    if sampling == "edm_playground_v2.5":
        edm = Edm.between(sigma_min, sigma_max, "edm")
        return replace(model, sampling=edm, latents=_PLAYGROUND)
    return replace(model, sampling=Edm.between(sigma_min, sigma_max, sampling))


@node("ModelSamplingContinuousV", category="advanced/model")
def model_sampling_continuous_v(
    *,
    model: ModelHandle,
    sampling: Literal["v_prediction"],
    sigma_max: Level = 500.0,
    sigma_min: Level = 0.03,
) -> ModelHandle:
    """Set the noise levels of a model that predicts v and reads them as angles from 0 to 1."""
    _check_levels(sigma_min, sigma_max)
    levels = Edm.between(sigma_min, sigma_max, sampling, clock="angle")
    return replace(model, sampling=levels)


def _above_0(name: str, value: float) -> float:
    if value <= 0:
        raise BadSettingError(
            name=name, what="is 0", hint="Use a number above 0; 1 shifts nothing."
        )
    return value


def _check_levels(sigma_min: float, sigma_max: float) -> None:
    if not 0 < sigma_min < sigma_max:
        what = f"is {sigma_min} with a sigma_max of {sigma_max}"
        raise BadSettingError(
            name="sigma_min", what=what, hint="Use a number above 0 and below sigma_max."
        )


@lru_cache(_KEPT)
def _flow(shift: float, multiplier: float) -> Flow:
    return Flow.with_shift(shift, multiplier=multiplier)


@lru_cache(_KEPT)
def _mu(mu: float) -> Flow:
    return Flow.from_mu(mu)


@cache
def _parameterization(sampling: str, zsnr: bool) -> Discrete:
    plain = Discrete.scaled_linear(zero_terminal_snr=zsnr)
    if sampling == "v_prediction":
        return replace(plain, prediction="v")
    if sampling == "lcm":
        stride = len(plain.sigmas) // _LCM_LEVELS
        kept = torch.arange(stride - 1, len(plain.sigmas), stride)
        return Consistency(plain.sigmas[kept], plain.log_sigmas[kept], stride=stride)
    kinds = {"eps": Discrete, "x0": X0, "img_to_img": ImageToImage}
    return kinds[sampling](plain.sigmas, plain.log_sigmas)
