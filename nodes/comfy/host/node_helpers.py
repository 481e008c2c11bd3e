"""`node_helpers`: small things that nodes do with conditions and pictures."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from PIL import Image as Picture
from PIL import ImageFile, UnidentifiedImageError
from torch import Tensor

T = TypeVar("T")


def conditioning_set_values(
    conditioning: list[list[Any]], values: Mapping[str, Any] | None = None, append: bool = False
) -> list[list[Any]]:
    """A conditioning with more in every dict; to lists that are there it may be added."""
    told: list[list[Any]] = []
    for tokens, before in conditioning:
        more = dict(values or {})
        if append:
            more = {k: before[k] + v if before.get(k) is not None else v for k, v in more.items()}
        told.append([tokens, {**before, **more}])
    return told


def pillow(open_file: Callable[[T], Picture.Image], arg: T) -> Picture.Image:
    """Open a picture; a damaged one as far as it goes."""
    try:
        return open_file(arg)
    except (OSError, UnidentifiedImageError, ValueError):
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            return open_file(arg)
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before


def hasher() -> Callable[..., Any]:
    """How files are told apart."""
    return hashlib.sha256


def image_alpha_fix(destination: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
    """Two pictures with as many channels as the poorer one has."""
    channels = min(destination.shape[-1], source.shape[-1])
    return destination[..., :channels], source[..., :channels]


def string_to_torch_dtype(string: str) -> Any:
    """A type by its short name: `fp16`."""
    import torch  # Here: nothing else in this file needs it.

    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}.get(string)
