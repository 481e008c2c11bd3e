"""FreeU: a stronger backbone of a U-Net, and weaker skip connections.

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
    """Scales half of the backbone's channels, and the low frequencies of skip connections."""

    backbone: tuple[float, float]
    """The factors at four and at two times the channels that the U-Net begins with."""
    skip: tuple[float, float]
    by_structure: bool = False
    """True for version 2, which scales more where the channels' mean is high."""

    def alter(self, network: nn.Module) -> None:
        """Change a network; see `nodes.sampling.conditioning.cond.Alteration`."""
        unet = unet_of(network, "FreeU")
        width = unet.config.block_out_channels[0]
        pairs = zip(self.backbone, self.skip, strict=True)
        scales = dict(zip((4 * width, 2 * width), pairs, strict=True))

        def join(hidden: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
            if hidden.shape[1] not in scales:
                return hidden, skip
            backbone, skip_scale = scales[hidden.shape[1]]
            return self._scale_backbone(hidden, backbone), scale_frequencies(skip, _LOW, skip_scale)

        join_by(unet, join)

    def _scale_backbone(self, hidden: Tensor, scale: float) -> Tensor:
        """Scale half of the channels (eq. 4; version 2 by their structure)."""
        half, rest = torch.split(hidden, [hidden.shape[1] // 2, -(-hidden.shape[1] // 2)], dim=1)
        share: float | Tensor = 1.0
        if self.by_structure:
            mean = hidden.mean(dim=1, keepdim=True)
            low, high = mean.amin((2, 3), keepdim=True), mean.amax((2, 3), keepdim=True)
            share = (mean - low) / (high - low).clamp(min=1e-12)
        return torch.cat([half * ((scale - 1) * share + 1), rest], dim=1)
