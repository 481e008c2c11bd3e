"""Qwen-Image-Layered gives what diffusers' pipeline does on the same weights and pictures."""

from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from diffusers.pipelines.qwenimage import pipeline_qwenimage_layered as layered
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)
from PIL import Image as PILImage

from nodes.builtin.conditioning.conditioning import conditioning_set_mask
from nodes.builtin.conditioning.flux import reference_latent
from nodes.builtin.conditioning.prompts import clip_text_encode
from nodes.builtin.latent.batches import latent_cut_to_batch
from nodes.builtin.latent.latents import (
    empty_latent_image,
    empty_qwen_image_layered_latent_image,
    latent_upscale_by,
    set_latent_noise_mask,
)
from nodes.builtin.latent.vae import vae_decode, vae_encode
from nodes.builtin.model.checkpoints import diffusers_loader, unet_loader, vae_loader
from nodes.builtin.model.lora import lora_loader_model_only
from nodes.builtin.model.text_encoders import clip_loader
from nodes.builtin.sampling.ksampler import ksampler
from nodes.models.networks.base.errors import LayeredLatentError, TooManyReferencesError
from nodes.models.networks.controlnets.qwen_image import QwenImageControl
from nodes.values import Latent
from tests.nodes.bench import Bench
from tests.nodes.models.family_checks import (
    SEED,
    STEPS,
    assert_close,
    assert_quantised_files_are_close,
    in_float32,
    merged,
    start_of,
)
from tests.nodes.models.qwen_image_theirs import Processor, their_text, their_transformer, their_vae
from tests.tiny_models.checkpoints import lora, write
from tests.tiny_models.compare import assert_same
from tests.tiny_models.language_models import BYTES
from tests.tiny_models.whole_models import (
    small_qwen_image,
    small_qwen_image_layered,
    tiny_qwen_image_layered,
)

MODEL, VAE = "qwen_image_layered_bf16.safetensors", "qwen_image_layered_vae.safetensors"
TEXT = "qwen_2.5_vl_7b_fp8_scaled.safetensors"
PROMPT, WORSE = "a (red:1.3) fox\n in snow", "blurred"
PLAIN = "plain.safetensors"
LAYERS = 2


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    tiny_qwen_image_layered(bench.root / "models")
    write(bench.root / "models/diffusion_models" / PLAIN, small_qwen_image())
    return bench


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Let the pipeline keep the size of the picture, which it would scale to 640x640."""
    monkeypatch.setattr(layered, "calculate_dimensions", lambda *_: (48, 64))


@pytest.fixture(scope="module")
def model(bench):
    return unet_loader(MODEL, "default", bench)


@pytest.fixture(scope="module")
def vae(bench):
    return vae_loader(VAE, bench)


@pytest.fixture(scope="module")
def pipeline():
    """Diffusers' pipeline on the same weights."""
    processor = Processor()
    made = layered.QwenImageLayeredPipeline(
        FlowMatchEulerDiscreteScheduler(),
        cast("Any", their_vae(colours=4)),
        their_text(),
        cast("Any", processor.tokenizer),
        cast("Any", processor),
        their_transformer(
            small_qwen_image_layered(), use_additional_t_cond=True, use_layer3d_rope=True
        ),
    )
    made.set_progress_bar_config(disable=True)
    return made


@pytest.fixture(scope="module")
def picture():
    """With alpha, and numbers of 8 bits; 64 by 48 pixels."""
    generator = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, (1, 64, 48, 4), generator=generator) / 255


def start(batch=1):
    return empty_qwen_image_layered_latent_image(48, 64, LAYERS, batch)


@pytest.fixture(scope="module")
def texts(bench, vae, picture):
    """Both prompts with the picture."""
    clip = clip_loader(TEXT, "qwen_image", ctx=bench)
    latent = vae_encode(picture, vae, bench)
    return [
        reference_latent(clip_text_encode(each, clip, bench), latent) for each in (PROMPT, WORSE)
    ]


def ours(bench, model, texts, latent, cfg=3.0, **more):
    positive, negative = texts
    return ksampler(
        model=model, seed=SEED, steps=STEPS, cfg=cfg, sampler_name="euler", scheduler="simple",
        positive=positive, negative=negative, latent_image=latent, ctx=bench, **more,
    )  # fmt: skip


def theirs(pipeline, model, picture):
    """The latents of diffusers from the same noise, at the same levels, and its pictures."""

    def keep(*given):
        latents.append(given[-1]["latents"])
        return {}

    latents = list[torch.Tensor]()
    noise = torch.randn(start().samples.shape, generator=torch.Generator().manual_seed(SEED))
    packed = pipeline._pack_latents(noise.movedim(2, 1), 1, 16, 8, 6, LAYERS + 1)
    pixels = (picture[0] * 255).round().byte().numpy()
    (images,) = pipeline(
        image=PILImage.fromarray(pixels),
        prompt=PROMPT,
        negative_prompt=WORSE,
        true_cfg_scale=3.0,
        layers=LAYERS,
        sigmas=start_of(model)[1],
        latents=packed,
        output_type="pt",
        callback_on_step_end=keep,
    ).images
    return pipeline._unpack_latents(latents[-1], 64, 48, LAYERS, 8), images.movedim(1, -1)


def test_the_layers_of_a_picture_are_those_of_the_pipeline(
    bench, model, vae, texts, pipeline, picture
):
    latent = ours(bench, model, texts, start())
    expected, made = theirs(pipeline, model, picture)

    assert latent.samples.shape == (1, 16, LAYERS + 1, 8, 6)
    assert_close(model.latent_format.to_model(latent.samples), expected)

    images = vae_decode(latent_cut_to_batch(latent, "t", 1), vae, bench)
    assert images.shape == (LAYERS + 1, 64, 48, 4)
    torch.testing.assert_close(images[1:], made, rtol=0, atol=1e-4)
    assert torch.equal(vae_decode(latent, vae, bench), images)


def test_a_diffusers_folder_gives_what_single_files_do(bench, model, vae, texts, pipeline, picture):
    folder = bench.root / "models/diffusers/layered"
    for part in ("transformer", "text_encoder", "vae", "scheduler"):
        getattr(pipeline, part).save_pretrained(folder / part)
    (folder / "tokenizer").mkdir()
    for key, name in (("vocab", "vocab.json"), ("merges", "merges.txt")):
        (folder / "tokenizer" / name).write_text(BYTES[f"tokenizer.{key}"])
    (folder / "model_index.json").write_text('{"_class_name": "QwenImageLayeredPipeline"}')

    found, clip, other = diffusers_loader("layered", bench)

    assert found.model.spec == replace(model.model.spec, network=found.model.spec.network)
    latent = vae_encode(picture, other, bench)
    assert_same(latent.samples, vae_encode(picture, vae, bench).samples)
    read = [reference_latent(clip_text_encode(t, clip, bench), latent) for t in (PROMPT, WORSE)]
    samples = ours(bench, found, read, start())
    assert_close(samples.samples, ours(bench, model, texts, start()).samples)
    assert_same(vae_decode(samples, other, bench), vae_decode(samples, vae, bench))


def test_texts_are_those_of_the_pipeline(bench, pipeline):
    clip = clip_loader(TEXT, "qwen_image", ctx=bench)

    text = clip_text_encode(PROMPT, clip, bench)

    expected, _ = pipeline.encode_prompt(PROMPT)
    torch.testing.assert_close(text.conds[0].tokens, expected, rtol=0, atol=1e-4)


def test_the_vae_reads_alpha(bench, vae, pipeline, picture):
    latent = vae_encode(picture, vae, bench).samples

    frames = (picture * 2 - 1).movedim(-1, 1).unsqueeze(2)
    assert_close(latent, pipeline.vae.encode(frames).latent_dist.mean[:, :, 0])
    opaque = torch.cat([picture[..., :3], torch.ones(1, 64, 48, 1)], dim=-1)
    plain, full = (vae_encode(each, vae, bench).samples for each in (picture[..., :3], opaque))
    assert torch.equal(plain, full)
    assert not torch.allclose(plain, latent, atol=1e-2)


def test_a_lora_has_the_effect_that_it_has_in_diffusers(bench, model, texts, pipeline, picture):
    sizes = {
        "transformer_blocks.0.attn.to_q": (64, 64),
        "transformer_blocks.1.attn.to_out.0": (64, 64),
        "transformer_blocks.0.img_mlp.net.0.proj": (256, 64),
        "transformer_blocks.1.img_mod.1": (384, 64),
    }
    tensors = lora(5, sizes)
    write(bench.root / "models/loras/a.safetensors", tensors)

    changed = lora_loader_model_only(model, "a.safetensors", bench, 1.0)
    found, plain = (ours(bench, each, texts, start()).samples for each in (changed, model))

    assert (found - plain).std() / plain.std() > 0.01
    factors = cast("Any", layered.QwenImageLayeredPipeline).lora_state_dict(dict(tensors))
    with merged(pipeline.transformer, in_float32(factors)):
        expected, _ = theirs(pipeline, model, picture)
    assert_close(model.latent_format.to_model(found), expected)


def test_layers_are_made_from_text_alone_at_any_size(bench, model, texts):
    text, _ = texts
    (cond,) = text.conds
    plain = replace(text, conds=(replace(cond, extras={}),))

    latent = replace(start(), samples=torch.zeros(1, 16, LAYERS + 1, 7, 5))
    found = ours(bench, model, (plain, plain), latent, cfg=1.0).samples

    assert found.shape == latent.samples.shape
    seen = ours(bench, model, (text, text), latent, cfg=1.0).samples
    assert not torch.allclose(found, seen, atol=1e-2)


def test_a_latent_without_layers_is_that_of_a_single_one(bench, model, texts):
    single = empty_qwen_image_layered_latent_image(48, 64, 0)

    found, expected = (
        ours(bench, model, texts, each, cfg=1.0).samples
        for each in (empty_latent_image(48, 64), single)
    )

    assert expected.shape == (1, 16, 1, 8, 6)
    assert torch.equal(found, expected)


def test_a_batch_is_that_of_each_alone(bench, model, texts):
    both = replace(start(batch=2), batch_index=(0, 0))

    found = ours(bench, model, texts, both).samples

    alone = ours(bench, model, texts, start()).samples
    for row in found:
        torch.testing.assert_close(row[None], alone, rtol=0, atol=1e-4)


def test_a_mask_keeps_what_lies_outside_in_every_layer(bench, model, texts):
    before = ours(bench, model, texts, start(batch=2))
    mask = torch.zeros(2, 64, 48)
    mask[0, :32] = 1

    masked = set_latent_noise_mask(before, mask)
    found = ours(bench, model, texts, masked, cfg=1.0, denoise=0.6).samples

    plain = before.samples
    torch.testing.assert_close(found[0, ..., 5:, :], plain[0, ..., 5:, :], rtol=0, atol=1e-4)
    torch.testing.assert_close(found[1], plain[1], rtol=0, atol=1e-4)
    assert (found - plain)[0, ..., :3, :].abs().amax((0, 2, 3)).min() > 1e-2


def test_a_masked_prompt_holds_for_every_layer(bench, model, texts):
    prompt, worse = texts
    masked = conditioning_set_mask(
        conditioning=prompt, mask=torch.ones(2, 64, 48), strength=0.5, set_cond_area="default"
    )

    found, plain = (
        ours(bench, model, (each, worse), start(batch=2)).samples for each in (masked, prompt)
    )

    torch.testing.assert_close(found, plain, rtol=0, atol=1e-4)


def test_layers_are_resized_one_by_one():
    latent = replace(start(batch=2), samples=torch.rand(2, 16, 3, 8, 6))

    found = latent_upscale_by(latent, "bilinear", 2.0).samples

    expected = latent_upscale_by(Latent(latent.samples[1:, :, 2]), "bilinear", 2.0).samples
    assert found.shape == (2, 16, 3, 16, 12)
    assert torch.equal(found[1:, :, 2], expected)


def test_latents_and_references_that_do_not_fit_are_told(bench, model, vae, texts, picture):
    flat = unet_loader(PLAIN, "default", bench)
    with pytest.raises(LayeredLatentError, match="the latent has layers"):
        ours(bench, flat, texts, start())

    twice = [reference_latent(each, vae_encode(picture, vae, bench)) for each in texts]
    with pytest.raises(TooManyReferencesError, match="2 reference images"):
        ours(bench, model, twice, start())

    stacked = [reference_latent(each, start()) for each in texts]
    with pytest.raises(LayeredLatentError, match="reference latent"):
        ours(bench, model, stacked, start())


def test_controlnets_are_for_models_of_a_single_picture(bench, model):
    config = model.model.network.spec.config
    plain = unet_loader(PLAIN, "default", bench).model.network.spec.config

    assert QwenImageControl().fits(plain, plain)
    assert not QwenImageControl().fits(plain, config)


def test_quantised_files_are_close(tmp_path):
    assert_quantised_files_are_close(tmp_path, small_qwen_image_layered())
