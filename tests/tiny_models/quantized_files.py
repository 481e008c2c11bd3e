"""Weights files in 8 bits and fewer, with the numbers that they stand for."""

from pathlib import Path
from typing import cast, get_args

import torch
from torch import Tensor

from nodes.models.weights.formats.layer_formats import MARKER, LayerFormat, Written
from nodes.models.weights.formats.quantise import marker, quantise, written_format
from nodes.models.weights.header import read_header
from nodes.models.weights.key_table import Source
from nodes.models.weights.lazy import read_weight
from nodes.models.weights.quantized import full_precision
from nodes.models.weights.reader import TensorFiles
from tests.tiny_models.random_weights import Tensors

E4M3, FLOAT = torch.float8_e4m3fn, torch.float32


def matrices(tensors: Tensors) -> list[str]:
    return [k for k, tensor in tensors.items() if tensor.ndim == 2 and k.endswith(".weight")]


def scaled(tensors: Tensors) -> tuple[Tensors, Tensors]:
    """In 8 bits with a scale for each matrix; and the numbers that this stands for."""
    small, plain = dict(tensors), {k: v.float() for k, v in tensors.items()}
    for key in matrices(tensors):
        scale = tensors[key].float().abs().max() / 448
        small[key] = (tensors[key].float() / scale).to(E4M3)
        small[key.replace(".weight", ".scale_weight")] = scale
        plain[key] = small[key].float() * scale
    small["scaled_fp8"] = torch.zeros(2, dtype=E4M3)
    return small, plain


def write_gguf(path: Path, tensors: Tensors, kind: str, names=None, shapes=None) -> Tensors:
    """Write a GGUF file whose matrices are quantised; returns the numbers that it stands for."""
    import gguf

    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, "flux")
    type_ = gguf.GGMLQuantizationType[kind]
    meant: Tensors = {}
    for key, tensor in tensors.items():
        packs = tensor.ndim == 2 and tensor.shape[-1] % gguf.GGML_QUANT_SIZES[type_][0] == 0
        own = type_ if packs else gguf.GGMLQuantizationType.F32
        data = gguf.quants.quantize(tensor.float().numpy(), own)
        meant[key] = torch.from_numpy(gguf.quants.dequantize(data, own)).reshape(tensor.shape)
        name = (names or {}).get(key, key)
        if shapes and key in shapes:
            writer.add_array(f"comfy.gguf.orig_shape.{name}", list(shapes[key]))
            meant[key] = meant[key].reshape(shapes[key])
        writer.add_tensor(name, data, raw_dtype=own)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return meant


def layers_in(tensors: Tensors, name: str, seed: int = 0) -> Tensors:
    """A model whose matrices are layers in a format, each with a marker.

    Formats that are written here hold the matrices' numbers; the others hold random ones.
    """
    made = dict(tensors)
    for number, key in enumerate(matrices(tensors)):
        base = key.removesuffix("weight")
        layer = _layer(tensors[key], name, seed + number)
        made |= {base + part: tensor for part, tensor in layer.items()}
    return made


def numbers_in(path: Path) -> Tensors:
    """The tensors of a model, layers in few bits as the plain numbers that they stand for."""
    header = read_header(path)
    with TensorFiles() as files:
        return {
            key: full_precision(read_weight(header, files, Source(key), FLOAT), FLOAT).clone()
            if info.layer
            else files.tensor(info).clone()
            for key, info in header.tensors.items()
        }


def _layer(weight: Tensor, name: str, seed: int) -> Tensors:
    if name in get_args(Written):
        form = written_format(cast("Written", name), tuple(weight.shape))
        assert form is not None, "tiny models have sides that are multiples of 64"
        return quantise(weight, form)
    rows, columns = weight.shape
    generator = torch.Generator().manual_seed(seed)
    wide = columns * 3 // 4 if name == "w6a8" else columns // 2
    codes = torch.randint(-128, 128, (rows, wide), dtype=torch.int8, generator=generator)
    if name == "convrot_w4a4":
        form = LayerFormat(name, rotation=64)
        beside = {"weight_scale": torch.full((rows,), 0.02)}
    elif name == "awq_w4a16":
        form = LayerFormat(name, 64)
        size = (columns // 64, rows)
        beside = {"weight_scale": torch.full(size, 0.02), "weight_zero": torch.full(size, 0.01)}
    else:
        form = LayerFormat("asym_w4a8_int8", 16, 64)
        beside = {
            "weight_s_rel": torch.full((rows, columns // 16), 2.5 if wide > columns // 2 else 96.0),
            "weight_s_channel": torch.linspace(0.5e-3, 1e-3, rows),
        }
        beside["weight_s_rel"] = beside["weight_s_rel"].to(E4M3)
        if wide == columns // 2:
            beside["weight_codebook"] = torch.linspace(-1, 1, 16)
    return {"weight": codes, **beside, MARKER: marker(form)}
