"""Shared parts of samplers: slopes, Euler steps and ancestral steps."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from nodes.sampling.noise_schedule.parameterization import Parameterization


def steps_of(sigmas: Tensor) -> list[tuple[int, Tensor, Tensor]]:
    """Return (index, sigma, next sigma) of every step."""
    return [(i, *ends) for i, ends in enumerate(pairwise(sigmas.unbind()))]


def slope(x: Tensor, sigma: Tensor, x0: Tensor) -> Tensor:
    """Return the probability-flow ODE's dx/dsigma (Karras et al., arXiv:2206.00364, eq. 3)."""
    return (x - x0) / sigma


def euler_step(x0: Tensor, x: Tensor, ratio: Tensor) -> Tensor:
    """Take an Euler step that scales sigma by `ratio`."""
    return ratio * x + (1 - ratio) * x0


def ancestral_step(sigma: Tensor, sigma_next: Tensor, eta: float) -> tuple[Tensor, Tensor]:
    """Return k-diffusion's sigma_down, to step to, and sigma_up, the noise that leads back up.

    eta 1 makes it the posterior of DDPM (Ho et al. 2020, arXiv:2006.11239, eq. 6), 0 an ODE step.
    """
    variance = sigma_next**2
    if sigma.isfinite():
        variance = variance * (sigma**2 - sigma_next**2) / sigma**2
    sigma_up = torch.minimum(sigma_next, eta * variance.sqrt())
    return (sigma_next**2 - sigma_up**2).sqrt(), sigma_up


@dataclass(frozen=True, slots=True)
class AncestralStep:
    """An ancestral step: down to `sigma_down`, multiply by `scale`, add noise times `sigma_up`."""

    sigma_down: Tensor
    scale: Tensor
    sigma_up: Tensor

    @classmethod
    def between(
        cls, parameterization: Parameterization, sigma: Tensor, sigma_next: Tensor, eta: float
    ) -> "AncestralStep":
        """Make the step from one level to the next.

        In flow models the latent is scaled by alpha too: going up multiplies it by alpha's ratio.
        """
        if not parameterization.is_flow:
            sigma_down, sigma_up = ancestral_step(sigma, sigma_next, eta)
            return cls(sigma_down, torch.ones_like(sigma_up), sigma_up)
        sigma_down = sigma_next * (1 + (sigma_next / sigma - 1) * eta)
        scale = parameterization.alpha(sigma_next) / parameterization.alpha(sigma_down)
        sigma_up = (sigma_next**2 - (sigma_down * scale) ** 2).clamp(min=0).sqrt()
        return cls(sigma_down, scale, sigma_up)


def finite_snr(sigmas: Tensor, parameterization: Parameterization) -> Tensor:
    """Lower a first sigma of pure noise, where log(alpha / sigma) is infinite."""
    if len(sigmas) < 2 or not parameterization.half_log_snr(sigmas[0]).isneginf():
        return sigmas
    return torch.cat([sigmas.new_tensor([parameterization.percent_to_sigma(1e-4)]), sigmas[1:]])
