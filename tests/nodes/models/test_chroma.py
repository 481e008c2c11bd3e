"""Chroma gives what diffusers' pipeline does on the same weights, however they are stored."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_chroma import ChromaTransformer2DModel
from diffusers.pipelines.chroma.pipeline_chroma import ChromaPipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast
from transformers.models.t5.configuration_t5 import T5Config
from transformers.models.t5.modeling_t5 import T5EncoderModel

from nodes.builtin.conditioning.family_prompts import t5_tokenizer_options
from nodes.builtin.conditioning.prompts import clip_text_encode
from nodes.builtin.model.checkpoints import checkpoint_loader_simple
from nodes.builtin.model.lora import lora_loader_model_only
from nodes.builtin.model.text_encoders import clip_loader
from nodes.models.families.base.spec import FlowRules
from nodes.models.families.errors import TextEncoderError
from nodes.models.families.registry import architecture_of
from nodes.models.networks.base.errors import WrongConditioningError
from nodes.models.text.t5_tokenizer import T5Tokenizer
from nodes.models.weights.header import Header, TensorInfo
from nodes.preflight import models as preflight
from nodes.values import Cond, Conditioning
from tests.nodes.bench import Bench
from tests.nodes.models.family_checks import (
    assert_a_mask_keeps_what_lies_outside,
    assert_close,
    assert_quantised_files_are_close,
    assert_rows_are_independent,
    merged,
    sampled,
    start_of,
    text_of,
)
from tests.tiny_models.checkpoints import lora, small_flux, small_t5, write
from tests.tiny_models.compare import denoised
from tests.tiny_models.folders import whole_chroma
from tests.tiny_models.language_models import BYTES, small_qwen3

FILE = "chroma.safetensors"
MODEL = "model.diffusion_model."
WIDTH = 64
pytestmark = pytest.mark.filterwarnings("ignore:.FluxPosEmbed.:FutureWarning")


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    write(bench.root / f"models/checkpoints/{FILE}", whole_chroma())
    return bench


@pytest.fixture(scope="module")
def parts(bench):
    return checkpoint_loader_simple(FILE, bench)


@pytest.fixture(scope="module")
def pipeline(parts):
    """Diffusers' pipeline on the same weights."""
    config: dict[str, Any] = {
        "num_layers": 2,
        "num_single_layers": 2,
        "attention_head_dim": 32,
        "num_attention_heads": 2,
        "joint_attention_dim": WIDTH,
        "axes_dims_rope": (4, 14, 14),
        "approximator_hidden_dim": 48,
        "approximator_layers": 2,
    }
    vae: dict[str, Any] = {
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "block_out_channels": [32] * 4,
    }
    transformer = ChromaTransformer2DModel(**config)
    transformer.load_state_dict(parts.MODEL.model.network.module().state_dict())
    made = ChromaPipeline(
        FlowMatchEulerDiscreteScheduler(),
        AutoencoderKL(**vae),
        their_text(parts),
        their_tokenizer(),
        transformer.eval(),
    )
    made.set_progress_bar_config(disable=True)
    return made


def their_text(parts):
    sizes: dict[str, Any] = {
        "vocab_size": 32128,
        "d_model": WIDTH,
        "d_kv": 64,
        "d_ff": 64,
        "num_layers": 2,
        "num_heads": 2,
        "feed_forward_proj": "gated-gelu",
    }
    whole = T5EncoderModel(T5Config(**sizes))
    whole.encoder.load_state_dict(parts.CLIP.text.encoders[0].network.module().state_dict())
    return whole.eval()


def their_tokenizer():
    tokenizer = T5Tokenizer.t5()._tokenizer
    whole = type(tokenizer).from_str(tokenizer.to_str())
    whole.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    made = PreTrainedTokenizerFast(tokenizer_object=whole, pad_token="<pad>", eos_token="</s>")
    return cast("Any", made)


def theirs(pipeline, model, prompt, guidance=1.0, negative=None):
    """The latents of diffusers from the same noise, at the same levels.

    Its masks of texts are floats, which attention adds to its scores, so that padding would still
    be attended to; those of Chroma's own code are boolean.
    """
    noise, sigmas = start_of(model)
    tokens, mask = pipeline._get_t5_prompt_embeds(prompt)
    others, other_mask = pipeline._get_t5_prompt_embeds(negative or "")
    found = pipeline(
        prompt_embeds=tokens,
        prompt_attention_mask=mask > 0,
        negative_prompt_embeds=others,
        negative_prompt_attention_mask=other_mask > 0,
        height=64,
        width=48,
        sigmas=sigmas,
        guidance_scale=guidance,
        latents=pipeline._pack_latents(noise, 1, 16, 8, 6),
        output_type="latent",
    ).images
    return pipeline._unpack_latents(found, 64, 48, 8)


def test_the_weights_are_those_of_diffusers_converter(parts):
    """Which knows but the published width, so that the fused matrix is cut here."""
    from diffusers.loaders import single_file_utils

    tensors = {k.removeprefix(MODEL): t for k, t in whole_chroma().items() if k.startswith(MODEL)}
    fused = {key: tensor for key, tensor in tensors.items() if ".linear1." in key}
    for key in fused:
        tensors[key] = torch.zeros(7 * 3072, *fused[key].shape[1:])
    convert = single_file_utils.convert_chroma_transformer_checkpoint_to_diffusers

    expected = convert(tensors)

    found = parts.MODEL.model.network.module().state_dict()
    assert found.keys() == expected.keys()
    for key, tensor in found.items():
        if tensor.shape == expected[key].shape:
            assert torch.equal(tensor, expected[key].float())
    for name, start in (("attn.to_q", 0), ("attn.to_k", 64), ("attn.to_v", 128), ("proj_mlp", 192)):
        found_rows = found[f"single_transformer_blocks.1.{name}.weight"]
        rows = fused["single_blocks.1.linear1.weight"][start : start + len(found_rows)]
        assert torch.equal(found_rows, rows.float())


@pytest.mark.parametrize("prompt", ["a red fox\n in snow", ""])
def test_texts_and_latents_are_those_of_the_pipeline(bench, parts, pipeline, prompt):
    model, clip, _ = parts

    text = clip_text_encode(prompt, clip, bench)
    found = sampled(bench, model, text, text, 1.0)

    expected, mask = pipeline._get_t5_prompt_embeds(prompt)
    torch.testing.assert_close(text.conds[0].tokens[0], expected[mask > 0], rtol=0, atol=1e-4)
    assert_close(model.latent_format.to_model(found), theirs(pipeline, model, prompt))


def test_guidance_is_that_of_the_pipeline(bench, parts, pipeline):
    model, clip, _ = parts
    positive = clip_text_encode("a fox", clip, bench)
    negative = clip_text_encode("a low quality sketch, blurred", clip, bench)

    found = sampled(bench, model, positive, negative, 3.5)

    expected = theirs(pipeline, model, "a fox", 3.5, "a low quality sketch, blurred")
    assert_close(model.latent_format.to_model(found), expected)


def test_a_workflow_may_pad_texts_differently(bench, parts):
    def tokens(padding, least):
        clip = t5_tokenizer_options(parts.CLIP, padding, least, ctx=bench)
        return clip_text_encode("a fox", clip, bench).conds[0].tokens

    usual = clip_text_encode("a fox", parts.CLIP, bench).conds[0].tokens

    assert torch.equal(tokens(1, 0), usual)
    torch.testing.assert_close(tokens(0, 0), usual[:, :-1], rtol=0, atol=1e-5)
    torch.testing.assert_close(tokens(0, 9)[:, : usual.shape[1]], usual, rtol=0, atol=1e-5)


LORA = {
    "transformer_blocks.0.attn.to_q": (64, 64),
    "transformer_blocks.1.ff.net.0.proj": (256, 64),
    "single_transformer_blocks.0.proj_mlp": (256, 64),
    "single_transformer_blocks.1.attn.to_v": (64, 64),
}


def test_a_lora_has_the_effect_that_it_has_in_diffusers(bench, parts, pipeline):
    tensors = lora(5, {f"transformer.{name}": shape for name, shape in LORA.items()})
    write(bench.root / "models/loras/a.safetensors", tensors)
    bench.notices.clear()

    changed = lora_loader_model_only(parts.MODEL, "a.safetensors", bench, 1.0)
    text = clip_text_encode("a fox", parts.CLIP, bench)
    found, plain = (sampled(bench, each, text, text, 1.0) for each in (changed, parts.MODEL))

    assert not bench.notices
    assert (found - plain).std() / plain.std() > 0.02
    factors = {
        key.replace("lora_down", "lora_A").replace("lora_up", "lora_B"): tensor.float()
        for key, tensor in tensors.items()
        if "alpha" not in key
    }
    for key in [key for key in factors if "lora_A" in key]:
        factors[key] = factors[key] * 2.0 / 4  # alpha over rank
    with merged(pipeline.transformer, factors):
        expected = theirs(pipeline, parts.MODEL, "a fox")
    assert_close(parts.MODEL.latent_format.to_model(found), expected)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("lora_unet_double_blocks_0_img_attn_qkv", (192, 64)),
        ("lora_unet_single_blocks_1_linear2", (64, 320)),
        ("diffusion_model.double_blocks.0.txt_mlp.0", (256, 64)),
        ("transformer.single_transformer_blocks.0.attn.to_q", (64, 64)),
        ("lora_unet_distilled_guidance_layer_out_proj", (64, 48)),
        ("diffusion_model.distilled_guidance_layer.layers.1.in_layer", (48, 48)),
    ],
)
def test_the_names_of_trainers_are_known(bench, parts, name, shape):
    write(bench.root / f"models/loras/{name}.safetensors", lora(7, {name: shape}))
    bench.notices.clear()

    changed = lora_loader_model_only(parts.MODEL, f"{name}.safetensors", bench, 1.0)

    assert not bench.notices
    assert not torch.allclose(denoised(changed), denoised(parts.MODEL), atol=1e-3)


def test_flux_is_not_taken_for_it(parts):
    flux = {key: tuple(tensor.shape) for key, tensor in small_flux(guidance=False).items()}
    infos = {key: TensorInfo("BF16", shape) for key, shape in flux.items()}

    assert architecture_of(Header(Path("flux.safetensors"), infos, {})).model.family == "flux"
    assert parts.MODEL.model.spec.family == "chroma"


def test_a_size_off_the_grid_is_padded_and_cut(bench, parts):
    text = text_of(WIDTH)

    assert sampled(bench, parts.MODEL, text, text, 1.0, (7, 5)).shape == (1, 16, 7, 5)


def test_a_text_of_another_family_is_told(bench, parts):
    text = Conditioning((Cond(torch.zeros(1, 5, 2560)),))

    with pytest.raises(WrongConditioningError, match=r"2560.*64"):
        sampled(bench, parts.MODEL, text, text, 1.0)


def test_rows_of_a_batch_are_independent(parts):
    assert_rows_are_independent(parts.MODEL, WIDTH)


def test_quantised_files_are_close(tmp_path):
    tensors = {key: t for key, t in whole_chroma().items() if key.startswith(MODEL)}
    assert_quantised_files_are_close(tmp_path, tensors)


def test_a_mask_keeps_what_lies_outside(bench, parts):
    assert_a_mask_keeps_what_lies_outside(bench, parts.MODEL, parts.VAE, text_of(WIDTH))


def test_t5_alone_is_its_text_encoder(bench):
    folder = bench.root / "models/text_encoders"
    write(folder / "t5.safetensors", small_t5())
    write(folder / "qwen.safetensors", small_qwen3(), BYTES)

    clip = clip_loader("t5.safetensors", "chroma", ctx=bench)
    preflight.text_encoder({"clip_name": "t5.safetensors", "type": "chroma"}, bench.files)

    assert clip.text.encoder_set is not None
    assert clip.text.encoder_set.name == "chroma"
    assert clip_text_encode("low quality", clip, bench).conds[0].tokens.shape == (1, 4, 4096)
    with pytest.raises(TextEncoderError, match=r"holds qwen3_4b, which type 'chroma'") as told:
        clip_loader("qwen.safetensors", "chroma", ctx=bench)
    assert told.value.hint == "It uses t5xxl."


def test_the_published_model_is_read_from_its_shapes():
    width = 3072
    shapes = {
        "img_in.weight": (width, 64),
        "txt_in.weight": (width, 4096),
        "final_layer.linear.weight": (64, width),
        "distilled_guidance_layer.in_proj.weight": (5120, 64),
        "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
        **{f"double_blocks.{n}.img_attn.qkv.weight": (3 * width, width) for n in range(19)},
        **{f"single_blocks.{n}.linear1.weight": (7 * width, width) for n in range(38)},
        **{f"distilled_guidance_layer.layers.{n}.in_layer.weight": (5120, 5120) for n in range(5)},
    }
    for prefix in ("", MODEL):
        infos = {prefix + key: TensorInfo("BF16", shape) for key, shape in shapes.items()}

        model = architecture_of(Header(Path("c.safetensors"), infos, {})).model

        assert model.network.config == {
            "in_channels": 64,
            "out_channels": 64,
            "num_layers": 19,
            "num_single_layers": 38,
            "attention_head_dim": 128,
            "num_attention_heads": 24,
            "joint_attention_dim": 4096,
            "axes_dims_rope": [16, 56, 56],
            "approximator_num_channels": 64,
            "approximator_hidden_dim": 5120,
            "approximator_layers": 5,
        }
        assert model.noise == FlowRules(mu=1.15, multiplier=1.0)
