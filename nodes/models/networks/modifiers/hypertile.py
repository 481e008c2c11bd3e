"""Self-attention in tiles: HyperTile (https://github.com/tfernd/HyperTile, MIT)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nodes.models.networks.base.call_context import NetworkCall, current, wrap
from nodes.models.networks.modifiers.unet_parts import self_attentions, unet_of

_PIXELS = 8
_SMALLEST = 32
"""The least size of a tile, in pixels."""


@dataclass(frozen=True, slots=True)
class HyperTile:
    """Cuts the picture into tiles that attend to themselves alone."""

    tile: int
    """The least size of a tile in pixels, each way."""
    choices: int
    """The number of sizes that one is drawn from, for each attention and sigma."""
    depth: int
    """The depth of the U-Net down to which attention is tiled."""
    grows: bool
    """True if tiles cover more of the picture at each depth, with the same number of tokens."""

    def alter(self, network: nn.Module) -> None:
        """Change a network; see `nodes.sampling.conditioning.cond.Alteration`."""
        unet = unet_of(network, "HyperTile")
        for number, attention in enumerate(self_attentions(unet)):
            wrap(attention, _Tiling(self, number))

    def tiles(self, call: NetworkCall, tokens: int, number: int) -> tuple[int, int, int, int]:
        """Return the rows and columns of tiles, and the height and width of one tile."""
        for depth in range(self.depth + 1):
            height, width = -(-call.height // 2**depth), -(-call.width // 2**depth)
            if height * width == tokens:
                least = max(_SMALLEST, self.tile) // _PIXELS
                least *= 2**depth if self.grows else 1
                generator = call.generator(number)
                high, wide = (self._side(side, least, generator) for side in (height, width))
                return height // high, width // wide, high, wide
        return 1, 1, 1, tokens

    def _side(self, side: int, least: int, generator: torch.Generator) -> int:
        """Draw one of the smallest divisors that are large enough."""
        fits = [n for n in range(min(least, side), side + 1) if side % n == 0][: self.choices]
        return fits[int(torch.randint(len(fits), (1,), generator=generator))]


@dataclass(frozen=True, slots=True)
class _Tiling:
    settings: HyperTile
    number: int

    def __call__(
        self, forward: Callable[..., Tensor], hidden: Tensor, *args: object, **kwargs: Any
    ) -> Tensor:
        batch, tokens, width = hidden.shape
        rows, columns, high, wide = self.settings.tiles(current(), tokens, self.number)
        if rows * columns == 1:
            return forward(hidden, *args, **kwargs)
        tiles = hidden.reshape(batch, rows, high, columns, wide, width).transpose(2, 3)
        made = forward(tiles.reshape(-1, high * wide, width), *args, **kwargs)
        joined = made.reshape(batch, rows, columns, high, wide, width).transpose(2, 3)
        return joined.reshape(batch, tokens, width)
