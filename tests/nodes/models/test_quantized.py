"""Weights in 8 bits and fewer: kept as they are, unpacked when they are used."""

import struct

import numpy as np
import pytest
import torch
from torch import Tensor

from nodes.builtin.model.checkpoints import WeightDtype, unet_loader
from nodes.builtin.model.lora import lora_loader_model_only
from nodes.models.families.base.text_encoders import read_encoder
from nodes.models.families.denoisers.flux import FLUX
from nodes.models.loading.forward import denoise
from nodes.models.loading.handles import ModelHandle
from nodes.models.loading.network import Network
from nodes.models.weights.errors import TruncatedFileError, WeightFileError
from nodes.models.weights.formats.gguf import BLOCKS
from nodes.models.weights.formats.gguf_blocks import gguf_blocks
from nodes.models.weights.header import read_header
from nodes.models.weights.quantized import QuantizedTensor
from nodes.models.weights.reader import open_tensors
from nodes.values import CondBatch
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import lora, small_flux, write
from tests.tiny_models.quantized_files import E4M3, scaled, write_gguf
from tests.tiny_models.random_weights import Draw, Tensors, t5

gguf = pytest.importorskip("gguf")

QKV = "double_blocks.0.img_attn.qkv.weight"
KEY = "transformer_blocks.0.attn.to_k.weight"


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def loaded(
    bench, tensors: Tensors, name="a.safetensors", dtype: WeightDtype = "default"
) -> ModelHandle:
    write(bench.root / "models/diffusion_models" / name, tensors)
    return unet_loader(name, dtype, bench)


def denoised(model: ModelHandle) -> Tensor:
    cond = CondBatch(torch.ones(1, 4, 64), torch.ones(1, 64), {"guidance": torch.ones(1)})
    x = torch.linspace(-1, 1, 16 * 8 * 8).reshape(1, 16, 8, 8)
    return denoise(model, x, torch.tensor([0.5]), cond)


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_scaled_8_bit_files_mean_their_numbers_times_the_scales(bench):
    small, plain = scaled(small_flux())

    model, expected = loaded(bench, small), loaded(bench, plain, "plain.safetensors")

    assert_close(denoised(model), denoised(expected))
    weight = model.model.network.module().state_dict()[KEY]
    assert isinstance(weight, QuantizedTensor)
    assert weight.packed.dtype == E4M3
    assert model.weight_bytes < 0.3 * expected.weight_bytes


@pytest.mark.parametrize(
    ("choice", "dtype"), [("fp8_e4m3fn", E4M3), ("fp8_e5m2", torch.float8_e5m2)]
)
def test_a_loader_rounds_matrices_and_nothing_else(bench, choice, dtype):
    tensors = small_flux()
    plain = {k: v.to(dtype).float() if v.ndim == 2 else v for k, v in tensors.items()}

    model = loaded(bench, tensors, dtype=choice)

    expected = loaded(bench, plain, "plain.safetensors")
    assert_close(denoised(model), denoised(expected))
    assert not torch.equal(denoised(model), denoised(loaded(bench, tensors, "exact.safetensors")))


def test_a_lora_on_packed_weights_adds_to_their_numbers(bench):
    small, plain = scaled(small_flux())
    write(
        bench.root / "models/loras/a.safetensors", lora(1, {QKV.removesuffix(".weight"): (192, 64)})
    )
    model, expected = loaded(bench, small), loaded(bench, plain, "plain.safetensors")
    before = denoised(model)

    patched, wanted = (
        lora_loader_model_only(each, "a.safetensors", bench, 0.7) for each in (model, expected)
    )

    assert_close(denoised(patched), denoised(wanted))
    state = patched.model.network.module(patched.patches).state_dict()
    assert isinstance(state[KEY], QuantizedTensor)
    assert state[KEY].packed.dtype == E4M3
    assert torch.equal(denoised(model), before)
    assert not torch.equal(denoised(patched), before)


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "Q5_1", "F16", "BF16"])
def test_gguf_files_mean_what_the_reference_reads_in_them(bench, kind):
    meant = write_gguf(bench.root / "models/diffusion_models/a.gguf", small_flux(), kind)

    model = unet_loader("a.gguf", "default", bench)

    expected = loaded(bench, meant)
    assert_close(denoised(model), denoised(expected))
    weight = model.model.network.module().state_dict()[KEY]
    assert isinstance(weight, QuantizedTensor) == (kind in BLOCKS)
    if kind in BLOCKS:
        assert model.weight_bytes < 0.4 * expected.weight_bytes


def test_a_lora_on_a_gguf_file(bench):
    meant = write_gguf(bench.root / "models/diffusion_models/a.gguf", small_flux(), "Q4_0")
    write(
        bench.root / "models/loras/a.safetensors", lora(1, {QKV.removesuffix(".weight"): (192, 64)})
    )

    patched, wanted = (
        lora_loader_model_only(each, "a.safetensors", bench, 0.7)
        for each in (unet_loader("a.gguf", "default", bench), loaded(bench, meant))
    )

    assert_close(denoised(patched), denoised(wanted))


@pytest.mark.parametrize("kind", BLOCKS)
def test_every_type_of_block_is_unpacked_as_the_reference_does(kind):
    size, wide = BLOCKS[kind]
    raw = np.random.default_rng(3).integers(0, 255, (4, 2 * wide), dtype=np.uint8)
    raw[:, 1::2] &= 0x3F  # no infinities among the scales
    expected = gguf.quants.dequantize(raw, gguf.GGMLQuantizationType[kind])

    blocks, shape = gguf_blocks(kind, torch.device("cpu")), (4, 2 * size)
    found = QuantizedTensor(torch.from_numpy(raw), blocks, shape, torch.float32)

    wanted = torch.from_numpy(expected)
    torch.testing.assert_close(found.dequantize(), wanted, rtol=1e-5, atol=1e-5, equal_nan=True)
    rows = found[1:3]
    assert isinstance(rows, QuantizedTensor)
    torch.testing.assert_close(rows.dequantize(), wanted[1:3], rtol=1e-5, atol=1e-5, equal_nan=True)


def llama_name(key: str) -> str:
    """What llama.cpp calls a T5 encoder's weight."""
    ends = {"shared.weight": "token_embd.weight", "encoder.final_layer_norm.weight": ""}
    if key in ends:
        return ends[key] or "enc.output_norm.weight"
    _, _, block, _, layer, *rest, leaf = key.split(".")
    parts = {"q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_o", "wi_0": "ffn_gate"}
    parts |= {"relative_attention_bias": "attn_rel_b", "wi_1": "ffn_up", "wo": "ffn_down"}
    last = parts.get(rest[-1], "ffn_norm" if layer == "1" else "attn_norm")
    return f"enc.blk.{block}.{last}.{leaf}"


def test_a_t5_encoder_has_llamas_names(bench):
    draw = Draw(9)
    t5(draw, 64, 64, 1)
    names = {key: llama_name(key) for key in draw.tensors}
    meant = write_gguf(bench.root / "t5.gguf", draw.tensors, "Q8_0", names)

    spec = read_encoder(
        read_header(bench.root / "t5.gguf"), "", "t5xxl", FLUX.encoder_sets[0].policies["t5xxl"]
    )
    module = Network(read_header(bench.root / "t5.gguf"), "a", spec.network).module()

    tokens = torch.tensor([[3, 9, 1]])
    plain = write(bench.root / "t5.safetensors", meant)
    expected = Network(read_header(plain), "b", spec.network).module()
    torch.testing.assert_close(module(tokens)[0], expected(tokens)[0], rtol=1e-4, atol=1e-5)


def test_rows_that_were_made_longer_get_their_shape_back(bench):
    path = bench.root / "a.gguf"
    tensors = {"a.weight": torch.linspace(-1, 1, 4 * 64).reshape(4, 64)}

    meant = write_gguf(path, tensors, "Q8_0", shapes={"a.weight": (16, 16)})

    with open_tensors(path) as file:
        found = file.get_tensor("a.weight")
    assert read_header(path).shape("a.weight") == (16, 16)
    assert torch.equal(found + 0, meant["a.weight"])
    assert torch.equal(found[3:5] + 0, meant["a.weight"][3:5])


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"GGUF" + struct.pack("<IQQ", 9, 0, 0), "version"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**40), "too long"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"a", 9, 9, 1), "lists in lists"),
        (b"GGUF" + struct.pack("<IQQQ1sIQIQ", 3, 1, 0, 1, b"a", 1, 32, 99, 0), "type 99"),
        (b"GGUF" + struct.pack("<IQQQ1sIQIQ", 3, 1, 0, 1, b"a", 1, 33, 8, 0), "whole blocks"),
    ],
)
def test_a_malformed_gguf_file_is_an_error_that_says_why(tmp_path, data, what):
    (tmp_path / "a.gguf").write_bytes(data)

    with pytest.raises(WeightFileError, match=what):
        read_header(tmp_path / "a.gguf")


def test_a_gguf_file_that_breaks_off_is_an_error(tmp_path):
    path = tmp_path / "a.gguf"
    write_gguf(path, {"a.weight": torch.ones(4, 64)}, "Q8_0")
    whole = path.read_bytes()

    for length in (3 * len(whole) // 4, 30):
        path.write_bytes(whole[:length])
        with pytest.raises(TruncatedFileError):
            read_header(path)
