"""Qwen-Image-Edit gives what diffusers' pipelines do on the same weights and pictures."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit as edit
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as plus
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)
from PIL import Image as PILImage

from nodes.builtin.conditioning import edit_prompts
from nodes.builtin.conditioning.edit_prompts import (
    text_encode_qwen_image_edit,
    text_encode_qwen_image_edit_plus,
)
from nodes.builtin.conditioning.flux import (
    flux_kontext_multi_reference_latent_method,
    reference_latent,
)
from nodes.builtin.conditioning.prompts import clip_text_encode
from nodes.builtin.model.checkpoints import unet_loader, vae_loader
from nodes.builtin.model.text_encoders import clip_loader
from nodes.models.families.denoisers.qwen_image import qwen_image_config
from nodes.models.loading.errors import BlindEncoderError, ChatlessEncoderError
from nodes.models.networks.base.errors import ChannelMismatchError, ReferenceMethodError
from nodes.models.text.qwen_tokenizer import qwen2_tokenizer
from nodes.models.weights.header import Header, TensorInfo
from nodes.values import REFERENCES, Conditioning, Latent
from tests.nodes.bench import Bench
from tests.nodes.models.family_checks import assert_close, sampled, start_of, text_of
from tests.nodes.models.qwen_image_theirs import (
    WIDTH,
    Processor,
    their_text,
    their_transformer,
    their_vae,
)
from tests.tiny_models.checkpoints import small_clip, write
from tests.tiny_models.language_models import BYTES, small_qwen2_5_vl
from tests.tiny_models.whole_models import small_qwen_image, tiny_qwen_image

MODEL, NEWEST = "qwen_image_2512_fp8_e4m3fn.safetensors", "qwen_image_edit_2511_bf16.safetensors"
TEXT, VAE = "qwen_2.5_vl_7b_fp8_scaled.safetensors", "qwen_image_vae.safetensors"
PROMPT = "make the (sky:1.3) red"
AREA = 64 * 64
"""The pixels that pictures are scaled to here."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    models = bench.root / "models"
    tiny_qwen_image(models)
    marked = {**small_qwen_image(), "__index_timestep_zero__": torch.empty(0)}
    write(models / "diffusion_models" / NEWEST, marked)
    return bench


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Scale pictures to a size that tiny models have done soon."""
    for name in ("SEEN", "READ"):
        monkeypatch.setattr(edit_prompts, name, AREA)
    for name in ("CONDITION_IMAGE_SIZE", "VAE_IMAGE_SIZE"):
        monkeypatch.setattr(plus, name, AREA)
    whole = edit.calculate_dimensions
    monkeypatch.setattr(edit, "calculate_dimensions", lambda _, ratio: whole(AREA, ratio))
    monkeypatch.setattr(plus, "calculate_dimensions", lambda _, ratio: whole(AREA, ratio)[:2])


@pytest.fixture(scope="module")
def parts():
    return their_vae(), their_text(), Processor()


def pipeline(kind: Any, parts: Any, **flags: Any) -> Any:
    """One of diffusers' pipelines on the same weights."""
    vae, text, processor = parts
    made = kind(
        FlowMatchEulerDiscreteScheduler(),
        vae,
        text,
        processor.tokenizer,
        processor,
        their_transformer(**flags),
    )
    made.set_progress_bar_config(disable=True)
    return made


def picture(number, height=64, width=64):
    """A picture whose numbers are those of 8 bits."""
    generator = torch.Generator().manual_seed(number)
    return torch.randint(0, 256, (1, height, width, 3), generator=generator) / 255


def as_pil(image):
    return PILImage.fromarray((image[0] * 255).round().byte().numpy())


def theirs(made, model, images, prompt=PROMPT, **more):
    """The latents of diffusers from the same noise, at the same levels."""
    noise, sigmas = start_of(model)
    found = made(
        image=images,
        prompt=prompt,
        height=64,
        width=48,
        sigmas=sigmas,
        latents=made._pack_latents(noise, 1, 16, 8, 6),
        output_type="latent",
        **{"true_cfg_scale": 1.0, **more},
    ).images
    return made._unpack_latents(found, 64, 48, 8)[:, :, 0]


def opened(bench, name=MODEL):
    vae = vae_loader(VAE, bench)
    return unet_loader(name, "default", bench), clip_loader(TEXT, "qwen_image", ctx=bench), vae


def test_an_edit_is_that_of_the_pipeline(bench, parts):
    made, image = pipeline(edit.QwenImageEditPipeline, parts), picture(1)
    model, clip, vae = opened(bench)

    text = text_encode_qwen_image_edit(clip, PROMPT, vae, image, ctx=bench)
    found = sampled(bench, model, text, text, 1.0)

    expected, _ = made.encode_prompt(PROMPT, as_pil(image))
    torch.testing.assert_close(text.conds[0].tokens, expected, rtol=0, atol=1e-4)
    (latent,) = cast("tuple[torch.Tensor]", text.conds[0].extras[REFERENCES])
    encoded = made._encode_vae_image((image * 2 - 1).movedim(-1, 1).unsqueeze(2), None)
    assert_close(model.latent_format.to_model(latent), encoded[:, :, 0])
    assert_close(model.latent_format.to_model(found), theirs(made, model, as_pil(image)))


@pytest.mark.parametrize("number", [0, 3])
def test_an_edit_with_several_pictures_is_that_of_the_pipeline(bench, parts, number):
    made = pipeline(plus.QwenImageEditPlusPipeline, parts)
    model, clip, vae = opened(bench)
    images = [picture(seed, 64, 64) for seed in range(number)]

    given = {f"image{place}": image for place, image in enumerate(images, 1)}
    text = text_encode_qwen_image_edit_plus(clip, PROMPT, vae, **given, ctx=bench)

    seen = [as_pil(image) for image in images]
    expected, _ = made.encode_prompt(PROMPT, seen or None)
    torch.testing.assert_close(text.conds[0].tokens, expected, rtol=0, atol=1e-4)
    if images:
        found = sampled(bench, model, text, text, 1.0)
        assert_close(model.latent_format.to_model(found), theirs(made, model, seen))


def test_references_of_2511_are_at_time_zero(bench, parts):
    made = pipeline(plus.QwenImageEditPlusPipeline, parts, zero_cond_t=True)
    older, clip, vae = opened(bench)
    newest = unet_loader(NEWEST, "default", bench)
    images = [picture(1), picture(2)]
    text = text_encode_qwen_image_edit_plus(clip, PROMPT, vae, *images, ctx=bench)
    zero, plain = (
        flux_kontext_multi_reference_latent_method(text, method)
        for method in ("index_timestep_zero", "index")
    )

    found = sampled(bench, newest, text, text, 1.0)

    expected = theirs(made, newest, [as_pil(image) for image in images])
    assert_close(newest.latent_format.to_model(found), expected)
    assert torch.equal(found, sampled(bench, newest, zero, zero, 1.0))
    assert torch.equal(found, sampled(bench, older, zero, zero, 1.0))
    usual = sampled(bench, older, text, text, 1.0)
    assert (found - usual).std() / usual.std() > 1e-3
    assert torch.equal(usual, sampled(bench, newest, plain, plain, 1.0))


def test_a_folder_of_2511_says_so_in_its_configuration():
    infos = {key: TensorInfo("F16", tuple(t.shape)) for key, t in small_qwen_image().items()}
    plain, told = (
        qwen_image_config(
            Header(Path("a"), infos, {"config": json.dumps({"qwen_image": config})}), ""
        )
        for config in ({"zero_cond_t": False}, {"zero_cond_t": True})
    )

    assert (plain["zero_cond_t"], told["zero_cond_t"]) == (False, True)


def test_a_model_without_references_takes_no_more_than_a_text(bench):
    older, newest = (unet_loader(name, "default", bench) for name in (MODEL, NEWEST))
    text = text_of(WIDTH)

    found, usual = (sampled(bench, model, text, text, 1.0) for model in (newest, older))

    torch.testing.assert_close(found, usual, rtol=0, atol=1e-5)


@dataclass(frozen=True)
class PatchLength:
    """The pipeline's step after guidance: each patch of noise as long as the positive one."""

    def apply(self, x, guided, cond):
        noise, aim = (unfold(x - each) for each in (guided, cond))
        longer = noise * (aim.norm(dim=1, keepdim=True) / noise.norm(dim=1, keepdim=True))
        return x - torch.nn.functional.fold(longer, x.shape[-2:], 2, stride=2)


def unfold(x):
    return torch.nn.functional.unfold(x, 2, stride=2)


def test_guidance_is_that_of_the_pipeline_before_it_is_shortened(bench, parts):
    made = pipeline(plus.QwenImageEditPlusPipeline, parts)
    model, clip, vae = opened(bench)
    positive, negative = (
        text_encode_qwen_image_edit_plus(clip, prompt, vae, picture(1), ctx=bench)
        for prompt in (PROMPT, "blurry and dark")
    )
    lengths = replace(model.guidance, norms=(cast("Any", PatchLength()),))

    found = sampled(bench, replace(model, guidance=lengths), positive, negative, 4.0)

    seen = as_pil(picture(1))
    more: dict[str, Any] = {"negative_prompt": "blurry and dark", "true_cfg_scale": 4.0}
    assert_close(model.latent_format.to_model(found), theirs(made, model, seen, **more))


def test_without_a_picture_an_edit_is_a_prompt(bench):
    _, clip, vae = opened(bench)

    text = text_encode_qwen_image_edit(clip, PROMPT, vae, ctx=bench)

    assert torch.equal(text.conds[0].tokens, clip_text_encode(PROMPT, clip, bench).conds[0].tokens)
    assert not text.conds[0].extras


def test_without_a_vae_the_text_encoder_alone_sees(bench):
    _, clip, _ = opened(bench)

    text = text_encode_qwen_image_edit_plus(clip, PROMPT, image2=picture(1), ctx=bench)
    same = text_encode_qwen_image_edit_plus(clip, PROMPT, image1=picture(1), ctx=bench)

    assert not text.conds[0].extras
    assert torch.equal(text.conds[0].tokens, same.conds[0].tokens)


def test_pictures_are_scaled_by_their_shape(bench):
    _, clip, vae = opened(bench)

    text = text_encode_qwen_image_edit_plus(
        clip, PROMPT, vae, picture(1, 90, 300), torch.ones(1, 40, 40, 4), ctx=bench
    )

    latents = cast("tuple[torch.Tensor, ...]", text.conds[0].extras[REFERENCES])
    assert [tuple(each.shape) for each in latents] == [(1, 16, 4, 15), (1, 16, 8, 8)]
    assert not bench.notices
    text_encode_qwen_image_edit(clip, PROMPT, vae, picture(1).expand(2, -1, -1, -1), ctx=bench)
    assert "first image of a batch" in bench.notices.pop()


def test_the_tokens_that_are_dropped_are_those_of_the_system_and_the_user():
    tokens = qwen2_tokenizer().encode(edit_prompts._SYSTEM)

    assert len(tokens) == edit_prompts._DROPPED


def test_what_does_not_fit_is_told(bench):
    model, _, vae = opened(bench)
    folder = bench.root / "models/text_encoders"
    tensors = small_qwen2_5_vl()
    blind = {key: each for key, each in tensors.items() if not key.startswith("visual.")}
    write(folder / "blind.safetensors", blind, BYTES)
    write(folder / "clip_l.safetensors", small_clip())

    clip = clip_loader("blind.safetensors", "qwen_image", ctx=bench)
    with pytest.raises(BlindEncoderError, match=r"'blind.safetensors' sees no pictures"):
        text_encode_qwen_image_edit(clip, PROMPT, vae, picture(1), ctx=bench)
    clip = clip_loader("clip_l.safetensors", "stable_diffusion", ctx=bench)
    with pytest.raises(ChatlessEncoderError, match="clip_l"):
        text_encode_qwen_image_edit_plus(clip, PROMPT, ctx=bench)
    text: Conditioning = reference_latent(text_of(WIDTH), Latent(torch.zeros(1, 4, 8, 8)))
    with pytest.raises(ChannelMismatchError, match="4 channels"):
        sampled(bench, model, text, text, 1.0)
    text = reference_latent(text_of(WIDTH), Latent(torch.zeros(1, 16, 8, 8)))
    beside = flux_kontext_multi_reference_latent_method(text, "offset")
    with pytest.raises(ReferenceMethodError, match="'offset'"):
        sampled(bench, model, beside, beside, 1.0)


def test_references_of_any_size_are_padded(bench):
    model, _, _ = opened(bench)
    odd = torch.linspace(-1, 1, 16 * 35).reshape(1, 16, 7, 5)
    text = reference_latent(text_of(WIDTH), Latent(odd))

    found = sampled(bench, model, text, text_of(WIDTH), 3.0, (9, 7))

    assert found.shape == (1, 16, 9, 7)
