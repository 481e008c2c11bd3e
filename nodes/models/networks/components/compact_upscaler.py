"""Real-ESRGAN's small network: convolutions at the picture's own size, then one pixel shuffle.

Its output is added to the picture, enlarged by repeating pixels (`SRVGGNetCompact` of
https://github.com/xinntao/Real-ESRGAN; the shuffle: arXiv:1609.05158).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.models.networks.base.builder import Build, NetworkClass


class Compact(nn.Module):
    """The whole network, `SRVGGNetCompact`.

    Args:
        channels: of the pictures, in and out.
        width: channels inside.
        convolutions: the number between the first and the last.
        scale: the result's size over the picture's.
    """

    def __init__(self, *, channels: int, width: int, convolutions: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.PReLU(width)]
        for _ in range(convolutions):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.PReLU(width)]
        layers.append(nn.Conv2d(width, channels * scale**2, 3, padding=1))
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge [batch, channels, h, w] in [0, 1] to [batch, channels, h * scale, w * scale]."""
        details = functional.pixel_shuffle(self.body(x), self.scale)
        return details + functional.interpolate(x, scale_factor=float(self.scale), mode="nearest")


def builder() -> Build:
    """Return the function that builds the network."""

    def build(config: dict[str, Any]) -> nn.Module:
        return Compact(**config)

    return build


NETWORK = NetworkClass(
    "compact", "upscale model", builder, half_dtype=torch.float32, convolves=True
)
