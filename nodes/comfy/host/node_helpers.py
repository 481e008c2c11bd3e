"""`node_helpers`: small functions for conditionings and images."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from PIL import Image as PILImage
from PIL import UnidentifiedImageError
from torch import Tensor

from nodes.imaging.tolerant import tolerant_decoding

T = TypeVar("T")


def conditioning_set_values(
    conditioning: list[list[Any]], values: Mapping[str, Any] | None = None, append: bool = False
) -> list[list[Any]]:
    """Set values in every dict of a conditioning; with `append` existing lists are extended."""
    changed: list[list[Any]] = []
    for tokens, before in conditioning:
        more = dict(values or {})
        if append:
            more = {k: before[k] + v if before.get(k) is not None else v for k, v in more.items()}
        changed.append([tokens, {**before, **more}])
    return changed


def pillow(open_file: Callable[[T], PILImage.Image], arg: T) -> PILImage.Image:
    """Open an image; of a truncated one, the part that can be read."""
    try:
        return open_file(arg)
    except (OSError, UnidentifiedImageError, ValueError):
        with tolerant_decoding():
            return open_file(arg)


def hasher() -> Callable[..., Any]:
    """Return the hash function for files."""
    return hashlib.sha256


def image_alpha_fix(destination: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
    """Reduce two images to the smaller number of channels of the two."""
    channels = min(destination.shape[-1], source.shape[-1])
    return destination[..., :channels], source[..., :channels]


def string_to_torch_dtype(string: str) -> Any:
    """Return the dtype of a short name such as `fp16`."""
    import torch  # Here: nothing else in this file needs it.

    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}.get(string)
