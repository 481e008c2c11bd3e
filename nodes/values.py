"""The values that travel along links: frozen, with their shapes and ranges written down."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, TypeAlias

from torch import Tensor

from nodegraph.sockets import Socket

Image: TypeAlias = Annotated[Tensor, Socket("IMAGE")]
"""Pictures: [batch, height, width, 3 or 4] float32 in [0, 1]."""

Mask: TypeAlias = Annotated[Tensor, Socket("MASK")]
"""Masks: [batch, height, width] float32 in [0, 1]; 1 is where something happens."""


@dataclass(frozen=True, slots=True)
class LatentFormat:
    """How a VAE's latents relate to what the model sees: `model = (raw - shift) * scale`."""

    channels: int
    downscale: int
    scale: float
    shift: float = 0.0

    def to_model(self, raw: Tensor) -> Tensor:
        """From the VAE's space to the model's; same shape."""
        return (raw - self.shift) * self.scale

    def to_raw(self, latent: Tensor) -> Tensor:
        """From the model's space to the VAE's; same shape."""
        return latent / self.scale + self.shift


@dataclass(frozen=True, slots=True)
class Latent:
    """A batch of latents in the VAE's own (unscaled) space, as ComfyUI's files keep them."""

    __socket__: ClassVar = "LATENT"

    samples: Tensor
    """[batch, channels, height/8, width/8] float32."""
    noise_mask: Tensor | None = None
    """[batch or 1, 1, height, width] in [0, 1] at any size; 1 is where it is made anew."""
    batch_index: tuple[int, ...] | None = None
    """Which draw of the seed's noise each image takes; None means 0, 1, 2, …"""
    extras: Mapping[str, object] = field(default_factory=dict[str, object])
    """What other packs put beside the samples; carried along untouched."""


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle in latent pixels: an area that one condition holds for."""

    height: int
    width: int
    y: int
    x: int


@dataclass(frozen=True, slots=True)
class Cond:
    """One condition: an encoded text, and where and when it holds."""

    tokens: Tensor
    """[1, length, dim] float32: the text encoder's hidden states."""
    pooled: Tensor | None = None
    """[1, dim] float32: the text as one vector, where the encoder gives one."""
    area: Area | None = None
    strength: float = 1.0
    mask: Tensor | None = None
    """[batch or 1, height, width] in [0, 1], at any size."""
    mask_strength: float = 1.0
    mask_bounds: bool = False
    """Whether the area is the mask's bounding box (`set_cond_area: mask bounds`)."""
    start: float = 0.0
    end: float = 1.0
    """The part of the schedule it holds for, as a fraction: 0 is pure noise, 1 the image."""
    extras: Mapping[str, object] = field(default_factory=dict[str, object])
    """What families and other packs add (guidance, sizes, controls); carried along."""


@dataclass(frozen=True, slots=True)
class Conditioning:
    """What a prompt becomes: the conditions that hold together, averaged by strength."""

    __socket__: ClassVar = "CONDITIONING"

    conds: tuple[Cond, ...]


@dataclass(frozen=True, slots=True)
class CondBatch:
    """Conditions as a model call takes them, one row a sample of the batch."""

    tokens: Tensor
    """[batch, length, dim]."""
    pooled: Tensor | None = None
    """[batch, dim]."""
    extras: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    """Whatever else the family reads, [batch, …] each."""
