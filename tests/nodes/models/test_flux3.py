"""FLUX.3 gives what diffusers' pipelines do on the same weights, however they are stored."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from diffusers.guiders.classifier_free_guidance import ClassifierFreeGuidance
from diffusers.loaders.lora_conversion_utils import (
    _convert_non_diffusers_flux3_lora_to_diffusers as rename,
)
from diffusers.loaders.single_file_utils import (
    convert_flux3_transformer_checkpoint_to_diffusers as convert,
)
from diffusers.models.transformers.transformer_flux3 import Flux3Transformer2DModel
from diffusers.modular_pipelines.flux3.modular_blocks_flux3 import Flux3AutoBlocks
from diffusers.modular_pipelines.flux3.modular_blocks_flux3_distilled import (
    Flux3DistilledAutoBlocks,
)
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)
from PIL import Image as Picture
from PIL.Image import Resampling
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLTextConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextModel

from nodes.builtin.conditioning.flux import reference_latent, reference_multi_latent
from nodes.builtin.conditioning.prompts import clip_text_encode
from nodes.builtin.latent.latents import empty_latent_image
from nodes.builtin.model.checkpoints import unet_loader, vae_loader
from nodes.builtin.model.errors import LoraMismatchError
from nodes.builtin.model.lora import lora_loader_model_only
from nodes.builtin.model.text_encoders import clip_loader
from nodes.builtin.sampling.ksampler import ksampler
from nodes.models.families.base.language_records import QWEN3_VL
from nodes.models.families.base.spec import FlowRules
from nodes.models.families.errors import TextEncoderError
from nodes.models.families.registry import architecture_of
from nodes.models.loading.forward import denoise
from nodes.models.networks.base.errors import (
    ChannelMismatchError,
    TooManyReferencesError,
    WrongConditioningError,
)
from nodes.models.networks.base.jumps import TARGET
from nodes.models.weights.header import Header, TensorInfo
from nodes.preflight import models as preflight
from nodes.values import Cond, CondBatch, Conditioning, Latent
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
from tests.tiny_models.checkpoints import lora, small_flux, write
from tests.tiny_models.compare import denoised
from tests.tiny_models.flux2_vae import their_flux2_vae
from tests.tiny_models.language_models import BYTES, deep_qwen3_vl, small_qwen3, their_tokenizer
from tests.tiny_models.whole_models import small_flux3, small_klein, tiny_flux3

FILES = {
    False: "flux3-image-klein-base-int8-convrot.safetensors",
    True: "flux3-image-klein-int8-convrot.safetensors",
}
"""The base model, and the distilled one, which is told the time that a step jumps to."""
TEXT, VAE = "qwen3vl_4b_int8_convrot.safetensors", "flux2-vae.safetensors"
WIDTH = 8 * 2560
LINE = torch.linspace(-2, 2, 128 * 6).reshape(1, 128, 3, 2)
REFERENCES = (LINE.sin(), LINE.flip(1)[:, :, :2].contiguous())


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    tiny_flux3(bench.root / "models")
    return bench


class TheirProcessor:
    """The processor of the tokenizer alone, for texts."""

    def __init__(self):
        self.tokenizer = their_tokenizer()
        self.apply_chat_template = self.tokenizer.apply_chat_template


def their_text():
    """The language part alone; no text is seen by the eyes."""
    sizes: dict[str, Any] = {
        "vocab_size": 288,
        "hidden_size": 2560,
        "intermediate_size": 16,
        "num_hidden_layers": 36,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "rope_parameters": dict(QWEN3_VL.constants["rope_parameters"]),
    }
    model = Qwen3VLTextModel(Qwen3VLTextConfig(**sizes))
    drawn = deep_qwen3_vl().items()
    weights = {key.removeprefix("model."): t for key, t in drawn if "visual" not in key}
    model.load_state_dict(in_float32(weights))
    return model.eval()


def their_pipeline(jumps, text, vae):
    """Diffusers' pipeline on the same weights, the transformer's read by its own converter."""
    config: dict[str, Any] = {
        "num_layers": 2,
        "num_single_layers": 2,
        "attention_head_dim": 16,
        "num_attention_heads": 4,
        "joint_attention_dim": WIDTH,
        "axes_dims_rope": (4, 4, 4, 4),
        "flow_map": jumps,
    }
    transformer = Flux3Transformer2DModel(**config)
    transformer.load_state_dict(in_float32(convert(small_flux3(jumps=jumps))))
    blocks = Flux3DistilledAutoBlocks() if jumps else Flux3AutoBlocks()
    blocks.sub_blocks.pop("prompt_upsampler")
    pipeline = cast("Any", blocks.init_pipeline())
    pipeline.update_components(
        transformer=transformer.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        text_encoder=text,
        tokenizer=TheirProcessor(),
        vae=vae,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def pipelines():
    text, vae = their_text(), their_flux2_vae()
    return {jumps: their_pipeline(jumps, text, vae) for jumps in FILES}


def theirs(pipeline, model, texts, cfg, pictures=()):
    """The latents of diffusers from the same noise, at the same levels."""
    noise, sigmas = start_of(model)
    inputs: dict[str, Any] = {}
    if "guider" in pipeline.component_names:
        pipeline.update_components(guider=ClassifierFreeGuidance(guidance_scale=cfg))
        inputs["negative_prompt"] = texts[1]
    return pipeline(
        prompt=texts[0],
        image=list(pictures) or None,
        height=SIZE[0] * 16,
        width=SIZE[1] * 16,
        sigmas=sigmas,
        latents=noise,
        output="latents",
        **inputs,
    )


def with_references(text, references=REFERENCES):
    for latent in references:
        text = reference_latent(text, Latent(latent))
    return text


def picture(width, height):
    drawn = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Picture.fromarray(drawn).resize((width, height), Resampling.BOX)


PICTURES = (picture(96, 64), picture(64, 80))
PROMPTS = "Make <ref_image_0> a (red:1.3) fox\n in snow", "blurry " * 14


def images(pictures):
    each = (torch.tensor(np.asarray(one), dtype=torch.float32)[None] / 255 for one in pictures)
    return {f"image{number}": image for number, image in enumerate(each)}


@pytest.mark.parametrize(
    ("jumps", "cfg", "count"),
    [(False, 3.5, 0), (False, 1.0, 1), (False, 3.5, 2), (True, 1.0, 0), (True, 1.0, 2)],
)
def test_latents_are_those_of_the_pipeline(bench, pipelines, jumps, cfg, count):
    model = unet_loader(FILES[jumps], "default", bench)
    clip, vae = clip_loader(TEXT, "flux3", ctx=bench), vae_loader(VAE, bench)
    seen = PICTURES[:count]

    positive, negative = (clip_text_encode(prompt, clip, bench) for prompt in PROMPTS)
    told = reference_multi_latent(positive, negative, vae, images=images(seen), ctx=bench)
    found = sampled(bench, model, told.positive, told.negative, cfg)

    lengths = [text.conds[0].tokens.shape[1] for text in (positive, negative)]
    assert lengths == [80, 160]
    assert_close(found, theirs(pipelines[jumps], model, PROMPTS, cfg, seen))


def test_texts_are_those_of_the_pipeline(bench, pipelines):
    clip = clip_loader(TEXT, "flux3", ctx=bench)
    encode = pipelines[False].blocks.sub_blocks["text_encoder"]._get_qwen3_vl_prompt_embeds

    for prompt in (*PROMPTS, ""):
        found = clip_text_encode(prompt, clip, bench).conds[0].tokens

        expected = encode(pipelines[False].text_encoder, TheirProcessor(), prompt)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_the_order_of_references_matters(bench):
    model, text = unet_loader(FILES[False], "default", bench), text_of(WIDTH)

    plain, one, other = (
        sampled(bench, model, with_references(text, each), text, 1.0)
        for each in ((), REFERENCES, REFERENCES[::-1])
    )

    assert (one - plain).std() / plain.std() > 0.005
    assert (other - one).std() / plain.std() > 0.001


@pytest.mark.parametrize("sampler", ["er_sde", "heun", "dpmpp_2m"])
def test_a_distilled_model_takes_steps_of_any_sampler(bench, sampler):
    model, text = unet_loader(FILES[True], "default", bench), text_of(WIDTH)

    few, other = (sampled(bench, model, text, text, 1.0, sampler=s) for s in ("euler", sampler))

    assert few.isfinite().all()
    assert other.isfinite().all()


def test_images_of_one_batch_are_those_of_each_alone(bench):
    for name in FILES.values():
        assert_rows_are_independent(unet_loader(name, "default", bench), WIDTH)


def test_rows_of_several_runs_jump_each_to_a_level_of_its_own(bench):
    model = unet_loader(FILES[True], "default", bench)
    x = torch.linspace(-1, 1, 2 * 128 * 12).reshape(2, 128, 4, 3)
    tokens = text_of(WIDTH).conds[0].tokens.repeat(2, 1, 1)
    levels, targets = torch.tensor([0.9, 0.9]), torch.tensor([0.7, 0.2])

    both = denoise(model, x, levels, CondBatch(tokens, extras={TARGET: targets}))

    alone = [
        denoise(model, x[n : n + 1], levels[n:][:1], CondBatch(tokens[:1], extras={TARGET: one}))
        for n, one in enumerate(targets.split(1))
    ]
    torch.testing.assert_close(both, torch.cat(alone), rtol=0, atol=1e-5)
    other = denoise(model, x, levels, CondBatch(tokens, extras={TARGET: targets.flip(0)}))
    assert (other - both).std() > 0.01


def test_text_encoders_of_other_families_are_told(bench):
    write(bench.root / "models/text_encoders/qwen3_8b.safetensors", small_qwen3(4096), BYTES)

    with pytest.raises(TextEncoderError, match=r"holds qwen3_8b, which type 'flux3'") as told:
        clip_loader("qwen3_8b.safetensors", "flux3", ctx=bench)

    assert told.value.hint == "It uses qwen3_vl_4b."
    preflight.text_encoder({"clip_name": TEXT, "type": "flux3"}, bench.files)


def test_masks_and_empty_latents_of_other_families_work(bench):
    model, vae = unet_loader(FILES[False], "default", bench), vae_loader(VAE, bench)
    text = text_of(WIDTH)

    assert_a_mask_keeps_what_lies_outside(bench, model, vae, text)
    found = ksampler(
        model=model, seed=1, steps=2, cfg=1.0, sampler_name="euler", scheduler="simple",
        positive=text, negative=text, latent_image=empty_latent_image(96, 64), ctx=bench,
    ).samples  # fmt: skip
    assert found.shape == (1, 128, 4, 6)


def test_too_many_references_and_those_of_another_family_are_told(bench):
    model, text = unet_loader(FILES[False], "default", bench), text_of(WIDTH)
    many, other = with_references(text, [LINE] * 11), with_references(text, [LINE[:, :16]])

    with pytest.raises(TooManyReferencesError, match=r"there are 11 reference images.* takes 10"):
        sampled(bench, model, many, text, 1.0)
    with pytest.raises(ChannelMismatchError, match=r"reference latent has 16 channels.* reads 128"):
        sampled(bench, model, other, text, 1.0)


def test_a_text_of_another_family_is_told(bench):
    model = unet_loader(FILES[False], "default", bench)
    text = Conditioning((Cond(torch.zeros(1, 5, 768)),))

    with pytest.raises(WrongConditioningError, match=r"768.*20480"):
        sampled(bench, model, text, text, 1.0)


LORA = {
    "single_blocks.0.q_proj": (64, 64),
    "single_blocks.1.attn_out": (64, 64),
    "content_mode_blocks.image.0.mlp_in": (384, 64),
    "content_mode_blocks.image_cond.1.k_proj": (64, 64),
    "txt_mode_blocks.1.mlp_out": (64, 192),
}


def in_pefts_names(tensors):
    """A LoRA in PEFT's names, in which each factor has its whole strength."""
    names = {".lora_down.": ".lora_A.", ".lora_up.": ".lora_B."}
    return {
        key.replace(old, new): tensor
        for old, new in names.items()
        for key, tensor in tensors.items()
        if old in key
    }


def test_a_lora_has_the_effect_that_it_has_in_diffusers(bench, pipelines):
    model = unet_loader(FILES[False], "default", bench)
    clip, vae = clip_loader(TEXT, "flux3", ctx=bench), vae_loader(VAE, bench)
    tensors = in_pefts_names(lora(5, {f"diffusion_model.{k}": s for k, s in LORA.items()}))
    write(bench.root / "models/loras/a.safetensors", tensors)
    bench.notices.clear()

    changed = lora_loader_model_only(model, "a.safetensors", bench, 1.0)
    text = clip_text_encode(PROMPTS[0], clip, bench)
    told = reference_multi_latent(text, None, vae, images=images(PICTURES), ctx=bench).positive
    found, plain = (sampled(bench, each, told, told, 1.0) for each in (changed, model))

    assert not bench.notices
    assert (found - plain).std() / plain.std() > 0.02
    pipeline = pipelines[False]
    with merged(pipeline.transformer, rename(in_float32(tensors))):
        expected = theirs(pipeline, model, PROMPTS, 1.0, PICTURES)
    assert_close(found, expected)


@pytest.mark.parametrize(
    "name",
    [
        "diffusion_model.content_mode_blocks.image.0.q_proj",
        "transformer.mode_blocks.image.0.attn.to_q",
        "transformer.single_transformer_blocks.0.attn.to_out.0",
        "base_model.model.txt_mode_blocks.0.attn.to_k",
        "lora_unet_single_blocks_0_q_proj",
        "lycoris_txt_mode_blocks_0_attn_to_v",
        "lora_unet_content_mode_blocks_image_1_attn_out",
    ],
)
def test_the_names_of_trainers_are_known(bench, name):
    model = unet_loader(FILES[False], "default", bench)
    write(bench.root / f"models/loras/{name}.safetensors", lora(7, {name: (64, 64)}))
    bench.notices.clear()

    changed = lora_loader_model_only(model, f"{name}.safetensors", bench, 1.0)

    assert not bench.notices
    assert not torch.allclose(denoised(changed), denoised(model), atol=1e-4)


def test_a_lora_of_another_family_is_told(bench):
    model = unet_loader(FILES[False], "default", bench)
    names = ("double_blocks_0_img_attn_qkv", "single_blocks_0_linear1", "single_blocks_1_linear1")
    tensors = lora(7, {f"lora_unet_{name}": (192, 64) for name in names})
    write(bench.root / "models/loras/flux.safetensors", tensors)

    with pytest.raises(LoraMismatchError, match=r"FLUX\.1"):
        lora_loader_model_only(model, "flux.safetensors", bench, 1.0)


@pytest.mark.parametrize("build", [small_flux, small_klein])
def test_its_loras_are_told_to_other_families(bench, build):
    write(bench.root / "models/diffusion_models/other.safetensors", build())
    model = unet_loader("other.safetensors", "default", bench)
    tensors = lora(9, {f"diffusion_model.{name}": shape for name, shape in LORA.items()})
    write(bench.root / "models/loras/flux3.safetensors", tensors)

    with pytest.raises(LoraMismatchError, match=r"looks like one for FLUX\.3"):
        lora_loader_model_only(model, "flux3.safetensors", bench, 1.0)


def test_quantised_files_are_close(tmp_path):
    assert_quantised_files_are_close(tmp_path, small_flux3(jumps=True))


def test_the_published_models_are_read_from_their_shapes():
    width, head = 3072, 128
    mode = "content_mode_blocks.{}.{}.q_proj.weight"
    shapes = {
        "early_stream_modulations.image.lin.weight": (3 * width, width),
        "emb_in.image.weight": (width, 128),
        "emb_in.image_cond.weight": (width, 128),
        "txt_in.weight": (width, WIDTH),
        "time_in.in_layer.weight": (width, 256),
        "single_blocks.0.norm.query_norm.scale": (head,),
        "single_blocks.0.mlp_out.weight": (width, 3 * width),
        **{f"single_blocks.{n}.q_proj.weight": (width, width) for n in range(28)},
        **{f"txt_mode_blocks.{n}.q_proj.weight": (width, width) for n in range(5)},
        **{mode.format("image", n): (width, width) for n in range(5)},
    }
    distilled = shapes | {"ref_time_in.in_layer.weight": (width, 256)}
    for prefix, jumps in (("", False), ("model.diffusion_model.", True)):
        found = {prefix + key: each for key, each in (distilled if jumps else shapes).items()}
        infos = {key: TensorInfo("BF16", shape) for key, shape in found.items()}

        model = architecture_of(Header(Path("f.safetensors"), infos, {})).model

        assert model.network.config == {
            "in_channels": 128,
            "cond_in_channels": 128,
            "num_layers": 5,
            "num_single_layers": 28,
            "attention_head_dim": head,
            "num_attention_heads": 24,
            "joint_attention_dim": WIDTH,
            "timestep_channels": 256,
            "mlp_ratio": 3.0,
            "axes_dims_rope": [32, 32, 32, 32],
            "flow_map": jumps,
        }
        assert model.noise == FlowRules(shift=6.93, multiplier=1.0)
