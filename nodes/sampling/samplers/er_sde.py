"""ER-SDE: solvers of an extended reverse-time SDE with a free noise scale."""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from nodes.sampling.samplers.protocol import Call, Process, Sampling
from nodes.sampling.samplers.steps import finite_snr, steps_of

_POINTS = 200
"""The number of points of the integrals' Riemann sums."""

NoiseScale: TypeAlias = Callable[[Tensor], Tensor]
"""phi in the paper: from the rate sigma / alpha to the scale of the SDE's noise."""


def er_sde_5(rate: Tensor) -> Tensor:
    """Return the paper's ER-SDE 5 (section 4.3)."""
    return rate * ((rate**0.3).exp() + 10.0)


def reverse_time(eta: float) -> NoiseScale:
    """Return the noise scale for eta from the ODE (0) to the reverse-time SDE (1, section 4.1)."""
    return lambda rate: rate ** (1.0 + eta)


ODE = reverse_time(0.0)
"""The noise scale that adds no noise, which solves the ODE."""


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
    parameterization = process.parameterization
    derivatives: list[Tensor] = []  # x0 and its derivatives by the rate, as of the last step
    rates: list[Tensor] = []  # latest first
    for i, sigma, sigma_next in steps_of(finite_snr(sigmas, parameterization)):
        x0 = (yield Call(x, sigma, i)).x0
        if sigma_next == 0:
            return x0
        alpha, alpha_next = parameterization.alpha(sigma), parameterization.alpha(sigma_next)
        rate, rate_next = (
            parameterization.half_log_snr(s).neg().exp() for s in (sigma, sigma_next)
        )
        rates = [rate, *rates[:2]]
        derivatives = _derivatives(x0, derivatives, rates)[:max_stage]
        r = scale(rate_next) / scale(rate)
        scaled = r / alpha * x + (1 - r) * x0
        for weight, derivative in zip(
            _weights(rate, rate_next, scale), derivatives[1:], strict=False
        ):
            scaled = scaled + weight * derivative
        x = alpha_next * scaled
        if s_noise > 0:
            spread = (rate_next**2 - (rate * r) ** 2).sqrt().nan_to_num(0.0)
            x = x + alpha_next * process.noise.white(x) * s_noise * spread
    return x


def _derivatives(x0: Tensor, before: list[Tensor], rates: list[Tensor]) -> list[Tensor]:
    """Return x0 and its first and second derivative by the rate, as far as the past allows."""
    derivatives = [x0]
    if before:
        derivatives.append((x0 - before[0]) / (rates[0] - rates[1]))
    if len(before) > 1:
        derivatives.append((derivatives[1] - before[1]) / ((rates[0] - rates[2]) / 2))
    return derivatives


def _weights(rate: Tensor, rate_next: Tensor, scale: NoiseScale) -> tuple[Tensor, Tensor]:
    """Return the weights of the first and second derivative, by Riemann sums (alg. 3)."""
    change = rate_next - rate
    width = -change / _POINTS
    points = rate_next + torch.arange(_POINTS) * width
    inverse, end = 1 / scale(points), scale(rate_next)
    first = inverse.sum() * width
    second = ((points - rate) * inverse).sum() * width
    return change + first * end, change**2 / 2 + second * end
