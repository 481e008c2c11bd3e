"""Weights as their file has them: plain, quantised, or in few bits with a scale beside them."""

import torch
from torch import Tensor

from nodes.weights.convert import from_file
from nodes.weights.header import Header
from nodes.weights.packed import PackedTensor, Rounded
from nodes.weights.tables import Source
from nodes.weights.tensors import TensorFiles

_SCALES = ("scale_weight", "weight_scale")


def stored(header: Header, files: TensorFiles, source: Source, dtype: torch.dtype) -> Tensor:
    """One weight; packed if its tensor is quantised, or has a scale.

    Args:
        header: says where the tensor lies.
        files: to read it from.
        source: the tensor, and which part of it.
        dtype: what a packed one is unpacked to.
    """
    whole = files.tensor(header.tensors[source.key])
    scale = scale_of(header, source.key)
    if scale is not None:
        rounded = Rounded(float(files.tensor(header.tensors[scale])))
        whole = PackedTensor(whole, rounded, whole.shape, dtype)
    return from_file(source, whole)


def is_packed(header: Header, key: str) -> bool:
    """Whether a tensor is quantised, or has a scale."""
    return header.tensors[key].is_packed or scale_of(header, key) is not None


def scale_of(header: Header, key: str) -> str | None:
    """The key of the number that a tensor has to be multiplied by, if any."""
    names = (key.removesuffix("weight") + name for name in _SCALES)
    return next((name for name in names if name in header), None)
