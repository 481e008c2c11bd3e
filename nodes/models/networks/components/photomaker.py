"""PhotoMaker: a word of the prompt stands for a person (Li et al. 2023, arXiv:2312.04461, 3.2)."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.components import vision
from nodes.models.residency.units import Parts


class PhotoMaker(nn.Module):
    """A vision encoder, and layers that fuse its vectors of a person with a word's embedding."""

    def __init__(self, eyes: nn.Module, seen: int, first: int, second: int) -> None:
        super().__init__()
        self.eyes = eyes
        self.visual_projection = nn.Linear(seen, first, bias=False)
        self.visual_projection_2 = nn.Linear(seen, second, bias=False)
        self.fuse_module = _Fuse(first + second)

    def forward(self, pixels: Tensor, words: Tensor) -> Tensor:
        """Return the fused embeddings, one word a picture.

        Args:
            pixels: [pictures, 3, size, size], normed.
            words: [pictures, width]: the embeddings of both text encoders, side by side.
        """
        pooled = vision.see(self.eyes, pixels).embeds
        assert pooled is not None, "CLIP always makes a vector"
        pooled = pooled.to(words)
        person = torch.cat([self.visual_projection(pooled), self.visual_projection_2(pooled)], 1)
        return self.fuse_module(words, person)


class _Fuse(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp1 = _Mlp(2 * width, width)
        self.mlp2 = _Mlp(width, width)
        self.layer_norm = nn.LayerNorm(width)

    def forward(self, words: Tensor, person: Tensor) -> Tensor:
        fused = self.mlp1(torch.cat([words, person], dim=-1)) + words
        return self.layer_norm(self.mlp2(fused) + fused)


class _Mlp(nn.Module):
    def __init__(self, wide: int, width: int) -> None:
        super().__init__()
        self.layernorm = nn.LayerNorm(wide)
        self.fc1 = nn.Linear(wide, width)
        self.fc2 = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(self.layernorm(x))))


def builder() -> Build:
    """Return the function that builds the network."""
    see = vision.builder()

    def build(config: dict[str, Any]) -> nn.Module:
        eyes = see(dict(config["eyes"]))
        seen = config["eyes"]["hidden_size"]
        return cast("nn.Module", PhotoMaker(eyes, seen, config["first"], config["second"]))

    return build


_UNCALLED = ("eyes", *(f"eyes.{name}" for name in vision.UNCALLED))
NETWORK = NetworkClass("photomaker", "PhotoMaker", builder, parts=Parts(_UNCALLED))
