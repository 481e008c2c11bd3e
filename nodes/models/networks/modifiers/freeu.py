"""FreeU: a U-Net's depth counts for more, what it hands across for less.

Si et al. 2023, arXiv:2309.11497.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nodes.imaging.filters import scale_frequencies
from nodes.models.networks.modifiers.unet_parts import join_by, unet_of

_LOW = 1
"""The radius of the frequencies that count as low."""


@dataclass(frozen=True, slots=True)
class FreeU:
    """Scales half of the channels that come from below, and low frequencies from the side."""

    backbone: tuple[float, float]
    """At four and at two times as many channels as the U-Net begins with."""
    skip: tuple[float, float]
    by_structure: bool = False
    """The most where the channels' mean is high (version 2), not everywhere."""

    def alter(self, network: nn.Module) -> None:
        """See `nodes.sampling.conditioning.cond.Alteration`."""
        unet = unet_of(network, "FreeU")
        width = unet.config.block_out_channels[0]
        pairs = zip(self.backbone, self.skip, strict=True)
        scales = dict(zip((4 * width, 2 * width), pairs, strict=True))

        def join(hidden: Tensor, beside: Tensor) -> tuple[Tensor, Tensor]:
            if hidden.shape[1] not in scales:
                return hidden, beside
            backbone, skip = scales[hidden.shape[1]]
            return self._scale_backbone(hidden, backbone), scale_frequencies(beside, _LOW, skip)

        join_by(unet, join)

    def _scale_backbone(self, hidden: Tensor, scale: float) -> Tensor:
        """Eq. 4, and in version 2 what follows it."""
        half, rest = torch.split(hidden, [hidden.shape[1] // 2, -(-hidden.shape[1] // 2)], dim=1)
        share: float | Tensor = 1.0
        if self.by_structure:
            mean = hidden.mean(dim=1, keepdim=True)
            low, high = mean.amin((2, 3), keepdim=True), mean.amax((2, 3), keepdim=True)
            share = (mean - low) / (high - low).clamp(min=1e-12)
        return torch.cat([half * ((scale - 1) * share + 1), rest], dim=1)
