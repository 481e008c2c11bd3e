"""A batch whose images differ in everything, against the same images made one by one."""

import pytest

from nodes.builtin.sampling.custom import (
    batch_prompt,
    random_noise,
    sampler_custom,
    sampler_custom_advanced,
)
from nodes.builtin.sampling.errors import MixedModelsError
from nodes.builtin.sampling.guiders import cfg_guider
from nodes.builtin.sampling.schedulers import basic_scheduler
from nodes.inference.sample import Guider
from nodes.sampling.noise_schedule.errors import BatchCountError
from nodes.values import Conditioning
from tests.nodes.bench import Bench
from tests.tiny_models.samplable import Samplable, samplable

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = 8
MOST = 1e-5
"""How far an image of a batch may be from the same one alone, relative to its length."""


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {name: samplable(folder, name) for name in ("sd15", "sdxl", "flux")}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def prompts(kind: Samplable, at: int) -> tuple[Conditioning, Conditioning]:
    """A positive and a negative prompt, some of them longer than others."""
    long = 77 * (1 + at % 2)
    return kind.text(0.3 + 0.01 * at, long), kind.text(0.7 + 0.02 * at)


def chained(kind: Samplable, count: int):
    made = None
    for at in range(count):
        positive, negative = prompts(kind, at)
        made = batch_prompt(
            model=kind.model,
            positive=positive,
            negative=negative,
            cfg=1.0 + at,
            seed=100 + 7 * at,
            guider=made.GUIDER if made else None,
            noise=made.NOISE if made else None,
        )
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("sampler", "name"),
    [
        ("euler", "sd15"),
        ("euler", "sdxl"),
        ("euler", "flux"),
        ("euler_ancestral", "sd15"),
        pytest.param("euler_ancestral", "sdxl", marks=pytest.mark.slow),
        pytest.param("euler_ancestral", "flux", marks=pytest.mark.slow),
        ("dpmpp_2m_sde", "flux"),
        pytest.param("dpmpp_2m_sde", "sd15", marks=pytest.mark.slow),
        pytest.param("dpmpp_2m_sde", "sdxl", marks=pytest.mark.slow),
    ],
)
def test_each_image_of_a_batch_is_what_it_would_be_alone(kinds, bench, name, sampler):
    kind = kinds[name]
    sigmas = basic_scheduler(kind.model, "simple", 5)
    batch = chained(kind, IMAGES)

    together = sampler_custom_advanced(
        noise=batch.NOISE,
        guider=batch.GUIDER,
        sampler=sampler,
        sigmas=sigmas,
        latent_image=kind.blank(batch.batch_size),
        ctx=bench,
    ).output.samples

    off = [
        float((together[at : at + 1] - image).norm() / image.norm())
        for at, image in enumerate(alone(kind, sampler, sigmas, bench))
    ]
    print(f"{name}/{sampler}: off by {max(off):.1e}")
    assert len(off) == IMAGES
    assert max(off) <= MOST


def alone(kind, sampler, sigmas, bench):
    for at in range(IMAGES):
        positive, negative = prompts(kind, at)
        yield sampler_custom(
            model=kind.model,
            noise_seed=100 + 7 * at,
            cfg=1.0 + at,
            positive=positive,
            negative=negative,
            sampler=sampler,
            sigmas=sigmas,
            latent_image=kind.blank(),
            ctx=bench,
        ).output.samples


def test_a_batch_begins_with_a_guider_and_noise_of_other_nodes(kinds, bench):
    kind = kinds["sd15"]
    (positive, negative), (other, against) = prompts(kind, 0), prompts(kind, 1)

    begun = batch_prompt(
        model=kind.model,
        positive=other,
        negative=against,
        cfg=2.0,
        seed=107,
        guider=cfg_guider(kind.model, positive, negative, 1.0),
        noise=random_noise(100),
    )

    expected = chained(kind, 2)
    assert begun.NOISE == expected.NOISE
    assert begun.GUIDER.cfg == expected.GUIDER.cfg
    assert [c.sample for c in begun.GUIDER.positive.conds] == [0, 1]


def test_a_batch_of_another_size_than_the_latent_is_refused(kinds, bench):
    kind = kinds["sd15"]
    batch = chained(kind, 2)

    with pytest.raises(BatchCountError, match="seeds for 2 images, but 3 latents"):
        sampler_custom_advanced(
            noise=batch.NOISE,
            guider=batch.GUIDER,
            sampler="euler",
            sigmas=basic_scheduler(kind.model, "simple", 2),
            latent_image=kind.blank(3),
            ctx=bench,
        )


def test_what_does_not_belong_together_is_refused(kinds):
    kind, batch = kinds["sd15"], chained(kinds["sd15"], 2)
    more = {"positive": kind.text(0.1), "negative": kind.text(0.2)}

    with pytest.raises(BatchCountError, match="for 2 images so far, the noise for 0"):
        batch_prompt(model=kind.model, guider=batch.GUIDER, **more)
    with pytest.raises(BatchCountError, match="for 0 images so far, the noise for 1"):
        batch_prompt(model=kind.model, noise=random_noise(1), **more)
    with pytest.raises(MixedModelsError):
        batch_prompt(model=kinds["sdxl"].model, guider=batch.GUIDER, noise=batch.NOISE, **more)


def test_the_first_image_of_a_batch_needs_nothing_before_it(kinds):
    only = chained(kinds["sd15"], 1)

    assert only.batch_size == 1
    assert only.NOISE.seeds == (100,)
    assert isinstance(only.GUIDER, Guider)
