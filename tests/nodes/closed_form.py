"""A model of closed form: what the reference numbers of samplers and guidance were made with."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nodes.sampling.conditioning.denoiser import Branch, ModelCall, PreparedCond
from nodes.sampling.conditioning.latents import LatentFormat
from nodes.sampling.noise_schedule.parameterization import Parameterization
from nodes.sampling.samplers.registry import Reply, SamplerRun, Sampling
from nodes.values import Cond, CondBatch


class ClosedForm:
    """Pulls x towards a cosine pattern whose height is the mean of the condition's tokens."""

    repeats_text = True
    device = torch.device("cpu")
    latent_format = LatentFormat(channels=4, downscale=8, scale=1.0)

    def __init__(self, parameterization: Parameterization) -> None:
        self.parameterization = parameterization
        self.calls: list[tuple[list[int], float]] = []

    def prepare(self, cond: Cond, size: tuple[int, int], branch: Branch, seed: int) -> PreparedCond:
        del size, branch, seed
        return PreparedCond.from_cond(cond)

    def predict(self, calls: Sequence[ModelCall]) -> list[Tensor]:
        return [self.denoise(call.x, call.sigma, call.cond) for call in calls]

    def denoise(self, x: Tensor, sigma: Tensor, cond: CondBatch) -> Tensor:
        self.calls.append((list(x.shape), float(sigma[0])))
        height = cond.tokens.mean(dim=(1, 2)).view(-1, 1, 1, 1)
        target, s = height * _pattern(x), sigma.view(-1, 1, 1, 1)
        if self.parameterization.is_flow:
            a = 1 - s
            return target + a / (a**2 + s**2) * (x - a * target) + 0.05 * torch.sin(2 * x)
        ripple = 0.05 * torch.sin(2 * x / torch.sqrt(1 + s**2))
        return (x + s**2 * target) / (1 + s**2) + ripple


def _pattern(x: Tensor) -> Tensor:
    c, h, w = torch.meshgrid(*(torch.arange(n) for n in x.shape[1:]), indexing="ij")
    return torch.cos(0.7 * c + 0.3 * h + 0.2 * w)


def drive(sampling: Sampling, denoise: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Answer every call with x0, and with half of it as the unconditional prediction."""
    run = SamplerRun(sampling)
    for call in run:
        x0 = denoise(call.x, call.sigma)
        run.answer(Reply(x0, x0 / 2 if call.wants_uncond else None))
    return run.latent
