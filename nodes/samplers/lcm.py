"""The sampler of latent consistency models."""

from torch import Tensor

from nodes.samplers.calls import Call, Process, Sampling
from nodes.samplers.steps import steps_of


def lcm(x: Tensor, sigmas: Tensor, process: Process) -> Sampling:
    """Jump to x0 and noise it again (Luo et al. 2023, arXiv:2310.04378, alg. 3)."""
    for i, sigma, sigma_next in steps_of(sigmas):
        reply = yield Call(x, sigma, i)
        x = reply.x0
        if sigma_next > 0:
            noise = process.noise.white(x)
            x = process.parameterisation.add_noise(sigma_next, noise, x)
    return x
