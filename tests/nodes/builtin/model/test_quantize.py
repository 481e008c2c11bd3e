"""Models are quantised as patches: the base stays as it is, LoRAs go before or on top."""

import importlib.util

import pytest
import torch

from nodes.builtin.model.lora import lora_loader_model_only
from nodes.builtin.model.model_patches import quantize_model
from nodes.models.loading.forward import denoise
from nodes.models.loading.handles import ModelHandle
from nodes.models.weights.errors import UnavailableHereError
from nodes.models.weights.quantized import full_precision
from nodes.values import CondBatch
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import lora, small_flux, write
from tests.tiny_models.handles import opened

INSTALLED = importlib.util.find_spec("torchao") is not None
needs_torchao = pytest.mark.skipif(not INSTALLED, reason="torchao is not installed")
# torchao 0.18 asks torch for what torch 2.13 calls deprecated.
quiet = pytest.mark.filterwarnings("ignore")
KEY = "transformer_blocks.0.attn.to_k.weight"
LORA = "lora_unet_double_blocks_0_img_attn_qkv"


@pytest.fixture
def model(tmp_path):
    return ModelHandle(opened(write(tmp_path / "flux.safetensors", small_flux())).model)


def denoised(model):
    cond = CondBatch(torch.ones(1, 4, 64), torch.ones(1, 64), {"guidance": torch.ones(1)})
    x = torch.linspace(-1, 1, 16 * 8 * 8).reshape(1, 16, 8, 8)
    return denoise(model, x, torch.tensor([0.5]), cond)


def off(found, expected):
    return float((found - expected).norm() / expected.norm())


@pytest.mark.skipif(INSTALLED, reason="torchao is installed")
def test_without_torchao_the_error_says_what_to_install(model):
    with pytest.raises(UnavailableHereError, match=r"nodegraph\[quant\]"):
        quantize_model(model)


@needs_torchao
@quiet
@pytest.mark.parametrize("scheme", ["int8_weight_only", "int8_dynamic", "fp8_weight_only"])
def test_a_quantised_model_is_a_little_off_and_its_base_is_not(model, scheme):
    before = denoised(model)

    small = quantize_model(model, scheme)

    assert 1e-5 < off(denoised(small), before) < 0.1
    assert torch.equal(denoised(model), before)
    state = small.model.network.module(small.patches).state_dict()
    assert type(state[KEY]) is not torch.Tensor
    assert type(state["x_embedder.weight"]) is torch.Tensor


@needs_torchao
@quiet
def test_a_lora_on_top_adds_to_the_quantised_numbers(model, tmp_path):
    write(tmp_path / "models/loras/a.safetensors", lora(1, {LORA: (192, 64)}))
    small = quantize_model(model)
    network = model.model.network

    patched = lora_loader_model_only(small, "a.safetensors", Bench(tmp_path), 0.5)

    exact = lora_loader_model_only(model, "a.safetensors", Bench(tmp_path), 0.5)
    states = [network.module(m.patches).state_dict() for m in (model, small, patched, exact)]
    plain, rounded, both, wanted = (full_precision(state[KEY], torch.float32) for state in states)
    torch.testing.assert_close(both - rounded, wanted - plain, rtol=1e-3, atol=1e-5)
    assert not torch.equal(rounded, plain)


@needs_torchao
@quiet
def test_a_scheme_that_is_not_there_says_why(model):
    if importlib.util.find_spec("mslk") is not None:
        pytest.skip("four bits work here")
    small = quantize_model(model, "int4_weight_only")

    with pytest.raises(
        UnavailableHereError, match=r"int4_weight_only is not available here: .*mslk"
    ):
        denoised(small)
