"""ESRGAN's generator: residual dense blocks, then nearest-neighbour steps of 2 (arXiv:1809.00219).

Real-ESRGAN's models for smaller factors first fold pixels into channels (arXiv:2107.10833,
section 3.3), so that a factor of 4 on a picture of half the size is one of 2.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.models.networks.base.builder import Build, NetworkClass

_SLOPE = 0.2
_RESIDUAL = 0.2
"""The share of a block's output that is added to its input."""


class Dense(nn.Module):
    """Five convolutions, each of which reads the outputs of all before it."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        for number in range(1, 6):
            made = growth if number < 5 else width
            conv = nn.Conv2d(width + (number - 1) * growth, made, 3, padding=1)
            self.add_module(f"conv{number}", conv)

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, width, h, w] to the same shape."""
        *convs, last = self.children()
        seen = [x]
        for conv in convs:
            seen.append(_active(conv(torch.cat(seen, 1))))
        return x + _RESIDUAL * last(torch.cat(seen, 1))


class Block(nn.Module):
    """Three dense blocks in a row, with a skip connection around them."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        for number in range(1, 4):
            self.add_module(f"rdb{number}", Dense(width, growth))

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, width, h, w] to the same shape."""
        y = x
        for dense in self.children():
            y = dense(y)
        return x + _RESIDUAL * y


class Rrdb(nn.Module):
    """The whole generator.

    Args:
        channels: of the pictures, in and out.
        width: channels inside.
        growth: channels that each convolution of a dense block adds.
        blocks: the number of blocks.
        doublings: the number of times the picture is doubled.
        unshuffle: the factor by which it is folded before that: 1, 2 or 4.
    """

    def __init__(
        self,
        *,
        channels: int,
        width: int,
        growth: int,
        blocks: int,
        doublings: int,
        unshuffle: int,
    ) -> None:
        super().__init__()
        self.unshuffle = unshuffle
        self.scale = 2**doublings // unshuffle
        self.conv_first = nn.Conv2d(channels * unshuffle**2, width, 3, padding=1)
        self.body = nn.Sequential(*(Block(width, growth) for _ in range(blocks)))
        self.conv_body = nn.Conv2d(width, width, 3, padding=1)
        ups = (nn.Conv2d(width, width, 3, padding=1) for _ in range(doublings))
        self.conv_up = nn.ModuleList(ups)
        self.conv_hr = nn.Conv2d(width, width, 3, padding=1)
        self.conv_last = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge [batch, channels, h, w] in [0, 1] to [batch, channels, h * scale, w * scale]."""
        height, width = x.shape[-2:]
        folded = functional.pixel_unshuffle(_pad(x, self.unshuffle), self.unshuffle)
        first = self.conv_first(folded)
        y = first + self.conv_body(self.body(first))
        for conv in self.conv_up:
            y = _active(conv(functional.interpolate(y, scale_factor=2.0, mode="nearest")))
        picture = self.conv_last(_active(self.conv_hr(y)))
        return picture[..., : height * self.scale, : width * self.scale]


def _active(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, _SLOPE)


def _pad(x: Tensor, multiple: int) -> Tensor:
    """Pad at the right and the bottom to sides that are multiples, by mirroring."""
    height, width = x.shape[-2:]
    down, right = -height % multiple, -width % multiple
    if not (down or right):
        return x
    mode = "reflect" if down < height and right < width else "replicate"
    return functional.pad(x, (0, right, 0, down), mode)


def builder() -> Build:
    """Return the function that builds the network."""

    def build(config: dict[str, Any]) -> nn.Module:
        return Rrdb(**config)

    return build


NETWORK = NetworkClass("rrdb", "upscale model", builder, half_dtype=torch.float32, convolves=True)
