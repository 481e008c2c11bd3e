"""Parameterizations: the way noise is added to a latent, and a model's noise levels.

Two ways cover every family. `Discrete` adds noise to the latent (`x = x0 + sigma * noise`,
"variance exploding") and knows the 1000 levels of a DDPM training run. `Flow` goes straight from
the latent to the noise (`x = (1 - sigma) * x0 + sigma * noise`). Samplers ask only for what
`Parameterization` offers, so that they work with both. Sigma is a scalar tensor or [batch]
throughout: every sample may have its own.
"""

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from nodes.sampling.noise_schedule.variance_exploding import (
    PURE_NOISE,
    VarianceExploding,
    broadcast,
)

_TERMINAL_ALPHA_BAR = 4.8973451890853435e-08
"""Replaces alpha_bar = 0, which no finite sigma has: sigma_max becomes 4518.76."""


class Parameterization(Protocol):
    """The noise levels and the conversions that samplers, schedules and guidance use."""

    @property
    def sigmas(self) -> Tensor:
        """[levels] float32, ascending: the noise levels of the training schedule."""
        ...

    @property
    def sigma_min(self) -> float:
        """The lowest level."""
        ...

    @property
    def sigma_max(self) -> float:
        """The highest level."""
        ...

    @property
    def is_flow(self) -> bool:
        """True if the signal fades as the noise grows (alpha = 1 - sigma), False if it stays."""
        ...

    def timestep(self, sigma: Tensor) -> Tensor:
        """Return the network's time at this level; same shape, float32."""
        ...

    def sigma(self, timestep: Tensor) -> Tensor:
        """Return the level at a (fractional) timestep; same shape, float32."""
        ...

    def percent_to_sigma(self, fraction: float) -> float:
        """Return the level at a fraction of the schedule: 0 is pure noise, 1 the image."""
        ...

    def alpha(self, sigma: Tensor) -> Tensor:
        """Return the factor of the latent at this level, from 0 to 1; same shape."""
        ...

    def half_log_snr(self, sigma: Tensor) -> Tensor:
        """Return log(alpha / sigma), lambda in the papers; -inf where no latent is left."""
        ...

    def sigma_at(self, half_log_snr: Tensor) -> Tensor:
        """Return the level with this log(alpha / sigma): the inverse of `half_log_snr`."""
        ...

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Scale x as the network expects it."""
        ...

    def to_x0(self, x: Tensor, sigma: Tensor, output: Tensor) -> Tensor:
        """Return the clean latent that the network's output at (x, sigma) stands for."""
        ...

    def add_noise(
        self, sigma: Tensor, noise: Tensor, latent: Tensor, *, max_denoise: bool = False
    ) -> Tensor:
        """Return the latent at this level of noise; with `max_denoise` nothing of it remains."""
        ...

    def inverse_noise_scaling(self, sigma: Tensor, latent: Tensor) -> Tensor:
        """Undo the fading of a latent whose sampling ended at `sigma`."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Discrete(VarianceExploding):
    """Noise on top of the latent, at the levels of a DDPM training schedule.

    Ho et al. 2020 (arXiv:2006.11239): sigma = sqrt((1 - alpha_bar) / alpha_bar).
    """

    log_sigmas: Tensor
    """[levels] float32, rounded from double precision: decides ties between timesteps."""
    prediction: Literal["eps", "v"] = "eps"

    @classmethod
    def from_sigmas(cls, sigmas: Tensor, prediction: Literal["eps", "v"] = "eps") -> "Discrete":
        """Make one from a table of levels: [levels], ascending, best in float64."""
        return cls(sigmas.float(), sigmas.log().float(), prediction)

    @classmethod
    def scaled_linear(
        cls,
        prediction: Literal["eps", "v"] = "eps",
        *,
        zero_terminal_snr: bool = False,
        beta_range: tuple[float, float] = (0.00085, 0.012),
    ) -> "Discrete":
        """Stable Diffusion's 1000 levels: betas that are linear in their square root.

        `zero_terminal_snr` stretches them so that the last level is (all but) pure noise.
        """
        low, high = beta_range
        betas = torch.linspace(low**0.5, high**0.5, 1000, dtype=torch.float64) ** 2
        alphas_bar = torch.cumprod(1.0 - betas, dim=0)
        if zero_terminal_snr:
            alphas_bar = _zero_terminal_snr(alphas_bar)
        return cls.from_sigmas(((1 - alphas_bar) / alphas_bar).sqrt(), prediction)

    def timestep(self, sigma: Tensor) -> Tensor:
        """Return the index of the nearest level, in log sigma."""
        log_sigmas = self.log_sigmas.to(sigma.device)
        distance = (sigma.log().reshape(1, -1) - log_sigmas.reshape(-1, 1)).abs()
        return distance.argmin(dim=0).reshape(sigma.shape).float()

    def sigma(self, timestep: Tensor) -> Tensor:
        """Return the level at a timestep; between two levels log sigma is interpolated."""
        log_sigmas = self.log_sigmas.to(timestep.device)
        t = timestep.float().clamp(0, len(log_sigmas) - 1)
        low, high, w = t.floor().long(), t.ceil().long(), t.frac()
        return ((1 - w) * log_sigmas[low] + w * log_sigmas[high]).exp()

    def percent_to_sigma(self, fraction: float) -> float:
        """Return the level at a fraction of the timesteps; unbounded at 0, none at 1."""
        if fraction <= 0.0:
            return PURE_NOISE
        if fraction >= 1.0:
            return 0.0
        return float(self.sigma(torch.tensor((1.0 - fraction) * (len(self.sigmas) - 1))))

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Scale to unit variance (Karras et al. 2022, eq. 7)."""
        return x / (broadcast(sigma, x) ** 2 + 1.0) ** 0.5

    def to_x0(self, x: Tensor, sigma: Tensor, output: Tensor) -> Tensor:
        """Return x0 from the noise, or from v (Salimans & Ho 2022, arXiv:2202.00512, app. D)."""
        s = broadcast(sigma, x)
        if self.prediction == "eps":
            return x - output * s
        return x / (s**2 + 1.0) - output * s / (s**2 + 1.0) ** 0.5


@dataclass(frozen=True, slots=True, eq=False)
class X0(Discrete):
    """The network predicts the clean latent (x0) itself."""

    def to_x0(self, x: Tensor, sigma: Tensor, output: Tensor) -> Tensor:
        """Return the output unchanged."""
        del x, sigma
        return output


@dataclass(frozen=True, slots=True, eq=False)
class ImageToImage(X0):
    """The network turns one latent into another, without noise."""

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return the input unchanged."""
        del sigma
        return x


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """A straight line from the latent to the noise (Lipman et al. 2022, arXiv:2210.02747).

    `shift` moves the levels towards the noise for larger images (Esser et al. 2024,
    arXiv:2403.03206, eq. 23); FLUX gives its logarithm, mu.
    """

    sigmas: Tensor
    shift: float
    multiplier: float
    """The network's time is sigma times this."""

    @classmethod
    def with_shift(cls, shift: float, *, multiplier: float = 1000.0, levels: int = 1000) -> "Flow":
        """Make SD3's levels (shift 3), or FLUX schnell's (shift 1, multiplier 1)."""
        sigmas = _shift(torch.arange(1, levels + 1) / levels, shift)
        return cls(sigmas, shift, multiplier)

    @classmethod
    def from_mu(cls, mu: float) -> "Flow":
        """Make FLUX's levels: shift exp(mu), 10000 of them."""
        return cls.with_shift(math.exp(mu), multiplier=1.0, levels=10000)

    @property
    def sigma_min(self) -> float:
        """The lowest level."""
        return float(self.sigmas[0])

    @property
    def sigma_max(self) -> float:
        """The highest level: 1."""
        return float(self.sigmas[-1])

    @property
    def is_flow(self) -> bool:
        """True: the signal fades."""
        return True

    def timestep(self, sigma: Tensor) -> Tensor:
        """Return sigma times the multiplier."""
        return sigma * self.multiplier

    def sigma(self, timestep: Tensor) -> Tensor:
        """Return the shifted level."""
        return _shift(timestep / self.multiplier, self.shift)

    def percent_to_sigma(self, fraction: float) -> float:
        """Return the level at a fraction of the unshifted line."""
        t = 1.0 - min(max(fraction, 0.0), 1.0)
        return self.shift * t / (1.0 + (self.shift - 1.0) * t)

    def alpha(self, sigma: Tensor) -> Tensor:
        """Return 1 - sigma."""
        return 1.0 - sigma

    def half_log_snr(self, sigma: Tensor) -> Tensor:
        """Return log((1 - sigma) / sigma)."""
        return sigma.logit().neg()

    def sigma_at(self, half_log_snr: Tensor) -> Tensor:
        """Return 1 / (1 + exp(lambda))."""
        return half_log_snr.neg().sigmoid()

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return x unchanged: the line keeps the variance near 1."""
        del sigma
        return x

    def to_x0(self, x: Tensor, sigma: Tensor, output: Tensor) -> Tensor:
        """Go back along the predicted velocity, noise minus latent."""
        return x - output * broadcast(sigma, x)

    def add_noise(
        self, sigma: Tensor, noise: Tensor, latent: Tensor, *, max_denoise: bool = False
    ) -> Tensor:
        """Return the point on the line; at sigma 1 nothing of the latent remains anyway."""
        del max_denoise
        s = broadcast(sigma, latent)
        return s * noise + (1.0 - s) * latent

    def inverse_noise_scaling(self, sigma: Tensor, latent: Tensor) -> Tensor:
        """Return the latent at full strength."""
        return latent / (1.0 - broadcast(sigma, latent))


def _shift(t: Tensor, shift: float) -> Tensor:
    """Esser et al. 2024, eq. 23."""
    return t if shift == 1.0 else shift * t / (1 + (shift - 1) * t)


def _zero_terminal_snr(alphas_bar: Tensor) -> Tensor:
    """Rescale so that the last level has no signal (Lin et al. 2023, arXiv:2305.08891, alg. 1)."""
    roots = alphas_bar.sqrt()
    first, last = roots[0], roots[-1]
    stretched = ((roots - last) * first / (first - last)) ** 2
    return torch.cat([stretched[:-1], stretched.new_tensor([_TERMINAL_ALPHA_BAR])])
