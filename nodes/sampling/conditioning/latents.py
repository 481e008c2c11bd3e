"""Latents, and the conversion between a VAE's space and the model's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, TypeAlias

import torch
from torch import Tensor

from nodegraph.graph.sockets import Socket


@dataclass(frozen=True, slots=True)
class LatentFormat:
    """The conversion from a VAE's latents to the model's: `model = (raw - shift) * scale`."""

    channels: int
    downscale: int
    scale: float | tuple[float, ...]
    """The scale, one number or one for each channel."""
    shift: float | tuple[float, ...] = 0.0
    layered: bool = False
    """True if the model makes several layers at once; see `Latent.samples`."""

    def to_model(self, raw: Tensor) -> Tensor:
        """Convert from the VAE's space to the model's; same shape."""
        return (raw - _each(self.shift, raw)) * _each(self.scale, raw)

    def to_raw(self, latent: Tensor) -> Tensor:
        """Convert from the model's space to the VAE's; same shape."""
        return latent / _each(self.scale, latent) + _each(self.shift, latent)


def _each(value: float | tuple[float, ...], x: Tensor) -> float | Tensor:
    """Shape one number a channel so that it multiplies [batch, channels, …]."""
    if not isinstance(value, tuple):
        return value
    return torch.tensor(value, dtype=x.dtype).to(x.device).view(-1, *[1] * (x.ndim - 2))


Sigmas: TypeAlias = Annotated[Tensor, Socket("SIGMAS")]
"""The noise levels that a sampler visits: [steps + 1] float32 on the CPU, mostly down to 0."""


@dataclass(frozen=True, slots=True)
class Latent:
    """A batch of latents in the VAE's own (unscaled) space, as ComfyUI's files keep them."""

    __socket__: ClassVar = "LATENT"
    __data__: ClassVar = True

    samples: Tensor
    """[batch, channels, height/8, width/8] float32; some VAEs have another number than 8.

    [batch, channels, layers, height/8, width/8] for a model that makes several layers at once.
    """
    noise_mask: Tensor | None = None
    """[batch or 1, 1, height, width] in [0, 1] at any size; 1 is where it is denoised."""
    batch_index: tuple[int, ...] | None = None
    """The number of the seed's draw that is each image's noise; None means 0, 1, 2, …"""
    extras: Mapping[str, object] = field(default_factory=dict[str, object])
    """Values that other packs put beside the samples; kept as they are."""


LAYERED = 5
"""The number of axes of latents that have layers."""
DOWNSCALE = "downscale_ratio_spacial"
"""The name in an empty latent's extras of the pixels that a latent pixel stands for, each way.

The name is ComfyUI's; a model that stands for more or fewer has the latent at its own size.
"""


def empty_latent(
    batch: int,
    channels: int,
    height: int,
    width: int,
    downscale: int = 8,
    *,
    layers: int | None = None,
) -> Latent:
    """Return a latent of zeros for a picture of some size in pixels, rounded down.

    Args:
        batch: the number of latents.
        channels: of each.
        height: of the picture.
        width: likewise.
        downscale: the pixels that a latent pixel stands for, each way.
        layers: of each latent; None for one without this axis.
    """
    between = () if layers is None else (layers,)
    shape = batch, channels, *between, height // downscale, width // downscale
    return Latent(torch.zeros(shape), extras={DOWNSCALE: downscale})


def split_layers(samples: Tensor) -> Tensor:
    """Return latents, [batch, channels, h, w], whose layers follow each other in the batch."""
    return samples.movedim(2, 1).flatten(0, 1) if samples.ndim == LAYERED else samples


@dataclass(frozen=True, slots=True)
class Noise:
    """The seeds of a sampler's noise."""

    __socket__: ClassVar = "NOISE"

    seeds: tuple[int, ...]
    """The seeds, one for the batch or one for each image, from 0 to 2^64 - 1."""
    adds: bool = True
    """Add noise before the first step; samplers add theirs on the way in any case."""
    draw: Callable[[Latent], Tensor] | None = None
    """Draws the noise that is added, of the latent's shape, in place of the seeds'."""

    @property
    def seed(self) -> int | tuple[int, ...]:
        """The batch's one seed, or one an image."""
        return self.seeds[0] if len(self.seeds) == 1 else self.seeds
