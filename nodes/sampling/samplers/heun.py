"""Methods that correct an Euler step with later slopes: Heun, Heun++ and DPM-2."""

from torch import Tensor

from nodes.sampling.samplers.protocol import Call, Process, Sampling
from nodes.sampling.samplers.steps import AncestralStep, euler_step, slope, steps_of


def heun(x: Tensor, sigmas: Tensor, _process: Process) -> Sampling:
    """Average the slopes at both ends (Karras et al. 2022, arXiv:2206.00364, alg. 1)."""
    for i, sigma, sigma_next in steps_of(sigmas):
        reply = yield Call(x, sigma, i)
        d = slope(x, sigma, reply.x0)
        if sigma_next > 0:
            x_end = x + d * (sigma_next - sigma)
            reply = yield Call(x_end, sigma_next, i)
            d = (d + slope(x_end, sigma_next, reply.x0)) / 2
        x = x + d * (sigma_next - sigma)
    return x


def heunpp2(x: Tensor, sigmas: Tensor, _process: Process) -> Sampling:
    """Heun++ of order 2: average up to three slopes, weighted by sigma.

    Li et al. 2023, "Optimal linear subspace search" (arXiv:2305.14677), appendix.
    """
    for i, sigma, sigma_next in steps_of(sigmas):
        reply = yield Call(x, sigma, i)
        slopes = [slope(x, sigma, reply.x0)]
        ahead = [s for s in sigmas[i + 1 : i + 3] if s != sigmas[-1]]
        x_ahead, sigma_ahead = x, sigma
        for s in ahead:
            x_ahead, sigma_ahead = x_ahead + slopes[-1] * (s - sigma_ahead), s
            reply = yield Call(x_ahead, s, i)
            slopes.append(slope(x_ahead, s, reply.x0))
        weights = [s / ((len(ahead) + 1) * sigmas[0]) for s in ahead]
        d = slopes[0] * (1 - sum(weights))
        d = sum((w * s for w, s in zip(weights, slopes[1:], strict=True)), start=d)
        x = x + d * (sigma_next - sigma)
    return x


def dpm_2(x: Tensor, sigmas: Tensor, _process: Process) -> Sampling:
    """Take the slope at the geometric middle of a step (alg. 2 of Karras et al. with DPM-2)."""
    for i, sigma, sigma_next in steps_of(sigmas):
        x = yield from _midpoint_step(x, sigma, sigma_next, i)
    return x


def dpm_2_ancestral(
    x: Tensor, sigmas: Tensor, process: Process, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampling:
    """`dpm_2` below the next level, and back up with fresh noise (as in k-diffusion)."""
    for i, sigma, sigma_next in steps_of(sigmas):
        step = AncestralStep.between(process.parameterization, sigma, sigma_next, eta)
        x = yield from _midpoint_step(x, sigma, step.sigma_down, i)
        if sigma_next > 0 and eta > 0:
            x = step.scale * x + process.noise.white(x) * s_noise * step.sigma_up
    return x


def _midpoint_step(x: Tensor, sigma: Tensor, sigma_next: Tensor, i: int) -> Sampling:
    reply = yield Call(x, sigma, i)
    if sigma_next == 0:
        return reply.x0
    middle = sigma.log().lerp(sigma_next.log(), 0.5).exp()
    x_middle = euler_step(reply.x0, x, middle / sigma)
    reply = yield Call(x_middle, middle, i)
    return x + slope(x_middle, middle, reply.x0) * (sigma_next - sigma)
