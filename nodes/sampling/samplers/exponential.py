"""Exponential integrators: RES, multistep, and SEEDS, single-step for the SDE.

RES is Zhang et al. 2023 (arXiv:2308.02157), in lambda = -log(sigma); SEEDS is Gonzalez et al. 2023
(arXiv:2305.14267), in lambda = log(alpha / sigma).
"""

from dataclasses import dataclass
from functools import partial

from torch import Tensor

from nodes.sampling.noise_schedule.parameterization import Parameterization
from nodes.sampling.samplers.protocol import Call, Process, Sampling, uncond_of
from nodes.sampling.samplers.steps import ancestral_step, finite_snr, steps_of


def res_multistep(
    x: Tensor,
    sigmas: Tensor,
    process: Process,
    *,
    eta: float = 0.0,
    s_noise: float = 1.0,
    cfg_pp: bool = False,
) -> Sampling:
    """RES with two predictions, optionally ancestral or with CFG++.

    As in ComfyUI the added noise ignores alpha for flow models, whose ancestral samples then spread
    too far.
    """
    before: tuple[Tensor, Tensor, Tensor] | None = None  # prediction, sigma, sigma_down
    for i, sigma, sigma_next in steps_of(sigmas):
        reply = yield Call(x, sigma, i, wants_uncond=cfg_pp)
        x0 = reply.x0
        sigma_down, sigma_up = ancestral_step(sigma, sigma_next, eta)
        target = uncond_of(reply) if cfg_pp else x0
        if before is None or sigma_down == 0:
            x = x0 + (x - target) * (sigma_down / sigma)
        else:
            renoised = x + (x0 - target)
            x = _second_order(renoised, target, before, (sigma, sigma_down))
        if sigma_next > 0 and eta > 0:
            x = x + process.noise.white(x) * s_noise * sigma_up
        before = target, sigma, sigma_down
    return x


def _second_order(
    x: Tensor, x0: Tensor, before: tuple[Tensor, Tensor, Tensor], ends: tuple[Tensor, Tensor]
) -> Tensor:
    """Step by the exponential integrator with phi_1 and phi_2 (arXiv:2308.02157, eq. 23)."""
    last, sigma_last, sigma_down_last = before
    sigma, sigma_next = ends
    h = sigma.log() - sigma_next.log()
    c2 = (sigma_down_last.log() - sigma_last.log()) / h
    phi_1 = -(-h).expm1() / h
    phi_2 = (1 - phi_1) / h
    return (-h).exp() * x + h * ((phi_1 - phi_2 / c2) * x0 + phi_2 / c2 * last)


res_multistep_cfg_pp = partial(res_multistep, cfg_pp=True)
"""`res_multistep` with CFG++."""
res_multistep_ancestral = partial(res_multistep, eta=1.0)
"""`res_multistep` with fresh noise at each step."""
res_multistep_ancestral_cfg_pp = partial(res_multistep, eta=1.0, cfg_pp=True)
"""The variant that is ancestral and CFG++."""


@dataclass(frozen=True, slots=True)
class _Stage:
    """A place within a step: the fraction r of it in lambda."""

    sigma: Tensor
    alpha: Tensor
    h: Tensor
    """The distance from the step's start to here, in lambda."""
    shrink: Tensor
    """sigma here over sigma at the step's start."""
    eta: float

    @classmethod
    def at(
        cls, parameterization: Parameterization, ends: tuple[Tensor, Tensor], r: float, eta: float
    ) -> "_Stage":
        start, end = (parameterization.half_log_snr(s) for s in ends)
        h = r * (end - start)
        sigma = ends[1] if r == 1 else parameterization.sigma_at(start + h)
        return cls(sigma, parameterization.alpha(sigma), h, sigma / ends[0], eta)

    def first_order(self, x: Tensor, x0: Tensor) -> Tensor:
        """Advance as if x0 were constant."""
        decay = self.shrink * (-self.h * self.eta).exp()
        return decay * x - self.alpha * (-self.h * (1 + self.eta)).expm1() * x0

    def bend(self, change: Tensor) -> Tensor:
        """Return the term of x0's change per step length."""
        reach = self.h * (1 + self.eta)
        return self.alpha * ((-reach).expm1() / reach + 1) * change

    def carry(self, noise: Tensor | float, fresh: Tensor, before: Tensor | float) -> Tensor:
        """Decay the noise of stage `before` and add fresh noise, not yet scaled by sigma."""
        h = (self.h - before) * self.eta
        return (-h).exp() * noise + (-2 * h).expm1().neg().sqrt() * fresh


def seeds_2(
    x: Tensor,
    sigmas: Tensor,
    process: Process,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r: float = 0.5,
) -> Sampling:
    """SEEDS-2 (alg. 2), with x0 predictions."""
    parameterization = process.parameterization
    for i, sigma, sigma_next in steps_of(finite_snr(sigmas, parameterization)):
        x0 = (yield Call(x, sigma, i)).x0
        if sigma_next == 0:
            return x0
        middle, end = (_Stage.at(parameterization, (sigma, sigma_next), f, eta) for f in (r, 1.0))
        noise = middle.carry(0.0, process.noise.white(x), 0.0)
        x_middle = middle.first_order(x, x0) + middle.sigma * noise * s_noise
        x0_middle = (yield Call(x_middle, middle.sigma, i)).x0
        noise = end.carry(noise, process.noise.white(x), middle.h)
        x = end.first_order(x, x0.lerp(x0_middle, 1 / (2 * r))) + end.sigma * noise * s_noise
    return x


def seeds_3(
    x: Tensor,
    sigmas: Tensor,
    process: Process,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r: tuple[float, float] = (1 / 3, 2 / 3),
) -> Sampling:
    """SEEDS-3 (alg. 3), with x0 predictions."""
    parameterization = process.parameterization
    for i, sigma, sigma_next in steps_of(finite_snr(sigmas, parameterization)):
        x0 = (yield Call(x, sigma, i)).x0
        if sigma_next == 0:
            return x0
        one, two, end = (
            _Stage.at(parameterization, (sigma, sigma_next), f, eta) for f in (*r, 1.0)
        )
        noise = one.carry(0.0, process.noise.white(x), 0.0)
        x_one = one.first_order(x, x0) + one.sigma * noise * s_noise
        x0_one = (yield Call(x_one, one.sigma, i)).x0
        noise = two.carry(noise, process.noise.white(x), one.h)
        x_two = two.first_order(x, x0) + two.bend((x0_one - x0) * (r[1] / r[0]))
        x_two = x_two + two.sigma * noise * s_noise
        x0_two = (yield Call(x_two, two.sigma, i)).x0
        noise = end.carry(noise, process.noise.white(x), two.h)
        x = end.first_order(x, x0) + end.bend((x0_two - x0) / r[1]) + end.sigma * noise * s_noise
    return x
