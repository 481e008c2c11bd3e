"""Calls of a VAE in tiles, and the size of tiles that the memory of its device has room for."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import Tensor

from nodegraph.definition.context import Context
from nodegraph.runtime.device_lane import device_lane
from nodegraph.runtime.sizes import format_size
from nodes.imaging.tiling import Tiling, compute_tiled, tilings
from nodes.models.loading.handles import VaeHandle
from nodes.models.networks.call_memory import vae_peak

_SMALLEST, _STEP = 128, 64
"""The least size of tiles in pixels, and all sizes are a multiple of the other."""
_BLENDED = 4
"""The images of the whole size that there are while tiles are blended, and one for the weights."""


Method: TypeAlias = Literal["encode", "decode"]


@dataclass(frozen=True, slots=True)
class VaeCall:
    """Encodes or decodes one picture, [1, channels, height, width], at once or in tiles."""

    vae: VaeHandle
    method: Method

    def __call__(self, x: Tensor) -> Tensor:
        """Compute all of it at once; see `VaeHandle`."""
        return self.vae.decode(x) if self.method == "decode" else self.vae.encode(x)

    def in_tiles(self, x: Tensor, size: int | None) -> Tensor:
        """Compute it in tiles that share an eighth with their neighbours.

        Args:
            x: the picture or the latent.
            size: of tiles in pixels; None: at once.
        """
        return self(x) if size is None else compute_tiled(self, x, self._tilings(size))

    def peak_bytes(self, x: Tensor, size: int | None = None) -> int:
        """Return the most bytes that it takes beside the weights; see `in_tiles`."""
        height, width = x.shape[-2:]
        channels = self.vae.picture_channels if self.method == "encode" else x.shape[1]
        if size is None:
            return self._peak(channels, height, width)
        plans = self._tilings(size)
        tiles = {(min(plan.height, height), min(plan.width, width)) for plan in plans}
        return max(self._peak(channels, *tile) for tile in tiles) + _BLENDED * self.result_bytes(x)

    def result_bytes(self, x: Tensor) -> int:
        """Return the bytes of one picture or latent that it makes."""
        height, width = self.pixels(x)
        if self.method == "decode":
            return self.vae.picture_channels * height * width * x.itemsize
        return self.vae.channels * (height * width // self.vae.downscale**2) * x.itemsize

    def pixels(self, x: Tensor) -> tuple[int, int]:
        """Return the height and width of the picture."""
        return x.shape[-2] * self._unit, x.shape[-1] * self._unit

    @property
    def _unit(self) -> int:
        """The pixels of the picture for each pixel of what is computed, each way."""
        return self.vae.downscale if self.method == "decode" else 1

    def _tilings(self, size: int) -> list[Tiling]:
        scale = float(self._unit) if self.method == "decode" else 1 / self.vae.downscale
        return tilings(size // self._unit, size // self._unit // 8, scale)

    def _peak(self, *shape: int) -> int:
        spec = self.vae.vae.network.spec
        return vae_peak(spec, self.vae.dtype, self.method, (1, *shape))


def choose_tile(call: VaeCall, batch: Tensor, ctx: Context) -> int | None:
    """Return the size of the largest tiles that there is memory for, in pixels; None: at once.

    A notice says so if there are to be several. Where no accelerator's memory is planned, all is
    computed at once.

    Args:
        call: what is to be computed.
        batch: the pictures or latents, one of which is computed at a time.
        ctx: of the node.
    """
    network, x = call.vae.vae.network, batch[:1]
    if not (network.on_accelerator and ctx.models.plans):
        return None
    whole = call.peak_bytes(x)
    results = 2 * len(batch) * call.result_bytes(x)  # one by one, then all in one
    with device_lane(network.placement.device):  # where nobody else computes meanwhile
        spare = ctx.models.spare_bytes([network], whole + results)
    if spare is None:
        return None
    room = max(spare - results, 0)
    if whole <= room:
        return None
    size = largest_tile(call, x, room)
    height, width = call.pixels(x)
    if size < max(height, width):
        ctx.notice(
            f"to {call.method} {width}x{height} pixels at once takes {format_size(whole)} beside"
            f" the weights, and the device has {format_size(room)}:"
            f" in tiles of {size} by {size} pixels."
        )
    return size


def largest_tile(call: VaeCall, x: Tensor, room: int) -> int:
    """Return the size of the largest tiles, in pixels, that fit into so many bytes.

    It is the smallest size there is if none fits.
    """
    height, width = call.pixels(x)
    area = height * width * room / call.peak_bytes(x)
    size = int(math.sqrt(area)) // _STEP * _STEP
    while size > _SMALLEST and call.peak_bytes(x, size) > room:
        size -= _STEP
    return max(size, _SMALLEST)
