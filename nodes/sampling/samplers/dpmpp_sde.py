"""DPM-Solver++ for the SDE, with the noise of one Brownian path.

Lu et al. 2022 (arXiv:2211.01095), section 5 and appendix; single-step and 3M as in k-diffusion.
lambda = log(alpha / sigma), and eta is the share of the SDE's noise: 0 gives the ODE.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import Tensor

from nodes.sampling.noise_schedule.noise import Brownian
from nodes.sampling.noise_schedule.parameterization import Parameterization
from nodes.sampling.samplers.protocol import Call, Process, Sampling
from nodes.sampling.samplers.steps import ancestral_step, euler_step, finite_snr, steps_of


@dataclass(frozen=True, slots=True)
class _Step:
    """One step of the SDE between two levels, in lambda."""

    sigma: Tensor
    sigma_next: Tensor
    alpha_next: Tensor
    h: Tensor
    eta: float

    @classmethod
    def between(
        cls, parameterization: Parameterization, sigma: Tensor, sigma_next: Tensor, eta: float
    ) -> "_Step":
        half_log_snr = parameterization.half_log_snr
        h = half_log_snr(sigma_next) - half_log_snr(sigma)
        return cls(sigma, sigma_next, parameterization.alpha(sigma_next), h, eta)

    @property
    def reach(self) -> Tensor:
        """The step's length times (1 + eta), because the added noise must be removed as well."""
        return self.h * (1 + self.eta)

    def first_order(self, x: Tensor, x0: Tensor) -> Tensor:
        """Advance as if x0 were constant."""
        decay = self.sigma_next / self.sigma * (-self.h * self.eta).exp()
        return decay * x - self.alpha_next * (-self.reach).expm1() * x0

    def phi_1(self) -> Tensor:
        """(1 - e^-reach)."""
        return -(-self.reach).expm1()

    def phi_2(self) -> Tensor:
        """Return the weight of x0's first derivative."""
        return (-self.reach).expm1() / self.reach + 1

    def noise(self, path: Brownian, s_noise: float) -> Tensor:
        """Return the noise that this step adds."""
        scale = self.sigma_next * (-2 * self.h * self.eta).expm1().neg().sqrt() * s_noise
        return path(self.sigma, self.sigma_next) * scale


def _path(x: Tensor, sigmas: Tensor, process: Process) -> Brownian:
    return process.noise.brownian(x, float(sigmas[sigmas > 0].min()), float(sigmas.max()))


def dpmpp_2m_sde(
    x: Tensor,
    sigmas: Tensor,
    process: Process,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    solver_type: Literal["midpoint", "heun"] = "midpoint",
) -> Sampling:
    """SDE-DPM-Solver++(2M), in its midpoint form or the one with Heun's weights."""
    if len(sigmas) < 2:
        return x
    path = _path(x, sigmas, process)
    before: tuple[Tensor, Tensor] | None = None  # the last prediction, and its step in lambda
    for i, sigma, sigma_next in steps_of(finite_snr(sigmas, process.parameterization)):
        x0 = (yield Call(x, sigma, i)).x0
        if sigma_next == 0:
            return x0
        step = _Step.between(process.parameterization, sigma, sigma_next, eta)
        x = step.first_order(x, x0)
        if before is not None:
            last, h_last = before
            weight = step.phi_2() if solver_type == "heun" else 0.5 * step.phi_1()
            x = x + step.alpha_next * weight * (step.h / h_last) * (x0 - last)
        if eta > 0 and s_noise > 0:
            x = x + step.noise(path, s_noise)
        before = x0, step.h
    return x


dpmpp_2m_sde_heun = partial(dpmpp_2m_sde, solver_type="heun")
"""`dpmpp_2m_sde` with Heun's weights."""


def dpmpp_3m_sde(
    x: Tensor, sigmas: Tensor, process: Process, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampling:
    """DPM-Solver++(3M) SDE: a parabola through the last three predictions (k-diffusion)."""
    if len(sigmas) < 2:
        return x
    path = _path(x, sigmas, process)
    past: list[tuple[Tensor, Tensor]] = []  # (prediction, step in lambda), latest first
    for i, sigma, sigma_next in steps_of(finite_snr(sigmas, process.parameterization)):
        x0 = (yield Call(x, sigma, i)).x0
        if sigma_next == 0:
            return x0
        step = _Step.between(process.parameterization, sigma, sigma_next, eta)
        x = step.first_order(x, x0)
        if past:
            x = x + step.alpha_next * _curvature(step, x0, past)
        if eta > 0 and s_noise > 0:
            x = x + step.noise(path, s_noise)
        past = [(x0, step.h), *past[:1]]
    return x


def _curvature(step: _Step, x0: Tensor, past: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the terms of x0's first and, with two past predictions, second derivative."""
    last, h_last = past[0]
    r = h_last / step.h
    d1 = (x0 - last) / r
    if len(past) == 1:
        return step.phi_2() * d1
    older, h_older = past[1]
    r_older = h_older / step.h
    d1_older = (last - older) / r_older
    d2 = (d1 - d1_older) / (r + r_older)
    phi_3 = step.phi_2() / step.reach - 0.5
    return step.phi_2() * (d1 + r * d2) - phi_3 * d2


def dpmpp_sde(
    x: Tensor,
    sigmas: Tensor,
    process: Process,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r: float = 0.5,
) -> Sampling:
    """DPM-Solver++ SDE, single-step: a second prediction at the fraction r of each step."""
    if len(sigmas) < 2:
        return x
    parameterization = process.parameterization
    noisy = _Ancestral(parameterization, _path(x, sigmas, process), eta, s_noise)
    for i, sigma, sigma_next in steps_of(finite_snr(sigmas, parameterization)):
        x0 = (yield Call(x, sigma, i)).x0
        if sigma_next == 0:
            return x0
        start, end = (parameterization.half_log_snr(s) for s in (sigma, sigma_next))
        middle = parameterization.sigma_at(start + r * (end - start))
        x_middle = noisy.step(x, x0, sigma, middle)
        x0_middle = (yield Call(x_middle, middle, i)).x0
        x = noisy.step(x, x0.lerp(x0_middle, 1 / (2 * r)), sigma, sigma_next)
    return x


@dataclass(frozen=True, slots=True)
class _Ancestral:
    """Ancestral steps in sigma / alpha, with the noise of a path."""

    parameterization: Parameterization
    path: Brownian
    eta: float
    s_noise: float

    def step(self, x: Tensor, x0: Tensor, sigma: Tensor, sigma_next: Tensor) -> Tensor:
        """Advance from one level to the next, as if x0 were constant."""
        before, after = (self.parameterization.alpha(s) for s in (sigma, sigma_next))
        half_log_snr = self.parameterization.half_log_snr
        rate, rate_next = (half_log_snr(s).neg().exp() for s in (sigma, sigma_next))
        sigma_down, sigma_up = ancestral_step(rate, rate_next, self.eta)
        x = after * euler_step(x0, x / before, sigma_down / rate)
        if self.eta > 0 and self.s_noise > 0:
            x = x + after * self.path(sigma, sigma_next) * self.s_noise * sigma_up
        return x
