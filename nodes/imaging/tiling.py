"""Tiled computation of images, with blending where tiles overlap."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Tiling:
    """The size and overlap of tiles, and their scale in the result."""

    height: int
    width: int
    overlap: int
    """The number of input pixels that neighbours share."""
    scale: float
    """The result's size over the input's."""


def compute_tiled(
    compute: Callable[[Tensor], Tensor],
    batch: Tensor,
    tilings: Sequence[Tiling],
    each: Callable[[int, int], None] = lambda _done, _total: None,
) -> Tensor:
    """Compute an image tile by tile, blending the tiles with weights that fade towards their edges.

    With several tilings the result is their mean, so that seams of one are hidden by the others.

    Args:
        compute: from [1, channels, h, w] to [1, channels', h * scale, w * scale].
        batch: [batch, channels, h, w].
        tilings: at least one.
        each: called before every tile with the number of tiles done and of all tiles.
    """
    plans = [(tiling, list(_tile_corners(batch, tiling))) for tiling in tilings]
    total = len(batch) * sum(len(places) for _, places in plans)
    done = 0
    rows: list[Tensor] = []
    for image in split_batch(batch):
        mean: Tensor | None = None
        for tiling, places in plans:
            blend = _Blend(image, tiling)
            for y, x in places:
                each(done, total)
                tile = image[:, :, y : y + tiling.height, x : x + tiling.width]
                blend.add(compute(tile), y, x)
                done += 1
            mean = blend.result() if mean is None else mean.add_(blend.result())
        assert mean is not None, "there is at least one tiling"
        rows.append(mean.div_(len(plans)))
    return torch.cat(rows)


class _Blend:
    """A running weighted mean of tiles."""

    def __init__(self, image: Tensor, tiling: Tiling) -> None:
        height, width = (round(side * tiling.scale) for side in image.shape[2:])
        self._tiling = tiling
        self._shape = (height, width)
        self._sum: Tensor | None = None
        self._weights = torch.zeros(height, width)

    def add(self, tile: Tensor, y: int, x: int) -> None:
        """Add one tile whose input began at (y, x)."""
        if self._sum is None:
            self._sum = tile.new_zeros(1, tile.shape[1], *self._shape)
            self._weights = tile.new_zeros(self._shape)
        scale = self._tiling.scale
        feather = round(self._tiling.overlap * scale)
        rows = slice(top := round(y * scale), top + tile.shape[2])
        columns = slice(left := round(x * scale), left + tile.shape[3])
        weights = fade(tile.shape[2], feather)[:, None] * fade(tile.shape[3], feather)
        weights = weights.to(tile.device)
        self._sum[:, :, rows, columns] += tile * weights
        self._weights[rows, columns] += weights

    def result(self) -> Tensor:
        """Return the blended image."""
        assert self._sum is not None, "a tiling has at least one tile"
        return self._sum / self._weights


def _tile_corners(image: Tensor, tiling: Tiling) -> Iterator[tuple[int, int]]:
    """Yield the corners of all tiles; the last tiles may reach beyond the border."""
    height, width = image.shape[2:]
    for y in _starts(height, tiling.height, tiling.overlap):
        for x in _starts(width, tiling.width, tiling.overlap):
            yield y, x


def _starts(length: int, tile: int, overlap: int) -> range:
    return range(0, length - overlap, tile - overlap) if length > tile else range(1)


def split_batch(batch: Tensor) -> list[Tensor]:
    """Split a batch into batches of one."""
    return [batch[n : n + 1] for n in range(len(batch))]


def fade(length: int, feather: int) -> Tensor:
    """Return weights along a tile's side, from 1 / feather at both ends to 1: [length] float32."""
    if not 0 < feather < length:
        return torch.ones(length)
    rise = torch.arange(1, length + 1) / feather
    return rise.clamp(max=1.0) * rise.flip(0).clamp(max=1.0)


def tilings(size: int, overlap: int, scale: float) -> list[Tiling]:
    """Return square, wide and tall tilings, in the order in which they are added up."""
    sizes = [(size * 2, size // 2), (size // 2, size * 2), (size, size)]
    return [Tiling(height, width, overlap, scale) for height, width in sizes]
