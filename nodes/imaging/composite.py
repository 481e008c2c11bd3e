"""Pasting of images and latents onto each other."""

import torch
from torch import Tensor
from torch.nn import functional

from nodes.imaging.batch import repeat_to_batch
from nodes.imaging.resize import resize


def paste(
    below: Tensor, above: Tensor, corner: tuple[int, int], mask: Tensor | None = None
) -> Tensor:
    """Paste `above` onto `below`; what sticks out is cut off.

    Args:
        below: [batch, channels, h, w], or [batch, channels, layers, h, w].
        above: [any, channels, h', w'], with layers if `below` has them; repeated to, or cut to,
            that batch.
        corner: (y, x) of the upper left corner of `above`, not negative.
        mask: [any, 1, h'', w''] in [0, 1], 1 where `above` shows; stretched to its size.
            None shows all of it.
    """
    above = repeat_to_batch(above, len(below)).to(below)
    y, x = corner
    result = below.clone()
    target = result[..., y : y + above.shape[-2], x : x + above.shape[-1]]
    height, width = target.shape[-2:]
    visible = above[..., :height, :width]
    if mask is not None:
        opacity = functional.interpolate(mask, size=above.shape[-2:], mode="bilinear")
        opacity = repeat_to_batch(opacity, len(below))[..., :height, :width].to(below)
        opacity = opacity.reshape(len(below), *[1] * (below.ndim - 3), height, width)
        visible = opacity * visible + (1 - opacity) * target
    target.copy_(visible)
    return result


def stretch_to(above: Tensor, below: Tensor) -> Tensor:
    """Resize `above` bilinearly to the height and width of `below`."""
    return resize(above, below.shape[-1], below.shape[-2], "bilinear")


def flat_mask(mask: Tensor | None) -> Tensor | None:
    """Return a mask [..., h, w] as [batch, 1, h, w]."""
    return None if mask is None else torch.reshape(mask, (-1, 1, *mask.shape[-2:]))
