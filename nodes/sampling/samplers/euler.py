"""Euler's method, plain and with noise added back (ancestral), and its CFG++ variants."""

from torch import Tensor

from nodes.imaging.resize import LatentMethod, resize
from nodes.sampling.samplers.protocol import Call, Process, Sampling, uncond_of
from nodes.sampling.samplers.steps import AncestralStep, ancestral_step, euler_step, slope, steps_of


def euler(x: Tensor, sigmas: Tensor, _process: Process) -> Sampling:
    """Follow the slope to the next level (Karras et al. 2022, arXiv:2206.00364, alg. 2)."""
    for i, sigma, sigma_next in steps_of(sigmas):
        reply = yield Call(x, sigma, i)
        x = x + slope(x, sigma, reply.x0) * (sigma_next - sigma)
    return x


def euler_ancestral(
    x: Tensor, sigmas: Tensor, process: Process, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampling:
    """Step below the next level and come back up with fresh noise (as in k-diffusion)."""
    for i, sigma, sigma_next in steps_of(sigmas):
        reply = yield Call(x, sigma, i)
        step = AncestralStep.between(process.parameterization, sigma, sigma_next, eta)
        x = euler_step(reply.x0, x, step.sigma_down / sigma)
        if sigma_next > 0 and eta > 0:
            x = step.scale * x + process.noise.white(x) * s_noise * step.sigma_up
    return x


def ddpm(x: Tensor, sigmas: Tensor, process: Process) -> Sampling:
    """Sample the posterior of DDPM at every step (Ho et al. 2020, arXiv:2006.11239, alg. 2).

    As in ComfyUI it ignores alpha for flow models, whose samples then spread too far.
    """
    for i, sigma, sigma_next in steps_of(sigmas):
        reply = yield Call(x, sigma, i)
        sigma_down, sigma_up = ancestral_step(sigma, sigma_next, eta=1.0)
        x = euler_step(reply.x0, x, sigma_down / sigma)
        if sigma_next > 0:
            x = x + process.noise.white(x) * sigma_up
    return x


def euler_ancestral_cfg_pp(
    x: Tensor, sigmas: Tensor, process: Process, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampling:
    """Ancestral Euler with CFG++: the noise is renewed from the unconditional prediction.

    Chung et al. 2024 (arXiv:2406.08070), alg. 2.
    """
    alpha, half_log_snr = process.parameterization.alpha, process.parameterization.half_log_snr
    for i, sigma, sigma_next in steps_of(sigmas):
        reply = yield Call(x, sigma, i, wants_uncond=True)
        if sigma_next == 0:
            x = reply.x0
            continue
        noise = (x - alpha(sigma) * uncond_of(reply)) / sigma
        fade = alpha(sigma_next)
        rate, rate_next = (half_log_snr(s).neg().exp() for s in (sigma, sigma_next))
        sigma_down, sigma_up = ancestral_step(rate, rate_next, eta)
        x = fade * (reply.x0 + sigma_down * noise)
        if eta > 0:
            x = x + fade * sigma_up * s_noise * process.noise.white(x)
    return x


def euler_cfg_pp(x: Tensor, sigmas: Tensor, process: Process) -> Sampling:
    """Euler with CFG++ (Chung et al. 2024, arXiv:2406.08070, alg. 2)."""
    return (yield from euler_ancestral_cfg_pp(x, sigmas, process, eta=0.0))


def gradient_estimation(
    x: Tensor, sigmas: Tensor, _process: Process, *, ge_gamma: float = 2.0
) -> Sampling:
    """Second-order gradient estimation (Permenter & Yuan 2023, arXiv:2306.04848, eq. 10)."""
    before: Tensor | None = None
    for i, sigma, sigma_next in steps_of(sigmas):
        x0 = (yield Call(x, sigma, i)).x0
        if sigma_next == 0:
            return x0
        d = slope(x, sigma, x0)
        blended = d if before is None else ge_gamma * d + (1 - ge_gamma) * before
        x = x + blended * (sigma_next - sigma)
        before = d
    return x


def gradient_estimation_cfg_pp(
    x: Tensor, sigmas: Tensor, _process: Process, *, ge_gamma: float = 2.0
) -> Sampling:
    """`gradient_estimation` with CFG++ (Chung et al. 2024, arXiv:2406.08070)."""
    before: Tensor | None = None
    for i, sigma, sigma_next in steps_of(sigmas):
        reply = yield Call(x, sigma, i, wants_uncond=True)
        if sigma_next == 0:
            return reply.x0
        d = slope(x, sigma, uncond_of(reply))
        x = reply.x0 + d * sigma_next
        if before is not None:
            x = x + (ge_gamma - 1) * (d - before) * (sigma_next - sigma)
        before = d
    return x


def lcm(x: Tensor, sigmas: Tensor, process: Process) -> Sampling:
    """Jump to x0 and noise it again (Luo et al. 2023, arXiv:2310.04378, alg. 3)."""
    return (yield from lcm_upscale(x, sigmas, process, stages=0))


def lcm_scaled(
    x: Tensor, sigmas: Tensor, process: Process, *, first: float, last: float, clip: float = 0.0
) -> Sampling:
    """`lcm` with a factor for the noise, which goes from `first` to `last` along a line.

    `clip` cuts the noise off at so many standard deviations; 0 leaves it as it is.
    """
    steps = max(len(sigmas) - 2, 1)
    for i, sigma, sigma_next in steps_of(sigmas):
        x = (yield Call(x, sigma, i)).x0
        if sigma_next > 0:
            noise = process.noise.white(x)
            noise = noise.clamp(-clip, clip) if clip else noise
            noise = noise * (first + (last - first) * i / max(steps - 1, 1))
            x = process.parameterization.add_noise(sigma_next, noise, x)
    return x


def lcm_upscale(
    x: Tensor,
    sigmas: Tensor,
    process: Process,
    *,
    ratio: float = 1.0,
    stages: int = -1,
    method: LatentMethod = "bislerp",
) -> Sampling:
    """`lcm` that resizes x0 before it is noised again.

    After each of the first `stages` steps (-1: all but the last) it is larger by the same number
    of pixels, until it is `ratio` times as large.
    """
    height, width = x.shape[-2:]
    stages = len(sigmas) - 2 if stages < 0 else stages
    for i, sigma, sigma_next in steps_of(sigmas):
        x = (yield Call(x, sigma, i)).x0
        if i < stages:
            scale = 1 + (ratio - 1) * (i + 1) / stages
            x = resize(x, max(1, round(width * scale)), max(1, round(height * scale)), method)
        if sigma_next > 0:
            noise = process.noise.white(x)
            x = process.parameterization.add_noise(sigma_next, noise, x)
    return x
