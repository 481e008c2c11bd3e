"""Perturbed attention: a U-Net without self-attention (Ahn et al. 2024, arXiv:2403.17377)."""

from dataclasses import dataclass
from typing import Any, Protocol, cast

from torch import Tensor, nn

from nodes.models.networks.base.call_context import wrap
from nodes.models.networks.modifiers.unet_parts import self_attentions, unet_of


class _Attention(Protocol):
    to_v: nn.Module
    to_out: nn.ModuleList


@dataclass(frozen=True, slots=True)
class PerturbedAttention:
    """Replaces self-attention in the middle of the U-Net by the identity (eq. 15)."""

    def alter(self, network: nn.Module) -> None:
        """Change a network; see `nodes.sampling.conditioning.cond.Alteration`."""
        unet = unet_of(network, "PerturbedAttentionGuidance")
        for attention in self_attentions(unet.mid_block):
            _attend_to_self(attention)


def _attend_to_self(attention: nn.Module) -> None:
    parts = cast("_Attention", attention)

    def identity(_: object, hidden: Tensor, *__: object, **___: Any) -> Tensor:
        out = cast("Tensor", parts.to_v(hidden))
        for layer in parts.to_out:
            out = cast("Tensor", layer(out))
        return out

    wrap(attention, identity)
