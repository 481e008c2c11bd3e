"""UniPC: a multistep predictor whose corrector reuses the next step's prediction.

Zhao et al. 2023 (arXiv:2302.04867), with x0 predictions, in lambda = -log(sigma).
"""

import math
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from nodes.sampling.samplers.protocol import Call, Process, Sampling
from nodes.sampling.samplers.steps import steps_of

_LAST_SIGMA = 0.001
"""The last level instead of 0, which lambda does not reach."""

_Point = tuple[Tensor, float]
"""A prediction, and the lambda it was made at."""


def uni_pc(
    x: Tensor, sigmas: Tensor, process: Process, *, variant: Literal["bh1", "bh2"] = "bh1"
) -> Sampling:
    """UniPC-3 (alg. 1 to 3), of lower order in the first and last steps."""
    if len(sigmas) < 2:
        return x
    ends_clean = bool(sigmas[-1] == 0)
    if ends_clean:
        sigmas = torch.cat([sigmas[:-1], sigmas.new_tensor([_LAST_SIGMA])])
    steps = len(sigmas) - 1
    reply = yield Call(x, sigmas[0], 0)
    past = [(reply.x0, -math.log(float(sigmas[0])))]  # latest first
    for i, sigma, sigma_next in steps_of(sigmas):
        order = min(3, max(steps - 1, 1), i + 1, steps - i)
        update = _Update(x, sigma_next / sigma, -math.log(float(sigma_next)), past[:order], variant)
        x = update.predict()
        if i + 1 < steps:
            reply = yield Call(x, sigma_next, i + 1)
            x = update.correct(reply.x0)
            past = [(reply.x0, update.end), *past[:2]]
    return process.parameterization.inverse_noise_scaling(sigmas[-1], x) if ends_clean else x


class _Update:
    """One step from x to the next level: the predictor, then the corrector."""

    def __init__(
        self, x: Tensor, ratio: Tensor, end: float, past: list[_Point], variant: str
    ) -> None:
        (self._m0, start), older = past[0], past[1:]
        h = end - start
        self.end = end
        self._ratios = [(lambda_ - start) / h for _, lambda_ in older] + [1.0]
        self._scale = -h if variant == "bh1" else math.expm1(-h)
        self._targets = _targets(-h, len(past), self._scale)
        self._base = ratio * x - math.expm1(-h) * self._m0
        pairs = zip(older, self._ratios, strict=False)
        self._differences = [(m - self._m0) / r for (m, _), r in pairs]

    def predict(self) -> Tensor:
        """UniP: advance from past predictions alone."""
        order = len(self._differences)
        rhos = [0.5] if order == 1 else self._solve(order)
        return self._apply(self._differences, rhos)

    def correct(self, x0: Tensor) -> Tensor:
        """UniC: advance with the prediction at the step's end."""
        differences = [*self._differences, x0 - self._m0]
        rhos = [0.5] if len(differences) == 1 else self._solve(len(differences))
        return self._apply(differences, rhos)

    def _apply(self, differences: list[Tensor], rhos: list[float]) -> Tensor:
        x = self._base
        for rho, difference in zip(rhos, differences, strict=True):
            x = x - self._scale * rho * difference
        return x

    def _solve(self, order: int) -> list[float]:
        """Solve for the rhos that match the polynomial's moments (eq. 11)."""
        if order == 0:
            return []
        matrix = np.vander(self._ratios[:order], increasing=True).T
        return [float(rho) for rho in np.linalg.solve(matrix, self._targets[:order])]


def _targets(hh: float, order: int, scale: float) -> list[float]:
    """Return the moments: phi functions times factorials, over B(h)."""
    phi, factorial, targets = math.expm1(hh) / hh - 1, 1, list[float]()
    for k in range(1, order + 1):
        targets.append(phi * factorial / scale)
        factorial *= k + 1
        phi = phi / hh - 1 / factorial
    return targets


uni_pc_bh2 = partial(uni_pc, variant="bh2")
"""`uni_pc` with B(h) = e^h - 1."""
