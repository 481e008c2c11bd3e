"""IP-Adapters, which turn pictures into keys and values for a U-Net (arXiv:2308.06721)."""

from typing import Any, cast

import torch
from torch import Tensor, nn

from nodes.models.networks.base.builder import Build, NetworkClass


class IPAdapter(nn.Module):
    """A projection to tokens, and the layers from tokens to each attention's keys and values."""

    def __init__(self, projection: nn.Module, text: int, widths: list[int]) -> None:
        super().__init__()
        self.image_proj = projection
        self.to_k_ip = _linears(text, widths)
        self.to_v_ip = _linears(text, widths)

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values: [batch, tokens, the widths of all cross-attentions] each.

        Args:
            seen: [batch, dim] for a plain IP-Adapter, else [batch, patches, width].
        """
        tokens: Tensor = self.image_proj(seen)
        keys, values = (
            torch.cat([layer(tokens) for layer in layers], dim=-1)
            for layers in (self.to_k_ip, self.to_v_ip)
        )
        return keys, values


def _linears(text: int, widths: list[int]) -> nn.ModuleList:
    return nn.ModuleList(nn.Linear(text, width, bias=False) for width in widths)


def builder() -> Build:
    """Return the function that builds the network."""
    from diffusers.models.embeddings import (
        ImageProjection,
        IPAdapterFullImageProjection,
        IPAdapterPlusImageProjection,
    )

    def project(config: dict[str, Any]) -> object:
        text, seen = config["text"], config["seen"]
        if config["projection"] == "plain":
            return ImageProjection(seen, text, config["tokens"])
        if config["projection"] == "full":
            return IPAdapterFullImageProjection(seen, text)
        return IPAdapterPlusImageProjection(
            embed_dims=seen,
            output_dims=text,
            hidden_dims=config["width"],
            depth=config["depth"],
            heads=config["heads"],
            num_queries=config["tokens"],
            ffn_ratio=config["inner"] / config["width"],
        )

    def build(config: dict[str, Any]) -> nn.Module:
        projection = cast("nn.Module", project(config))
        return cast("nn.Module", IPAdapter(projection, config["text"], config["widths"]))

    return build


NETWORK = NetworkClass("ip_adapter", "IP-Adapter", builder)
