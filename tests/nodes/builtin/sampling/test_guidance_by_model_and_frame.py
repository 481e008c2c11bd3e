"""Guidance with a second model for the negative prompt, and guidance that differs by frame."""

import pytest
import torch

from nodegraph.cache.entry import survey
from nodes.builtin.sampling.custom import random_noise, sampler_custom_advanced
from nodes.builtin.sampling.guidance import video_linear_cfg_guidance, video_triangle_cfg_guidance
from nodes.builtin.sampling.guiders import cfg_guider, dual_model_guider
from nodes.builtin.sampling.schedulers import basic_scheduler
from nodes.models.loading.forward import denoise
from nodes.models.loading.handles import ModelHandle
from nodes.models.networks.base.errors import ChannelMismatchError
from nodes.sampling.guidance.loop import in_model_space
from nodes.values import CondBatch, Latent
from tests.nodes.bench import Bench
from tests.nodes.reference import distance
from tests.tiny_models.checkpoints import small_sd15, write
from tests.tiny_models.handles import opened
from tests.tiny_models.samplable import samplable

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def sd15(folder):
    return samplable(folder)


@pytest.fixture(scope="module")
def other(folder):
    return ModelHandle(opened(write(folder / "other.safetensors", small_sd15(9))).model)


@pytest.fixture
def sample(sd15, tmp_path):
    def run(guider, steps=2, frames=1):
        made = sampler_custom_advanced(
            noise=random_noise(7),
            guider=guider,
            sampler="euler",
            sigmas=basic_scheduler(sd15.model, "simple", steps),
            latent_image=sd15.blank(frames),
            ctx=Bench(tmp_path),
        )
        return made.output.samples

    return run


def start(model, frames):
    """The noisy latent that sampling begins with, and its level."""
    noise = torch.randn(frames, 4, 8, 8, generator=torch.Generator().manual_seed(7))
    facts = model.parameterization
    sigma = torch.tensor(facts.sigma_max)
    x = facts.add_noise(sigma, noise, torch.zeros_like(noise), max_denoise=True)
    return x, sigma.expand(frames)


def predicted(model, text, x, sigma):
    tokens = text.conds[0].tokens.expand(len(x), -1, -1)
    return denoise(model, x, sigma, CondBatch(tokens))


def test_the_negative_prediction_is_the_other_models(sd15, other, sample):
    """One step of Euler to 0 gives x0 itself."""
    texts = sd15.text(0.3), sd15.text(0.7)
    x, sigma = start(sd15.model, 2)
    good, bad = (
        predicted(model, text, x, sigma)
        for model, text in zip((sd15.model, other), texts, strict=True)
    )

    guider = dual_model_guider(sd15.model, texts[0], other, texts[1], cfg=3.0)
    found = sample(guider, steps=1, frames=2)

    made = in_model_space(found, sd15.model.latent_format, torch.device("cpu"))
    assert distance(made, bad + 3.0 * (good - bad)) <= 1e-4
    assert distance(found, sample(cfg_guider(sd15.model, *texts, 3.0), 1, 2)) > 1e-2


def test_with_one_model_twice_it_is_plain_guidance_and_without_a_prompt_zeros(sd15, sample):
    texts = sd15.text(0.3), sd15.text(0.7)
    plain = sample(cfg_guider(sd15.model, *texts, 3.0))
    alone = sample(dual_model_guider(sd15.model, texts[0], None, texts[1], cfg=3.0))
    twice = sample(dual_model_guider(sd15.model, texts[0], sd15.model, texts[1], cfg=3.0))
    empty = sample(dual_model_guider(sd15.model, texts[0], cfg=3.0))

    assert torch.equal(alone, plain)
    assert distance(twice, plain) <= 1e-4
    assert distance(empty, plain) > 1e-2


def test_a_run_claims_both_models_and_latents_of_another_kind_are_refused(folder, sd15, other):
    texts = sd15.text(0.3), sd15.text(0.7)
    guider = dual_model_guider(sd15.model, texts[0], other, texts[1])
    flux = samplable(folder, "flux")

    assert set(survey(guider).models) == {sd15.model.model.network, other.model.network}
    with pytest.raises(ChannelMismatchError, match="the negative model"):
        sampler_custom_advanced(
            noise=random_noise(7),
            guider=dual_model_guider(sd15.model, texts[0], flux.model, texts[1]),
            sampler="euler",
            sigmas=basic_scheduler(sd15.model, "simple", 1),
            latent_image=Latent(torch.zeros(1, 4, 8, 8)),
            ctx=Bench(folder),
        )


@pytest.mark.parametrize(
    ("change", "scales"),
    [
        (video_linear_cfg_guidance, [1.5, 2.25, 3.0, 3.75, 4.5]),
        (video_triangle_cfg_guidance, [1.5, 3.0, 4.5, 3.0, 1.5]),
    ],
)
def test_each_frame_has_a_scale_of_its_own(change, scales, sd15, sample):
    texts = sd15.text(0.3), sd15.text(0.7)
    x, sigma = start(sd15.model, 5)
    good, bad = (predicted(sd15.model, text, x, sigma) for text in texts)

    found = sample(cfg_guider(change(sd15.model, 1.5), *texts, 4.5), steps=1, frames=5)

    made = in_model_space(found, sd15.model.latent_format, torch.device("cpu"))
    expected = bad + torch.tensor(scales).view(5, 1, 1, 1) * (good - bad)
    assert distance(made, expected) <= 1e-4
