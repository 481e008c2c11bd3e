"""FLUX.2 gives what diffusers' pipeline does on the same weights, however they are stored."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from diffusers.loaders.lora_conversion_utils import (
    _convert_non_diffusers_flux2_lora_to_diffusers as rename,
)
from diffusers.loaders.single_file_utils import (
    convert_flux2_transformer_checkpoint_to_diffusers as convert,
)
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from diffusers.pipelines.flux2.pipeline_flux2_klein import Flux2KleinPipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)
from PIL.Image import fromarray
from transformers.models.qwen3.configuration_qwen3 import Qwen3Config
from transformers.models.qwen3.modeling_qwen3 import Qwen3ForCausalLM

from nodes.builtin.conditioning.flux import (
    flux_kontext_multi_reference_latent_method,
    reference_latent,
)
from nodes.builtin.conditioning.prompts import clip_text_encode
from nodes.builtin.latent.vae import vae_encode
from nodes.builtin.model.checkpoints import unet_loader, vae_loader
from nodes.builtin.model.errors import LoraMismatchError
from nodes.builtin.model.lora import lora_loader_model_only
from nodes.builtin.model.text_encoders import clip_loader
from nodes.models.families.base.spec import FlowRules
from nodes.models.families.errors import TextEncoderError
from nodes.models.families.registry import architecture_of
from nodes.models.networks.base.errors import ChannelMismatchError, WrongConditioningError
from nodes.models.weights.header import Header, TensorInfo
from nodes.values import Latent
from tests.nodes.bench import Bench
from tests.nodes.models.family_checks import (
    SIZE,
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
from tests.tiny_models.flux2_vae import their_flux2_vae
from tests.tiny_models.language_models import (
    BYTES,
    deep_qwen3,
    small_qwen2_5_vl,
    their_tokenizer,
)
from tests.tiny_models.whole_models import small_klein, tiny_klein

MODEL, TEXT = "flux-2-klein-4b.safetensors", "qwen_3_4b.safetensors"
VAE = "flux2-vae.safetensors"
WIDTH = 7680


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    tiny_klein(bench.root / "models")
    return bench


@pytest.fixture(scope="module")
def pipeline():
    """Diffusers' pipeline on the same weights, read by its own converter."""
    config: dict[str, Any] = {
        "num_layers": 2,
        "num_single_layers": 2,
        "attention_head_dim": 16,
        "num_attention_heads": 4,
        "joint_attention_dim": WIDTH,
        "axes_dims_rope": (4, 4, 4, 4),
        "guidance_embeds": False,
    }
    transformer = Flux2Transformer2DModel(**config)
    transformer.load_state_dict(convert(in_float32(small_klein())))
    made = Flux2KleinPipeline(
        FlowMatchEulerDiscreteScheduler(),
        their_flux2_vae(),
        their_text(),
        cast("Any", their_tokenizer()),
        transformer.eval(),
    )
    made.set_progress_bar_config(disable=True)
    return made


def their_text():
    text = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=288,
            hidden_size=2560,
            intermediate_size=16,
            num_hidden_layers=28,
            num_attention_heads=1,
            num_key_value_heads=1,
            head_dim=16,
            tie_word_embeddings=True,
            rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        )
    )
    weights = {key.removeprefix("model."): t for key, t in deep_qwen3().items()}
    text.model.load_state_dict(in_float32(weights))
    return text.eval()


def theirs(pipeline, model, texts, cfg, pictures=None):
    """The latents of diffusers from the same noise, at the same levels, as the model has them."""
    noise, sigmas = start_of(model)
    found = pipeline(
        image=pictures,
        prompt_embeds=texts[0].conds[0].tokens,
        negative_prompt_embeds=texts[1].conds[0].tokens,
        height=SIZE[0] * 16,
        width=SIZE[1] * 16,
        sigmas=sigmas,
        guidance_scale=cfg,
        latents=noise,
        output_type="latent",
    ).images
    deviation = (pipeline.vae.bn.running_var + pipeline.vae.config.batch_norm_eps).sqrt()
    mean = pipeline.vae.bn.running_mean[None, :, None, None]
    return (pipeline._patchify_latents(found) - mean) / deviation[None, :, None, None]


def test_texts_and_latents_are_those_of_the_pipeline(bench, pipeline):
    model = unet_loader(MODEL, "default", bench)
    clip = clip_loader(TEXT, "flux2", ctx=bench)
    texts = ["a (red:1.3) fox\n in snow", ""]

    encoded = [clip_text_encode(text, clip, bench) for text in texts]

    for text, mine in zip(texts, encoded, strict=True):
        expected, _ = pipeline.encode_prompt(text)
        assert expected.shape == (1, 512, WIDTH)
        assert_close(mine.conds[0].tokens, expected)
    for cfg in (1.0, 4.0):
        found = sampled(bench, model, encoded[0], encoded[1], cfg)
        assert_close(found, theirs(pipeline, model, encoded, cfg))


@pytest.fixture(scope="module")
def pictures():
    draw = torch.Generator().manual_seed(3)
    return [torch.randint(256, (*s, 3), generator=draw).float() / 255 for s in ((64, 96), (80, 64))]


def referring(bench, text, pictures, method=""):
    """The text with pictures, as the published workflows add them."""
    vae = vae_loader(VAE, bench)
    for picture in pictures:
        text = reference_latent(text, vae_encode(picture[None], vae, bench))
    return flux_kontext_multi_reference_latent_method(text, method) if method else text


@pytest.mark.parametrize("number", [1, 2])
def test_reference_pictures_are_read_as_in_the_pipeline(bench, pipeline, pictures, number):
    model, text = unet_loader(MODEL, "default", bench), text_of(WIDTH)
    seen = referring(bench, text, pictures[:number])

    found = sampled(bench, model, seen, seen, 1.0)

    plain = sampled(bench, model, text, text, 1.0)
    assert (found - plain).std() / plain.std() > 0.01
    colours = [fromarray((each * 255).round().byte().numpy()) for each in pictures[:number]]
    assert_close(found, theirs(pipeline, model, (text, text), 1.0, colours))


def test_the_order_and_the_place_of_references_matter(bench, pictures):
    model, text = unet_loader(MODEL, "default", bench), text_of(WIDTH)
    methods = ("index", "offset", "uxo/uno")
    texts = [
        referring(bench, text, pictures),
        *(referring(bench, text, pictures, method) for method in methods),
        referring(bench, text, pictures[::-1]),
    ]

    usual, index, *others = (sampled(bench, model, each, each, 1.0) for each in texts)

    assert torch.equal(usual, index)
    assert all(not torch.allclose(usual, other, atol=1e-3) for other in others)


def test_a_reference_of_another_family_is_told(bench):
    model, text = unet_loader(MODEL, "default", bench), text_of(WIDTH)
    seen = reference_latent(text, Latent(torch.zeros(1, 16, 8, 8)))

    with pytest.raises(ChannelMismatchError, match="16 channels, this model reads 128"):
        sampled(bench, model, seen, seen, 1.0)


LORA = {
    "diffusion_model.double_blocks.0.img_attn.qkv": (192, 64),
    "diffusion_model.double_blocks.1.txt_mlp.0": (384, 64),
    "diffusion_model.single_blocks.1.linear1": (576, 64),
    "diffusion_model.single_stream_modulation.lin": (192, 64),
}


def test_a_lora_has_the_names_and_the_effect_that_it_has_in_diffusers(bench, pipeline):
    model, text = unet_loader(MODEL, "default", bench), text_of(WIDTH)
    tensors = {key: tensor for key, tensor in lora(5, LORA).items() if "alpha" not in key}
    write(bench.root / "models/loras/a.safetensors", tensors)
    bench.notices.clear()

    changed = lora_loader_model_only(model, "a.safetensors", bench, 1.0)
    found, plain = (sampled(bench, each, text, text, 1.0) for each in (changed, model))

    assert not bench.notices
    assert (found - plain).std() / plain.std() > 0.02
    with merged(pipeline.transformer, rename(in_float32(tensors))):
        expected = theirs(pipeline, model, (text, text), 1.0)
    assert_close(found, expected)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("transformer.transformer_blocks.0.attn.to_q", (64, 64)),
        ("transformer.single_transformer_blocks.0.attn.to_qkv_mlp_proj", (576, 64)),
        ("base_model.model.double_blocks.0.txt_attn.proj", (64, 64)),
        ("lora_unet_single_blocks_0_linear2", (64, 256)),
        ("lora_transformer_transformer_blocks_0_ff_linear_in", (384, 64)),
        ("lycoris_transformer_blocks_0_attn_add_k_proj", (64, 64)),
        ("diffusion_model.double_stream_modulation_img.lin", (384, 64)),
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
    write(bench.root / "models/loras/z.safetensors", lora(7, {name: (192, 64)}))

    with pytest.raises(LoraMismatchError, match="Z-Image"):
        lora_loader_model_only(model, "z.safetensors", bench, 1.0)


def test_any_size_of_a_latent_is_made(bench):
    model, text = unet_loader(MODEL, "default", bench), text_of(WIDTH)

    assert sampled(bench, model, text, text, 1.0, (7, 5)).shape == (1, 128, 7, 5)


def test_the_text_of_the_other_size_or_of_another_family_is_told(bench):
    model = unet_loader(MODEL, "default", bench)
    write(bench.root / "models/text_encoders/vl.safetensors", small_qwen2_5_vl(), BYTES)

    with pytest.raises(WrongConditioningError, match=r"12288.*7680"):
        sampled(bench, model, text_of(12288), text_of(12288), 1.0)
    with pytest.raises(TextEncoderError, match="qwen2_5_vl_7b") as told:
        clip_loader("vl.safetensors", "flux2", ctx=bench)
    assert "qwen3_4b, qwen3_8b, mistral3_24b" in str(told.value.hint)


@pytest.mark.parametrize("kind", ["flux2", "stable_diffusion"])
def test_the_text_encoder_of_9b_is_told_by_its_width(bench, kind):
    file = bench.root / "models/text_encoders/qwen_3_8b_fp8mixed.safetensors"
    if not file.exists():
        write(file, deep_qwen3(4096), BYTES)

    clip = clip_loader(file.name, kind, ctx=bench)

    assert [encoder.name for encoder in clip.text.encoders] == ["qwen3_8b"]
    assert clip.text.encoder_set is not None
    assert clip.text.encoder_set.name == "flux2"


def test_several_rows_give_what_one_gives(bench):
    assert_rows_are_independent(unet_loader(MODEL, "default", bench), WIDTH)


def test_quantised_files_are_close(tmp_path):
    assert_quantised_files_are_close(tmp_path, small_klein())


SIZES = {
    "klein 4B": (3072, 5, 20, 7680, False),
    "klein 9B": (4096, 8, 24, 12288, False),
    "dev": (6144, 8, 48, 15360, True),
}


@pytest.mark.parametrize("name", SIZES)
def test_the_published_models_are_read_from_their_shapes(name):
    width, double, single, text, guidance = SIZES[name]
    shapes = {
        "img_in.weight": (width, 128),
        "txt_in.weight": (width, text),
        "time_in.in_layer.weight": (width, 256),
        "single_stream_modulation.lin.weight": (3 * width, width),
        "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
        "double_blocks.0.img_mlp.2.weight": (width, 3 * width),
        **{f"double_blocks.{n}.img_attn.qkv.weight": (3 * width, width) for n in range(double)},
        **{f"single_blocks.{n}.linear1.weight": (9 * width, width) for n in range(single)},
    }
    if guidance:
        shapes["guidance_in.in_layer.weight"] = (width, 256)
    infos = {f"model.diffusion_model.{k}": TensorInfo("BF16", v) for k, v in shapes.items()}

    model = architecture_of(Header(Path("flux2.safetensors"), infos, {})).model

    assert model.family == "flux2"
    assert model.network.config == {
        "in_channels": 128,
        "num_layers": double,
        "num_single_layers": single,
        "attention_head_dim": 128,
        "num_attention_heads": width // 128,
        "joint_attention_dim": text,
        "timestep_guidance_channels": 256,
        "mlp_ratio": 3.0,
        "axes_dims_rope": [32, 32, 32, 32],
        "guidance_embeds": guidance,
    }
    assert model.noise == FlowRules(multiplier=1.0, mu=2.02)


def test_the_vae_and_a_mask_work_with_it(bench):
    model, vae = unet_loader(MODEL, "default", bench), vae_loader(VAE, bench)
    assert_a_mask_keeps_what_lies_outside(bench, model, vae, text_of(WIDTH))
