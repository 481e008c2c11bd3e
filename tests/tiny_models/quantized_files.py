"""Weights files in 8 bits and fewer, with the numbers that they stand for."""

from pathlib import Path

import torch

from tests.tiny_models.random_weights import Tensors

E4M3 = torch.float8_e4m3fn


def matrices(tensors: Tensors) -> list[str]:
    return [key for key, tensor in tensors.items() if tensor.ndim == 2]


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
