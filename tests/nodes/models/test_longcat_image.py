"""LongCat-Image gives what diffusers' pipeline does on the same weights, in any file."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_longcat_image import LongCatImageTransformer2DModel
from diffusers.pipelines.longcat_image.pipeline_longcat_image import (
    LongCatImagePipeline,
    split_quotation,
)
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)

from nodes.builtin.conditioning.prompts import clip_text_encode
from nodes.builtin.model.checkpoints import unet_loader, vae_loader
from nodes.builtin.model.errors import LoraMismatchError
from nodes.builtin.model.lora import lora_loader_model_only
from nodes.builtin.model.text_encoders import clip_loader
from nodes.models.families.base.spec import FlowRules
from nodes.models.families.denoisers.longcat_image import longcat_image_table
from nodes.models.families.registry import architecture_of
from nodes.models.networks.base.errors import WrongConditioningError
from nodes.models.networks.base.patchify import patchify
from nodes.models.text.chunks import PromptReader
from nodes.models.text.quotations import quoted_pieces
from nodes.models.text.qwen_tokenizer import qwen2_tokenizer
from nodes.models.weights.header import Header, TensorInfo
from nodes.models.weights.key_convert import from_file
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
from tests.nodes.models.qwen_image_theirs import their_text
from tests.tiny_models.checkpoints import lora, write
from tests.tiny_models.compare import NO_WORDS, denoised
from tests.tiny_models.language_models import their_tokenizer
from tests.tiny_models.whole_models import small_longcat_image, tiny_longcat_image

MODEL, VAE = "longcat_image_bf16.safetensors", "ae.safetensors"
TEXT, KIND = "qwen_2.5_vl_7b_fp8_scaled.safetensors", "longcat_image"
WIDTH = 3584
CHAT_LENGTH = 36


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    tiny_longcat_image(bench.root / "models")
    return bench


@pytest.fixture(scope="module")
def pipeline():
    """Diffusers' pipeline on the same weights.

    Its chat is cut after as many tokens as the published tokenizer makes of it; the rest goes
    before a prompt, as the tiny tokenizer makes more tokens.
    """
    config: dict[str, Any] = {
        "num_layers": 2,
        "num_single_layers": 2,
        "attention_head_dim": 32,
        "num_attention_heads": 2,
        "axes_dims_rope": [4, 14, 14],
    }
    transformer = LongCatImageTransformer2DModel(**config)
    stored = small_longcat_image()
    table = longcat_image_table(transformer.state_dict(), "")
    weights = {key: from_file(source, stored[source.key]) for key, source in table.items()}
    transformer.load_state_dict(in_float32(weights))
    levels: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": (32,) * 4,
    }
    made = LongCatImagePipeline(
        FlowMatchEulerDiscreteScheduler(),
        AutoencoderKL(**levels),
        their_text(),
        cast("Any", their_tokenizer()),
        cast("Any", None),
        transformer.eval(),
    )
    made.set_progress_bar_config(disable=True)
    chat = made.prompt_template_encode_prefix
    assert len(qwen2_tokenizer().encode(chat)) == CHAT_LENGTH
    made.prompt_template_encode_prefix, rest = split_at(chat, CHAT_LENGTH)
    return made, rest


def theirs(pipeline, model, texts, cfg):
    """The latents of diffusers from the same noise, at the same levels, as patches."""
    noise, sigmas = start_of(model)
    made, rest = pipeline
    return made(
        prompt=rest + texts[0],
        negative_prompt=rest + texts[1],
        height=64,
        width=48,
        sigmas=sigmas,
        guidance_scale=cfg,
        latents=patchify(noise),
        output_type="latent",
        enable_cfg_renorm=False,
        enable_prompt_rewrite=False,
    ).images


def test_latents_are_those_of_the_pipeline(bench, pipeline):
    model = unet_loader(MODEL, "default", bench)
    clip = clip_loader(TEXT, KIND, ctx=bench)
    texts = ['a (red:1.3) sign: "fox\'s den"\n in snow', "blurry"]

    conds = [clip_text_encode(text, clip, bench) for text in texts]
    found = sampled(bench, model, conds[0], conds[1], 4.0)

    made, rest = pipeline
    other, _ = made.encode_prompt(rest + texts[0])
    torch.testing.assert_close(conds[0].conds[0].tokens, other, rtol=0, atol=1e-4)
    assert_close(patchify(model.latent_format.to_model(found)), theirs(pipeline, model, texts, 4.0))


def split_at(text, tokens):
    """A text cut after so many of its tiny tokenizer's tokens: names of special ones, or bytes."""
    tokenizer = their_tokenizer()
    first = str(tokenizer.decode(tokenizer(text).input_ids[:tokens]))
    return first, text.removeprefix(first)


@pytest.mark.parametrize(
    "text",
    [
        "plain text",
        "write 'Hello' on it",
        'a "sign" and “another” and \u2018one\u2019 more',
        "don't say 'never' or \"don't\"",
        "rock'n'roll 'x' ' y",
        "'all'",
        "",
        '“open and "closed" “a“b”',
        "中文“你好”世界",
    ],
)
def test_quotations_are_split_as_in_diffusers(text):
    theirs = [
        piece for part, quoted in split_quotation(text) for piece in (part if quoted else (part,))
    ]

    assert list(quoted_pieces(text)) == theirs


def test_several_words_with_apostrophes_stay_whole():  # diffusers confuses them
    assert list(quoted_pieces("don't, can't, 'a'")) == ["don't, can't, ", "'", "a", "'"]


def test_letters_of_quotations_are_tokens_of_their_own(bench):
    rules = clip_loader(TEXT, KIND, ctx=bench).text.encoders[0].rules
    published = qwen2_tokenizer()

    (chunk,) = PromptReader(published, rules, WIDTH, NO_WORDS).chunks('says "hello"')

    spelt = [number for piece in ("says ", *'"hello"') for number in published.encode(piece)]
    ids = [token.id for token in chunk]
    assert ids[CHAT_LENGTH : CHAT_LENGTH + len(spelt)] == spelt
    assert len(spelt) > len(published.encode('says "hello"'))
    assert len(ids) == CHAT_LENGTH + 512


def test_a_lora_has_the_effect_that_it_has_in_diffusers(bench, pipeline):
    model = unet_loader(MODEL, "default", bench)
    targets = {
        "transformer_blocks.0.attn.to_q": (64, 64),
        "transformer_blocks.1.ff_context.net.2": (64, 256),
        "single_transformer_blocks.1.proj_mlp": (256, 64),
    }
    drawn = lora(5, {f"transformer.{name}": shape for name, shape in targets.items()})
    tensors = {
        key.replace("lora_down", "lora_A").replace("lora_up", "lora_B"): tensor
        for key, tensor in drawn.items()
        if not key.endswith("alpha")
    }
    write(bench.root / "models/loras/a.safetensors", tensors)

    changed = lora_loader_model_only(model, "a.safetensors", bench, 1.0)
    clip = clip_loader(TEXT, KIND, ctx=bench)
    text = clip_text_encode("a fox", clip, bench)
    found, plain = (sampled(bench, each, text, text, 1.0) for each in (changed, model))

    assert not bench.notices
    assert (found - plain).std() / plain.std() > 0.02
    with merged(pipeline[0].transformer, in_float32(tensors)):
        expected = theirs(pipeline, model, ["a fox", ""], 1.0)
    assert_close(patchify(model.latent_format.to_model(found)), expected)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("lora_unet_double_blocks_0_img_attn_qkv", (192, 64)),
        ("diffusion_model.single_blocks.1.linear1", (448, 64)),
        ("transformer.transformer_blocks.0.attn.add_q_proj", (64, 64)),
        ("lycoris_single_transformer_blocks_1_proj_out", (64, 320)),
        ("diffusion_model.txt_in", (64, WIDTH)),
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
    name = "lora_unet_layers_0_attention_qkv"
    write(bench.root / "models/loras/other.safetensors", lora(7, {name: (192, 64)}))

    with pytest.raises(LoraMismatchError, match="Z-Image"):
        lora_loader_model_only(model, "other.safetensors", bench, 1.0)


def test_a_size_off_the_grid_is_padded_and_cut(bench):
    model = unet_loader(MODEL, "default", bench)
    text = text_of(WIDTH)

    assert sampled(bench, model, text, text, 1.0, (7, 5)).shape == (1, 16, 7, 5)


def test_a_text_of_another_family_is_told(bench):
    model = unet_loader(MODEL, "default", bench)
    text = Conditioning((Cond(torch.zeros(1, 5, 768)),))

    with pytest.raises(WrongConditioningError, match=r"768.*3584"):
        sampled(bench, model, text, text, 1.0)


def test_several_rows_give_what_one_gives(bench):
    assert_rows_are_independent(unet_loader(MODEL, "default", bench), WIDTH)


def test_quantised_files_are_close(tmp_path):
    assert_quantised_files_are_close(tmp_path, small_longcat_image())


def test_the_published_model_is_read_from_its_shapes():
    shapes = {
        "img_in.weight": (3072, 64),
        "txt_in.weight": (3072, 3584),
        "time_in.in_layer.weight": (3072, 256),
        "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
        "double_blocks.0.img_mlp.0.weight": (12288, 3072),
        "double_blocks.0.img_mod.lin.weight": (18432, 3072),
        **{f"double_blocks.{n}.img_attn.qkv.weight": (9216, 3072) for n in range(10)},
        **{f"single_blocks.{n}.linear1.weight": (21504, 3072) for n in range(20)},
    }
    infos = {key: TensorInfo("BF16", shape) for key, shape in shapes.items()}

    model = architecture_of(Header(Path("a.safetensors"), infos, {})).model

    assert model.family == "longcat_image"
    assert model.network.config == {
        "in_channels": 64,
        "num_layers": 10,
        "num_single_layers": 20,
        "attention_head_dim": 128,
        "num_attention_heads": 24,
        "joint_attention_dim": 3584,
        "pooled_projection_dim": 3584,
        "axes_dims_rope": [16, 56, 56],
    }
    assert model.noise == FlowRules(multiplier=1.0, mu=1.15)


def test_the_vae_and_a_mask_work_with_it(bench):
    model, vae = unet_loader(MODEL, "default", bench), vae_loader(VAE, bench)
    assert_a_mask_keeps_what_lies_outside(bench, model, vae, text_of(WIDTH))
