"""Noise from seeds, drawn on the CPU.

Drawing on the CPU makes an image independent of the device that computes it.
"""

from collections.abc import Sequence
from typing import Protocol, TypeAlias, cast

import torch
import torchsde
from torch import Tensor

from nodes.sampling.noise_schedule.errors import BatchCountError

Seeds: TypeAlias = int | Sequence[int]
"""One seed for the batch, or one for each image, from 0 to 2^64 - 1."""


def initial_noise(
    shape: Sequence[int], seed: int, batch_index: Sequence[int] | None = None
) -> Tensor:
    """Return the noise that sampling starts from.

    Args:
        shape: [batch, …].
        seed: 0 to 2^64 - 1.
        batch_index: the number of each image's draw; None draws the whole batch at once.
            That differs from drawing 0, 1, 2, … where an image's size isn't a multiple of 16.

    Returns:
        Standard normal float32 of this shape.
    """
    generator = torch.Generator().manual_seed(seed)
    if batch_index is None:
        return torch.randn(list(shape), generator=generator)
    draws = [torch.randn(1, *shape[1:], generator=generator) for _ in range(max(batch_index) + 1)]
    return torch.cat([draws[i] for i in batch_index])


class Brownian(Protocol):
    """Noise of an interval of sigma, the same however many steps the interval is cut into."""

    def __call__(self, sigma: Tensor, sigma_next: Tensor) -> Tensor:
        """Return unit-variance noise for the step between two levels."""
        ...


class NoiseSource(Protocol):
    """The source of noise that samplers add on the way."""

    def white(self, x: Tensor) -> Tensor:
        """Return the next independent draw, of the shape and on the device of x."""
        ...

    def brownian(self, x: Tensor, sigma_min: float, sigma_max: float) -> Brownian:
        """Return a Brownian path over a range of levels, of the shape and on the device of x."""
        ...


class SeededNoise:
    """A seed's noise: one generator for the whole batch, one Brownian path per sampler run.

    The generator starts where the initial noise's did, as in ComfyUI 0.3.64: the first draw
    equals the initial noise.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._generator = torch.Generator().manual_seed(seed)

    def white(self, x: Tensor) -> Tensor:
        """Return the generator's next draw."""
        noise = torch.randn(x.shape, dtype=x.dtype, generator=self._generator)
        return noise.to(x.device)

    def brownian(self, x: Tensor, sigma_min: float, sigma_max: float) -> Brownian:
        """Return the seed's Brownian path."""
        return BrownianPath(x, sigma_min, sigma_max, self._seed)


class SeparateNoise:
    """A seed for each image of a batch, so that each gets the noise it would get alone."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self._each = [SeededNoise(seed) for seed in seeds]

    def white(self, x: Tensor) -> Tensor:
        """Return each generator's next draw."""
        rows = zip(self._each, torch.split(x, 1), strict=True)
        return torch.cat([source.white(row) for source, row in rows])

    def brownian(self, x: Tensor, sigma_min: float, sigma_max: float) -> Brownian:
        """Return each seed's Brownian path."""
        rows = zip(self._each, torch.split(x, 1), strict=True)
        paths = [source.brownian(row, sigma_min, sigma_max) for source, row in rows]
        return lambda sigma, sigma_next: torch.cat([path(sigma, sigma_next) for path in paths])


def noise_source(seeds: Seeds) -> NoiseSource:
    """Return the source of noise of one seed, or of one an image."""
    return SeededNoise(seeds) if isinstance(seeds, int) else SeparateNoise(seeds)


def noise_like(x: Tensor, seeds: Seeds, batch_index: Sequence[int] | None = None) -> Tensor:
    """Return the initial noise for a latent, [batch, …], on its device.

    Raises:
        BatchCountError: there is one seed an image, but not as many as images.
    """
    if isinstance(seeds, int):
        return initial_noise(x.shape, seeds, batch_index).to(x)
    if len(seeds) != len(x):
        problem = f"there are seeds for {len(seeds)} images, but {len(x)} latents"
        raise BatchCountError(problem, code="seed_count")
    return torch.cat([initial_noise((1, *x.shape[1:]), seed) for seed in seeds]).to(x)


class BrownianPath:
    """A virtual Brownian tree (Li et al. 2020, arXiv:2001.01328, section 4), by `torchsde`."""

    def __init__(self, x: Tensor, sigma_min: float, sigma_max: float, seed: int) -> None:
        self._tree = torchsde.BrownianTree(sigma_min, torch.zeros(x.shape), sigma_max, entropy=seed)
        self._device = x.device
        # The tree rounds its ends, and warns of what lies outside.
        self._range = torch.tensor([round(sigma_min, 6), round(sigma_max, 6)], dtype=torch.float64)

    def __call__(self, sigma: Tensor, sigma_next: Tensor) -> Tensor:
        """Return the path's increment between two levels, scaled to unit variance."""
        low, high = sorted((sigma.cpu(), sigma_next.cpu()))
        first, last = (end.double().clamp(*self._range) for end in (low, high))
        increment = cast("Tensor", self._tree(first, last))
        sign = 1 if sigma < sigma_next else -1
        return (increment * sign / (high - low).sqrt()).to(self._device)
