"""Weights rounded to layers in few bits, in the formats that are written here.

Each is rounded to the nearest number of its format, by scales that make the largest one fit.
"""

import json
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from nodes.models.weights.formats.layer_formats import KINDS, MARKER, LayerFormat, Written
from nodes.models.weights.formats.rotation import rotate
from nodes.models.weights.formats.tiles import tile

_FP8, _LARGEST_FP8, _LARGEST_FP4 = torch.float8_e4m3fn, 448.0, 6.0
_HALFWAY = ((0.25, False), (0.75, True), (1.25, False), (1.75, True), (2.5, False), (3.5, True),
            (5.0, False))  # fmt: skip
"""Numbers halfway between two neighbours of fp4, and whether they are rounded up, to the even one.

The numbers of fp4 are 0, 0.5, 1, 1.5, 2, 3, 4 and 6, and the same below 0.
"""
_ROTATIONS = (256, 64, 16)


def written_format(name: Written, shape: tuple[int, ...]) -> LayerFormat | None:
    """Return the format of a weight of some shape; None if it is not written in few bits.

    It is not if it is no matrix, or has a side that is no multiple of 16, of 32 in mxfp8.

    Args:
        name: of the format.
        shape: of the weight.
    """
    side = 32 if name == "mxfp8" else 16
    if len(shape) != 2 or any(size % side for size in shape):
        return None
    if name == "int8_convrot":
        return LayerFormat(
            "int8_tensorwise", rotation=next(each for each in _ROTATIONS if not shape[1] % each)
        )
    return LayerFormat(name, KINDS[name].group)


def quantise(weight: Tensor, format_: LayerFormat) -> dict[str, Tensor]:
    """Return the tensors of a layer, by their names after that of the layer; `weight` is first.

    Args:
        weight: [rows, columns] of a plain type; they must be finite.
        format_: as `written_format` returns it.
    """
    plain = weight.float()
    if format_.rotation:
        plain = rotate(plain, format_.rotation)
    return {**_QUANTISERS[format_.name](plain), MARKER: marker(format_)}


def marker(format_: LayerFormat) -> Tensor:
    """Return the tensor that says the format of a layer: [bytes of JSON] uint8."""
    said: dict[str, object] = {"format": format_.name}
    if format_.group != KINDS[format_.name].group or format_.name in _SAY_GROUP:
        said["group_size"] = format_.group
    if format_.rotation:
        said |= {"convrot": True, "convrot_groupsize": format_.rotation}
    return torch.tensor(list(json.dumps(said).encode()), dtype=torch.uint8)


_SAY_GROUP = ("asym_w4a8_int8", "awq_w4a16")
"""The formats whose groups have several sizes."""


def _int8(plain: Tensor) -> dict[str, Tensor]:
    """Whole numbers from -127 to 127, with a scale for each row."""
    scale = plain.abs().amax(1, keepdim=True).div_(127).clamp_(min=1e-30)
    return {"weight": (plain / scale).round_().to(torch.int8), "weight_scale": scale}


def _fp8(plain: Tensor) -> dict[str, Tensor]:
    """Numbers in fp8, with one scale."""
    scale = plain.abs().amax().div_(_LARGEST_FP8).clamp_(min=1e-30)
    return {"weight": _round_fp8(plain / scale), "weight_scale": scale}


def _mxfp8(plain: Tensor) -> dict[str, Tensor]:
    """Numbers in fp8, with a power of two for each 32 (OCP Microscaling Formats 1.0)."""
    blocks = plain.reshape(len(plain), -1, KINDS["mxfp8"].group)
    largest = blocks.abs().amax(-1)
    mantissa, exponent = torch.frexp(largest / _LARGEST_FP8)
    power = (exponent - (mantissa == 0.5).int()).clamp_(-126, 127)  # rounded up
    numbers = _round_fp8(torch.ldexp(blocks, -power[..., None]))
    bits = torch.where(largest > 0, power + 127, 0).to(torch.uint8)
    return {"weight": numbers.reshape(plain.shape), "weight_scale": tile(bits)}


def _nvfp4(plain: Tensor) -> dict[str, Tensor]:
    """Numbers in fp4, two in a byte, with a scale in fp8 for each 16 and one for all."""
    blocks = plain.reshape(len(plain), -1, KINDS["nvfp4"].group)
    whole = plain.abs().amax().div_(_LARGEST_FP8 * _LARGEST_FP4).clamp_(min=1e-30)
    scale = _round_fp8(blocks.abs().amax(-1) / _LARGEST_FP4 / whole)
    unit = (scale.float() * whole)[..., None]
    codes = _fp4_codes(torch.where(unit > 0, blocks / unit, 0.0)).reshape(len(plain), -1, 2)
    return {
        "weight": codes[..., 0] << 4 | codes[..., 1],
        "weight_scale": tile(scale),
        "weight_scale_2": whole,
    }


def _fp4_codes(numbers: Tensor) -> Tensor:
    """Return the sign in bit 3, and the place of the nearest number of fp4 in the bits below."""
    size, codes = numbers.abs(), torch.signbit(numbers).to(torch.uint8) << 3
    for halfway, is_up in _HALFWAY:
        codes += size >= halfway if is_up else size > halfway
    return codes


def _round_fp8(numbers: Tensor) -> Tensor:
    return numbers.clamp(-_LARGEST_FP8, _LARGEST_FP8).to(_FP8)


_QUANTISERS: Mapping[str, Callable[[Tensor], dict[str, Tensor]]] = {
    "int8_tensorwise": _int8,
    "float8_e4m3fn": _fp8,
    "mxfp8": _mxfp8,
    "nvfp4": _nvfp4,
}
"""Functions from a matrix in float32 to the tensors of its layer."""
