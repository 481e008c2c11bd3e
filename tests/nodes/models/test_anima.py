"""Anima gives what diffusers' pipeline does on the same weights, however they are stored."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from diffusers.loaders.lora_conversion_utils import (
    _convert_non_diffusers_anima_lora_to_diffusers as rename,
)
from diffusers.loaders.single_file_utils import (
    convert_cosmos_transformer_checkpoint_to_diffusers as convert,
)
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage
from diffusers.models.condition_embedders.condition_embedder_anima import AnimaTextConditioner
from diffusers.models.transformers import transformer_cosmos
from diffusers.modular_pipelines.anima.modular_blocks_anima import AnimaAutoBlocks
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast
from transformers.models.qwen3.configuration_qwen3 import Qwen3Config
from transformers.models.qwen3.modeling_qwen3 import Qwen3Model

from nodegraph.runtime.model_pool import ModelPool
from nodes.builtin.conditioning.prompts import clip_text_encode
from nodes.builtin.latent.vae import vae_decode
from nodes.builtin.model.checkpoints import unet_loader, vae_loader
from nodes.builtin.model.errors import LoraMismatchError
from nodes.builtin.model.lora import lora_loader_model_only
from nodes.builtin.model.text_encoders import clip_loader
from nodes.builtin.sampling.ksampler import ksampler
from nodes.imaging.errors import SizeLimitError
from nodes.models.families.base.errors import MissingWeightsError
from nodes.models.families.base.spec import FlowRules
from nodes.models.families.errors import TextEncoderError
from nodes.models.families.registry import architecture_of
from nodes.models.loading.checkpoint import open_model
from nodes.models.loading.forward import denoise
from nodes.models.loading.handles import ModelHandle
from nodes.models.networks.base.errors import WrongConditioningError
from nodes.models.text.t5_tokenizer import T5Tokenizer
from nodes.models.weights.header import Header, TensorInfo
from nodes.values import Cond, CondBatch, Conditioning, Latent
from tests.nodes.bench import Bench
from tests.nodes.models.family_checks import (
    SEED,
    STEPS,
    assert_a_mask_keeps_what_lies_outside,
    assert_close,
    in_float32,
    merged,
    sampled,
    start_of,
)
from tests.tiny_models.checkpoints import lora, write
from tests.tiny_models.compare import NO_WORDS
from tests.tiny_models.language_models import BYTES, small_qwen3, their_tokenizer
from tests.tiny_models.quantized_files import scaled, write_gguf
from tests.tiny_models.wan_vae import small_wan_vae
from tests.tiny_models.whole_models import small_anima, tiny_anima

MODEL, TEXT = "anima-base-v1.0.safetensors", "qwen_3_06b_base.safetensors"
VAE = "qwen_image_vae.safetensors"
WIDTH = 1024
PROMPTS = "a red fox\n in the snow", ""


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    tiny_anima(bench.root / "models")
    return bench


@pytest.fixture(scope="module")
def model(bench):
    return unet_loader(MODEL, "default", bench)


@pytest.fixture(scope="module")
def clip(bench):
    return clip_loader(TEXT, "stable_diffusion", ctx=bench)


@pytest.fixture(scope="module")
def pipeline():
    """Diffusers' pipeline on the same weights, read by its own converters."""
    tensors = in_float32(small_anima())
    start = "net.llm_adapter."
    conditioner = AnimaTextConditioner(WIDTH, 32, 32, num_layers=2, num_attention_heads=2)
    conditioner.load_state_dict(
        {key.removeprefix(start): t for key, t in tensors.items() if key.startswith(start)}
    )
    rest = {key: t for key, t in tensors.items() if not key.startswith(start)}
    sizes: dict[str, Any] = {
        "num_attention_heads": 4,
        "attention_head_dim": 16,
        "num_layers": 2,
        "text_embed_dim": 32,
        "adaln_lora_dim": 8,
        "rope_scale": (1.0, 4.0, 4.0),
        "extra_pos_embed_type": None,
    }
    transformer = transformer_cosmos.CosmosTransformer3DModel(**sizes)
    transformer.load_state_dict(convert(rest))
    vae = AutoencoderKLQwenImage(base_dim=8)
    vae.load_state_dict(in_float32(convert_wan_vae_to_diffusers(small_wan_vae())))
    made = cast("Any", AnimaAutoBlocks()).init_pipeline()
    made.update_components(
        text_encoder=their_text().eval(),
        tokenizer=their_tokenizer(),
        t5_tokenizer=their_t5_tokenizer(),
        text_conditioner=conditioner.eval(),
        transformer=transformer.eval(),
        vae=vae.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )
    made.set_progress_bar_config(disable=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformer_cosmos, "transforms", TRANSFORMS, raising=False)
        yield made


def _resize(mask, size, **_more):
    return torch.nn.functional.interpolate(mask, size)


TRANSFORMS = SimpleNamespace(
    functional=SimpleNamespace(resize=_resize), InterpolationMode=SimpleNamespace(NEAREST=None)
)
"""The two names of torchvision, which is not installed here, that diffusers takes for a mask."""


def their_text():
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
    weights = {key.removeprefix("model."): t for key, t in small_qwen3(WIDTH).items()}
    text.load_state_dict(in_float32(weights))
    return text


def their_t5_tokenizer():
    tokenizer = T5Tokenizer.t5()._tokenizer
    whole = type(tokenizer).from_str(tokenizer.to_str())
    whole.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=whole, pad_token="<pad>", eos_token="</s>")


def theirs(pipeline, model, texts, cfg, **more):
    """The latents of diffusers from the same noise, at the same levels."""
    noise, sigmas = start_of(model)
    pipeline.guider.guidance_scale = cfg
    return pipeline(
        prompt=texts[0],
        negative_prompt=texts[1],
        height=64,
        width=48,
        sigmas=sigmas,
        num_inference_steps=STEPS,
        latents=noise.unsqueeze(2),
        output="latents",
        **more,
    )[:, :, 0]


@pytest.mark.parametrize("cfg", [1.0, 4.0])
def test_latents_are_those_of_the_pipeline(bench, model, clip, pipeline, cfg):
    positive, negative = (clip_text_encode(text, clip, bench) for text in PROMPTS)

    found = sampled(bench, model, positive, negative, cfg)

    expected = theirs(pipeline, model, PROMPTS, cfg)
    assert_close(model.latent_format.to_model(found), expected)


@pytest.mark.parametrize("prompt", [*PROMPTS, "two  blanks, (brackets)"])
def test_texts_are_those_of_the_pipeline(bench, clip, pipeline, prompt):
    plain = prompt.replace("(", "\\(").replace(")", "\\)")

    (mine,) = clip_text_encode(plain, clip, bench).conds

    block = pipeline.blocks.sub_blocks["text_encoder"]
    other = block.encode_prompt(pipeline, prompt, prepare_unconditional_embeds=False)
    torch.testing.assert_close(mine.tokens, other["qwen_prompt_embeds"], rtol=0, atol=1e-5)
    assert torch.equal(cast("Any", mine.extras)["t5xxl_ids"], other["t5_input_ids"])


def test_the_weights_of_a_prompt_multiply_what_is_made_of_its_t5_tokens(model, clip):
    plain, weighed = (clip.encode(text, NO_WORDS) for text in ("a man", "a (man:1.5)"))

    assert weighed.extras["t5xxl_weights"].tolist() == [[1, 1, 1.5, 1]]
    assert plain.extras["t5xxl_weights"].tolist() == [[1] * 4]
    assert torch.equal(weighed.extras["t5xxl_ids"], plain.extras["t5xxl_ids"])
    with_ones = {**weighed.extras, "t5xxl_weights": torch.ones(1, 4)}
    x, level = torch.ones(1, 16, 4, 4), torch.tensor([0.5])
    found, same = (
        denoise(model, x, level, CondBatch(weighed.tokens, extras=extras))
        for extras in (weighed.extras, with_ones)
    )
    assert not torch.allclose(found, same, atol=1e-3)
    states = model.model.network.module().llm_adapter(weighed.tokens, weighed.extras["t5xxl_ids"])
    assert states.shape == (1, 512, 32)


def test_a_picture_is_decoded_as_in_the_pipeline(bench, model, clip, pipeline):
    positive, negative = (clip_text_encode(text, clip, bench) for text in PROMPTS)
    latent = Latent(sampled(bench, model, positive, negative, 4.0))

    image = vae_decode(latent, vae_loader(VAE, bench), bench)

    noise, sigmas = start_of(model)
    pipeline.guider.guidance_scale = 4.0
    (expected,) = pipeline(
        prompt=PROMPTS[0], negative_prompt=PROMPTS[1], height=64, width=48, sigmas=sigmas,
        num_inference_steps=STEPS, latents=noise.unsqueeze(2), output_type="pt", output="images",
    )  # fmt: skip
    torch.testing.assert_close(image[0], expected.movedim(0, -1), rtol=0, atol=1e-4)


LORA = {
    "diffusion_model.blocks.0.self_attn.q_proj": (64, 64),
    "diffusion_model.blocks.1.cross_attn.output_proj": (64, 64),
    "diffusion_model.blocks.1.mlp.layer1": (256, 64),
    "diffusion_model.blocks.0.adaln_modulation_mlp.2": (192, 8),
    "diffusion_model.llm_adapter.blocks.1.cross_attn.v_proj": (32, WIDTH),
}


def test_a_lora_has_the_effect_that_it_has_in_diffusers(bench, model, clip, pipeline):
    tensors = lora(5, LORA)
    write(bench.root / "models/loras/a.safetensors", tensors)
    bench.notices.clear()

    changed = lora_loader_model_only(model, "a.safetensors", bench, 1.0)
    text, none = (clip_text_encode(each, clip, bench) for each in ("a fox", ""))
    found, plain = (sampled(bench, each, text, none, 1.0) for each in (changed, model))

    assert not bench.notices
    assert (found - plain).std() / plain.std() > 0.02
    factors = rename(in_float32(peft(tensors)))
    inner = {key: t for key, t in factors.items() if key.startswith("text_conditioner.")}
    outer = {key: t for key, t in factors.items() if key not in inner}
    inner = {key.removeprefix("text_conditioner."): t for key, t in inner.items()}
    assert inner
    with merged(pipeline.transformer, outer), merged(pipeline.text_conditioner, inner):
        expected = theirs(pipeline, model, ("a fox", ""), 1.0)
    assert_close(model.latent_format.to_model(found), expected)


def peft(tensors):
    """The same LoRA in the names of diffusers' PEFT, with its alpha in the weights."""
    found = {}
    for key in (key for key in tensors if key.endswith(".lora_down.weight")):
        name = key.removesuffix(".lora_down.weight")
        scale = tensors[f"{name}.alpha"] / len(tensors[key])
        found[f"{name}.lora_A.weight"] = tensors[key]
        found[f"{name}.lora_B.weight"] = tensors[f"{name}.lora_up.weight"] * scale
    return found


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("lora_unet_blocks_0_self_attn_q_proj", (64, 64)),
        ("diffusion_model.blocks.0.cross_attn.k_proj", (64, 32)),
        ("transformer.transformer_blocks.0.attn1.to_out.0", (64, 64)),
        ("lycoris_blocks_1_mlp_layer2", (64, 256)),
        ("base_model.model.blocks.1.adaln_modulation_mlp.1", (8, 64)),
        ("net.final_layer.linear", (64, 64)),
        ("lora_unet_llm_adapter_blocks_0_mlp_0", (128, 32)),
        ("text_conditioner.blocks.0.self_attn.v_proj", (32, 32)),
    ],
)
def test_the_names_of_trainers_are_known(bench, model, clip, name, shape):
    write(bench.root / f"models/loras/{name}.safetensors", lora(7, {name: shape}))
    bench.notices.clear()

    changed = lora_loader_model_only(model, f"{name}.safetensors", bench, 1.0)

    assert not bench.notices
    cond = clip.encode("a fox", NO_WORDS)
    assert not torch.allclose(predicted(changed, cond), predicted(model, cond), atol=1e-3)


def predicted(model, cond):
    x = torch.linspace(-1, 1, 16 * 48).reshape(1, 16, 8, 6)
    return denoise(model, x, torch.tensor([0.7]), CondBatch(cond.tokens, extras=cond.extras))


@pytest.mark.parametrize(
    ("name", "title"),
    [("lora_unet_double_blocks_0_img_attn_qkv", "FLUX"), ("blocks.0.cross_attn.k", "Wan")],
)
def test_a_lora_of_another_family_is_told(bench, model, name, title):
    write(bench.root / "models/loras/other.safetensors", lora(7, {name: (192, 64)}))

    with pytest.raises(LoraMismatchError, match=title):
        lora_loader_model_only(model, "other.safetensors", bench, 1.0)


def test_a_size_off_the_grid_is_padded_and_cut(bench, model, clip):
    text = clip_text_encode("a fox", clip, bench)

    assert sampled(bench, model, text, text, 1.0, (7, 5)).shape == (1, 16, 7, 5)
    with pytest.raises(SizeLimitError, match="5000x2 is too large for this model"):
        sampled(bench, model, text, text, 1.0, (2, 5000))


def test_a_text_of_another_family_is_told(bench, model):
    of_sdxl, of_sd2 = (Conditioning((Cond(torch.zeros(1, 5, width)),)) for width in (2048, WIDTH))

    with pytest.raises(WrongConditioningError, match=r"2048.*1024"):
        sampled(bench, model, of_sdxl, of_sdxl, 1.0)
    with pytest.raises(WrongConditioningError, match=r"T5's tokens is lacking"):
        sampled(bench, model, of_sd2, of_sd2, 1.0)


def test_a_text_encoder_of_another_size_is_told(bench):
    write(bench.root / "models/text_encoders/other.safetensors", small_qwen3(1536), BYTES)

    with pytest.raises(TextEncoderError, match="Qwen3 of width 1536") as told:
        clip_loader("other.safetensors", "stable_diffusion", ctx=bench)
    assert "qwen3_06b" in told.value.hint


def test_several_rows_give_what_one_gives(model, clip):
    conds = [clip.encode(text, NO_WORDS) for text in ("a man", "a dog")]
    x = torch.linspace(-1, 1, 2 * 16 * 48).reshape(2, 16, 8, 6)
    levels = torch.tensor([0.9, 0.3])
    tokens = torch.cat([cond.tokens for cond in conds])
    extras = {name: torch.cat([cond.extras[name] for cond in conds]) for name in conds[0].extras}

    both = denoise(model, x, levels, CondBatch(tokens, extras=extras))

    for row, cond in enumerate(conds):
        one = slice(row, row + 1)
        alone = denoise(model, x[one], levels[one], CondBatch(cond.tokens, extras=cond.extras))
        torch.testing.assert_close(both[one], alone, rtol=0, atol=1e-5)


def test_a_batch_of_pictures_is_guided_by_texts_of_two_lengths(bench, model, clip):
    positive, negative = (clip_text_encode(text, clip, bench) for text in PROMPTS)

    found = ksampler(
        model=model, seed=SEED, steps=1, cfg=4.0, sampler_name="euler", scheduler="simple",
        positive=positive, negative=negative, latent_image=Latent(torch.zeros(2, 16, 4, 4)),
        ctx=bench,
    ).samples  # fmt: skip

    assert found.shape == (2, 16, 4, 4)
    assert not torch.allclose(found[0], found[1], atol=1e-2)


def test_quantised_files_are_close(clip, tmp_path):
    tensors = {key: t for key, t in small_anima().items() if "accum" not in key}
    gguf = tmp_path / "a.gguf"
    plain = write(tmp_path / "plain.safetensors", write_gguf(gguf, tensors, "Q8_0"))
    small, wide = scaled(tensors)
    fp8, full = (write(tmp_path / f"{len(t)}.safetensors", t) for t in (small, wide))
    cond = clip.encode("a fox", NO_WORDS)

    for path, expected in ((gguf, plain), (fp8, full)):
        found, other = (
            predicted(ModelHandle(open_model(each, each.name, ModelPool())), cond)
            for each in (path, expected)
        )
        torch.testing.assert_close(found, other, rtol=0, atol=1e-4)


def published():
    """The shapes of the published file that tell its configuration."""
    width, inner = 2048, 1024
    adapter = {
        "embed.weight": (32128, inner),
        "blocks.0.self_attn.q_norm.weight": (64,),
        "blocks.0.mlp.0.weight": (4 * inner, inner),
        "blocks.0.cross_attn.k_proj.weight": (inner, inner),
        **{f"blocks.{n}.self_attn.q_proj.weight": (inner, inner) for n in range(6)},
    }
    return {
        "x_embedder.proj.1.weight": (width, 68),
        "blocks.0.self_attn.q_norm.weight": (128,),
        "blocks.0.mlp.layer1.weight": (4 * width, width),
        "blocks.0.cross_attn.k_proj.weight": (width, inner),
        "blocks.0.adaln_modulation_self_attn.1.weight": (256, width),
        "final_layer.linear.weight": (64, width),
        **{f"blocks.{n}.self_attn.q_proj.weight": (width, width) for n in range(28)},
        **{f"llm_adapter.{key}": shape for key, shape in adapter.items()},
    }


@pytest.mark.parametrize("prefix", ["", "net.", "model.diffusion_model."])
def test_the_published_model_is_read_from_its_shapes(prefix):
    infos = {prefix + key: TensorInfo("BF16", shape) for key, shape in published().items()}

    model = architecture_of(Header(Path("a.safetensors"), infos, {})).model

    assert model.network.config == {
        "in_channels": 16,
        "out_channels": 16,
        "num_attention_heads": 16,
        "attention_head_dim": 128,
        "num_layers": 28,
        "mlp_ratio": 4.0,
        "text_embed_dim": 1024,
        "adaln_lora_dim": 256,
        "max_size": [1, 4096, 4096],
        "rope_scale": [1.0, 4.0, 4.0],
        "extra_pos_embed_type": None,
        "conditioner": {
            "source_dim": 1024,
            "target_dim": 1024,
            "model_dim": 1024,
            "num_layers": 6,
            "num_attention_heads": 16,
            "mlp_ratio": 4.0,
            "target_vocab_size": 32128,
            "min_sequence_length": 512,
        },
    }
    assert model.noise == FlowRules(shift=3.0, multiplier=1.0)


def test_a_transformer_without_the_conditioner_is_told():
    infos = {
        key: TensorInfo("BF16", shape)
        for key, shape in published().items()
        if not key.startswith("llm_adapter")
    }

    with pytest.raises(MissingWeightsError, match="complete text conditioner"):
        architecture_of(Header(Path("cosmos.safetensors"), infos, {}))


def test_a_mask_keeps_what_lies_outside(bench, model, clip):
    text = clip_text_encode("a fox", clip, bench)
    assert_a_mask_keeps_what_lies_outside(bench, model, vae_loader(VAE, bench), text)
