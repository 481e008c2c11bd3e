"""The sampler of latent consistency models."""

from torch import Tensor

from nodes.resizing import LatentMethod, resize
from nodes.samplers.calls import Call, Process, Sampling
from nodes.samplers.steps import steps_of


def lcm(x: Tensor, sigmas: Tensor, process: Process) -> Sampling:
    """Jump to x0 and noise it again (Luo et al. 2023, arXiv:2310.04378, alg. 3)."""
    return (yield from lcm_upscale(x, sigmas, process, stages=0))


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
            x = process.parameterisation.add_noise(sigma_next, noise, x)
    return x
