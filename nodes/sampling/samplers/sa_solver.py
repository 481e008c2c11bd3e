"""SA-Solver: a stochastic Adams predictor and corrector of the SDE.

Xue et al. 2023 (arXiv:2309.05019), with x0 predictions; lambda = log(alpha / sigma), and tau
scales the noise at each level.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np
from torch import Tensor

from nodes.sampling.noise_schedule.parameterization import Parameterization
from nodes.sampling.samplers.protocol import Call, Process, Sampling
from nodes.sampling.samplers.steps import finite_snr, steps_of

Tau: TypeAlias = Callable[[float], float]
"""A function from a sigma to the scale of the SDE's noise there."""

_Point = tuple[Tensor, float]
"""A prediction, and the lambda it was made at."""


def interval_tau(
    parameterization: Parameterization, start: float = 0.2, end: float = 0.8, eta: float = 1.0
) -> Tau:
    """Make a tau that is eta between two fractions of the schedule and 0 elsewhere (section 6)."""
    high, low = (parameterization.percent_to_sigma(f) for f in (start, end))
    return lambda sigma: eta if low <= sigma <= high else 0.0


@dataclass(frozen=True, slots=True)
class _Step:
    """One step with its start and noise; predictor and corrector differ only in the points."""

    x: Tensor
    """The latent at the start, faded, plus the noise of this step."""
    alpha: Tensor
    start: float
    end: float
    tau: float
    simple_order_2: bool = False

    def advance(self, points: list[_Point]) -> Tensor:
        """Integrate the polynomial through these predictions (eq. 14 and 17)."""
        x, lambdas = self.x, [lambda_ for _, lambda_ in points]
        simple = self.simple_order_2 and len(points) == 2
        weights = self._simple_weights(lambdas) if simple else self._weights(lambdas)
        for weight, (x0, _) in zip(weights, points, strict=True):
            x = x + self.alpha * weight * x0
        return x

    def _simple_weights(self, lambdas: list[float]) -> list[float]:
        """Return the weights of two points, one of them the step's start, as in the authors' code.

        The slope's exact weight differs by O(h^3).
        """
        h, rate = self.end - self.start, 1 + self.tau**2
        first = lambdas.index(self.start)
        weight = rate * h**2 / 2 / (lambdas[1 - first] - self.start)
        rest = -math.expm1(-rate * h) - weight
        return [rest, weight] if first == 0 else [weight, rest]

    def _weights(self, lambdas: list[float]) -> list[float]:
        """Integrate the exponentially weighted Lagrange polynomials."""
        h, rate = self.end - self.start, 1 + self.tau**2
        nodes, weights = np.polynomial.legendre.leggauss(24)
        to_end = (1 + nodes) * h / 2
        kernel = weights * h / 2 * rate * np.exp(-rate * to_end)
        values = self.end - to_end
        polynomials = (
            np.prod([(values - b) / (a - b) for b in lambdas if b != a], axis=0) for a in lambdas
        )
        return [float((kernel * polynomial).sum()) for polynomial in polynomials]


@dataclass(frozen=True, slots=True)
class Scheme:
    """The orders of predictor and corrector: the predictions that their polynomials use."""

    predictor_order: int = 3
    corrector_order: int = 4
    """The order of the corrector; 0 means none."""
    use_pece: bool = False
    """Predict again from the corrected latent."""
    simple_order_2: bool = False
    """Weigh a line through two predictions by the step's length squared, halved."""


_PEC = Scheme()


def sa_solver(
    x: Tensor,
    sigmas: Tensor,
    process: Process,
    *,
    tau: Tau | None = None,
    s_noise: float = 1.0,
    scheme: Scheme = _PEC,
) -> Sampling:
    """SA-Solver (alg. 1).

    No order is higher than the number of levels above 0 that are still to come.
    """
    parameterization = process.parameterization
    tau = tau or interval_tau(parameterization)
    past: list[_Point] = []  # latest first
    step: _Step | None = None
    levels = int((sigmas > 0).sum())
    for i, sigma, sigma_next in steps_of(finite_snr(sigmas, parameterization)):
        lambda_ = float(parameterization.half_log_snr(sigma))
        x0 = (yield Call(x, sigma, i)).x0
        if step is not None and scheme.corrector_order > 0:
            x = step.advance([(x0, lambda_), *past][: min(scheme.corrector_order, levels - i)])
            x0 = (yield Call(x, sigma, i)).x0 if scheme.use_pece else x0
        if sigma_next == 0:
            return x0
        past = [(x0, lambda_), *past][: max(scheme.predictor_order, scheme.corrector_order)]
        step = _begin(x, (sigma, sigma_next), process, tau(float(sigma_next)), s_noise)
        step = replace(step, simple_order_2=scheme.simple_order_2)
        x = step.advance(past[: min(scheme.predictor_order, levels - i - 1)])
    return x


def _begin(
    x: Tensor, ends: tuple[Tensor, Tensor], process: Process, tau: float, s_noise: float
) -> _Step:
    parameterization, (sigma, sigma_next) = process.parameterization, ends
    start, end = (parameterization.half_log_snr(s) for s in ends)
    h = end - start
    x = sigma_next / sigma * (-(tau**2) * h).exp() * x
    if tau > 0 and s_noise > 0:
        spread = (-2 * tau**2 * h).expm1().neg().sqrt()
        x = x + process.noise.white(x) * sigma_next * spread * s_noise
    return _Step(x, parameterization.alpha(sigma_next), float(start), float(end), tau)


sa_solver_pece = partial(sa_solver, scheme=Scheme(use_pece=True))
"""`sa_solver` that predicts again from the corrected latent."""
