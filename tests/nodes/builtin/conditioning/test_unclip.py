"""Pictures shown to models that read a vision encoder's vectors: unCLIP's, and SDXL."""

from typing import Any, cast

import pytest
import torch
from diffusers.models.embeddings import get_timestep_embedding
from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import (
    StableUnCLIPImageNormalizer,
)
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

from nodes.builtin.conditioning.clip_vision import unclip_checkpoint_loader, unclip_conditioning
from nodes.builtin.sampling.ksampler import ksampler
from nodes.models.adapters.errors import NoVectorError
from nodes.models.families.base.errors import UnrecognisedFileError
from nodes.models.families.base.spec import UnclipRules
from nodes.models.loading.forward import denoise, prepare
from nodes.models.loading.handles import ModelHandle
from nodes.models.networks.base.errors import VisionEncoderMismatchError, WrongNetworkError
from nodes.models.networks.denoisers.unets.unclip import VECTOR, with_unclip_vector
from nodes.values import Cond, CondBatch, Conditioning, ImagePrompt, Latent, SeenPictures
from tests.nodes.bench import Bench
from tests.nodes.pictures import grid, picture
from tests.tiny_models.checkpoints import small_sd15, small_sdxl, small_unclip, write
from tests.tiny_models.handles import opened


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    write(folder / "models" / "checkpoints" / "unclip.safetensors", small_unclip())
    return folder


@pytest.fixture(scope="module")
def unclip(root):
    return unclip_checkpoint_loader("unclip.safetensors", Bench(root))


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdxl")
    return ModelHandle(opened(write(folder / "sdxl.safetensors", small_sdxl())).model)


def text(width=64, pooled=None):
    return Conditioning((Cond(grid((1, 77, width), 0.3), pooled),))


def test_noise_is_added_as_in_diffusers():
    embeds = grid((1, 64), 0.7)
    normalizer = StableUnCLIPImageNormalizer(64)
    normalizer.mean.data, normalizer.std.data = grid((1, 64), 0.2), grid((1, 64), 0.4) + 2
    mean, deviation = (tuple(v[0].tolist()) for v in (normalizer.mean, normalizer.std))
    rules = UnclipRules(64, mean=mean, deviation=deviation)
    cond = Cond(torch.zeros(1, 1, 1), image_prompts=(ImagePrompt(embeds, 0.5, 0.25),))

    found = with_unclip_vector(cond, rules, 17).extras[VECTOR]

    level = torch.tensor([round(999 * 0.25)], dtype=torch.int32)
    noise = torch.randn(1, 64, generator=torch.Generator().manual_seed(7))
    scheduler = DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    with torch.no_grad():
        noised = scheduler.add_noise(normalizer.scale(embeds), noise, cast("Any", level))
        expected = normalizer.unscale(noised)
    told = get_timestep_embedding(level, 64, flip_sin_to_cos=True, downscale_freq_shift=0)
    torch.testing.assert_close(found, 0.5 * torch.cat([expected, told], dim=1))


def test_several_pictures_add_up_and_are_blurred_once_more():
    embeds = grid((3, 64), 0.7)
    shown = (ImagePrompt(embeds[:2]), ImagePrompt(embeds[2:], 0.5))
    cond = Cond(torch.zeros(1, 1, 1), image_prompts=shown)
    own, pooled = UnclipRules(64, merging=0.3), UnclipRules(64, pooled=True)

    vector = with_unclip_vector(cond, own, 0).extras[VECTOR]
    instead = with_unclip_vector(cond, pooled, 0).pooled

    assert isinstance(vector, torch.Tensor)
    assert instead is not None
    total = embeds[0] + embeds[1] + 0.5 * embeds[2]
    assert (instead - total).abs().max() < 0.05
    assert (vector[:, :64] - total).abs().max() > 0.3
    level = torch.tensor([300])
    told = get_timestep_embedding(level, 64, flip_sin_to_cos=True, downscale_freq_shift=0)
    torch.testing.assert_close(vector[:, 64:], told)


def test_an_unclip_model_is_asked_with_the_vector(unclip):
    model = unclip.MODEL
    seen = unclip.CLIP_VISION.see(picture(1, 16, 16))
    x, sigma = grid((1, 4, 8, 8), 0.3), torch.tensor([2.0])

    def ask(conditioning):
        cond = prepare(model, conditioning.conds[0], (8, 8))
        return denoise(model, x, sigma, CondBatch(cond.tokens, extras=cond.extras))

    shown, plain = ask(unclip_conditioning(text(), seen)), ask(text())

    module = model.model.network.module()
    facts = model.parameterization
    vector = with_unclip_vector(
        Cond(text().conds[0].tokens, image_prompts=(ImagePrompt(seen.embeds),)),
        model.model.spec.unclip,
        0,
    ).extras[VECTOR]
    for found, labels in ((shown, vector), (plain, torch.zeros(1, 128))):
        (output,) = module(
            facts.scale_input(x, sigma),
            facts.timestep(sigma),
            text().conds[0].tokens,
            class_labels=labels,
            return_dict=False,
        )
        torch.testing.assert_close(found, facts.to_x0(x, sigma, output))
    assert (shown - plain).abs().max() > 1e-3


def test_an_unclip_checkpoint_says_how_its_pictures_are_spread(unclip):
    rules = unclip.MODEL.model.spec.unclip

    assert (rules.width, rules.pooled, rules.merging) == (64, False, 0.05)
    stored = small_unclip()["noise_augmentor.data_mean"].float()
    assert torch.equal(torch.tensor([rules.mean]), stored)


def test_sdxl_reads_pictures_in_place_of_the_pooled_text(sdxl):
    pooled = torch.zeros(1, 64)
    embeds = grid((1, 64), 0.7)
    seen = SeenPictures(embeds, torch.zeros(1, 1, 1), {})
    conditioning = unclip_conditioning(text(128, pooled), seen, 0.75)

    cond = prepare(sdxl, conditioning.conds[0], (8, 8))

    assert cond.pooled is not None
    assert (cond.pooled - 0.75 * embeds).abs().max() < 0.03
    plain = prepare(sdxl, text(128, pooled).conds[0], (8, 8))
    assert plain.pooled is pooled


def test_sampling_draws_the_noise_of_pictures_from_its_seed(unclip, root):
    seen = unclip.CLIP_VISION.see(picture(1, 16, 16))
    latent = Latent(torch.zeros(1, 4, 8, 8))
    shown = unclip_conditioning(text(), seen, 1.0, 0.8)

    def sampled(seed, conditioning):
        return ksampler(
            model=unclip.MODEL,
            seed=seed,
            steps=2,
            cfg=2.0,
            sampler_name="euler",
            scheduler="normal",
            positive=conditioning,
            negative=text(),
            latent_image=latent,
            ctx=Bench(root),
        ).samples

    assert torch.equal(sampled(5, shown), sampled(5, shown))
    vectors = [
        prepare(unclip.MODEL, shown.conds[0], (8, 8), seed=seed).extras[VECTOR] for seed in (5, 6)
    ]
    assert (vectors[0] - vectors[1]).abs().max() > 0.1
    assert not torch.equal(sampled(5, shown), sampled(5, text()))


def test_strength_0_shows_nothing(unclip):
    seen = unclip.CLIP_VISION.see(picture(1, 16, 16))
    assert unclip_conditioning(text(), seen, 0.0).conds[0].image_prompts == ()


def test_a_model_that_reads_no_pictures_says_so(tmp_path):
    model = ModelHandle(opened(write(tmp_path / "small.safetensors", small_sd15())).model)
    seen = SeenPictures(grid((1, 64), 0.7), torch.zeros(1, 1, 1), {})

    with pytest.raises(WrongNetworkError, match="unCLIPConditioning is for SDXL"):
        prepare(model, unclip_conditioning(text(), seen).conds[0], (8, 8))


def test_what_another_vision_encoder_sees_is_refused(sdxl):
    seen = SeenPictures(grid((1, 32), 0.7), torch.zeros(1, 1, 1), {})

    with pytest.raises(VisionEncoderMismatchError, match=r"reads 64 numbers of an image.*gives 32"):
        prepare(sdxl, unclip_conditioning(text(128), seen).conds[0], (8, 8))


def test_an_encoder_without_a_head_says_nothing_that_could_be_shown():
    with pytest.raises(NoVectorError, match="no vector of an image"):
        unclip_conditioning(text(), SeenPictures(None, torch.zeros(1, 1, 1), {}))


def test_a_checkpoint_without_a_vision_encoder_is_refused(tmp_path):
    write(tmp_path / "models" / "checkpoints" / "plain.safetensors", small_sd15())

    with pytest.raises(UnrecognisedFileError, match="holds no vision encoder"):
        unclip_checkpoint_loader("plain.safetensors", Bench(tmp_path))
