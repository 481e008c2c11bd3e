"""Matrices in fp8 that are multiplied as they are; torch computes that on a CPU, too."""

from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from nodes.builtin.model.checkpoints import unet_loader
from nodes.builtin.model.lora import lora_loader_model_only
from nodes.models.loading.forward import denoise
from nodes.models.loading.handles import ModelHandle
from nodes.models.networks.modifiers import fp8_matmul
from nodes.models.networks.modifiers.compiled import TorchCompile
from nodes.models.networks.modifiers.fp8_matmul import FP8, Fp8Matmul, multiply
from nodes.models.weights.quantized import QuantizedTensor, scaled_fp8
from nodes.values import CondBatch
from tests.nodes.bench import Bench
from tests.nodes.models.test_compiled import breaks, from_scratch
from tests.tiny_models.checkpoints import lora, small_flux, write
from tests.tiny_models.quantized_files import scaled

__all__ = ["from_scratch"]

pytestmark = pytest.mark.usefixtures("one_thread")

BF16, CPU = torch.bfloat16, torch.device("cpu")


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(shape[-1]))


@pytest.mark.parametrize("scale", [1.0, 0.25])
@pytest.mark.parametrize("biased", [True, False])
def test_the_product_is_that_of_the_rounded_numbers(scale, biased):
    x, packed = drawn(2, 3, 64).to(BF16) * 30, drawn(32, 64).to(FP8)
    bias = drawn(32).to(BF16) if biased else None
    weight = QuantizedTensor(packed, scaled_fp8(scale, x.device), (32, 64), BF16)

    found = multiply(x, weight, bias)

    own = x.abs().amax().float() / 448
    rounded = (x / own).to(FP8).float() * own
    expected = rounded @ (packed.float() * scale).T + (0 if bias is None else bias.float())
    assert found.dtype == BF16
    torch.testing.assert_close(found.float(), expected, rtol=2**-8, atol=2**-7)


def test_zeros_give_the_bias():
    weight = QuantizedTensor(drawn(32, 64).to(FP8), scaled_fp8(1.0, CPU), (32, 64), BF16)

    found = multiply(torch.zeros(1, 64, dtype=BF16), weight, torch.ones(32, dtype=BF16))

    assert torch.equal(found, torch.ones(1, 32, dtype=BF16))


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    write(tmp_path / "models/diffusion_models/a.safetensors", scaled(small_flux())[0])
    modules = {"double_blocks.0.img_attn.qkv": (192, 64)}
    write(tmp_path / "models/loras/a.safetensors", lora(1, modules))
    return made


def denoised(model: ModelHandle) -> Tensor:
    cond = CondBatch(torch.ones(1, 4, 64), torch.ones(1, 64), {"guidance": torch.ones(1)})
    x = torch.linspace(-1, 1, 16 * 8 * 8).reshape(1, 16, 8, 8)
    return denoise(model, x, torch.tensor([0.5]), cond)


def loaded(bench, dtype, compute=BF16) -> ModelHandle:
    return replace(unet_loader("a.safetensors", dtype, bench), compute=compute)


def test_the_fast_choice_multiplies_in_fp8_where_the_device_can(bench, monkeypatch):
    monkeypatch.setattr(fp8_matmul, "multiplies_fp8", lambda _: True)
    exact, fast = (loaded(bench, dtype) for dtype in ("fp8_e4m3fn", "fp8_e4m3fn_fast"))

    plain, found = denoised(exact), denoised(fast)

    assert not torch.equal(found, plain)
    assert float((found - plain).norm() / plain.norm()) < 0.1


def test_layers_that_a_lora_changes_and_float32_are_computed_as_ever(bench, monkeypatch):
    monkeypatch.setattr(fp8_matmul, "multiplies_fp8", lambda _: True)
    fast = lora_loader_model_only(loaded(bench, "fp8_e4m3fn_fast"), "a.safetensors", bench, 0.7)
    attention = fast.model.network.module(fast.patches, fast.alterations, BF16).get_submodule(
        "transformer_blocks.0.attn"
    )
    x = drawn(1, 64).to(BF16)
    in_float32 = [loaded(bench, d, torch.float32) for d in ("fp8_e4m3fn", "fp8_e4m3fn_fast")]

    changed, other = (
        cast("nn.Linear", attention.get_submodule(name)) for name in ("to_k", "add_k_proj")
    )

    assert torch.equal(changed(x), nn.functional.linear(x, changed.weight, changed.bias))
    assert not torch.equal(other(x), nn.functional.linear(x, other.weight, other.bias))
    assert torch.equal(denoised(in_float32[0]), denoised(in_float32[1]))


def test_the_fast_choice_is_the_plain_one_where_the_device_can_not(bench):
    exact, fast = (loaded(bench, dtype) for dtype in ("fp8_e4m3fn", "fp8_e4m3fn_fast"))

    assert fast.alterations == (Fp8Matmul(),)
    assert torch.equal(denoised(fast), denoised(exact))


@pytest.mark.slow
def test_blocks_that_multiply_in_fp8_are_compiled_whole(bench, monkeypatch, from_scratch):
    monkeypatch.setattr(fp8_matmul, "multiplies_fp8", lambda _: True)
    fast = loaded(bench, "fp8_e4m3fn_fast")
    blocks = ("FluxTransformerBlock", "FluxSingleTransformerBlock")

    compiled = fast.with_alteration(TorchCompile("eager", blocks))

    assert torch.equal(denoised(compiled), denoised(fast))
    assert not breaks()
