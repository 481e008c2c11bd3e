"""Gradient estimation: a momentum on the predicted noise."""

from torch import Tensor

from nodes.samplers.calls import Call, Process, Sampling, uncond_of
from nodes.samplers.steps import slope, steps_of


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
