"""Z-Image gives what diffusers' pipeline does on the same weights, however they are stored."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from diffusers.loaders.lora_conversion_utils import (
    _convert_non_diffusers_z_image_lora_to_diffusers as rename,
)
from diffusers.loaders.single_file_utils import (
    convert_z_image_transformer_checkpoint_to_diffusers as convert,
)
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel
from diffusers.pipelines.z_image.pipeline_z_image import ZImagePipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)
from transformers.models.qwen3.configuration_qwen3 import Qwen3Config
from transformers.models.qwen3.modeling_qwen3 import Qwen3Model

from nodes.builtin.conditioning.prompts import clip_text_encode
from nodes.builtin.model.checkpoints import unet_loader, vae_loader
from nodes.builtin.model.errors import LoraMismatchError
from nodes.builtin.model.lora import lora_loader_model_only
from nodes.builtin.model.text_encoders import clip_loader
from nodes.imaging.errors import SizeLimitError
from nodes.models.families.base.spec import FlowRules
from nodes.models.families.registry import architecture_of
from nodes.models.networks.base.errors import WrongConditioningError
from nodes.models.weights.header import Header, TensorInfo
from nodes.values import Cond, Conditioning
from tests.nodes.bench import Bench
from tests.nodes.models.family_checks import (
    assert_a_mask_keeps_what_lies_outside,
    assert_close,
    assert_quantised_files_are_close,
    assert_rows_are_independent,
    in_float32,
    merged,
    sampled,
    start_of,
    text_of,
)
from tests.tiny_models.checkpoints import lora, write
from tests.tiny_models.compare import denoised
from tests.tiny_models.language_models import small_qwen3, their_tokenizer
from tests.tiny_models.whole_models import small_z_image, tiny_z_image

MODEL, TEXT, VAE = "z_image_turbo_bf16.safetensors", "qwen_3_4b.safetensors", "ae.safetensors"
WIDTH = 2560


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    tiny_z_image(bench.root / "models")
    return bench


@pytest.fixture(scope="module")
def pipeline():
    """Diffusers' pipeline on the same weights, read by its own converter."""
    config = {
        "dim": 64,
        "n_layers": 2,
        "n_refiner_layers": 1,
        "n_heads": 4,
        "n_kv_heads": 4,
        "cap_feat_dim": WIDTH,
        "axes_dims": [4, 6, 6],
        "axes_lens": [256, 64, 64],
    }
    transformer = ZImageTransformer2DModel(**cast("Any", config))
    transformer.load_state_dict(in_float32(convert(small_z_image())))
    text = Qwen3Model(
        Qwen3Config(
            vocab_size=288,
            hidden_size=WIDTH,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=16,
            rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        )
    )
    weights = {key.removeprefix("model."): t for key, t in small_qwen3().items()}
    text.load_state_dict(in_float32(weights))
    levels: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": (32,) * 4,
    }
    made = ZImagePipeline(
        FlowMatchEulerDiscreteScheduler(),
        AutoencoderKL(**levels),
        text.eval(),
        cast("Any", their_tokenizer()),
        transformer.eval(),
    )
    made.set_progress_bar_config(disable=True)
    return made


def theirs(pipeline, model, texts, cfg):
    """The latents of diffusers from the same noise, at the same levels."""
    noise, sigmas = start_of(model)
    return pipeline(
        prompt=texts[0],
        negative_prompt=texts[1],
        height=64,
        width=48,
        sigmas=sigmas,
        guidance_scale=cfg - 1,
        latents=noise,
        output_type="latent",
    ).images


@pytest.mark.parametrize("cfg", [1.0, 4.0])
def test_latents_are_those_of_the_pipeline(bench, pipeline, cfg):
    model = unet_loader(MODEL, "default", bench)
    clip = clip_loader(TEXT, "lumina2", ctx=bench)
    texts = ["a (red:1.3) fox\n in snow", "blurry"]

    positive, negative = (clip_text_encode(text, clip, bench) for text in texts)
    found = sampled(bench, model, positive, negative, cfg)

    theirs_positive, theirs_negative = pipeline.encode_prompt(texts[0], negative_prompt=texts[1])
    for mine, other in ((positive, theirs_positive), (negative, theirs_negative)):
        torch.testing.assert_close(mine.conds[0].tokens, other[0][None], rtol=0, atol=1e-5)
    assert_close(model.latent_format.to_model(found), theirs(pipeline, model, texts, cfg))


def test_a_lora_has_the_names_and_the_effect_that_it_has_in_diffusers(bench, pipeline):
    model = unet_loader(MODEL, "default", bench)
    clip = clip_loader(TEXT, "lumina2", ctx=bench)
    targets = {
        "layers_0_attention_to_q": (64, 64),
        "layers_1_feed_forward_w2": (64, 170),
        "noise_refiner_0_attention_to_out_0": (64, 64),
        "layers_1_adaLN_modulation_0": (256, 64),
    }
    tensors = lora(5, {f"lora_unet_{name}": shape for name, shape in targets.items()})
    write(bench.root / "models/loras/a.safetensors", tensors)

    changed = lora_loader_model_only(model, "a.safetensors", bench, 1.0)
    text = clip_text_encode("a fox", clip, bench)
    found, plain = (sampled(bench, each, text, text, 1.0) for each in (changed, model))

    assert not bench.notices
    assert (found - plain).std() / plain.std() > 0.1
    with merged(pipeline.transformer, rename(in_float32(tensors))):
        expected = theirs(pipeline, model, ["a fox", ""], 1.0)
    assert_close(model.latent_format.to_model(found), expected)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("lora_unet_layers_0_attention_qkv", (192, 64)),
        ("lora_unet_layers_0_attention_to_v", (64, 64)),
        ("diffusion_model.layers.0.attention.out", (64, 64)),
        ("diffusion_model.layers.0.attention.to_out.0", (64, 64)),
        ("diffusion_model.layers.1.feed_forward.w1", (170, 64)),
        ("lycoris_context_refiner_0_attention_out", (64, 64)),
        ("base_model.model.cap_embedder.1", (64, WIDTH)),
        ("lora_unet_final_layer_linear", (64, 64)),
    ],
)
def test_the_names_of_trainers_are_known(bench, name, shape):
    model = unet_loader(MODEL, "default", bench)
    write(bench.root / f"models/loras/{name}.safetensors", lora(7, {name: shape}))
    bench.notices.clear()

    changed = lora_loader_model_only(model, f"{name}.safetensors", bench, 1.0)

    assert not bench.notices
    assert not torch.allclose(denoised(changed), denoised(model), atol=1e-3)


def test_a_lora_of_another_family_is_told(bench):
    model = unet_loader(MODEL, "default", bench)
    name = "lora_unet_double_blocks_0_img_attn_qkv"
    write(bench.root / "models/loras/flux.safetensors", lora(7, {name: (192, 64)}))

    with pytest.raises(LoraMismatchError, match="FLUX"):
        lora_loader_model_only(model, "flux.safetensors", bench, 1.0)


def test_a_size_off_the_grid_is_padded_and_cut(bench):
    model = unet_loader(MODEL, "default", bench)
    text = text_of(WIDTH)

    assert sampled(bench, model, text, text, 1.0, (7, 5)).shape == (1, 16, 7, 5)
    with pytest.raises(SizeLimitError, match="5000x2 is too large for this model"):
        sampled(bench, model, text, text, 1.0, (2, 5000))


def test_a_text_of_another_family_is_told(bench):
    model = unet_loader(MODEL, "default", bench)
    text = Conditioning((Cond(torch.zeros(1, 5, 768)),))

    with pytest.raises(WrongConditioningError, match=r"768.*2560"):
        sampled(bench, model, text, text, 1.0)


def test_several_rows_give_what_one_gives(bench):
    assert_rows_are_independent(unet_loader(MODEL, "default", bench), WIDTH)


def test_quantised_files_are_close(tmp_path):
    assert_quantised_files_are_close(tmp_path, small_z_image())


def test_the_published_model_is_read_from_its_shapes():
    width, head = 3840, 128
    shapes = {
        "x_embedder.weight": (width, 64),
        "x_pad_token": (1, width),
        "cap_embedder.1.weight": (width, 2560),
        "layers.0.attention.q_norm.weight": (head,),
        **{f"layers.{n}.attention.qkv.weight": (3 * width, width) for n in range(30)},
        **{f"noise_refiner.{n}.attention.qkv.weight": (3 * width, width) for n in range(2)},
    }
    infos = {f"model.diffusion_model.{k}": TensorInfo("BF16", v) for k, v in shapes.items()}

    model = architecture_of(Header(Path("z.safetensors"), infos, {})).model

    assert model.network.config == {
        "in_channels": 16,
        "dim": width,
        "n_layers": 30,
        "n_refiner_layers": 2,
        "n_heads": 30,
        "n_kv_heads": 30,
        "cap_feat_dim": 2560,
        "axes_dims": [32, 48, 48],
        "axes_lens": [8192, 2048, 2048],
    }
    assert model.noise == FlowRules(shift=3.0, multiplier=1.0)


def test_the_vae_and_a_mask_work_with_it(bench):
    model, vae = unet_loader(MODEL, "default", bench), vae_loader(VAE, bench)
    assert_a_mask_keeps_what_lies_outside(bench, model, vae, text_of(WIDTH))
