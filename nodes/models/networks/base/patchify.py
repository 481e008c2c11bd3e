"""Cut latents into the patches that transformers read, and put them together again."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from nodes.imaging.errors import SizeLimitError

PATCH = 2
"""The size of a patch in latent pixels, each way, in all transformers here."""


def pad_to_patch(x: Tensor, patch: int) -> Tensor:
    """Pad [batch, channels, h, w] at the right and the bottom to multiples of `patch`.

    The padding repeats the latent from its other side. Crop the network's output to (h, w).
    """
    height, width = x.shape[-2:]
    right, bottom = -width % patch, -height % patch
    return functional.pad(x, (0, right, 0, bottom), mode="circular") if right or bottom else x


def pad_within(x: Tensor, patch: int, largest: int) -> Tensor:
    """Pad as `pad_to_patch` does, for a network that has positions for so many latent pixels.

    Args:
        x: [batch, channels, h, w].
        patch: the size of a patch.
        largest: the most latent pixels each way.

    Raises:
        SizeLimitError: the latent is larger.
    """
    padded = pad_to_patch(x, patch)
    if max(padded.shape[-2:]) > largest:
        height, width = x.shape[-2:]
        raise SizeLimitError(
            code="too_large_latent",
            problem=f"a latent of {width}x{height} is too large for this model",
            hint=f"It takes at most {largest} each way: {largest * 8} pixels.",
        )
    return padded


def spread(states: Sequence[Tensor], blocks: int, *, cycled: bool = False) -> tuple[Tensor, ...]:
    """Return one of the states for each of a transformer's blocks, in order; empty without states.

    Args:
        states: as many as blocks, or fewer.
        blocks: how many there are.
        cycled: begin anew after the last state, instead of repeating each for several blocks.
    """
    if not states:
        return ()
    neighbours = -(blocks // -len(states))
    chosen = (n % len(states) if cycled else n // neighbours for n in range(blocks))
    return tuple(states[n] for n in chosen)


def patchify(latent: Tensor) -> Tensor:
    """Cut a latent into patches of 2x2 by row: [batch, c, h, w] to [batch, h/2 * w/2, c * 4]."""
    batch, channels, height, width = latent.shape
    rows, columns = height // PATCH, width // PATCH
    patches = latent.reshape(batch, channels, rows, PATCH, columns, PATCH)
    return patches.permute(0, 2, 4, 1, 3, 5).reshape(batch, rows * columns, channels * PATCH**2)


def unpatchify(patches: Tensor, height: int) -> Tensor:
    """Put the patches of a latent of some height together: the inverse of `patchify`."""
    batch, number, size = patches.shape
    rows, channels = height // PATCH, size // PATCH**2
    columns = number // rows
    latent = patches.reshape(batch, rows, columns, channels, PATCH, PATCH)
    return latent.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels, height, columns * PATCH)


def positions(latent: Tensor, start: tuple[int, int, int] = (0, 0, 0)) -> Tensor:
    """Return (index, row, column) of every patch of 2x2: [height/2 * width/2, 3] float32.

    Args:
        latent: [batch, channels, height, width].
        start: the numbers of the first patch.
    """
    height, width = latent.shape[-2:]
    return _grid(height // PATCH, width // PATCH, start, latent.device)


@lru_cache(maxsize=16)
def _grid(rows: int, columns: int, start: tuple[int, int, int], device: torch.device) -> Tensor:
    """Return the places in a grid: made once, as steps have the same size."""
    index, row, column = start
    y, x = torch.meshgrid(
        torch.arange(row, row + rows, device=device),
        torch.arange(column, column + columns, device=device),
        indexing="ij",
    )
    return torch.stack([torch.full_like(y, index), y, x], dim=-1).reshape(-1, 3).float()
