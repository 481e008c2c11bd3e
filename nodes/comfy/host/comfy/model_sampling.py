"""`comfy.model_sampling`: noise schedules that packs make, derive from, and put into a MODEL.

A class has two bases: what the network predicts (`EPS`, `V_PREDICTION`, `CONST`), and the levels.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from nodes.comfy.values.inner_model import PackNoiseLevels
from nodes.sampling.noise_schedule.parameterization import Discrete, Flow, Parameterization

_FLUX_LEVELS = 10000


class EPS:
    """The network predicts the noise (Ho et al. 2020); it lies on top of the latent."""

    sigma_data = 1.0

    def calculate_input(self, sigma: Tensor, noise: Tensor) -> Tensor:
        """Scale to unit variance (Karras et al. 2022, eq. 7)."""
        return noise / (_like(sigma, noise) ** 2 + self.sigma_data**2) ** 0.5

    def calculate_denoised(
        self, sigma: Tensor, model_output: Tensor, model_input: Tensor
    ) -> Tensor:
        """Return x0 from the noise."""
        return model_input - model_output * _like(sigma, model_output)

    def noise_scaling(
        self, sigma: Any, noise: Tensor, latent_image: Tensor, max_denoise: bool = False
    ) -> Tensor:
        """Return the latent with noise; with `max_denoise` of the variance of both."""
        level = _like(sigma, noise)
        return noise * (torch.sqrt(1.0 + level**2) if max_denoise else level) + latent_image

    def inverse_noise_scaling(self, sigma: Any, latent: Tensor) -> Tensor:
        """Return the latent as it is: it does not fade."""
        del sigma
        return latent


class V_PREDICTION(EPS):  # noqa: N801 - the name that packs import
    """The network predicts v (Salimans & Ho 2022, app. D)."""

    def calculate_denoised(
        self, sigma: Tensor, model_output: Tensor, model_input: Tensor
    ) -> Tensor:
        """Return x0 from v."""
        level, data = _like(sigma, model_output), self.sigma_data
        variance = level**2 + data**2
        return model_input * data**2 / variance - model_output * level * data / variance**0.5


class CONST:
    """The network predicts the way from the latent to the noise (Lipman et al. 2022)."""

    sigma_data = 1.0

    def calculate_input(self, sigma: Tensor, noise: Tensor) -> Tensor:
        """Return x as it is."""
        del sigma
        return noise

    def calculate_denoised(
        self, sigma: Tensor, model_output: Tensor, model_input: Tensor
    ) -> Tensor:
        """Return x0 from the direction."""
        return model_input - model_output * _like(sigma, model_output)

    def noise_scaling(
        self, sigma: Any, noise: Tensor, latent_image: Tensor, max_denoise: bool = False
    ) -> Tensor:
        """Return the point between the latent and the noise."""
        del max_denoise
        level = _like(sigma, noise)
        return level * noise + (1.0 - level) * latent_image

    def inverse_noise_scaling(self, sigma: Any, latent: Tensor) -> Tensor:
        """Undo the fading of a latent."""
        return latent / (1.0 - _like(sigma, latent))


class _Levels(nn.Module):
    """Noise levels out of a parameterization of ours."""

    _own: Parameterization
    sigmas: Tensor

    def _take(self, own: Parameterization) -> None:
        self._own = own
        self.register_buffer("sigmas", own.sigmas.clone())

    @property
    def sigma_min(self) -> Tensor:
        """Return the lowest level."""
        return self.sigmas[0]

    @property
    def sigma_max(self) -> Tensor:
        """Return the highest level."""
        return self.sigmas[-1]

    @property
    def parameterization(self) -> Parameterization:
        """Return it in the form that schedules use."""
        return PackNoiseLevels(self._own, self)

    def timestep(self, sigma: Tensor) -> Tensor:
        """Return the network's time at a level."""
        return self._own.timestep(sigma)

    def sigma(self, timestep: Tensor) -> Tensor:
        """Return the level at a timestep."""
        return self._own.sigma(torch.as_tensor(timestep, dtype=torch.float32))

    def percent_to_sigma(self, percent: float) -> float:
        """Return the level at a fraction of the schedule."""
        return self._own.percent_to_sigma(percent)


class ModelSamplingDiscrete(_Levels):
    """Stable Diffusion's 1000 levels; `set_sigmas` replaces them."""

    def __init__(self, model_config: Any = None, zsnr: bool | None = None) -> None:
        super().__init__()
        settings = _settings(model_config)
        zero = bool(settings.get("zsnr", False)) if zsnr is None else zsnr
        low, high = settings.get("linear_start", 0.00085), settings.get("linear_end", 0.012)
        own = Discrete.scaled_linear(zero_terminal_snr=zero, beta_range=(low, high))
        self._take(own)

    def set_sigmas(self, sigmas: Tensor) -> None:
        """Replace the levels, [levels], ascending."""
        self._take(Discrete.from_sigmas(sigmas.detach().cpu()))


class ModelSamplingDiscreteFlow(_Levels):
    """The 1000 levels of a flow, moved towards the noise by a shift (Esser et al. 2024, eq. 23)."""

    shift: float
    multiplier: float

    def __init__(self, model_config: Any = None) -> None:
        super().__init__()
        settings = _settings(model_config)
        multiplier = settings.get("multiplier", 1000.0)
        self.set_parameters(shift=settings.get("shift", 1.0), multiplier=multiplier)

    def set_parameters(
        self, shift: float = 1.0, timesteps: int = 1000, multiplier: float = 1000.0
    ) -> None:
        """Replace the levels."""
        self.shift, self.multiplier = shift, multiplier
        self._take(Flow.with_shift(shift, multiplier=multiplier, levels=timesteps))


class ModelSamplingFlux(_Levels):
    """FLUX's 10,000 levels; the shift is a logarithm."""

    shift: float

    def __init__(self, model_config: Any = None) -> None:
        super().__init__()
        self.set_parameters(shift=_settings(model_config).get("shift", 1.15))

    def set_parameters(self, shift: float = 1.15, timesteps: int = _FLUX_LEVELS) -> None:
        """Replace the levels."""
        self.shift = shift
        self._take(Flow.with_shift(math.exp(shift), multiplier=1.0, levels=timesteps))


def time_snr_shift(alpha: float, t: Any) -> Any:
    """Return times in [0, 1] shifted towards noise: the ratio of noise to signal times `alpha`."""
    return alpha * t / (1 + (alpha - 1) * t)


def flux_time_shift(mu: float, sigma: float, t: Any) -> Any:
    """Return times in (0, 1] shifted as FLUX.1 does, by the logarithm `mu` of the factor."""
    return math.exp(mu) / (math.exp(mu) + (1 / t - 1) ** sigma)


def _settings(model_config: Any) -> dict[str, Any]:
    return getattr(model_config, "sampling_settings", None) or {}


def _like(sigma: Any, x: Tensor) -> Tensor:
    """Return levels, one or [batch], so that they go with a latent."""
    level = torch.as_tensor(sigma, device=x.device)
    return level.reshape(-1, *[1] * (x.ndim - 1)) if level.ndim else level
