"""Functions that bring images, masks and latents to a common batch and number of channels."""

import torch
from torch import Tensor

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


def with_channels(pictures: Tensor, channels: int) -> Tensor:
    """Return [..., channels] pictures: extra channels cut off, or opaque alpha added."""
    missing = channels - pictures.shape[-1]
    if missing <= 0:
        return pictures[..., :channels]
    return torch.cat([pictures, pictures.new_ones(*pictures.shape[:-1], missing)], dim=-1)


def luma(pictures: Tensor) -> Tensor:
    """The brightness of [..., c] pictures: [...]; the first channel where there are no three."""
    if pictures.shape[-1] < len(LUMA):
        return pictures[..., 0]
    return pictures[..., : len(LUMA)] @ pictures.new_tensor(LUMA)
