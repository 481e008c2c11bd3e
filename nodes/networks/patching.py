"""Latents whose sides are no multiples of a transformer's patches."""

from torch import Tensor
from torch.nn import functional


def padded(x: Tensor, patch: int) -> Tensor:
    """Widen [batch, channels, h, w] at the right and the bottom to multiples of `patch`.

    What is added repeats the latent from its other side. Cut the network's answer back to (h, w).
    """
    height, width = x.shape[-2:]
    right, bottom = -width % patch, -height % patch
    return functional.pad(x, (0, right, 0, bottom), mode="circular") if right or bottom else x


def pooled_or_zeros(pooled: Tensor | None, x: Tensor, width: int) -> Tensor:
    """The pooled text, [batch, width], like `x`; zeros where a condition has none."""
    return x.new_zeros(len(x), width) if pooled is None else pooled.to(x)
