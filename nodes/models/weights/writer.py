"""Write safetensors files of any size, a tensor at a time.

Format: 8 bytes of little-endian length, that much JSON, then the tensors' bytes
(https://huggingface.co/docs/safetensors). Headers are padded to multiples of 8, and wide types
come first, so that every tensor is aligned.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import cast

import torch
from torch import Tensor

_NAMES: Mapping[torch.dtype, str] = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8",
    torch.bool: "BOOL",
}  # fmt: skip


def chunks(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Iterator[memoryview]:
    """Yield the bytes of a file in order; each tensor is read when its turn comes.

    Raises:
        KeyError: the format has no name for a tensor's dtype.
    """
    order = sorted(tensors, key=lambda key: (-tensors[key].itemsize, key))
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    end = 0
    for key in order:
        tensor = tensors[key]
        start, end = end, end + tensor.numel() * tensor.itemsize
        header[key] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield memoryview(len(text).to_bytes(8, "little") + text)
    for key in order:
        yield _bytes(tensors[key])


def _bytes(tensor: Tensor) -> memoryview:
    plain = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return cast("Callable[[object], memoryview]", memoryview)(plain.numpy())
