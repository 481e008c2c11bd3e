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
class Tiled:
    """Lets each tile of the picture attend to itself alone."""

    tile: int
    """Of this many pixels each way, at least."""
    choices: int
    """How many sizes from there on one is drawn from, for each attention and level of noise."""
    depth: int
    """How many times the picture may have been halved where it still holds."""
    grows: bool
    """Whether tiles keep their size in hidden pixels as the picture is halved."""

    def alter(self, network: nn.Module) -> None:
        """See `nodes.sampling.conditioning.cond.Alteration`."""
        unet = unet_of(network, "HyperTile")
        for number, attention in enumerate(self_attentions(unet)):
            wrap(attention, _Tiling(self, number))

    def tiles(self, call: NetworkCall, tokens: int, number: int) -> tuple[int, int, int, int]:
        """(rows, columns, height, width): of the tiles, and of one of them."""
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
        """One of the smallest divisors that are large enough."""
        fits = [n for n in range(min(least, side), side + 1) if side % n == 0][: self.choices]
        return fits[int(torch.randint(len(fits), (1,), generator=generator))]


@dataclass(frozen=True, slots=True)
class _Tiling:
    settings: Tiled
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
