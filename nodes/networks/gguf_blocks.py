"""GGUF's block types unpacked by torch, on whatever device; diffusers has the arithmetic."""

import importlib.util
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor

from nodes.errors import MissingExtraError

_WHAT = "Reading quantised GGUF files"


def unpack(packed: Tensor, kind: str) -> Tensor:
    """The numbers of whole blocks, flat, float32.

    Args:
        packed: uint8, of any shape.
        kind: the blocks' type, one of `nodes.weights.gguf_header.BLOCKS`.

    Raises:
        MissingExtraError: the package `gguf` is not installed.
    """
    if importlib.util.find_spec("gguf") is None:
        raise MissingExtraError(_WHAT, "gguf")
    import gguf  # pyright: ignore[reportMissingImports]
    from diffusers.quantizers.gguf import utils

    library = cast("Any", gguf)
    type_ = library.GGMLQuantizationType[kind]
    known = cast("Mapping[Any, Callable[..., Tensor]]", utils.dequantize_functions)
    size, wide = library.GGML_QUANT_SIZES[type_]
    blocks = packed.contiguous().reshape(-1, wide)
    return known[type_](blocks, size, wide, torch.float32).flatten()
