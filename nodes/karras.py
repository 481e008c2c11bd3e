"""Models that know a whole range of noise levels (Karras et al. 2022, arXiv:2206.00364)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nodes.parameterisation import PURE_NOISE, Discrete, broadcast

_LEVELS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Edm(Discrete):
    """Noise on top of the latent, at any level; preconditioned as in the paper's table 1.

    The levels of the table are for schedules only.
    """

    sigma_data: float = 0.5

    @classmethod
    def between(cls, sigma_min: float, sigma_max: float, sigma_data: float) -> "Edm":
        """With levels that are evenly spread in log sigma."""
        logs = torch.linspace(math.log(sigma_min), math.log(sigma_max), _LEVELS)
        return cls(logs.exp(), logs, sigma_data=sigma_data)

    def timestep(self, sigma: Tensor) -> Tensor:
        """c_noise: a quarter of log sigma."""
        return 0.25 * sigma.log()

    def sigma(self, timestep: Tensor) -> Tensor:
        """The inverse."""
        return (timestep / 0.25).exp()

    def percent_to_sigma(self, fraction: float) -> float:
        """Even in log sigma; unbounded at 0, none at 1."""
        if fraction <= 0.0:
            return PURE_NOISE
        if fraction >= 1.0:
            return 0.0
        return self.sigma_max ** (1.0 - fraction) * self.sigma_min**fraction

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        """c_in: to unit variance."""
        return x / (broadcast(sigma, x) ** 2 + self.sigma_data**2) ** 0.5

    def to_x0(self, x: Tensor, sigma: Tensor, output: Tensor) -> Tensor:
        """c_skip of the input and c_out of the output."""
        variance = self.sigma_data**2
        total = broadcast(sigma, x) ** 2 + variance
        return x * variance / total + output * broadcast(sigma, x) * self.sigma_data / total**0.5
