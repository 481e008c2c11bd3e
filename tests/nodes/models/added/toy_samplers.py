"""A sampler and a schedule from outside."""

import torch

from nodes.sampling.samplers.protocol import Call, NamedSampler


def halfway(x, sigmas, process):
    """Euler's method, but the last step goes half of the way."""
    for step in range(len(sigmas) - 1):
        reply = yield Call(x, sigmas[step], step)
        left = sigmas[step + 1] if step + 2 < len(sigmas) else sigmas[step] / 2
        x = reply.x0 + (x - reply.x0) * (left / sigmas[step])
    return x


def squared(parameterization, steps):
    """Levels that fall as the square of the steps left."""
    return parameterization.sigma_max * torch.linspace(1, 0, steps + 1) ** 2


HALFWAY = NamedSampler(halfway, drops_penultimate=True)
