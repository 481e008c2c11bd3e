"""Lumina 2 gives what diffusers' pipeline does on the same weights, however they are stored."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_lumina2_to_diffusers as convert
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_lumina2 import Lumina2Transformer2DModel
from diffusers.pipelines.lumina2.pipeline_lumina2 import Lumina2Pipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)
from transformers.models.gemma2.configuration_gemma2 import Gemma2Config
from transformers.models.gemma2.modeling_gemma2 import Gemma2Model

from nodes.builtin.conditioning.prompts import clip_text_encode
from nodes.builtin.model.checkpoints import checkpoint_loader_simple, unet_loader, vae_loader
from nodes.builtin.model.errors import LoraMismatchError
from nodes.builtin.model.lora import lora_loader_model_only
from nodes.builtin.model.text_encoders import clip_loader
from nodes.models.families.base.spec import FlowRules
from nodes.models.families.denoisers.lumina2 import lumina2_table, recognises
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
from tests.tiny_models.language_models import small_gemma2
from tests.tiny_models.sentencepiece_models import gemma_tokenizer_of_transformers, pieces
from tests.tiny_models.whole_models import small_lumina2, tiny_lumina2

WHOLE = "NetaYumev35_pretrained_all_in_one.safetensors"
MODEL, TEXT, VAE = (
    "lumina_2_model_bf16.safetensors",
    "gemma_2_2b_fp16.safetensors",
    "ae.safetensors",
)
WIDTH = 2304
SYSTEM = (
    "You are an assistant designed to generate superior images with the superior degree of "
    "image-text alignment based on textual prompts or user prompts. <Prompt Start> "
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    tiny_lumina2(bench.root / "models")
    return bench


def in_their_names(tensors):
    """The weights of the transformer in diffusers' names.

    Its own converter takes the published sizes for granted; the names are the same.
    """
    found = {}
    for name, tensor in tensors.items():
        if name == "norm_final.weight":
            continue
        key = name
        for before, after in NAMES.items():
            key = key.replace(before, after)
        if key.startswith("context_refiner"):
            key = key.replace("norm1.norm", "norm1")
        if "qkv" in key:
            parts = tensor.split([72, 24, 24])
            found |= {key.replace("qkv", f"to_{n}"): p for n, p in zip("qkv", parts, strict=True)}
        else:
            found[key] = tensor
    return found


NAMES = {
    "cap_embedder": "time_caption_embed.caption_embedder",
    "t_embedder.mlp.0": "time_caption_embed.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "time_caption_embed.timestep_embedder.linear_2",
    "final_layer.adaLN_modulation.1": "norm_out.linear_1",
    "final_layer.linear": "norm_out.linear_2",
    "attention_norm1": "norm1.norm",
    "attention_norm2": "norm2",
    "attention": "attn",
    ".out.": ".to_out.0.",
    "k_norm": "norm_k",
    "q_norm": "norm_q",
    ".w1": ".linear_1",
    ".w2": ".linear_2",
    ".w3": ".linear_3",
    "adaLN_modulation.1": "norm1.linear",
}


@pytest.fixture(scope="module")
def pipeline():
    """Diffusers' pipeline on the same weights."""
    config = {
        "hidden_size": 72,
        "num_layers": 2,
        "num_refiner_layers": 1,
        "num_attention_heads": 6,
        "num_kv_heads": 2,
        "multiple_of": 144,
        "ffn_dim_multiplier": 0.5,
        "axes_dim_rope": [4, 4, 4],
        "axes_lens": [300, 64, 64],
        "cap_feat_dim": WIDTH,
    }
    transformer = Lumina2Transformer2DModel(**cast("Any", config))
    transformer.load_state_dict(in_float32(in_their_names(small_lumina2())))
    text = Gemma2Model(
        Gemma2Config(
            vocab_size=len(pieces()),
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=1,
            num_key_value_heads=1,
        )
    )
    weights = small_gemma2()
    del weights["spiece_model"]
    text.load_state_dict(in_float32({key.removeprefix("model."): t for key, t in weights.items()}))
    levels: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": (32,) * 4,
    }
    made = Lumina2Pipeline(
        transformer.eval(),
        FlowMatchEulerDiscreteScheduler(),
        AutoencoderKL(**levels),
        text.eval(),
        cast("Any", gemma_tokenizer_of_transformers()),
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
        guidance_scale=cfg,
        cfg_normalization=False,
        latents=noise,
        output_type="latent",
    ).images


@pytest.mark.parametrize("cfg", [1.0, 4.0])
def test_latents_are_those_of_the_pipeline(bench, pipeline, cfg):
    model, clip, _ = checkpoint_loader_simple(WHOLE, bench)
    texts = ["a fox\n in snow", "blurry"]

    positive = clip_text_encode(SYSTEM + texts[0], clip, bench)
    negative = clip_text_encode(texts[1], clip, bench)
    found = sampled(bench, model, positive, negative, cfg)

    embeds, mask, others, other_mask = pipeline.encode_prompt(texts[0], negative_prompt=texts[1])
    for mine, other, kept in ((positive, embeds, mask), (negative, others, other_mask)):
        expected = other[kept.bool()][None]
        torch.testing.assert_close(mine.conds[0].tokens, expected, rtol=0, atol=1e-4)
    assert_close(model.latent_format.to_model(found), theirs(pipeline, model, texts, cfg))


def test_a_lora_has_the_names_and_the_effect_that_it_has_in_diffusers(bench, pipeline):
    model = unet_loader(MODEL, "default", bench)
    clip = clip_loader(TEXT, "lumina2", ctx=bench)
    targets = {
        "layers.0.attn.to_q": (72, 72),
        "layers.1.attn.to_v": (24, 72),
        "layers.1.feed_forward.linear_2": (72, 144),
        "noise_refiner.0.attn.to_out.0": (72, 72),
        "layers.1.norm1.linear": (288, 72),
    }
    tensors = {
        key.replace("lora_down", "lora_A").replace("lora_up", "lora_B"): tensor
        for key, tensor in lora(
            5, {f"transformer.{n}": shape for n, shape in targets.items()}
        ).items()
        if not key.endswith("alpha")
    }
    write(bench.root / "models/loras/a.safetensors", tensors)

    changed = lora_loader_model_only(model, "a.safetensors", bench, 1.0)
    text = clip_text_encode(SYSTEM + "a fox", clip, bench)
    found, plain = (sampled(bench, each, text, text, 1.0) for each in (changed, model))

    assert not bench.notices
    assert (found - plain).std() / plain.std() > 0.1
    with merged(pipeline.transformer, in_float32(tensors)):
        expected = theirs(pipeline, model, ["a fox", ""], 1.0)
    assert_close(model.latent_format.to_model(found), expected)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("lora_unet_layers_0_attention_qkv", (120, 72)),
        ("lora_unet_layers_0_attn_to_v", (24, 72)),
        ("diffusion_model.layers.0.attention.out", (72, 72)),
        ("diffusion_model.layers.1.feed_forward.w1", (144, 72)),
        ("lycoris_context_refiner_0_attention_out", (72, 72)),
        ("diffusion_model.layers.1.adaLN_modulation.1", (288, 72)),
        ("base_model.model.cap_embedder.1", (72, WIDTH)),
        ("lora_unet_final_layer_linear", (64, 72)),
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
    write(bench.root / "models/loras/flux.safetensors", lora(7, {name: (192, 72)}))

    with pytest.raises(LoraMismatchError, match="FLUX"):
        lora_loader_model_only(model, "flux.safetensors", bench, 1.0)


def test_a_size_off_the_grid_is_padded_and_cut(bench):
    model = unet_loader(MODEL, "default", bench)
    text = text_of(WIDTH)

    assert sampled(bench, model, text, text, 1.0, (7, 5)).shape == (1, 16, 7, 5)


def test_a_text_longer_than_diffusers_table_is_read(bench):
    model = unet_loader(MODEL, "default", bench)
    text = text_of(WIDTH, 400)

    assert sampled(bench, model, text, text, 1.0).isfinite().all()


def test_a_text_of_another_family_is_told(bench):
    model = unet_loader(MODEL, "default", bench)
    text = Conditioning((Cond(torch.zeros(1, 5, 768)),))

    with pytest.raises(WrongConditioningError, match=r"768.*2304"):
        sampled(bench, model, text, text, 1.0)


def test_several_rows_give_what_one_gives(bench):
    assert_rows_are_independent(unet_loader(MODEL, "default", bench), WIDTH)


def test_quantised_files_are_close(tmp_path):
    assert_quantised_files_are_close(tmp_path, small_lumina2())


def published(width=2304, head=96, heads=(24, 8)):
    """The shapes that Lumina-Image 2.0 is read from."""
    fused = (heads[0] + 2 * heads[1]) * head
    return {
        "x_embedder.weight": (width, 64),
        "cap_embedder.1.weight": (width, 2304),
        "layers.0.attention.q_norm.weight": (head,),
        "layers.0.feed_forward.w1.weight": (9216, width),
        **{f"layers.{n}.attention.qkv.weight": (fused, width) for n in range(26)},
        **{f"noise_refiner.{n}.attention.qkv.weight": (fused, width) for n in range(2)},
    }


def test_the_published_model_is_read_from_its_shapes():
    infos = {
        f"model.diffusion_model.{key}": TensorInfo("BF16", shape)
        for key, shape in published().items()
    }

    model = architecture_of(Header(Path("a.safetensors"), infos, {})).model

    assert model.family == "lumina2"
    assert model.network.config == {
        "in_channels": 16,
        "hidden_size": 2304,
        "num_layers": 26,
        "num_refiner_layers": 2,
        "num_attention_heads": 24,
        "num_kv_heads": 8,
        "multiple_of": 9216,
        "ffn_dim_multiplier": 1.0,
        "axes_dim_rope": [32, 32, 32],
        "cap_feat_dim": 2304,
    }
    assert model.noise == FlowRules(shift=6.0, multiplier=1.0)


def test_names_are_those_of_diffusers_converter():
    shapes = published()
    shapes = {key: shape for key, shape in shapes.items() if ".0." in key or "layers" not in key}
    for block in ("layers.0", "noise_refiner.0", "context_refiner.0"):
        shapes |= {
            f"{block}.attention.qkv.weight": (3840, 2),
            f"{block}.attention.out.weight": (2, 2),
            f"{block}.attention_norm1.weight": (2,),
            f"{block}.adaLN_modulation.1.bias": (2,),
            f"{block}.feed_forward.w3.weight": (2, 2),
        }
    del shapes["context_refiner.0.adaLN_modulation.1.bias"]
    original = {key: torch.zeros(shape) for key, shape in shapes.items()}

    theirs = {key: tuple(t.shape) for key, t in convert(dict(original)).items()}

    table = lumina2_table(theirs, "")
    assert {source.key for source in table.values()} == original.keys()
    for key, source in table.items():
        rows = source.share(shapes[source.key][0])
        assert theirs[key] == (rows, *shapes[source.key][1:])


def test_the_vae_and_a_mask_work_with_it(bench):
    model, vae = unet_loader(MODEL, "default", bench), vae_loader(VAE, bench)
    assert_a_mask_keeps_what_lies_outside(bench, model, vae, text_of(WIDTH))


def test_z_image_is_another_family():
    with_padding = small_lumina2() | {"x_pad_token": torch.zeros(1, 72)}
    infos = {key: TensorInfo("F16", tuple(t.shape)) for key, t in with_padding.items()}

    assert not recognises(Header(Path("a.safetensors"), infos, {}))
