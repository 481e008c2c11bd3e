"""Linear multistep methods: integrate a polynomial through the last few slopes.

`lms` integrates that polynomial exactly (Adams-Bashforth with uneven steps, as in k-diffusion);
iPNDM and DEIS are Zhang & Chen 2022 (arXiv:2204.13902) in the form of diff-sampler
(Zhou et al. 2023, arXiv:2312.00094, Apache-2.0).
"""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from nodes.sampling.samplers.protocol import Call, Process, Sampling
from nodes.sampling.samplers.steps import slope, steps_of

Weights: TypeAlias = Callable[[Sequence[float], int, int], Sequence[float]]
"""(sigmas, step, order) to the weights of the last `order` slopes, latest first."""


def lms(x: Tensor, sigmas: Tensor, _process: Process, *, order: int = 4) -> Sampling:
    """Linear multistep with exact weights (k-diffusion)."""
    return (yield from _multistep(x, sigmas, order, _lagrange_weights, ends_at_x0=True))


def ipndm(x: Tensor, sigmas: Tensor, _process: Process, *, max_order: int = 4) -> Sampling:
    """Improved pseudo-numerical methods: the weights of even steps (arXiv:2204.13902, alg. 1)."""
    return (yield from _multistep(x, sigmas, max_order, _even_weights, ends_at_x0=True))


def ipndm_v(x: Tensor, sigmas: Tensor, _process: Process, *, max_order: int = 4) -> Sampling:
    """`ipndm` with weights for uneven steps, as diff-sampler has them."""
    return (yield from _multistep(x, sigmas, max_order, _uneven_weights, ends_at_x0=True))


def deis(x: Tensor, sigmas: Tensor, _process: Process, *, max_order: int = 3) -> Sampling:
    """DEIS (tAB): the polynomial is in the time of a VP process (arXiv:2204.13902, eq. 15)."""
    return (yield from _multistep(x, sigmas, max_order, _deis_weights, ends_at_x0=True))


def _multistep(
    x: Tensor, sigmas: Tensor, max_order: int, weights: Weights, *, ends_at_x0: bool = False
) -> Sampling:
    """Advance x by the weighted sum of the last slopes."""
    table = [float(sigma) for sigma in sigmas]
    slopes: list[Tensor] = []  # latest first
    for i, sigma, sigma_next in steps_of(sigmas):
        x0 = (yield Call(x, sigma, i)).x0
        if ends_at_x0 and sigma_next == 0:
            return x0
        slopes = [slope(x, sigma, x0), *slopes[: max_order - 1]]
        for weight, d in zip(weights(table, i, len(slopes)), slopes, strict=True):
            x = x + weight * d
    return x


def _lagrange_weights(sigmas: Sequence[float], i: int, order: int) -> Sequence[float]:
    """Integrate the Lagrange polynomials over the step, by quadrature that is exact for them."""
    points = [sigmas[i - j] for j in range(order)]
    middle, half = (sigmas[i + 1] + sigmas[i]) / 2, (sigmas[i + 1] - sigmas[i]) / 2
    nodes, weights = np.polynomial.legendre.leggauss((order + 1) // 2)
    positions = torch.from_numpy(middle + half * nodes)  # pyright: ignore[reportUnknownMemberType]
    scale = torch.from_numpy(half * weights)  # pyright: ignore[reportUnknownMemberType]
    return [float((scale * _lagrange(points, j, positions)).sum()) for j in range(order)]


def _lagrange(points: Sequence[float], j: int, positions: Tensor) -> Tensor:
    """Evaluate the Lagrange polynomial that is 1 at point j and 0 at the others."""
    value = torch.ones_like(positions)
    for k, point in enumerate(points):
        if k != j:
            value = value * (positions - point) / (points[j] - point)
    return value


_ADAMS_BASHFORTH = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


def _even_weights(sigmas: Sequence[float], i: int, order: int) -> Sequence[float]:
    h = sigmas[i + 1] - sigmas[i]
    return [h * weight for weight in _ADAMS_BASHFORTH[order - 1]]


def _uneven_weights(sigmas: Sequence[float], i: int, order: int) -> Sequence[float]:
    """Diff-sampler's weights for uneven steps; its orders 3 and 4 group one factor differently."""
    h = [sigmas[i + 1 - j] - sigmas[i - j] for j in range(order)]
    if order == 1:
        return h
    r = h[0] / h[1]
    weights = [1 + r / 2, -r / 2, 0.0, 0.0]
    if order >= 3:
        third = (1 - h[0] / (3 * (h[0] + h[1])) * _ratio(h, 0, 1, 2)) / 2
        s = h[1] / h[2]
        _add(weights, third, (1.0, -(1 + s), s))
    if order == 4:
        fourth = _fourth(h)
        s = h[1] / h[2]
        q = _ratio(h, 1, 2, 3)
        _add(weights, fourth, (1.0, -(1 + s + q), s + q * (1 + h[2] / h[3]), -q * s))
    return [h[0] * weight for weight in weights[:order]]


def _deis_weights(sigmas: Sequence[float], i: int, order: int) -> Sequence[float]:
    """Integrate numerically over 10000 points, as diff-sampler does."""
    if order == 1:
        return [sigmas[i + 1] - sigmas[i]]
    points = [_vp_time(sigmas[i - j]) for j in range(order)]
    start, end = points[0], _vp_time(sigmas[i + 1])
    times = torch.linspace(start, end, 10000, dtype=torch.float64)
    growth = _vp_sigma_slope(times) * ((end - start) / 10000)
    return [float((growth * _lagrange(points, j, times)).sum()) for j in range(order)]


def _add(weights: list[float], scale: float, terms: Sequence[float]) -> None:
    for j, term in enumerate(terms):
        weights[j] += scale * term


def _ratio(h: Sequence[float], a: int, b: int, c: int) -> float:
    return h[a] * (h[a] + h[b]) / (h[b] * (h[b] + h[c]))


def _fourth(h: Sequence[float]) -> float:
    two, three = h[0] + h[1], h[0] + h[1] + h[2]
    scale = h[0] * two * three / (h[1] * (h[1] + h[2]) * (h[1] + h[2] + h[3]))
    return ((1 - h[0] / (3 * two)) / 2 + (1 - h[0] / (2 * two)) * h[0] / (6 * three)) * scale


# DEIS measures time as a VP process whose sigma goes from 0.002 at t = 0.001 to 80 at t = 1.
_LOW, _HIGH = math.log(0.002**2 + 1), math.log(80.0**2 + 1)
_BETA_SLOPE = 2 * (_LOW / 1e-3 - _HIGH) / (1e-3 - 1)
_BETA_MIN = _HIGH - 0.5 * _BETA_SLOPE


def _vp_time(sigma: float) -> float:
    """Return the time at which the VP process has this sigma (Karras et al. 2022, table 1)."""
    root = math.sqrt(_BETA_MIN**2 + 2 * _BETA_SLOPE * math.log(sigma**2 + 1))
    return (root - _BETA_MIN) / _BETA_SLOPE


def _vp_sigma_slope(t: Tensor) -> Tensor:
    """Return the slope of sigma in time."""
    growth = (0.5 * _BETA_SLOPE * t**2 + _BETA_MIN * t).exp()
    return (_BETA_SLOPE * t + _BETA_MIN) * growth / (2 * (growth - 1).sqrt())
