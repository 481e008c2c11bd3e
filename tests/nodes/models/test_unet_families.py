"""Stable Diffusion 2 and XL: told apart, read from their shapes, asked as they were trained."""

from functools import cache

import pytest
import torch

from nodes.builtin.model.errors import LoraMismatchError
from nodes.builtin.model.lora import lora_loader
from nodes.models.families.base.encoder_keys import clip_table, open_clip_table
from nodes.models.families.base.ldm_keys import unet_table
from nodes.models.families.base.spec import DiscreteRules, EdmRules, NetworkSpec
from nodes.models.families.registry import architecture_of
from nodes.models.loading.errors import MissingPartError
from nodes.models.loading.forward import denoise, prepare
from nodes.models.loading.handles import ClipHandle, ModelHandle
from nodes.models.networks.base.errors import WrongConditioningError
from nodes.models.networks.factory import skeleton
from nodes.models.text.textual_inversion import Embeddings
from nodes.models.weights.header import read_header, read_numbers
from nodes.models.weights.key_convert import export, from_file
from nodes.models.weights.reader import open_tensors as tensors_of
from nodes.values import Cond, CondBatch
from tests.nodes.bench import Bench
from tests.nodes.models.test_families import header_of
from tests.tiny_models.checkpoints import (
    PREDICTS_V,
    lora,
    small_refiner,
    small_sd15,
    small_sd21,
    small_sdxl,
    write,
)
from tests.tiny_models.handles import opened

small_sd15, small_sd21 = cache(small_sd15), cache(small_sd21)
small_refiner, small_sdxl = cache(small_refiner), cache(small_sdxl)

UNET, CLIP = "model.diffusion_model.", "conditioner.embedders."
SD2 = {
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
    "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"],
    "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
    "attention_head_dim": [5, 10, 20, 20],
}
SDXL = {
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [320, 640, 1280],
    "layers_per_block": 2,
    "down_block_types": ["DownBlock2D", *["CrossAttnDownBlock2D"] * 2],
    "up_block_types": [*["CrossAttnUpBlock2D"] * 2, "UpBlock2D"],
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "attention_head_dim": [5, 10, 20],
    "transformer_layers_per_block": [1, 2, 10],
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
REFINER = {
    **SDXL,
    "block_out_channels": [384, 768, 1536, 1536],
    "down_block_types": ["DownBlock2D", *["CrossAttnDownBlock2D"] * 2, "DownBlock2D"],
    "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 2, "UpBlock2D"],
    "cross_attention_dim": 1280,
    "attention_head_dim": [6, 12, 24, 24],
    "transformer_layers_per_block": [1, 4, 4, 4],
    "projection_class_embeddings_input_dim": 2560,
}


def clip_config(width, layers, *, original=False):
    return {
        "vocab_size": 49408,
        "hidden_size": width,
        "intermediate_size": width * 4,
        "num_hidden_layers": layers,
        "num_attention_heads": width // 64,
        "max_position_embeddings": 77,
        "hidden_act": "quick_gelu" if original else "gelu",
        "bos_token_id": 49406,
        "eos_token_id": 49407,
        "pad_token_id": 49407 if original else 0,
        **({} if original else {"projection_dim": width}),
    }


L, H, G = clip_config(768, 12, original=True), clip_config(1024, 24), clip_config(1280, 32)
REAL = {
    "sd2": ("sd2", SD2, 865_910_724, {"cond_stage_model.model.": (open_clip_table, H)}),
    "sd2 inpainting": (
        "sd2", {**SD2, "in_channels": 9}, 865_925_124,
        {"cond_stage_model.model.": (open_clip_table, H)},
    ),
    "sdxl": (
        "sdxl", SDXL, 2_567_463_684,
        {f"{CLIP}0.transformer.": (clip_table, L), f"{CLIP}1.model.": (open_clip_table, G)},
    ),
    "refiner": ("sdxl", REFINER, None, {f"{CLIP}0.model.": (open_clip_table, G)}),
}  # fmt: skip


def exported(kind, config, prefix, table):
    """A network's tensors in the original layout, without their numbers."""
    state = skeleton(NetworkSpec(kind, "", config, "", table)).state_dict()
    return export(table(state, prefix), state)


@pytest.mark.parametrize("name", REAL)
def test_the_real_models_configurations_are_read_from_their_shapes(name):
    family, unet, parameters, encoders = REAL[name]
    tensors = exported("unet", unet, UNET, unet_table)
    assert parameters in (None, sum(tensor.numel() for tensor in tensors.values()))
    for prefix, (table, config) in encoders.items():
        tensors |= exported("clip", config, prefix, table)

    architecture = architecture_of(header_of(tensors, {"modelspec.prediction_type": "eps"}))

    assert architecture.model.family == family
    assert architecture.model.network.config == unet
    assert architecture.text
    found = {e.network.prefix: e.network.config for e in architecture.text.encoders}
    assert found == {prefix: config for prefix, (_, config) in encoders.items()}
    assert architecture.model.latent.channels == 4


@pytest.mark.parametrize("build", [small_sd21, small_sdxl, small_refiner])
def test_what_was_loaded_goes_back_to_the_file_byte_for_byte(tmp_path, build):
    tensors = build()
    checkpoint = opened(write(tmp_path / "a.safetensors", tensors))
    networks = [checkpoint.model.network, checkpoint.vae.network]
    networks += [encoder.network for encoder in checkpoint.text.encoders]

    back = {}
    for network in networks:
        with tensors_of(network.header.path) as file:
            state = {k: from_file(s, file.get_tensor(s.key)) for k, s in network.table.items()}
        back |= export(network.table, state)

    assert {key for key in tensors if not key.endswith("logit_scale")} == back.keys()
    for key, tensor in back.items():
        assert tensor.shape == tensors[key].shape
        assert tensor.numpy().tobytes() == tensors[key].numpy().tobytes()


def test_sd2_shows_whether_it_predicts_v(tmp_path):
    tensors = small_sd21() | {PREDICTS_V: torch.linspace(-1, 1, 64).half()}
    path = write(tmp_path / "a.safetensors", tensors)
    said = write(tmp_path / "b.safetensors", tensors, {"modelspec.prediction_type": "epsilon"})
    tensors[PREDICTS_V] = tensors[PREDICTS_V] * 0.1

    assert opened(path).model.spec.noise == DiscreteRules("v")
    assert opened(said).model.spec.noise == DiscreteRules("eps")
    weak = write(tmp_path / "c.safetensors", tensors)
    assert opened(weak).model.spec.noise == DiscreteRules("eps")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_numbers_are_read_without_torch(tmp_path, dtype):
    values = torch.tensor([[0.5, -2.0], [3.0, 1e-3]], dtype=dtype)
    path = write(tmp_path / "a.safetensors", {"other": torch.ones(3), "x": values})

    assert read_numbers(read_header(path), "x") == tuple(values.double().flatten().tolist())


def test_sdxl_says_by_its_keys_what_it_predicts(tmp_path):
    mark = torch.zeros(0)
    tensors = small_sdxl() | {"v_pred": mark, "ztsnr": mark}

    assert architecture_of(header_of(tensors)).model.noise == DiscreteRules("v", True)


def test_playground_has_levels_and_latents_of_its_own(tmp_path):
    mean, std = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([0.5, 1.0, 2.0, 4.0])
    tensors = small_sdxl() | {"edm_mean": mean, "edm_std": std}

    model = ModelHandle(opened(write(tmp_path / "a.safetensors", tensors)).model)

    assert model.model.spec.noise == EdmRules()
    raw = mean.reshape(1, 4, 1, 1) + std.reshape(1, 4, 1, 1)
    assert torch.equal(model.latent_format.to_model(raw), torch.full((1, 4, 1, 1), 0.5))
    assert torch.equal(model.latent_format.to_raw(torch.full((1, 4, 1, 1), 0.5)), raw)
    facts = model.parameterization
    assert (facts.sigma_min, facts.sigma_max) == pytest.approx((0.002, 80.0))


def sizes(cond):
    return cond.extras["sizes"]


def prepared(model, **extras):
    """A condition and its row, for a latent of 16x24 pixels."""
    cond = Cond(torch.ones(1, 77, 128), torch.ones(1, 64), extras=extras)
    return prepare(model, cond, (2, 3))


def test_the_base_model_is_told_the_size(tmp_path):
    model = ModelHandle(opened(write(tmp_path / "a.safetensors", small_sdxl())).model)

    silent = sizes(prepared(model))
    told = sizes(prepared(model, width=100, height=50, crop_w=3, target_height=7))

    assert silent.tolist() == [[16, 24, 0, 0, 16, 24, 6.0]]
    assert told.tolist() == [[50, 100, 0, 3, 7, 100, 6.0]]
    assert not torch.equal(denoised(model, silent), denoised(model, told))
    liked = silent.clone()
    liked[:, -1] = 9.0
    assert torch.equal(denoised(model, silent), denoised(model, liked)), "a matter of the refiner"


def test_the_refiner_is_told_how_well_liked_the_picture_is(tmp_path):
    model = ModelHandle(opened(write(tmp_path / "a.safetensors", small_refiner())).model)
    cond = Cond(torch.ones(1, 77, 64), torch.ones(1, 64))

    positive = sizes(prepare(model, cond, (2, 3)))
    negative = sizes(prepare(model, cond, (2, 3), "negative"))

    assert (positive[0, -1], negative[0, -1]) == (6.0, 2.5)
    assert not torch.equal(denoised(model, positive, 64), denoised(model, negative, 64))
    targets = positive.clone()
    targets[:, 4:6] = 9.0
    assert torch.equal(denoised(model, positive, 64), denoised(model, targets, 64))


def denoised(model, sizes, wide=128):
    x = torch.linspace(-1, 1, 24).reshape(1, 4, 2, 3)
    cond = CondBatch(torch.ones(1, 77, wide), torch.ones(1, 64), {"sizes": sizes})
    return denoise(model, x, torch.tensor([2.0]), cond)


def test_conditions_of_another_family_are_refused(tmp_path):
    model = ModelHandle(opened(write(tmp_path / "a.safetensors", small_sdxl())).model)
    x, sigma = torch.zeros(1, 4, 2, 3), torch.tensor([2.0])
    sizes = {"sizes": torch.zeros(1, 7)}

    with pytest.raises(WrongConditioningError, match="text is 64 wide, this model's is 128 wide"):
        denoise(model, x, sigma, CondBatch(torch.ones(1, 77, 64), torch.ones(1, 64), sizes))
    with pytest.raises(WrongConditioningError, match="pooled text is lacking"):
        denoise(model, x, sigma, CondBatch(torch.ones(1, 77, 128), None, sizes))
    with pytest.raises(WrongConditioningError, match="pooled text is 65 wide"):
        denoise(model, x, sigma, CondBatch(torch.ones(1, 77, 128), torch.ones(1, 65), sizes))


def test_a_lora_of_another_family_is_refused(tmp_path):
    bench = Bench(tmp_path)
    key = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    write(tmp_path / "models/loras/a.safetensors", lora(1, {key: (32, 64)}))
    checkpoint = opened(write(tmp_path / "a.safetensors", small_sdxl()))
    model, clip = ModelHandle(checkpoint.model), ClipHandle(checkpoint.text)

    with pytest.raises(LoraMismatchError, match="fits neither"):
        lora_loader(model, clip, "a.safetensors", bench)


def test_a_model_file_without_text_encoders_says_so(tmp_path):
    tensors = {k: v for k, v in small_sdxl().items() if k.startswith(UNET)}
    checkpoint = opened(write(tmp_path / "a.safetensors", tensors))

    with pytest.raises(MissingPartError, match="holds no text encoder"):
        ClipHandle(checkpoint.text).encode("", Embeddings(None, print))


def test_the_families_are_told_apart():
    builds = {"sd15": small_sd15, "sd2": small_sd21, "sdxl": small_sdxl}

    for name, build in builds.items():
        header = header_of(build(), {"modelspec.prediction_type": "eps"})
        bare = header_of({key.removeprefix(UNET): value for key, value in build().items()})
        assert architecture_of(header).model.family == name
        assert architecture_of(bare).model.family == name, "a file of the model alone"
