"""Vision encoders, CLIP's and SigLIP's: preparation of pictures, forward pass, and output.

Radford et al. 2021, arXiv:2103.00020; Zhai et al. 2023, arXiv:2303.15343.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.residency.units import Parts

KEPT = (-2, -11, -20)
"""The layers whose states are read: by IP-Adapters the last but one, by USO's projector all."""
Crop: TypeAlias = Literal["center", "none"]
_NORMS: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "siglip": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""The mean and the deviation of red, green and blue that each was trained with."""


@dataclass(frozen=True, slots=True, eq=False)
class SeenPictures:
    """Pictures as a vision encoder sees them: the value of a CLIP_VISION_OUTPUT link."""

    __socket__: ClassVar = "CLIP_VISION_OUTPUT"
    __data__: ClassVar = True

    embeds: Tensor | None
    """[batch, dim] float32: each picture as one vector; None if the encoder makes none."""
    last: Tensor
    """[batch, patches, width] float32: the states after the last layer."""
    states: Mapping[int, Tensor]
    """The states after some other layers, counted from the end: -2 is the last but one."""


class _Embeddings(Protocol):
    patch_embedding: nn.Conv2d
    position_embedding: nn.Embedding


class _Encoder(Protocol):
    layers: nn.ModuleList


class _Vision(Protocol):
    """The parts of both encoders; CLIP's also has a class token and a norm before the layers."""

    embeddings: _Embeddings
    encoder: _Encoder
    post_layernorm: nn.LayerNorm


def prepare_pixels(pictures: Tensor, size: int, kind: str, crop: Crop = "center") -> Tensor:
    """Return pictures as an encoder reads them: square, rounded to 8 bits, normalized.

    Args:
        pictures: [batch, height, width, 3 or 4] in [0, 1].
        size: of the square.
        kind: `clip` or `siglip`.
        crop: `center` makes the shorter side fit and cuts the longer one evenly; `none` squeezes.

    Returns:
        [batch, 3, size, size].
    """
    pixels = pictures[..., :3].movedim(-1, 1)
    height, width = pixels.shape[-2:]
    scale = size / min(height, width)
    cover = (round(height * scale), round(width * scale)) if crop == "center" else (size, size)
    if cover != (height, width):
        pixels = functional.interpolate(pixels, size=cover, mode="bicubic", antialias=True)
    top, left = ((side - size) // 2 for side in cover)
    pixels = pixels[..., top : top + size, left : left + size]
    mean, deviation = (torch.tensor(row).view(3, 1, 1).to(pixels) for row in _NORMS[kind])
    return ((pixels.clamp(0, 1) * 255).round() / 255 - mean) / deviation


def see(module: nn.Module, pixels: Tensor) -> SeenPictures:
    """Encode pictures.

    Args:
        module: the network.
        pixels: [batch, 3, size, size], normalized, on its device and in its precision.
    """
    states = list(_states(module, pixels))
    kept = {layer: states[layer].float() for layer in KEPT if -layer <= len(states)}
    embeds, last = (_clip if hasattr(module, "pre_layrnorm") else _siglip)(module, states[-1])
    return SeenPictures(None if embeds is None else embeds.float(), last.float(), kept)


def _states(module: nn.Module, pixels: Tensor) -> Iterator[Tensor]:
    """Yield the input of the first layer, then each layer's output: [batch, patches, width]."""
    vision = cast("_Vision", module)
    hidden = vision.embeddings.patch_embedding(pixels).flatten(2).transpose(1, 2)
    token = cast("Tensor | None", getattr(vision.embeddings, "class_embedding", None))
    if token is not None:
        hidden = torch.cat([token.expand(len(hidden), 1, -1), hidden], dim=1)
    hidden = hidden + vision.embeddings.position_embedding.weight
    norm = cast("nn.Module | None", getattr(module, "pre_layrnorm", None))
    yield (hidden := hidden if norm is None else norm(hidden))
    for layer in vision.encoder.layers:
        yield (hidden := cast("Tensor", layer(hidden, None)))


def _clip(module: nn.Module, last: Tensor) -> tuple[Tensor, Tensor]:
    """Return the class token, normed and projected, and the states unchanged."""
    pooled = cast("_Vision", module).post_layernorm(last[:, 0])
    projection = cast("nn.Linear | None", getattr(module, "visual_projection", None))
    return pooled if projection is None else projection(pooled), last


def _siglip(module: nn.Module, last: Tensor) -> tuple[Tensor | None, Tensor]:
    """Return the head's vector, if there is a head, and the normed states."""
    normed = cast("_Vision", module).post_layernorm(last)
    head = cast("nn.Module | None", getattr(module, "head", None))
    return None if head is None else head(normed), normed


def builder() -> Build:
    """Return the function that builds the network.

    A `projection_dim` asks for a visual projection; `model_type` says which encoder it is.
    """
    from transformers.models.clip.configuration_clip import CLIPVisionConfig
    from transformers.models.clip.modeling_clip import CLIPVisionModel
    from transformers.models.siglip.configuration_siglip import SiglipVisionConfig
    from transformers.models.siglip.modeling_siglip import SiglipVisionModel

    def build(config: dict[str, Any]) -> nn.Module:
        siglip = config.pop("model_type") == "siglip"
        model = cast(
            "nn.Module",
            SiglipVisionModel(SiglipVisionConfig(**config))
            if siglip
            else CLIPVisionModel(CLIPVisionConfig(**config)),
        )
        embeddings = cast("nn.Module", model.embeddings)
        del embeddings.position_ids  # a buffer that no file has; all positions are used
        if "projection_dim" in config:
            width, projected = config["hidden_size"], config["projection_dim"]
            model.visual_projection = nn.Linear(width, projected, bias=False)
        return model

    return build


UNCALLED = ("embeddings", "embeddings.position_embedding", "encoder")
"""The modules that `see` does not call: it reads what they hold."""
NETWORK = NetworkClass("vision", "vision encoder", builder, parts=Parts(UNCALLED))
