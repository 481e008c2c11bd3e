"""RES: exponential multistep methods of second order.

Zhang et al. 2023 (arXiv:2308.02157), in lambda = -log(sigma).
"""

from functools import partial

from torch import Tensor

from nodes.samplers.calls import Call, Process, Sampling, uncond_of
from nodes.samplers.steps import ancestral, steps_of


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
    before: tuple[Tensor, Tensor, Tensor] | None = None  # last prediction, its sigma, its target
    for i, sigma, sigma_next in steps_of(sigmas):
        reply = yield Call(x, sigma, i, wants_uncond=cfg_pp)
        x0 = reply.x0
        down, up = ancestral(sigma, sigma_next, eta)
        known = uncond_of(reply) if cfg_pp else x0
        if before is None or down == 0:
            x = x0 + (x - known) * (down / sigma)
        else:
            shifted = x + (x0 - known)
            x = _second_order(shifted, known, before, (sigma, down))
        if sigma_next > 0 and eta > 0:
            x = x + process.noise.white(x) * s_noise * up
        before = known, sigma, down
    return x


def _second_order(
    x: Tensor, x0: Tensor, before: tuple[Tensor, Tensor, Tensor], ends: tuple[Tensor, Tensor]
) -> Tensor:
    """Weights phi_1 and phi_2 of the exponential integrator (arXiv:2308.02157, eq. 23)."""
    last, sigma_last, target_last = before
    sigma, sigma_next = ends
    h = sigma.log() - sigma_next.log()
    c2 = (target_last.log() - sigma_last.log()) / h
    phi_1 = -(-h).expm1() / h
    phi_2 = (1 - phi_1) / h
    return (-h).exp() * x + h * ((phi_1 - phi_2 / c2) * x0 + phi_2 / c2 * last)


res_multistep_cfg_pp = partial(res_multistep, cfg_pp=True)
"""`res_multistep` with CFG++."""
res_multistep_ancestral = partial(res_multistep, eta=1.0)
"""`res_multistep` with fresh noise at each step."""
res_multistep_ancestral_cfg_pp = partial(res_multistep, eta=1.0, cfg_pp=True)
"""Both."""
