"""Makes `tests/data/layer_formats.safetensors` of comfy-kitchen's plain version (Apache-2.0).

Run where comfy-kitchen 0.2.40 and a torch for the CPU are installed:

    python tests/nodes/models/formats/make_reference.py tests/data/layer_formats.safetensors

Each layer is `meant` in another format, as ComfyUI's files have it, with the numbers that
comfy-kitchen reads in it as `<layer>.expected`.
"""

import json
import sys
from typing import Any

import torch
from comfy_kitchen import (  # pyright: ignore[reportMissingImports]
    tensor as layouts,
)
from comfy_kitchen.float_utils import (  # pyright: ignore[reportMissingImports]
    to_blocked,
)
from safetensors.torch import save_file
from torch import Tensor

SHAPE = (32, 64)
NAMES = {
    "TensorCoreFP8Layout": "float8_e4m3fn",
    "TensorCoreMXFP8Layout": "mxfp8",
    "TensorCoreNVFP4Layout": "nvfp4",
    "TensorWiseINT8Layout": "int8_tensorwise",
    "TensorCoreConvRotW4A4Layout": "convrot_w4a4",
    "AsymW4A8Int8Layout": "asym_w4a8_int8",
}
ROTATED = {"convrot_groupsize": 64}
W4A8 = {"group_size": 16, **ROTATED}
LAYERS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "fp8": ("TensorCoreFP8Layout", {}, {}),
    "fp8_e5m2": (
        "TensorCoreFP8Layout",
        {"dtype": torch.float8_e5m2},
        {"format": "float8_e5m2"},
    ),
    "mxfp8": ("TensorCoreMXFP8Layout", {}, {}),
    "nvfp4": ("TensorCoreNVFP4Layout", {}, {}),
    "int8": ("TensorWiseINT8Layout", {}, {}),
    "int8_rows": ("TensorWiseINT8Layout", {"per_channel": True}, {}),
    "int8_convrot": (
        "TensorWiseINT8Layout",
        {"per_channel": True, "convrot": True, **ROTATED},
        {"convrot": True, **ROTATED},
    ),
    "w4a4": ("TensorCoreConvRotW4A4Layout", ROTATED, {**ROTATED, "quant_group_size": 64}),
    "w4a8": ("AsymW4A8Int8Layout", W4A8, W4A8),
    "w4a8_plain": ("AsymW4A8Int8Layout", {**W4A8, "codebook": False}, W4A8),
    "w4a8_offset": ("AsymW4A8Int8Layout", {**W4A8, "symmetric": False}, W4A8),
    "w6a8": ("AsymW4A8Int8Layout", {**W4A8, "bits": 6}, W4A8),
}
"""The layout, how it is asked for, and what the file says of it."""


def draw(seed: int, shape: tuple[int, ...]) -> Tensor:
    """Numbers with some large ones in each row."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randn(shape, generator=generator)
    return numbers * (1 + 4 * (torch.rand(shape, generator=generator) > 0.97))


def marker(said: dict[str, Any]) -> Tensor:
    return torch.tensor(list(json.dumps(said).encode()), dtype=torch.uint8)


def awq(tensors: dict[str, Tensor]) -> None:
    """AWQ has no function that rounds; random codes serve as well."""
    layout = layouts.TensorCoreAWQW4A16Layout
    generator = torch.Generator().manual_seed(99)
    codes = torch.randint(-128, 128, (32, 32), dtype=torch.int8, generator=generator)
    scale, zero = 0.1 * draw(97, (1, 32)).abs(), 0.1 * draw(98, (1, 32))
    params = layout.Params(
        scale=scale, zeros=zero, orig_dtype=torch.float32, orig_shape=SHAPE, group_size=64
    )
    tensors |= {"awq.weight": codes, "awq.weight_scale": scale, "awq.weight_zero": zero}
    tensors["awq.comfy_quant"] = marker({"format": "awq_w4a16", "group_size": 64})
    tensors["awq.expected"] = layout.dequantize(codes, params).contiguous()


def main(path: str) -> None:
    tensors: dict[str, Tensor] = {}
    weight = tensors["meant"] = draw(1, SHAPE)
    for name, (layout, options, said) in LAYERS.items():
        found = layouts.QuantizedTensor.from_float(weight, layout, **options)
        kind = layouts.base.get_layout_class(layout)
        parts = kind.state_dict_tensors(found._qdata, found._params)
        for suffix, part in parts.items():
            own = part.view(torch.uint8) if part.dtype == torch.float8_e8m0fnu else part
            tensors[f"{name}.weight{suffix}"] = own.contiguous().clone()
        tensors[f"{name}.comfy_quant"] = marker({"format": NAMES[layout], **said})
        tensors[f"{name}.expected"] = found.dequantize().contiguous().clone()
    awq(tensors)
    tensors["tiles.plain"] = torch.arange(130 * 5).reshape(130, 5).to(torch.uint8)
    tensors["tiles.tiled"] = to_blocked(tensors["tiles.plain"], flatten=False)
    save_file(tensors, path)


if __name__ == "__main__":
    main(sys.argv[1])
