"""Parameterizations that add noise to the latent (variance exploding), at continuous levels."""

import math
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

import torch
from torch import Tensor

Prediction: TypeAlias = Literal["eps", "v_prediction", "edm"]
Clock: TypeAlias = Literal["log", "angle"]
"""The network's time: a quarter of log sigma, or sigma's angle from 0 to 1."""

PURE_NOISE = 999999999.9
"""The sigma that stands for "before any step" where the levels have no upper bound."""
_LEVELS = 1000
_EDM_SIGMA_DATA = 0.5


def broadcast(sigma: Tensor, x: Tensor) -> Tensor:
    """Shape sigma, a scalar or [batch], so that it multiplies x, [batch, …].

    For x on a device a sigma of the CPU that is the same in all rows becomes a scalar: these
    multiply what is on any device, without a copy.
    """
    if sigma.ndim and _is_uniform(sigma) and sigma.device != x.device:
        return sigma[0]
    return sigma.reshape(-1, *[1] * (x.ndim - 1)).to(x.device) if sigma.ndim else sigma


def rows_on(device: torch.device, rows: Tensor) -> Tensor:
    """Return numbers, [batch], on a device: without a copy if they are all the same."""
    if _is_uniform(rows) and rows.device != device:
        return torch.full(rows.shape, float(rows[0]), dtype=rows.dtype, device=device)
    return rows.to(device)


def _is_uniform(rows: Tensor) -> bool:
    """Return True for equal numbers on the CPU; on a device a look at them would be waited for."""
    return rows.is_cpu and bool((rows == rows[0]).all())


@dataclass(frozen=True, slots=True, eq=False)
class VarianceExploding:
    """Noise on top of the latent: its variance grows, the signal stays.

    In the coordinates of Karras et al. 2022 (arXiv:2206.00364).
    """

    sigmas: Tensor
    """[levels] float32, ascending."""

    @property
    def sigma_min(self) -> float:
        """The lowest level."""
        return float(self.sigmas[0])

    @property
    def sigma_max(self) -> float:
        """The highest level."""
        return float(self.sigmas[-1])

    @property
    def is_flow(self) -> bool:
        """False: the signal stays."""
        return False

    def alpha(self, sigma: Tensor) -> Tensor:
        """Return 1: the signal stays."""
        return torch.ones_like(sigma)

    def half_log_snr(self, sigma: Tensor) -> Tensor:
        """Return -log(sigma)."""
        return sigma.log().neg()

    def sigma_at(self, half_log_snr: Tensor) -> Tensor:
        """Return exp(-lambda)."""
        return half_log_snr.neg().exp()

    def add_noise(
        self, sigma: Tensor, noise: Tensor, latent: Tensor, *, max_denoise: bool = False
    ) -> Tensor:
        """Add sigma times the noise; `max_denoise` adds what covers a unit-variance latent."""
        s = broadcast(sigma, latent)
        return noise * (torch.sqrt(1.0 + s**2) if max_denoise else s) + latent

    def inverse_noise_scaling(self, sigma: Tensor, latent: Tensor) -> Tensor:
        """Return the latent unchanged: nothing faded."""
        del sigma
        return latent


@dataclass(frozen=True, slots=True, eq=False)
class Continuous(VarianceExploding):
    """Any level between two; schedules see a table of them, evenly spaced in log sigma."""

    @staticmethod
    def table(sigma_min: float, sigma_max: float) -> Tensor:
        """Return the levels that schedules choose from."""
        return torch.linspace(math.log(sigma_min), math.log(sigma_max), _LEVELS).exp()

    def percent_to_sigma(self, fraction: float) -> float:
        """Return the level at a fraction of the way in log sigma; unbounded at 0, none at 1."""
        if fraction <= 0.0:
            return PURE_NOISE
        if fraction >= 1.0:
            return 0.0
        high, low = math.log(self.sigma_max), math.log(self.sigma_min)
        return math.exp(high + fraction * (low - high))


@dataclass(frozen=True, slots=True, eq=False)
class Edm(Continuous):
    """Karras et al. 2022 (arXiv:2206.00364), table 1; v-prediction as in k-diffusion."""

    prediction: Prediction = "edm"
    clock: Clock = "log"
    sigma_data: float = _EDM_SIGMA_DATA
    """The deviation that latents were brought to, where it isn't 1."""

    @classmethod
    def between(
        cls,
        sigma_min: float,
        sigma_max: float,
        prediction: Prediction = "edm",
        clock: Clock = "log",
        sigma_data: float = _EDM_SIGMA_DATA,
    ) -> Self:
        """Make one with these lowest and highest levels."""
        return cls(cls.table(sigma_min, sigma_max), prediction, clock, sigma_data)

    def timestep(self, sigma: Tensor) -> Tensor:
        """Return the network's time, by the clock."""
        return sigma.log() / 4 if self.clock == "log" else sigma.atan() / math.pi * 2

    def sigma(self, timestep: Tensor) -> Tensor:
        """Return the sigma of a time: the inverse of `timestep`."""
        return (timestep * 4).exp() if self.clock == "log" else (timestep * math.pi / 2).tan()

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Scale to unit variance (eq. 7)."""
        return x / (broadcast(sigma, x) ** 2 + self._data**2).sqrt()

    def to_x0(self, x: Tensor, sigma: Tensor, output: Tensor) -> Tensor:
        """Return x0 by the scalings that keep the output at unit variance, too (eq. 7)."""
        s = broadcast(sigma, x)
        if self.prediction == "eps":
            return x - output * s
        norm = s**2 + self._data**2
        sign = 1.0 if self.prediction == "edm" else -1.0
        return x * self._data**2 / norm + sign * output * s * self._data / norm.sqrt()

    @property
    def _data(self) -> float:
        """The deviation that latents are taken to have."""
        return self.sigma_data if self.prediction == "edm" else 1.0


@dataclass(frozen=True, slots=True, eq=False)
class CosmosFlow(Continuous):
    """A straight line from the latent to the noise, at levels that are ratios of the two.

    NVIDIA's Cosmos-Predict2, as diffusers' pipeline has it: the point on the line at
    t = sigma / (1 + sigma) is x / (1 + sigma).
    """

    @classmethod
    def between(cls, sigma_min: float, sigma_max: float) -> Self:
        """Make one with these lowest and highest levels."""
        return cls(cls.table(sigma_min, sigma_max))

    def timestep(self, sigma: Tensor) -> Tensor:
        """Return the position on the line, from 0 at the latent to 1 at the noise."""
        return sigma / (1 + sigma)

    def sigma(self, timestep: Tensor) -> Tensor:
        """Return the sigma of a time: the inverse of `timestep`."""
        return timestep / (1 - timestep)

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return the point on the line."""
        return x / (1 + broadcast(sigma, x))

    def to_x0(self, x: Tensor, sigma: Tensor, output: Tensor) -> Tensor:
        """Go back along the predicted velocity, noise minus latent."""
        s = broadcast(sigma, x)
        return (x - s * output) / (1 + s)
