"""DPM-Solver++ for the ODE: multistep, and single-step with noise added back.

Lu et al. 2022 (arXiv:2211.01095), in the coordinates of k-diffusion: t = -log(sigma).
"""

from torch import Tensor

from nodes.sampling.noise_schedule.parameterization import Parameterization
from nodes.sampling.samplers.protocol import Call, Process, Sampling, uncond_of
from nodes.sampling.samplers.steps import AncestralStep, ancestral_step, euler_step, steps_of


def dpmpp_2m(x: Tensor, sigmas: Tensor, _process: Process) -> Sampling:
    """DPM-Solver++(2M): extrapolate x0 from the last two predictions (alg. 2)."""
    before: tuple[Tensor, Tensor] | None = None  # the last prediction, and its step in t
    for i, sigma, sigma_next in steps_of(sigmas):
        reply = yield Call(x, sigma, i)
        h = sigma.log() - sigma_next.log()
        x0 = reply.x0
        if before is not None and sigma_next > 0:
            last, h_last = before
            x0 = x0 + (x0 - last) * (h / (2 * h_last))
        x = euler_step(x0, x, sigma_next / sigma)
        before = reply.x0, h
    return x


def dpmpp_2m_cfg_pp(x: Tensor, sigmas: Tensor, _process: Process) -> Sampling:
    """DPM-Solver++(2M) with CFG++ (Chung et al. 2024, arXiv:2406.08070).

    The correction compares with the last unconditional prediction, as ComfyUI's does.
    """
    before: tuple[Tensor, Tensor] | None = None  # the last unconditional prediction, its step
    for i, sigma, sigma_next in steps_of(sigmas):
        reply = yield Call(x, sigma, i, wants_uncond=True)
        uncond = uncond_of(reply)
        h = sigma.log() - sigma_next.log()
        x = reply.x0 + (x - uncond) * (sigma_next / sigma)
        if before is not None and sigma_next > 0:
            last, h_last = before
            x = x - (-h).expm1() * h / (2 * h_last) * (reply.x0 - last)
        before = uncond, h
    return x


def dpmpp_2s_ancestral(
    x: Tensor, sigmas: Tensor, process: Process, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampling:
    """DPM-Solver++(2S) below the next level, and back up with fresh noise (as in k-diffusion)."""
    for i, sigma, sigma_next in steps_of(sigmas):
        reply = yield Call(x, sigma, i)
        step = AncestralStep.between(process.parameterization, sigma, sigma_next, eta)
        x0 = reply.x0
        if step.sigma_down > 0:
            middle = _middle(process.parameterization, sigma, step.sigma_down)
            reply = yield Call(euler_step(x0, x, middle / sigma), middle, i)
            x0 = reply.x0
        x = euler_step(x0, x, step.sigma_down / sigma)
        if sigma_next > 0 and eta > 0:
            x = step.scale * x + process.noise.white(x) * s_noise * step.sigma_up
    return x


def dpmpp_2s_ancestral_cfg_pp(
    x: Tensor, sigmas: Tensor, process: Process, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampling:
    """`dpmpp_2s_ancestral` with CFG++ (Chung et al. 2024, arXiv:2406.08070)."""
    for i, sigma, sigma_next in steps_of(sigmas):
        reply = yield Call(x, sigma, i, wants_uncond=True)
        sigma_down, sigma_up = ancestral_step(sigma, sigma_next, eta)
        x0, guided = reply.x0, reply.x0
        if sigma_down > 0:
            middle = (sigma * sigma_down).sqrt()
            renewed = x + (guided - uncond_of(reply))
            reply = yield Call(
                euler_step(x0, renewed, middle / sigma), middle, i, wants_uncond=True
            )
            x0 = reply.x0
        x = euler_step(x0, x + (guided - uncond_of(reply)), sigma_down / sigma)
        if sigma_next > 0 and eta > 0:
            x = x + process.noise.white(x) * s_noise * sigma_up
    return x


def _middle(parameterization: Parameterization, sigma: Tensor, sigma_next: Tensor) -> Tensor:
    """Return the middle in log(alpha / sigma); just below a sigma where this is not finite."""
    start = parameterization.half_log_snr(sigma)
    if start.isneginf():
        return sigma.new_tensor(0.9999)
    return parameterization.sigma_at((start + parameterization.half_log_snr(sigma_next)) / 2)
