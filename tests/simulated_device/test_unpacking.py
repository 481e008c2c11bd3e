"""Matrices in few bits on a device: what one multiplication with them costs there."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from nodes.models.weights.formats.gguf import BLOCKS
from nodes.models.weights.formats.gguf_blocks import gguf_blocks
from nodes.models.weights.header import read_header
from nodes.models.weights.key_table import Source
from nodes.models.weights.lazy import read_weight
from nodes.models.weights.quantized import QuantizedTensor, scaled_fp8
from nodes.models.weights.reader import TensorFiles
from tests.tiny_models.checkpoints import write
from tests.tiny_models.quantized_files import layers_in

ROWS, COLUMNS = 256, 512
CPU = torch.device("cpu")
MATRIX = ROWS * COLUMNS * 2
"""Bytes of the matrix in bfloat16."""
KERNELS = {
    "Q4_0": 5, "Q4_1": 4, "Q5_0": 9, "Q5_1": 8, "Q8_0": 2, "Q2_K": 8, "Q3_K": 17, "Q4_K": 10,
    "Q5_K": 14, "Q6_K": 10, "IQ4_NL": 5, "IQ4_XS": 12, "fp8": 1, "fp8 with a scale": 2,
    "int8_convrot": 19, "mxfp8": 5, "nvfp4": 13, "convrot_w4a4": 23, "w4a8": 26, "awq_w4a16": 7,
}  # fmt: skip
"""Of the unpacking alone."""
LAYERS = dict.fromkeys(("int8_convrot", "convrot_w4a4", "w4a8"), 5.6) | dict.fromkeys(
    ("mxfp8", "nvfp4", "awq_w4a16"), 3.3
)
"""The most bytes that layers take while they are unpacked, in matrices in bfloat16.

They are unpacked in float32, but a large matrix piece by piece.
"""


def packed(kind: str, folder: Path) -> QuantizedTensor:
    """A matrix of zeros, computed with in bfloat16."""
    if kind in LAYERS:
        key, weight = "a.weight", torch.zeros(ROWS, COLUMNS)
        path = write(folder / "a.safetensors", layers_in({key: weight}, kind))
        with TensorFiles() as files:
            found = read_weight(read_header(path), files, Source(key), torch.bfloat16)
        assert isinstance(found, QuantizedTensor)
        return found
    if kind in BLOCKS:
        size, wide = BLOCKS[kind]
        blocks = torch.zeros(ROWS, COLUMNS // size * wide, dtype=torch.uint8)
        return QuantizedTensor(blocks, gguf_blocks(kind, CPU), (ROWS, COLUMNS), torch.bfloat16)
    scale = scaled_fp8(0.5 if "scale" in kind else 1.0, CPU)
    numbers = torch.zeros(ROWS, COLUMNS).to(torch.float8_e4m3fn)
    return QuantizedTensor(numbers, scale, (ROWS, COLUMNS), torch.bfloat16)


@pytest.mark.parametrize("kind", KERNELS)
def test_unpacking_waits_for_nothing_and_takes_few_kernels_and_bytes(simulated, tmp_path, kind):
    weight = packed(kind, tmp_path).to_device(str(simulated.device))
    x = torch.ones(4, COLUMNS, dtype=torch.bfloat16).to(simulated.device)
    before = simulated.live_bytes()
    simulated.reset()

    product = functional.linear(x, weight)

    counted = simulated.counters()
    assert counted.copies_to_device == counted.copies_to_host == counted.syncs == 0
    assert counted.ops == KERNELS[kind] + 1
    most = LAYERS.get(kind) or (2.6 if kind.startswith("IQ4") else 1.8)
    assert counted.peak_bytes - before - product.nbytes <= most * MATRIX


def test_every_type_of_block_is_counted():
    assert set(KERNELS) > set(BLOCKS)
