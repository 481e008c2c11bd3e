"""Functions that bring images, masks and latents to a common batch and number of channels."""

from collections.abc import Callable

import torch
from torch import Tensor

_LAYERED = 5
"""The number of axes of batches whose samples have layers."""
LUMA = (0.299, 0.587, 0.114)
"""The weights of red, green and blue in brightness, by ITU-R BT.601."""


def as_batch(mask: Tensor) -> Tensor:
    """Return a mask [..., height, width] as [batch, height, width]."""
    return mask.reshape(-1, *mask.shape[-2:])


def repeat_batch(x: Tensor, times: int) -> Tensor:
    """Repeat the whole batch `times` times."""
    return x.repeat(times, *(1 for _ in x.shape[1:]))


def repeat_to_batch(x: Tensor, count: int) -> Tensor:
    """Repeat a batch until it has `count` samples, or take its first `count`."""
    return x if len(x) == count else repeat_batch(x, -(-count // len(x)))[:count]


def change_layers(x: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Return what a function makes of a batch, or of each of its layers.

    Args:
        x: [batch, channels, h, w] or [batch, channels, layers, h, w].
        change: gets [batch, channels, h, w], and returns as many.
    """
    if x.ndim != _LAYERED:
        return change(x)
    made = change(x.movedim(2, 1).flatten(0, 1))
    return made.reshape(len(x), -1, *made.shape[1:]).movedim(1, 2)


def with_channels(images: Tensor, channels: int) -> Tensor:
    """Return [..., channels] images: extra channels cut off, or opaque alpha added."""
    missing = channels - images.shape[-1]
    if missing <= 0:
        return images[..., :channels]
    return torch.cat([images, images.new_ones(*images.shape[:-1], missing)], dim=-1)


def luma(images: Tensor) -> Tensor:
    """Return the brightness of [..., c] images: [...]; the first channel if there are not three."""
    if images.shape[-1] < len(LUMA):
        return images[..., 0]
    return images[..., : len(LUMA)] @ images.new_tensor(LUMA)
