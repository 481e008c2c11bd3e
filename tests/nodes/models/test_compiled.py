"""Networks that torch compiles: what it sees of their weights, and how often it compiles.

The backends are those that need no compiler: they run what was traced.
"""

import logging
from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch._dynamo import utils
from torch.nn import functional

from nodes.models.loading.forward import denoise
from nodes.models.loading.handles import ModelHandle
from nodes.models.networks.modifiers.compiled import TorchCompile
from nodes.models.patches.lora import lora_patch
from nodes.models.patches.lora_file import LoraFile
from nodes.models.weights.formats.gguf import BLOCKS
from nodes.models.weights.formats.gguf_blocks import gguf_blocks
from nodes.models.weights.quantized import QuantizedTensor, scaled_fp8
from nodes.values import CondBatch
from tests.tiny_models.checkpoints import lora, small_flux, write
from tests.tiny_models.handles import opened
from tests.tiny_models.quantized_files import scaled, write_gguf

CPU = torch.device("cpu")
QKV = "double_blocks.0.img_attn.qkv"


@pytest.fixture(autouse=True)
def from_scratch(monkeypatch):
    """Nothing is compiled yet, and nothing that a test compiles is there for the next."""
    monkeypatch.setattr(logging.getLogger("torch.__trace"), "propagate", False)  # it is slow
    torch._dynamo.reset()
    utils.counters.clear()
    yield
    torch._dynamo.reset()


def graphs() -> int:
    return utils.counters["stats"]["unique_graphs"]


def breaks() -> Counter[str]:
    """The reasons why torch could not trace on, and how often each was met."""
    return utils.counters["graph_break"]


def denoised(model: ModelHandle, size: int = 8) -> Tensor:
    cond = CondBatch(torch.ones(1, 4, 64), torch.ones(1, 64), {"guidance": torch.ones(1)})
    x = torch.linspace(-1, 1, 16 * size * size).reshape(1, 16, size, size)
    return denoise(model, x, torch.tensor([0.5]), cond)


def packed(kind: str) -> QuantizedTensor:
    """A matrix of 4 by 512 numbers."""
    if kind not in BLOCKS:
        numbers = torch.linspace(-1, 1, 4 * 512).reshape(4, 512).to(torch.float8_e4m3fn)
        scale = scaled_fp8(0.5, CPU)
        return QuantizedTensor(numbers, scale, (4, 512), torch.float32)
    size, wide = BLOCKS[kind]
    blocks = torch.arange(4 * 512 // size * wide).reshape(4, -1) % 60
    return QuantizedTensor(blocks.byte(), gguf_blocks(kind, CPU), (4, 512), torch.float32)


QUICK = ("fp8", "Q4_K", "IQ4_NL")
OTHERS = [pytest.param(kind, marks=pytest.mark.slow) for kind in BLOCKS if kind not in QUICK]


@pytest.mark.parametrize("kind", [*QUICK, *OTHERS])
def test_a_matrix_in_few_bits_is_traced_whole_and_means_the_same(kind):
    weight, x = packed(kind), torch.linspace(-1, 1, 512)[None]
    compiled = torch.compile(functional.linear, backend="aot_eager", fullgraph=True)

    with torch.no_grad():
        found, expected = compiled(x, weight), functional.linear(x, weight)

    assert torch.equal(found, expected)
    assert graphs() == 1


@pytest.fixture(params=["fp8", "gguf", "lora"])
def quantized(request, tmp_path) -> ModelHandle:
    """A small FLUX in few bits, or that with a LoRA beside its weights."""
    if request.param == "gguf":
        pytest.importorskip("gguf")
        write_gguf(tmp_path / "a.gguf", small_flux(), "Q4_0")
        return ModelHandle(opened(tmp_path / "a.gguf").model)
    model = ModelHandle(opened(write(tmp_path / "a.safetensors", scaled(small_flux())[0])).model)
    if request.param == "fp8":
        return model
    path = write(tmp_path / "lora.safetensors", lora(1, {QKV: (192, 64)}))
    return model.with_patch(lora_patch(LoraFile(path, "a"), 0.7, model.model.network))


@pytest.mark.slow
def test_a_network_in_few_bits_is_one_graph_and_another_one_for_all_other_sizes(quantized):
    """Every matrix ended a graph when torch could not see into packed weights."""
    compiled = replace(quantized, alterations=(TorchCompile("eager"),))

    for size, expected in ((8, 1), (8, 1), (12, 2), (16, 2)):
        assert torch.equal(denoised(compiled, size), denoised(quantized, size))
        assert graphs() == expected
    assert not breaks()
