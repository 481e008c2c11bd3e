"""Krea 2 gives what diffusers' pipeline does on the same weights, however they are stored."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from diffusers.loaders.single_file_utils import (
    convert_krea2_transformer_checkpoint_to_diffusers,
    convert_wan_vae_to_diffusers,
)
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage
from diffusers.models.transformers.transformer_krea2 import Krea2Transformer2DModel
from diffusers.pipelines.krea2.pipeline_krea2 import Krea2Pipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)
from torch.nn.functional import gelu
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLModel

from nodes.builtin.conditioning.prompts import clip_text_encode
from nodes.builtin.latent.latents import empty_latent_image
from nodes.builtin.latent.vae import vae_decode, vae_encode
from nodes.builtin.model.checkpoints import checkpoint_loader_simple
from nodes.builtin.model.errors import LoraMismatchError
from nodes.builtin.model.lora import lora_loader_model_only
from nodes.builtin.model.text_encoders import clip_loader
from nodes.builtin.sampling.ksampler import ksampler
from nodes.models.families.base.language_records import QWEN3_VL
from nodes.models.families.base.spec import FlowRules
from nodes.models.families.errors import TextEncoderError
from nodes.models.families.registry import architecture_of
from nodes.models.loading.forward import denoise, prepare
from nodes.models.networks.base.errors import (
    ChannelMismatchError,
    ReferenceMethodError,
    WrongConditioningError,
)
from nodes.models.networks.base.patchify import patchify, unpatchify
from nodes.models.weights.header import Header, TensorInfo
from nodes.preflight import models as preflight
from nodes.values import Cond, CondBatch, Conditioning
from tests.nodes.bench import Bench
from tests.nodes.models.family_checks import (
    STEPS,
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
from tests.tiny_models.folders import whole_krea2
from tests.tiny_models.language_models import (
    BYTES,
    small_qwen3,
    small_qwen3_vl,
    their_tokenizer,
)

FILE = "krea2.safetensors"
MODEL, VAE = "model.diffusion_model.", "first_stage_model."
TEXT = "text_encoders.qwen3vl_4b.transformer.model."
TAPPED = 12 * 32


def below(prefix):
    """The tensors of one network of the checkpoint, in float32."""
    tensors = whole_krea2(288).items()
    return {k.removeprefix(prefix): t.float() for k, t in tensors if k.startswith(prefix)}


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    write(bench.root / f"models/checkpoints/{FILE}", whole_krea2(288), BYTES)
    return bench


@pytest.fixture(scope="module")
def parts(bench):
    return checkpoint_loader_simple(FILE, bench)


@pytest.fixture(scope="module")
def pipeline():
    """Diffusers' pipeline on the same weights, read by its own converters."""
    config: dict[str, Any] = {
        "num_layers": 2,
        "attention_head_dim": 16,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "text_hidden_dim": 32,
        "text_num_attention_heads": 2,
        "text_num_key_value_heads": 1,
        "text_intermediate_size": 48,
        "num_layerwise_text_blocks": 1,
        "num_refiner_text_blocks": 1,
        "axes_dims_rope": (4, 6, 6),
    }
    transformer = Krea2Transformer2DModel(**config)
    transformer.load_state_dict(convert_krea2_transformer_checkpoint_to_diffusers(below(MODEL)))
    vae = AutoencoderKLQwenImage(base_dim=8)
    vae.load_state_dict(in_float32(convert_wan_vae_to_diffusers(below(VAE))))
    made = Krea2Pipeline(
        FlowMatchEulerDiscreteScheduler(),
        vae.eval(),
        their_text(),
        cast("Any", their_tokenizer()),
        transformer.eval(),
    )
    made.set_progress_bar_config(disable=True)
    return made


def their_text():
    """The whole model with its eyes, which no text is seen by."""
    sizes: dict[str, Any] = {
        "vocab_size": 288,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 36,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "rope_parameters": dict(QWEN3_VL.constants["rope_parameters"]),
    }
    eyes = {"depth": 1, "hidden_size": 16, "num_heads": 2, "out_hidden_size": 32}
    deep = {"deepstack_visual_indexes": [0], "intermediate_size": 16}
    config = Qwen3VLConfig(text_config=cast("Any", sizes), vision_config=cast("Any", eyes | deep))
    whole = Qwen3VLModel(config)
    whole.language_model.load_state_dict(below(TEXT))
    return whole.eval()


def theirs(pipeline, model, prompt, guidance=0.0, negative=None):
    """The latents of diffusers from the same noise, at the same levels."""
    noise, sigmas = start_of(model)
    found = pipeline(
        prompt=prompt,
        negative_prompt=negative,
        height=64,
        width=48,
        sigmas=sigmas,
        guidance_scale=guidance,
        latents=pipeline._pack_latents(noise, 1, 16, 8, 6),
        output_type="latent",
    ).images
    return pipeline._unpack_latents(found, 64, 48)[:, :, 0]


def test_texts_and_latents_are_those_of_the_pipeline(bench, parts, pipeline):
    model, clip, _ = parts
    prompt = "a (red:1.3) fox\n in snow"

    text = clip_text_encode(prompt, clip, bench)
    found = sampled(bench, model, text, text, 1.0)

    states, mask = pipeline.encode_prompt(prompt)
    expected = states[mask].flatten(1)[None]
    torch.testing.assert_close(text.conds[0].tokens, expected, rtol=0, atol=1e-4)
    assert_close(model.latent_format.to_model(found), theirs(pipeline, model, prompt))


def test_guidance_is_one_more_than_the_pipelines(bench, parts, pipeline):
    model, clip, _ = parts
    positive = clip_text_encode("a fox", clip, bench)
    negative = clip_text_encode("blurry, grey", clip, bench)

    found = sampled(bench, model, positive, negative, 4.5)

    expected = theirs(pipeline, model, "a fox", 3.5, "blurry, grey")
    assert_close(model.latent_format.to_model(found), expected)


def test_the_levels_are_those_of_turbo(parts, pipeline):
    _, sigmas = start_of(parts.MODEL)

    scheduler = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15
    )
    scheduler.set_timesteps(sigmas=[1 - n / STEPS for n in range(STEPS)], mu=1.15)
    expected = cast("torch.Tensor", scheduler.sigmas)[:-1]
    torch.testing.assert_close(torch.tensor(sigmas), expected, rtol=0, atol=1e-3)


def test_the_vae_is_that_of_diffusers(bench, parts, pipeline):
    picture = torch.rand(1, 32, 48, 3)

    latent = vae_encode(picture, parts.VAE, bench)
    image = vae_decode(latent, parts.VAE, bench)

    frames = (picture * 2 - 1).movedim(-1, 1).unsqueeze(2)
    expected = pipeline.vae.encode(frames).latent_dist.mean
    assert_close(latent.samples, expected[:, :, 0])
    pixels = pipeline.vae.decode(expected).sample[:, :, 0].movedim(1, -1)
    torch.testing.assert_close(image, pixels / 2 + 0.5, rtol=0, atol=1e-4)


LORA = {
    "blocks.0.attn.wq": (64, 64),
    "blocks.1.attn.wk": (32, 64),
    "blocks.0.attn.gate": (64, 64),
    "blocks.1.mlp.down": (64, 48),
    "txtfusion.layerwise_blocks.0.attn.wo": (32, 32),
    "txtfusion.projector": (1, 12),
    "tproj.1": (384, 64),
}


@pytest.mark.parametrize("prefix", ["diffusion_model.", "base_model.model."])
def test_a_lora_has_the_effect_that_it_has_in_diffusers(bench, parts, pipeline, prefix):
    kohya = lora(5, {prefix + name: shape for name, shape in LORA.items()})
    tensors = {
        key.replace("lora_down", "lora_A").replace("lora_up", "lora_B"): tensor
        for key, tensor in kohya.items()
        if "alpha" not in key
    }
    write(bench.root / "models/loras/a.safetensors", tensors)
    bench.notices.clear()

    changed = lora_loader_model_only(parts.MODEL, "a.safetensors", bench, 1.0)
    text = clip_text_encode("a fox", parts.CLIP, bench)
    found, plain = (sampled(bench, each, text, text, 1.0) for each in (changed, parts.MODEL))

    assert not bench.notices
    assert (found - plain).std() / plain.std() > 0.02
    factors = cast("Any", Krea2Pipeline).lora_state_dict(dict(tensors))
    with merged(pipeline.transformer, in_float32(factors)):
        expected = theirs(pipeline, parts.MODEL, "a fox")
    assert_close(parts.MODEL.latent_format.to_model(found), expected)


@pytest.mark.parametrize(
    "name",
    [
        "blocks.0.attn.wo",
        "diffusion_model.blocks.0.attn.gate",
        "base_model.model.blocks.0.attn.wq",
        "lora_unet_blocks_0_attn_wo",
        "transformer_blocks.0.attn.to_gate",
        "transformer.transformer_blocks.0.attn.to_out.0",
    ],
)
def test_the_names_of_trainers_are_known(bench, parts, name):
    write(bench.root / f"models/loras/{name}.safetensors", lora(7, {name: (64, 64)}))
    bench.notices.clear()

    changed = lora_loader_model_only(parts.MODEL, f"{name}.safetensors", bench, 1.0)

    assert not bench.notices
    assert not torch.allclose(denoised(changed), denoised(parts.MODEL), atol=1e-3)


def test_a_lora_of_another_family_is_told(bench, parts):
    name = "lora_unet_double_blocks_0_img_attn_qkv"
    write(bench.root / "models/loras/flux.safetensors", lora(7, {name: (192, 64)}))

    with pytest.raises(LoraMismatchError, match="FLUX"):
        lora_loader_model_only(parts.MODEL, "flux.safetensors", bench, 1.0)


def with_references(text, method, *latents):
    extras = {"reference_latents": latents, "reference_latents_method": method}
    return Conditioning(tuple(replace(each, extras=extras) for each in text.conds))


@pytest.mark.parametrize("method", ["index_timestep_zero", "index"])
def test_references_are_read_at_time_zero_or_the_pictures(parts, pipeline, method):
    """Diffusers' modules modulate each token by itself, if they are given as many times."""
    model, theirs = parts.MODEL, pipeline.transformer
    x, sigma = torch.linspace(-2, 2, 16 * 48).reshape(1, 16, 8, 6), torch.tensor([0.6])
    references = [torch.linspace(-1, 2, 16 * n).reshape(1, 16, 4, n // 4) for n in (16, 24)]
    text = text_of(TAPPED)

    cond = prepare(model, with_references(text, method, *references).conds[0], (8, 6))
    found = denoise(model, x, sigma, CondBatch(cond.tokens, None, cond.extras))

    scaled = [x, *(model.latent_format.to_model(each) for each in references)]
    seen = torch.cat([patchify(each) for each in scaled], dim=1)
    ids = [pipeline.prepare_position_ids(5, 4, 3, "cpu")]
    for number, (rows, columns) in enumerate(((2, 2), (2, 3)), 1):
        ids.append(pipeline.prepare_position_ids(0, rows, columns, "cpu"))
        ids[-1][:, 0] = number
    other = 0.0 if method == "index_timestep_zero" else 0.6
    levels = torch.cat([sigma.expand(5 + 12), torch.full((4 + 6,), other)])
    expected = x - 0.6 * unpatchify(by_token(theirs, seen, text, levels, torch.cat(ids)), 8)
    assert_close(found, expected)


@torch.no_grad()
def by_token(theirs, patches, text, levels, ids):
    """The velocity of the picture's patches by diffusers' modules, with a time for each token."""
    states = text.conds[0].tokens.unflatten(-1, (12, 32))
    times = theirs.time_embed(levels, dtype=torch.float32).transpose(0, 1)
    modulation = theirs.time_mod_proj(gelu(times, approximate="tanh"))
    turns = theirs.rotary_emb(ids)
    hidden = torch.cat([theirs.txt_in(theirs.text_fusion(states)), theirs.img_in(patches)], dim=1)
    for block in theirs.transformer_blocks:
        hidden = block(hidden, modulation, turns)
    return theirs.final_layer(hidden[:, 5:], times[:, :1])[:, :12]


def test_a_method_of_other_models_and_a_reference_of_another_family_are_told(bench, parts):
    text = text_of(TAPPED)

    method = with_references(text, "uxo/uno", torch.zeros(1, 16, 4, 4))
    family = with_references(text, "index", torch.zeros(1, 4, 4, 4))

    with pytest.raises(ReferenceMethodError, match="uxo/uno"):
        sampled(bench, parts.MODEL, method, method, 1.0)
    with pytest.raises(ChannelMismatchError, match="4"):
        sampled(bench, parts.MODEL, family, family, 1.0)


def test_a_size_off_the_grid_is_padded_and_cut(bench, parts):
    text = text_of(TAPPED)

    assert sampled(bench, parts.MODEL, text, text, 1.0, (7, 5)).shape == (1, 16, 7, 5)


def test_a_text_of_another_family_is_told(bench, parts):
    text = Conditioning((Cond(torch.zeros(1, 5, 2560)),))

    with pytest.raises(WrongConditioningError, match=r"2560.*384"):
        sampled(bench, parts.MODEL, text, text, 1.0)


def test_rows_of_a_batch_are_independent(parts):
    assert_rows_are_independent(parts.MODEL, TAPPED)


def test_quantised_files_are_close(tmp_path):
    prefix = "model.diffusion_model."
    tensors = {key: t for key, t in whole_krea2(288).items() if key.startswith(prefix)}
    assert_quantised_files_are_close(tmp_path, tensors)


def test_a_mask_keeps_what_lies_outside(bench, parts):
    assert_a_mask_keeps_what_lies_outside(bench, parts.MODEL, parts.VAE, text_of(TAPPED))


def test_the_published_model_is_read_from_its_shapes():
    width, text = 6144, 2560
    fusion = "txtfusion.layerwise_blocks.{}."
    shapes = {
        "first.weight": (width, 64),
        "tmlp.0.weight": (width, 256),
        "txtmlp.1.weight": (width, text),
        "txtfusion.projector.weight": (1, 12),
        "blocks.0.attn.qknorm.qnorm.scale": (128,),
        "blocks.0.attn.wk.weight": (1536, width),
        "blocks.0.mlp.gate.weight": (16384, width),
        f"{fusion.format(0)}attn.qknorm.qnorm.scale": (128,),
        f"{fusion.format(0)}attn.wk.weight": (text, text),
        f"{fusion.format(0)}mlp.gate.weight": (6912, text),
        **{f"{fusion.format(n)}attn.wq.weight": (text, text) for n in range(2)},
        **{f"txtfusion.refiner_blocks.{n}.attn.wq.weight": (text, text) for n in range(2)},
        **{f"blocks.{n}.attn.wq.weight": (width, width) for n in range(28)},
    }
    published = {
        "in_channels": 64,
        "num_layers": 28,
        "attention_head_dim": 128,
        "num_attention_heads": 48,
        "num_key_value_heads": 12,
        "intermediate_size": 16384,
        "timestep_embed_dim": 256,
        "text_hidden_dim": text,
        "num_text_layers": 12,
        "text_num_attention_heads": 20,
        "text_num_key_value_heads": 20,
        "text_intermediate_size": 6912,
        "num_layerwise_text_blocks": 2,
        "num_refiner_text_blocks": 2,
        "axes_dims_rope": [32, 48, 48],
    }
    for prefix in ("", "model.diffusion_model."):
        infos = {prefix + key: TensorInfo("BF16", shape) for key, shape in shapes.items()}

        model = architecture_of(Header(Path("k.safetensors"), infos, {})).model

        assert model.network.config == published
        assert model.noise == FlowRules(mu=1.15, multiplier=1.0)


@pytest.fixture(scope="module")
def encoders(bench):
    """Files of text encoders alone: Qwen3-VL 4B with eyes and without, and of another size."""
    folder = bench.root / "models/text_encoders"
    seeing = small_qwen3_vl(layers=36, inner=16)
    write(folder / "seeing.safetensors", seeing, BYTES)
    blind = {key: tensor for key, tensor in seeing.items() if "visual" not in key}
    write(folder / "blind.safetensors", blind, BYTES)
    write(folder / "large.safetensors", small_qwen3(4096), BYTES)
    return bench


def test_the_loader_tells_what_it_takes_for_granted(encoders):
    texts: list[torch.Tensor] = []
    told: list[list[str]] = []
    for name, kind in (("seeing", "krea2"), ("seeing", "stable_diffusion"), ("blind", "krea2")):
        encoders.notices.clear()
        file = f"{name}.safetensors"
        preflight.text_encoder({"clip_name": file, "type": kind}, encoders.files)
        clip = clip_loader(file, kind, ctx=encoders)
        texts.append(clip_text_encode("a fox", clip, encoders).conds[0].tokens)
        told.append(list(encoders.notices))

    assert torch.equal(texts[0], texts[1])
    assert torch.equal(texts[0], texts[2])
    assert texts[0].shape[-1] == 12 * 2560
    assert told[:2] == [[], []]
    assert len(told[2]) == 1
    assert "blind.safetensors is read as qwen3_vl_4b" in told[2][0]


def test_an_encoder_of_another_family_or_size_is_told(encoders):
    with pytest.raises(TextEncoderError, match=r"holds qwen3_8b, which type 'krea2'") as told:
        clip_loader("large.safetensors", "krea2", ctx=encoders)
    with pytest.raises(TextEncoderError, match=r"holds qwen3_vl_4b, which type 'lumina2'"):
        clip_loader("seeing.safetensors", "lumina2", ctx=encoders)

    assert told.value.hint == "It uses qwen3_vl_4b."


def test_a_canvas_of_four_channels_is_as_good(bench, parts):
    """Published workflows begin with `EmptyLatentImage`."""
    text = text_of(TAPPED)
    found = ksampler(
        model=parts.MODEL, seed=3, steps=STEPS, cfg=1.0, sampler_name="euler", scheduler="simple",
        positive=text, negative=text, latent_image=empty_latent_image(48, 64), ctx=bench,
    ).samples  # fmt: skip

    assert torch.equal(found, sampled(bench, parts.MODEL, text, text, 1.0))
