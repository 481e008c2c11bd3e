"""Custom sampling against KSampler: the same choices give the same latent."""

from typing import Any

import pytest
import torch

from nodes.builtin.sampling.custom import (
    add_noise,
    disable_noise,
    random_noise,
    sampler_custom,
    sampler_custom_advanced,
)
from nodes.builtin.sampling.guiders import basic_guider, cfg_guider
from nodes.builtin.sampling.ksampler import ksampler, ksampler_advanced
from nodes.builtin.sampling.samplers import ksampler_select, sampler_euler_ancestral
from nodes.builtin.sampling.schedulers import basic_scheduler
from nodes.builtin.sampling.sigmas import split_sigmas
from nodes.sampling.samplers.registry import SAMPLERS
from nodes.values import Latent
from tests.nodes.bench import Bench
from tests.nodes.pictures import grid, untouched
from tests.tiny_models.samplable import samplable

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def sd15(tmp_path_factory):
    return samplable(tmp_path_factory.mktemp("models"))


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def plain(kind, latent, bench, **more):
    given: dict[str, Any] = {
        "model": kind.model,
        "seed": 7,
        "steps": 4,
        "cfg": 3.0,
        "sampler_name": "euler",
        "scheduler": "karras",
        "positive": kind.text(0.3),
        "negative": kind.text(0.7),
        "latent_image": latent,
        "ctx": bench,
    }
    return ksampler(**{**given, **more})


def advanced(kind, latent, bench, **more):
    given: dict[str, Any] = {
        "noise": random_noise(7),
        "guider": cfg_guider(kind.model, kind.text(0.3), kind.text(0.7), 3.0),
        "sampler": ksampler_select("euler"),
        "sigmas": basic_scheduler(kind.model, "karras", 4),
        "latent_image": latent,
        "ctx": bench,
    }
    return sampler_custom_advanced(**{**given, **more})


def custom(kind, latent, bench, **more):
    given: dict[str, Any] = {
        "model": kind.model,
        "noise_seed": 7,
        "cfg": 3.0,
        "positive": kind.text(0.3),
        "negative": kind.text(0.7),
        "sampler": "euler",
        "sigmas": basic_scheduler(kind.model, "karras", 4),
        "latent_image": latent,
        "ctx": bench,
    }
    return sampler_custom(**{**given, **more})


@pytest.mark.parametrize(
    "name",
    [  # dpm_adaptive takes as many steps as it likes
        pytest.param(name, marks=pytest.mark.slow if name == "dpm_adaptive" else ())
        for name in SAMPLERS
        if not name.startswith(("dpm_2", "uni_pc"))
    ],
)
def test_all_three_ways_to_sample_give_the_same_latent(sd15, bench, name):
    """Those that leave out a level of the schedule need other sigmas than BasicScheduler's."""
    expected = plain(sd15, sd15.blank(), bench, sampler_name=name, steps=3, cfg=1.5)
    sigmas = basic_scheduler(sd15.model, "karras", 3)
    guider = cfg_guider(sd15.model, sd15.text(0.3), sd15.text(0.7), 1.5)

    one = custom(sd15, sd15.blank(), bench, sampler=name, sigmas=sigmas, cfg=1.5)
    other = advanced(sd15, sd15.blank(), bench, sampler=name, sigmas=sigmas, guider=guider)

    assert torch.equal(one.output.samples, expected.samples)
    assert torch.equal(other.output.samples, expected.samples)


@pytest.mark.parametrize("denoise", [0.3, 0.6, 1.0])
def test_a_part_of_the_schedule_changes_a_latent_as_ksampler_does(sd15, bench, denoise):
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 3:] = 1
    latent = Latent(grid((2, 4, 8, 8), 0.2), mask, (3, 1))
    sigmas = basic_scheduler(sd15.model, "karras", 4, denoise)

    with untouched(latent.samples, mask, sigmas):
        made = advanced(sd15, latent, bench, sigmas=sigmas)

    expected = plain(sd15, latent, bench, denoise=denoise)
    assert torch.equal(made.output.samples, expected.samples)
    assert made.output.noise_mask is mask


def test_a_sampler_without_options_of_its_own_is_the_named_one(sd15, bench):
    named, made = (
        advanced(sd15, sd15.blank(), bench, sampler=sampler).output.samples
        for sampler in ("euler_ancestral", sampler_euler_ancestral())
    )
    without = advanced(sd15, sd15.blank(), bench, sampler=sampler_euler_ancestral(eta=0.0))

    assert torch.equal(named, made)
    assert not torch.equal(named, without.output.samples)


def test_following_one_prompt_is_a_guidance_of_one(sd15, bench):
    alone = basic_guider(sd15.model, sd15.text(0.3))

    made = advanced(sd15, sd15.blank(), bench, guider=alone)

    assert torch.equal(made.output.samples, plain(sd15, sd15.blank(), bench, cfg=1.0).samples)


def test_two_samplers_share_a_schedule_as_advanced_ksamplers_do(sd15, bench):
    high, low = split_sigmas(basic_scheduler(sd15.model, "karras", 4), 2)
    given: dict[str, Any] = {
        "model": sd15.model,
        "noise_seed": 7,
        "steps": 4,
        "cfg": 3.0,
        "sampler_name": "euler",
        "scheduler": "karras",
        "positive": sd15.text(0.3),
        "negative": sd15.text(0.7),
        "ctx": bench,
    }

    first = advanced(sd15, sd15.blank(), bench, sigmas=high).output
    both = advanced(sd15, first, bench, sigmas=low, noise=disable_noise()).output

    begun = ksampler_advanced(
        **given,
        add_noise="enable",
        latent_image=sd15.blank(),
        end_at_step=2,
        return_with_leftover_noise="enable",
    )
    ended = ksampler_advanced(
        **given,
        add_noise="disable",
        latent_image=begun,
        start_at_step=2,
        return_with_leftover_noise="disable",
    )
    assert torch.equal(first.samples, begun.samples)
    assert torch.equal(both.samples, ended.samples)


def test_what_the_model_took_for_the_clean_latent_is_the_second_output(sd15, bench):
    """At the end of a schedule both are the same; before, the second has no noise."""
    whole = advanced(sd15, sd15.blank(), bench)
    high, _ = split_sigmas(basic_scheduler(sd15.model, "karras", 4), 2)
    part = advanced(sd15, sd15.blank(), bench, sigmas=high)

    torch.testing.assert_close(
        whole.output.samples, whole.denoised_output.samples, rtol=1e-4, atol=1e-4
    )
    again = advanced(
        sd15, sd15.blank(), bench, sigmas=torch.cat([high[:-1], torch.zeros(1)])
    ).output
    torch.testing.assert_close(part.denoised_output.samples, again.samples, rtol=1e-4, atol=1e-3)
    assert not torch.allclose(part.output.samples, part.denoised_output.samples, atol=1e-2)


def test_without_sigmas_the_latent_stays_as_it_is(sd15, bench):
    latent = Latent(grid((1, 4, 8, 8), 0.2))

    for sigmas in (torch.empty(0), torch.tensor([3.0])):
        made = advanced(sd15, latent, bench, sigmas=sigmas)
        assert torch.equal(made.output.samples, latent.samples)
        assert torch.equal(made.denoised_output.samples, latent.samples)


def test_without_noise_the_seed_does_not_matter(sd15, bench):
    latent = Latent(grid((1, 4, 8, 8), 0.2))

    one, other = (
        custom(sd15, latent, bench, add_noise=False, noise_seed=seed).output.samples
        for seed in (1, 2)
    )
    none = advanced(sd15, latent, bench, noise=disable_noise()).output.samples

    assert torch.equal(one, other)
    assert torch.equal(one, none)


def test_noise_is_added_as_strong_as_the_levels_it_is_for(sd15):
    """The model's space is the VAE's times its scale, where sigma counts."""
    latent, noise = Latent(grid((1, 4, 8, 8), 0.2)), random_noise(7)
    scale = sd15.model.latent_format.scale
    drawn = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(7))

    for sigmas, level in ((torch.tensor([3.0, 2.0, 0.5]), 2.5), (torch.tensor([3.0]), 3.0)):
        noised = add_noise(sd15.model, noise, sigmas, latent).samples
        torch.testing.assert_close(noised, latent.samples + level * drawn / scale)
    assert add_noise(sd15.model, noise, torch.empty(0), latent) is latent
    silent = add_noise(sd15.model, disable_noise(), torch.tensor([3.0]), latent)
    torch.testing.assert_close(silent.samples, latent.samples)


def test_progress_is_told_and_a_cancelled_run_stops(sd15, bench):
    advanced(sd15, sd15.blank(), bench)
    assert bench.progressed == [(1, 4), (2, 4), (3, 4), (4, 4)]

    bench.cancel_at = bench.checks + 2
    with pytest.raises(InterruptedError):
        advanced(sd15, sd15.blank(), bench)
    assert len(bench.progressed) == 5
