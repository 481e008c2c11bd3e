"""Qwen-Image gives what diffusers' pipeline does on the same weights, however they are stored."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from diffusers.pipelines.qwenimage.pipeline_qwenimage import QwenImagePipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)

from nodes.builtin.conditioning.prompts import clip_text_encode
from nodes.builtin.latent.vae import vae_decode, vae_encode
from nodes.builtin.model.checkpoints import unet_loader, vae_loader
from nodes.builtin.model.errors import LoraMismatchError
from nodes.builtin.model.lora import lora_loader_model_only
from nodes.builtin.model.text_encoders import clip_loader
from nodes.models.export.checkpoint import vae_tensors
from nodes.models.families.base.spec import FlowRules
from nodes.models.families.base.vaes.vae import read_lone_vae
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
from tests.nodes.models.qwen_image_theirs import (
    WIDTH,
    their_text,
    their_transformer,
    their_vae,
)
from tests.tiny_models.checkpoints import lora, write
from tests.tiny_models.compare import denoised
from tests.tiny_models.language_models import their_tokenizer
from tests.tiny_models.wan_vae import small_wan_vae
from tests.tiny_models.whole_models import small_qwen_image, tiny_qwen_image

MODEL = "qwen_image_2512_fp8_e4m3fn.safetensors"
TEXT, VAE = "qwen_2.5_vl_7b_fp8_scaled.safetensors", "qwen_image_vae.safetensors"


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    tiny_qwen_image(bench.root / "models")
    return bench


@pytest.fixture(scope="module")
def pipeline():
    """Diffusers' pipeline on the same weights."""
    made = QwenImagePipeline(
        FlowMatchEulerDiscreteScheduler(),
        their_vae(),
        their_text(),
        cast("Any", their_tokenizer()),
        their_transformer(),
    )
    made.set_progress_bar_config(disable=True)
    return made


def theirs(pipeline, model, prompt):
    """The latents of diffusers from the same noise, at the same levels."""
    noise, sigmas = start_of(model)
    packed = pipeline._pack_latents(noise, 1, 16, 8, 6)
    found = pipeline(
        prompt=prompt,
        height=64,
        width=48,
        sigmas=sigmas,
        true_cfg_scale=1.0,
        latents=packed,
        output_type="latent",
    ).images
    return pipeline._unpack_latents(found, 64, 48, 8)[:, :, 0]


def test_texts_and_latents_are_those_of_the_pipeline(bench, pipeline):
    model = unet_loader(MODEL, "default", bench)
    clip = clip_loader(TEXT, "qwen_image", ctx=bench)
    prompt = "a (red:1.3) fox\n in snow"

    text = clip_text_encode(prompt, clip, bench)
    found = sampled(bench, model, text, text, 1.0)

    expected, mask = pipeline.encode_prompt(prompt)
    assert mask is None
    torch.testing.assert_close(text.conds[0].tokens, expected, rtol=0, atol=1e-4)
    assert_close(model.latent_format.to_model(found), theirs(pipeline, model, prompt))


def test_the_vae_is_that_of_diffusers(bench, pipeline):
    vae, picture = vae_loader(VAE, bench), torch.rand(2, 32, 48, 3)

    latent = vae_encode(picture, vae, bench)
    image = vae_decode(latent, vae, bench)

    frames = (picture * 2 - 1).movedim(-1, 1).unsqueeze(2)
    expected = pipeline.vae.encode(frames).latent_dist.mean
    assert latent.samples.shape == (2, 16, 4, 6)
    assert_close(latent.samples, expected[:, :, 0])
    pixels = pipeline.vae.decode(expected).sample[:, :, 0].movedim(1, -1)
    torch.testing.assert_close(image, pixels / 2 + 0.5, rtol=0, atol=1e-4)


def test_each_channel_of_latents_is_normed_by_its_mean_and_deviation(bench, pipeline):
    latents = unet_loader(MODEL, "default", bench).latent_format
    raw = torch.linspace(-3, 3, 64).reshape(1, 16, 2, 2)
    mean, deviation = (
        torch.tensor(pipeline.vae.config[name])[None, :, None, None]
        for name in ("latents_mean", "latents_std")
    )

    torch.testing.assert_close(latents.to_model(raw), (raw - mean) / deviation)
    torch.testing.assert_close(latents.to_raw(latents.to_model(raw)), raw)


def test_the_vae_is_read_in_diffusers_names_and_saved_in_the_originals(bench, pipeline):
    tensors = {key: tensor.half() for key, tensor in pipeline.vae.state_dict().items()}
    write(bench.root / "models/vae/own.safetensors", tensors)

    own = vae_loader("own.safetensors", bench)

    assert own.vae.network.spec.config == vae_loader(VAE, bench).vae.network.spec.config
    saved, original = vae_tensors(own), small_wan_vae()
    assert saved.keys() == original.keys()
    assert all(torch.equal(saved[key], original[key]) for key in original)


def test_the_published_vae_is_read_from_its_shapes():
    shapes = {key: tuple(tensor.shape) for key, tensor in small_wan_vae().items()}
    wide = {"encoder.conv1.weight": (96, 3, 3, 3, 3)}
    for number, width in zip((0, 3, 6, 9), (96, 192, 384, 384), strict=True):
        wide[f"encoder.downsamples.{number}.residual.2.weight"] = (width, 96, 3, 3, 3)
    infos = {key: TensorInfo("BF16", shape) for key, shape in (shapes | wide).items()}

    spec = read_lone_vae(Header(Path("qwen_image_vae.safetensors"), infos, {}))

    assert spec.network.config == {
        "base_dim": 96,
        "z_dim": 16,
        "dim_mult": [1, 2, 4, 4],
        "num_res_blocks": 2,
        "temperal_downsample": [False, True, True],
        "input_channels": 3,
    }
    assert (spec.latent.channels, spec.latent.downscale) == (16, 8)


LORA = {
    "transformer_blocks.0.attn.to_q": (64, 64),
    "transformer_blocks.1.attn.add_k_proj": (64, 64),
    "transformer_blocks.1.attn.to_out.0": (64, 64),
    "transformer_blocks.0.img_mlp.net.0.proj": (256, 64),
    "transformer_blocks.1.txt_mod.1": (384, 64),
}


def test_a_lora_has_the_effect_that_it_has_in_diffusers(bench, pipeline):
    model = unet_loader(MODEL, "default", bench)
    clip = clip_loader(TEXT, "qwen_image", ctx=bench)
    tensors = lora(5, LORA)
    write(bench.root / "models/loras/a.safetensors", tensors)
    bench.notices.clear()

    changed = lora_loader_model_only(model, "a.safetensors", bench, 1.0)
    text = clip_text_encode("a fox", clip, bench)
    found, plain = (sampled(bench, each, text, text, 1.0) for each in (changed, model))

    assert not bench.notices
    assert (found - plain).std() / plain.std() > 0.02
    factors = cast("Any", QwenImagePipeline).lora_state_dict(dict(tensors))
    with merged(pipeline.transformer, in_float32(factors)):
        expected = theirs(pipeline, model, "a fox")
    assert_close(model.latent_format.to_model(found), expected)


@pytest.mark.parametrize(
    "name",
    [
        "transformer_blocks.0.attn.to_q",
        "transformer.transformer_blocks.0.attn.to_out.0",
        "diffusion_model.transformer_blocks.0.attn.add_v_proj",
        "base_model.model.transformer_blocks.0.attn.to_add_out",
        "lora_unet_transformer_blocks_0_attn_to_out_0",
        "lycoris_transformer_blocks_0_attn_add_k_proj",
    ],
)
def test_the_names_of_trainers_are_known(bench, name):
    model = unet_loader(MODEL, "default", bench)
    write(bench.root / f"models/loras/{name}.safetensors", lora(7, {name: (64, 64)}))
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

    assert sampled(bench, model, text_of(WIDTH), text_of(WIDTH), 1.0, (7, 5)).shape == (1, 16, 7, 5)


def test_a_text_of_another_family_is_told(bench):
    model = unet_loader(MODEL, "default", bench)
    text = Conditioning((Cond(torch.zeros(1, 5, 768)),))

    with pytest.raises(WrongConditioningError, match=r"768.*3584"):
        sampled(bench, model, text, text, 1.0)


def test_guidance_by_a_text_of_another_length_is_that_of_each_alone(bench):
    model = unet_loader(MODEL, "default", bench)
    assert_rows_are_independent(model, WIDTH)

    positive, negative = text_of(WIDTH, 9), text_of(WIDTH, 4)
    guided = sampled(bench, model, positive, negative, 3.0)
    assert not torch.allclose(guided, sampled(bench, model, positive, positive, 3.0), atol=1e-2)


def test_quantised_files_are_close(tmp_path):
    assert_quantised_files_are_close(tmp_path, small_qwen_image())


def test_the_published_model_is_read_from_its_shapes():
    width, head = 3072, 128
    shapes = {
        "img_in.weight": (width, 64),
        "txt_in.weight": (width, WIDTH),
        "proj_out.weight": (64, width),
        "transformer_blocks.0.attn.norm_q.weight": (head,),
        **{f"transformer_blocks.{n}.img_mod.1.weight": (6 * width, width) for n in range(60)},
    }
    for prefix in ("", "model.diffusion_model."):
        infos = {prefix + key: TensorInfo("BF16", shape) for key, shape in shapes.items()}

        model = architecture_of(Header(Path("q.safetensors"), infos, {})).model

        assert model.network.config == {
            "in_channels": 64,
            "out_channels": 16,
            "num_layers": 60,
            "attention_head_dim": head,
            "num_attention_heads": 24,
            "joint_attention_dim": WIDTH,
            "axes_dims_rope": [16, 56, 56],
        }
        assert model.noise == FlowRules(mu=1.15, multiplier=1.0)


def test_a_mask_keeps_what_lies_outside(bench):
    model, vae = unet_loader(MODEL, "default", bench), vae_loader(VAE, bench)
    assert_a_mask_keeps_what_lies_outside(bench, model, vae, text_of(WIDTH))
