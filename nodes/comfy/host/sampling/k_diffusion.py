"""`comfy.k_diffusion.sampling`: our samplers as functions, and the parts that packs build on.

Packs set functions of their own here, `sample_NAME`, for the names that they add to
`comfy.samplers.KSampler.SAMPLERS`.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nodes.comfy.values.sampling.k_diffusion import sampler_functions
from nodes.sampling.noise_schedule.noise import BrownianPath
from nodes.sampling.noise_schedule.schedules import (
    exponential_sigmas,
    karras_sigmas,
    laplace_sigmas,
    polyexponential_sigmas,
    vp_sigmas,
)
from nodes.sampling.samplers.steps import ancestral_step

_ANY_SEED = 2**63 - 1

globals().update({f"sample_{name}": each for name, each in sampler_functions().items()})


def append_zero(x: Tensor) -> Tensor:
    """Append the 0 at which sampling ends."""
    return torch.cat([x, x.new_zeros([1])])


def append_dims(x: Tensor, target_dims: int) -> Tensor:
    """Append dimensions of size 1 until there are `target_dims`."""
    return x[(...,) + (None,) * (target_dims - x.ndim)]


def to_d(x: Tensor, sigma: Tensor, denoised: Tensor) -> Tensor:
    """Return the slope dx/dsigma (Karras et al. 2022, arXiv:2206.00364, eq. 3)."""
    return (x - denoised) / append_dims(sigma, x.ndim)


def get_ancestral_step(
    sigma_from: Tensor | float, sigma_to: Tensor | float, eta: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return the level to step down to, and the noise that leads back up to `sigma_to`."""
    level, after = torch.as_tensor(sigma_from), torch.as_tensor(sigma_to)
    return ancestral_step(level, after, eta) if eta else (after, torch.zeros_like(after))


def get_sigmas_karras(
    n: int, sigma_min: float, sigma_max: float, rho: float = 7.0, device: str = "cpu"
) -> Tensor:
    """Return [n + 1] levels, evenly spaced in sigma^(1/rho)."""
    return karras_sigmas(n, float(sigma_min), float(sigma_max), rho).to(device)


def get_sigmas_exponential(
    n: int, sigma_min: float, sigma_max: float, device: str = "cpu"
) -> Tensor:
    """Return [n + 1] levels, evenly spaced in log sigma."""
    return exponential_sigmas(n, float(sigma_min), float(sigma_max)).to(device)


def get_sigmas_polyexponential(
    n: int, sigma_min: float, sigma_max: float, rho: float = 1.0, device: str = "cpu"
) -> Tensor:
    """Return [n + 1] levels, a polynomial of degree rho in log sigma."""
    return polyexponential_sigmas(n, float(sigma_min), float(sigma_max), rho).to(device)


def get_sigmas_vp(
    n: int, beta_d: float = 19.9, beta_min: float = 0.1, eps_s: float = 1e-3, device: str = "cpu"
) -> Tensor:
    """Return [n + 1] levels of a VP process at even times."""
    return vp_sigmas(n, beta_d, beta_min, eps_s).to(device)


def get_sigmas_laplace(
    n: int,
    sigma_min: float,
    sigma_max: float,
    mu: float = 0.0,
    beta: float = 0.5,
    device: str = "cpu",
) -> Tensor:
    """Return [n] levels at the quantiles of a Laplace distribution."""
    return laplace_sigmas(n, float(sigma_min), float(sigma_max), mu, beta).to(device)


def default_noise_sampler(x: Tensor, seed: int | None = None) -> Callable[[object, object], Tensor]:
    """Return a function of two levels that draws noise of the shape of x."""
    generator = None if seed is None else torch.Generator(x.device).manual_seed(seed)

    def draw(_sigma: object, _sigma_next: object) -> Tensor:
        return torch.randn(
            x.size(), dtype=x.dtype, layout=x.layout, device=x.device, generator=generator
        )

    return draw


class BatchedBrownianTree:
    """Brownian paths over the same interval: one for the batch, or one for each seed.

    Args:
        x: the paths have its shape, and are on its device.
        t0: one end of the interval.
        t1: the other.
        seed: one for the batch, or one for each of its images; torch's generator draws it if None.
    """

    def __init__(
        self,
        x: Tensor,
        t0: Tensor | float,
        t1: Tensor | float,
        seed: int | Sequence[int] | None = None,
        **_more: object,
    ) -> None:
        low, high = sorted((float(t0), float(t1)))
        if seed is None:
            seed = int(torch.randint(0, _ANY_SEED, ()))
        seeds = [seed] if isinstance(seed, int) else list(seed)
        parts = [x] if isinstance(seed, int) else list(torch.split(x, 1))
        self._paths = [
            BrownianPath(part, low, high, each) for part, each in zip(parts, seeds, strict=True)
        ]

    def __call__(self, t0: Tensor | float, t1: Tensor | float) -> Tensor:
        """Return the paths' increments from one time to another."""
        first, last = torch.as_tensor(t0), torch.as_tensor(t1)
        unit = torch.cat([path(first, last) for path in self._paths])
        return unit * (last - first).abs().sqrt().to(unit)


class BrownianTreeNoiseSampler:
    """Noise of the steps along a Brownian path: however many steps there are, it is the same path.

    Args:
        x: the noise has its shape, and is on its device.
        sigma_min: the lowest level.
        sigma_max: the highest level.
        seed: see `BatchedBrownianTree`.
        transform: from a level to the path's time.
        cpu: without effect: the path is drawn on the CPU.
    """

    def __init__(
        self,
        x: Tensor,
        sigma_min: Tensor | float,
        sigma_max: Tensor | float,
        seed: int | Sequence[int] | None = None,
        transform: Callable[[Tensor], Tensor] = lambda sigma: sigma,
        cpu: bool = False,
    ) -> None:
        del cpu
        self.transform = transform
        ends = [transform(torch.as_tensor(each)) for each in (sigma_min, sigma_max)]
        self.tree = BatchedBrownianTree(x, ends[0], ends[1], seed)

    def __call__(self, sigma: Tensor | float, sigma_next: Tensor | float) -> Tensor:
        """Return noise of unit variance for the step from one level to the next."""
        first, last = (self.transform(torch.as_tensor(each)) for each in (sigma, sigma_next))
        change = self.tree(first, last)
        return change / (last - first).abs().sqrt().to(change)
