"""Shared parts of samplers: slopes, Euler steps and ancestral steps."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from nodes.sampling.noise_schedule.parameterization import Parameterisation


def steps_of(sigmas: Tensor) -> list[tuple[int, Tensor, Tensor]]:
    """Return (index, sigma, next sigma) of every step."""
    return [(i, *ends) for i, ends in enumerate(pairwise(sigmas.unbind()))]


def slope(x: Tensor, sigma: Tensor, x0: Tensor) -> Tensor:
    """Return the probability-flow ODE's dx/dsigma (Karras et al., arXiv:2206.00364, eq. 3)."""
    return (x - x0) / sigma


def toward(x0: Tensor, x: Tensor, ratio: Tensor) -> Tensor:
    """Take an Euler step that scales sigma by `ratio`."""
    return ratio * x + (1 - ratio) * x0


def ancestral(sigma: Tensor, sigma_next: Tensor, eta: float) -> tuple[Tensor, Tensor]:
    """Return the level to step down to, and the noise to add to come back up to `sigma_next`.

    eta 1 makes it the posterior of DDPM (Ho et al. 2020, arXiv:2006.11239, eq. 6), 0 an ODE step.
    """
    variance = sigma_next**2
    if sigma.isfinite():
        variance = variance * (sigma**2 - sigma_next**2) / sigma**2
    up = torch.minimum(sigma_next, eta * variance.sqrt())
    return (sigma_next**2 - up**2).sqrt(), up


@dataclass(frozen=True, slots=True)
class AncestralStep:
    """An ancestral step: down to `down`, multiply by `keep`, add noise times `up`."""

    down: Tensor
    keep: Tensor
    up: Tensor

    @classmethod
    def between(
        cls, parameterisation: Parameterisation, sigma: Tensor, sigma_next: Tensor, eta: float
    ) -> "AncestralStep":
        """Make the step from one level to the next.

        In flow models the latent is scaled by alpha too: going up multiplies it by alpha's ratio.
        """
        if not parameterisation.is_flow:
            down, up = ancestral(sigma, sigma_next, eta)
            return cls(down, torch.ones_like(up), up)
        down = sigma_next * (1 + (sigma_next / sigma - 1) * eta)
        keep = parameterisation.alpha(sigma_next) / parameterisation.alpha(down)
        return cls(down, keep, (sigma_next**2 - (down * keep) ** 2).clamp(min=0).sqrt())


def finite_snr(sigmas: Tensor, parameterisation: Parameterisation) -> Tensor:
    """Lower a first sigma of pure noise, where log(alpha / sigma) is infinite."""
    if len(sigmas) < 2 or not parameterisation.half_log_snr(sigmas[0]).isneginf():
        return sigmas
    return torch.cat([sigmas.new_tensor([parameterisation.percent_to_sigma(1e-4)]), sigmas[1:]])
