"""`comfy.ldm.common_dit`: the parts that transformers share."""

from torch import Tensor
from torch.nn import functional


def rms_norm(x: Tensor, weight: Tensor | None = None, eps: float = 1e-6) -> Tensor:
    """Divide by the root mean square over the last dimension, or as many as the weight has."""
    shape = x.shape[-1:] if weight is None else weight.shape
    return functional.rms_norm(x, shape, None if weight is None else weight.to(x), eps)


def pad_to_patch_size(
    img: Tensor, patch_size: tuple[int, ...] = (2, 2), padding_mode: str = "circular"
) -> Tensor:
    """Pad the last dimensions at their end to multiples of a patch's size.

    Args:
        img: [batch, channels, …].
        patch_size: of each dimension after the channels.
        padding_mode: of torch's `pad`.
    """
    sides = img.shape[-len(patch_size) :]
    missing = [-side % patch for side, patch in zip(sides, patch_size, strict=True)]
    padding = [part for each in reversed(missing) for part in (0, each)]
    return functional.pad(img, padding, mode=padding_mode)
