"""Noise that is added on top of the latent, whatever levels a model was trained on."""

from dataclasses import dataclass

import torch
from torch import Tensor

PURE_NOISE = 999999999.9
"""The sigma that stands for "before any step" where the levels have no upper bound."""


def broadcast(sigma: Tensor, x: Tensor) -> Tensor:
    """Shape sigma, a scalar or [batch], so that it multiplies x, [batch, …]."""
    return sigma.reshape(-1, *[1] * (x.ndim - 1)).to(x.device) if sigma.ndim else sigma


@dataclass(frozen=True, slots=True, eq=False)
class Exploding:
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
        """The signal stays."""
        return False

    def alpha(self, sigma: Tensor) -> Tensor:
        """Always 1."""
        return torch.ones_like(sigma)

    def half_log_snr(self, sigma: Tensor) -> Tensor:
        """-log(sigma)."""
        return sigma.log().neg()

    def sigma_at(self, half_log_snr: Tensor) -> Tensor:
        """exp(-lambda)."""
        return half_log_snr.neg().exp()

    def add_noise(
        self, sigma: Tensor, noise: Tensor, latent: Tensor, *, max_denoise: bool = False
    ) -> Tensor:
        """Add sigma times the noise; `max_denoise` adds what covers a unit-variance latent."""
        s = broadcast(sigma, latent)
        return noise * (torch.sqrt(1.0 + s**2) if max_denoise else s) + latent

    def finish(self, sigma: Tensor, latent: Tensor) -> Tensor:
        """Nothing faded: the latent as it is."""
        del sigma
        return latent
