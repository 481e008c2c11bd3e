"""ER-SDE: solvers of an extended reverse-time SDE with a free noise scale."""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from nodes.sampling.samplers.protocol import Call, Process, Sampling
from nodes.sampling.samplers.steps import finite_snr, steps_of

_POINTS = 200
"""How many points the integrals are summed over."""

NoiseScale: TypeAlias = Callable[[Tensor], Tensor]
"""How the noise of the SDE grows with the rate, phi in the paper."""


def er_sde_5(rate: Tensor) -> Tensor:
    """The paper's ER-SDE 5 (section 4.3)."""
    return rate * ((rate**0.3).exp() + 10.0)


def reverse_time(eta: float) -> NoiseScale:
    """The noise scale from the ODE (0) to the reverse-time SDE (1) and beyond (section 4.1)."""
    return lambda rate: rate ** (1.0 + eta)


ODE = reverse_time(0.0)
"""No noise."""


def er_sde(
    x: Tensor,
    sigmas: Tensor,
    process: Process,
    *,
    s_noise: float = 1.0,
    max_stage: int = 3,
    scale: NoiseScale = er_sde_5,
) -> Sampling:
    """ER-SDE-Solver-3 (Cui et al. 2023, arXiv:2309.06169, alg. 3).

    Works on x / alpha, at the rate sigma / alpha.
    """
    parameterisation = process.parameterisation
    known: list[Tensor] = []  # x0 and its derivatives by the rate, as of the last step
    rates: list[Tensor] = []  # latest first
    for i, sigma, sigma_next in steps_of(finite_snr(sigmas, parameterisation)):
        x0 = (yield Call(x, sigma, i)).x0
        if sigma_next == 0:
            return x0
        alpha, alpha_next = parameterisation.alpha(sigma), parameterisation.alpha(sigma_next)
        rate, rate_next = (
            parameterisation.half_log_snr(s).neg().exp() for s in (sigma, sigma_next)
        )
        rates = [rate, *rates[:2]]
        known = _derivatives(x0, known, rates)[:max_stage]
        left = scale(rate_next) / scale(rate)
        moved = left / alpha * x + (1 - left) * x0
        for weight, derivative in zip(_weights(rate, rate_next, scale), known[1:], strict=False):
            moved = moved + weight * derivative
        x = alpha_next * moved
        if s_noise > 0:
            spread = (rate_next**2 - (rate * left) ** 2).sqrt().nan_to_num(0.0)
            x = x + alpha_next * process.noise.white(x) * s_noise * spread
    return x


def _derivatives(x0: Tensor, before: list[Tensor], rates: list[Tensor]) -> list[Tensor]:
    """Return x0 and its first and second derivative by the rate, as far as the past allows."""
    found = [x0]
    if before:
        found.append((x0 - before[0]) / (rates[0] - rates[1]))
    if len(before) > 1:
        found.append((found[1] - before[1]) / ((rates[0] - rates[2]) / 2))
    return found


def _weights(rate: Tensor, rate_next: Tensor, scale: NoiseScale) -> tuple[Tensor, Tensor]:
    """Return the weights of the first and second derivative, by Riemann sums (alg. 3)."""
    change = rate_next - rate
    width = -change / _POINTS
    points = rate_next + torch.arange(_POINTS) * width
    inverse, end = 1 / scale(points), scale(rate_next)
    first = inverse.sum() * width
    second = ((points - rate) * inverse).sum() * width
    return change + first * end, change**2 / 2 + second * end
