"""A U-Net that can't see how the picture hangs together (Ahn et al. 2024, arXiv:2403.17377)."""

from dataclasses import dataclass
from typing import Any, Protocol, cast

from torch import Tensor, nn

from nodes.models.networks.base.call_context import wrap
from nodes.models.networks.modifiers.unet_parts import self_attentions, unet_of


class _Attention(Protocol):
    to_v: nn.Module
    to_out: nn.ModuleList


@dataclass(frozen=True, slots=True)
class Perturbed:
    """In the middle of the U-Net, each place attends to itself alone (eq. 15)."""

    def alter(self, network: nn.Module) -> None:
        """See `nodes.sampling.conditioning.cond.Alteration`."""
        unet = unet_of(network, "PerturbedAttentionGuidance")
        for attention in self_attentions(unet.mid_block):
            _see_only_yourself(attention)


def _see_only_yourself(attention: nn.Module) -> None:
    parts = cast("_Attention", attention)

    def identity(_: object, hidden: Tensor, *__: object, **___: Any) -> Tensor:
        out = cast("Tensor", parts.to_v(hidden))
        for layer in parts.to_out:
            out = cast("Tensor", layer(out))
        return out

    wrap(attention, identity)
