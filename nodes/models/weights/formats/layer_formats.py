"""The formats in few bits that a file names layer by layer: the tensors that a layer has in each.

A layer is one weight and the tensors beside it that say what its numbers mean. The facts are those
of comfy-kitchen (https://github.com/Comfy-Org/comfy-kitchen, Apache-2.0), which wrote the formats
down first; its plain versions are what the tests compare with.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

Place: TypeAlias = Literal["rows", "columns", "tiles", "table"]
"""The numbers of a tensor beside a weight.

`rows`: a row for each row of the weight, or one number for all; `columns`: a column for each row;
`tiles`: a row for each row, in the tiles that tensor cores read; `table`: the same for all rows.
"""
Written: TypeAlias = Literal["int8_convrot", "float8_e4m3fn", "mxfp8", "nvfp4"]
"""The formats that are written here, by the names that files have for them."""
Shapes: TypeAlias = Mapping[str, Sequence[int]]
"""Shapes of tensors beside a weight, by their names."""


class Part(NamedTuple):
    """A tensor beside a weight."""

    names: tuple[str, ...]
    """The names that files give it, after that of the layer."""
    place: Place
    is_required: bool = True


class Kind(NamedTuple):
    """One format."""

    dtypes: tuple[str, ...]
    """The types that the weight may have in the file."""
    parts: Mapping[str, Part]
    """The tensors beside it."""
    group: int = 0
    """The numbers of a row that share a scale, unless the file says another; 0: all."""
    rotates: Literal["no", "if said", "yes"] = "no"
    per_byte: int = 1


_SCALE = Part(("weight_scale", "scale_weight"), "rows")
_TILES = Part(("weight_scale",), "tiles")
KINDS: Mapping[str, Kind] = {
    "float8_e4m3fn": Kind(("F8_E4M3",), {"scale": _SCALE}),
    "float8_e5m2": Kind(("F8_E5M2",), {"scale": _SCALE}),
    "mxfp8": Kind(("F8_E4M3", "F8_E5M2"), {"scale": _TILES}, group=32),
    "nvfp4": Kind(
        ("U8",),
        {"scale": _TILES, "tensor_scale": Part(("weight_scale_2",), "rows")},
        group=16,
        per_byte=2,
    ),
    "int8_tensorwise": Kind(("I8",), {"scale": _SCALE}, rotates="if said"),
    "convrot_w4a4": Kind(("I8",), {"scale": _SCALE}, rotates="yes", per_byte=2),
    "asym_w4a8_int8": Kind(
        ("I8",),
        {
            "scale": Part(("weight_s_rel",), "rows"),
            "row_scale": Part(("weight_s_channel",), "rows"),
            "codebook": Part(("weight_codebook",), "table", is_required=False),
            "offset": Part(("weight_correction",), "columns", is_required=False),
        },
        group=16,
        rotates="yes",
        per_byte=2,
    ),
    "awq_w4a16": Kind(
        ("I8", "U8"),
        {
            "scale": Part(("weight_scale",), "columns"),
            "zero": Part(("weight_zero", "weight_zeros"), "columns"),
        },
        group=64,
        per_byte=2,
    ),
}
"""The formats that files name, by name."""
SCALED = "scaled"
"""The format of numbers of a plain type with a scale, which no file names."""
_SCALED_KIND = Kind(("F32", "F16", "BF16"), {"scale": _SCALE})
ROTATION = 256
"""The features that are rotated together, unless the file says another number."""
MARKER = "comfy_quant"
"""The tensor beside a weight that says its format."""
BLOCK_SCALES = "weight_scale_inv"
"""Scales of blocks of rows and columns, which language models have and are not read here."""
BESIDE = (MARKER, "input_scale", "scale_input", BLOCK_SCALES)
"""Tensors beside a weight that its numbers do not depend on."""
NAMES = (*dict.fromkeys(
    name for kind in KINDS.values() for part in kind.parts.values() for name in part.names
), *BESIDE)  # fmt: skip
"""The names of all tensors beside a weight, after that of the layer."""


class LayerFormat(NamedTuple):
    """The format of one layer."""

    name: str
    """One of `KINDS`, or `SCALED`."""
    group: int = 0
    """The numbers of a row that share a scale; 0: all."""
    rotation: int = 0
    """The features that were rotated together before they were rounded; 0: none."""

    @property
    def kind(self) -> Kind:
        """All that is the same for every layer in this format."""
        return _SCALED_KIND if self.name == SCALED else KINDS[self.name]

    @property
    def title(self) -> str:
        """The name that files have for it."""
        return "int8_convrot" if self.rotation and self.name == "int8_tensorwise" else self.name

    def shape(self, stored: Sequence[int], beside: Shapes) -> tuple[int, ...]:
        """Return the shape of the weight that a tensor stands for.

        Args:
            stored: the shape of the tensor.
            beside: the shapes of the tensors beside it.
        """
        *rows, columns = stored
        scales = beside.get("weight_s_rel", ())
        if self.name == "asym_w4a8_int8" and len(scales) == 2:
            return (*rows, scales[1] * self.group)
        return (*rows, columns * self.kind.per_byte)

    def fault(self, stored: Sequence[int], dtype: str, beside: Shapes) -> str:
        """Return the reason why tensors are no layer in this format; empty if they may be one.

        Args:
            stored: the shape of the weight's tensor.
            dtype: its type.
            beside: the shapes of the tensors beside it.
        """
        kind, shape = self.kind, self.shape(stored, beside)
        columns = shape[-1]
        if dtype not in kind.dtypes:
            return f"its weight is of type {dtype}, not {' or '.join(kind.dtypes)}"
        if len(shape) != 2 and (self.rotation or kind.per_byte > 1 or self.group):
            return f"its weight has {len(shape)} dimensions, not 2"
        unit = math.lcm(self.rotation or 1, self.group or 1)
        if columns % unit:
            return f"its {columns} features are no multiple of {unit}"
        if self.name == "asym_w4a8_int8" and stored[-1] * 8 not in (4 * columns, 6 * columns):
            return f"its rows of {stored[-1]} bytes hold {columns} numbers in neither 4 nor 6 bits"
        wrong = (self._part_fault(name, part, shape, beside) for name, part in kind.parts.items())
        return next(filter(None, wrong), "")

    def _part_fault(self, name: str, part: Part, shape: tuple[int, ...], beside: Shapes) -> str:
        """Return the reason why a tensor beside a weight does not fit; empty if it may be one."""
        own = next((each for each in part.names if each in beside), None)
        if own is None:
            return ""
        rows, groups = shape[0], shape[-1] // (self.group or shape[-1] or 1)
        wanted = {
            "rows": (1, rows * groups if name == "scale" else rows),
            "columns": (rows * groups,),
            "tiles": (-(rows // -128) * 128 * -(groups // -4) * 4,),
            "table": (16,),
        }[part.place]
        found = math.prod(beside[own])
        if found in wanted:
            return ""
        return f"its {own} has {found} numbers, not {' or '.join(map(str, wanted))}"
