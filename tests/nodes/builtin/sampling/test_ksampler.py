"""KSampler and KSamplerAdvanced on a small model with random weights."""

import io
from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image as Pictures

from nodes.builtin.latent.latents import (
    empty_flux2_latent_image,
    empty_latent_image,
    latent_from_batch,
)
from nodes.builtin.sampling.ksampler import ksampler, ksampler_advanced
from nodes.models.loading.handles import ModelHandle
from nodes.models.networks.base.errors import ChannelMismatchError
from nodes.sampling.conditioning.latents import DOWNSCALE
from nodes.sampling.noise_schedule.schedules import SCHEDULES
from nodes.sampling.samplers.registry import SAMPLERS
from nodes.values import Cond, Conditioning, Latent
from tests.nodes.bench import Bench
from tests.nodes.pictures import grid, untouched
from tests.tiny_models.checkpoints import small_sd15, write
from tests.tiny_models.handles import opened

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    return ModelHandle(opened(write(path, small_sd15())).model)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def text(step):
    return Conditioning((Cond(grid((1, 77, 64), step)),))


def inputs(model, latent, ctx, **more) -> dict[str, Any]:
    return {
        "model": model,
        "steps": 4,
        "cfg": 3.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "positive": text(0.3),
        "negative": text(0.7),
        "latent_image": latent,
        "ctx": ctx,
    } | more


def run(model, latent, ctx, **more):
    return ksampler(**inputs(model, latent, ctx, **({"seed": 7} | more)))


def advanced(model, latent, ctx, **more):
    given = {"noise_seed": 7, "add_noise": "enable", "return_with_leftover_noise": "disable"}
    return ksampler_advanced(**inputs(model, latent, ctx, **(given | more)))


def blank(batch=1, size=8):
    return Latent(torch.zeros(batch, 4, size, size))


def close(a, b):
    scale = float(b.samples.std())
    torch.testing.assert_close(a.samples / scale, b.samples / scale, atol=1e-4, rtol=0)


def test_the_same_seed_gives_the_same_latent_and_another_one_another(model, bench):
    first, again = run(model, blank(), bench), run(model, blank(), bench)
    others = [run(model, blank(), bench, seed=seed) for seed in (0, 8, 2**64 - 1)]

    assert torch.equal(first.samples, again.samples)
    assert first.samples.isfinite().all()
    assert not any(torch.equal(first.samples, other.samples) for other in others)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_on_offer_gives_a_latent(model, bench, sampler):
    made = run(model, blank(), bench, sampler_name=sampler, steps=3, cfg=1.5, scheduler="karras")

    assert made.samples.shape == (1, 4, 8, 8)
    assert made.samples.isfinite().all()


@pytest.mark.parametrize("scheduler", SCHEDULES)
def test_every_schedule_on_offer_gives_a_latent(model, bench, scheduler):
    assert run(model, blank(), bench, scheduler=scheduler).samples.isfinite().all()


def test_inputs_are_left_alone_and_what_goes_with_the_latent_is_carried_along(model, bench):
    mask = torch.ones(1, 1, 64, 64)
    latent = Latent(grid((2, 4, 8, 8), 0.2), mask, (4, 2), {"pack": 1})
    positive = text(0.3)

    with untouched(latent.samples, mask, positive.conds[0].tokens):
        made = run(model, latent, bench, positive=positive)

    assert made.samples.shape == latent.samples.shape
    assert replace(made, samples=latent.samples) == latent


def test_progress_is_told_once_a_step_and_previews_are_made_only_for_somebody(model, bench):
    run(model, blank(), bench, sampler_name="heun")
    assert bench.progressed == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert bench.previews == []

    bench.preview_method = "latent2rgb"
    run(model, blank(), bench)

    assert len(bench.previews) == 4
    assert {mime for _, mime in bench.previews} == {"image/jpeg"}
    assert Pictures.open(io.BytesIO(bench.previews[0][0])).size == (64, 64)


def test_a_cancelled_run_stops_before_the_next_model_call(model, bench):
    bench.cancel_at = 3

    with pytest.raises(InterruptedError):
        run(model, blank(), bench)

    assert bench.progressed == [(1, 4), (2, 4)]


def test_an_image_of_a_batch_can_be_made_alone(model, bench):
    latents = Latent(grid((3, 4, 8, 8), 0.2))

    whole = run(model, latents, bench, denoise=0.7)
    alone = run(model, latent_from_batch(latents, 1, 1), bench, denoise=0.7)

    close(alone, latent_from_batch(whole, 1, 1))


def test_denoise_says_how_much_of_the_latent_is_left(model, bench):
    latent = Latent(grid((1, 4, 8, 8), 0.2))
    nothing, little, all_of_it = (
        run(model, latent, bench, denoise=share).samples for share in (0.0, 0.05, 1.0)
    )

    assert torch.equal(nothing, latent.samples)
    assert (little - latent.samples).norm() < (all_of_it - latent.samples).norm() / 2


def test_what_the_mask_leaves_out_stays_as_it_is(model, bench):
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 4:] = 1
    latent = Latent(grid((1, 4, 8, 8), 0.2), mask)

    made = run(model, latent, bench).samples

    torch.testing.assert_close(made[..., :4], latent.samples[..., :4])
    assert not torch.isclose(made[..., 4:], latent.samples[..., 4:]).any()


def test_a_guidance_of_one_does_not_ask_for_the_negative(model, bench):
    run(model, blank(), bench, cfg=1.0, negative=Conditioning(()))

    made = [run(model, blank(), bench, cfg=1.0, negative=text(k)).samples for k in (0.1, 0.9)]

    assert torch.equal(*made)


def test_two_samplers_that_share_a_schedule_do_what_one_does(model, bench):
    noisy = advanced(
        model, blank(), bench, end_at_step=2, return_with_leftover_noise="enable", steps=5
    )
    both = advanced(model, noisy, bench, start_at_step=2, add_noise="disable", steps=5)

    close(both, run(model, blank(), bench, steps=5))


def test_a_sampler_that_keeps_no_noise_finishes_at_its_last_step(model, bench):
    kept, cleaned = (
        advanced(model, blank(), bench, end_at_step=2, return_with_leftover_noise=choice).samples
        for choice in ("enable", "disable")
    )

    assert not torch.allclose(kept, cleaned)


def test_without_added_noise_the_seed_does_not_matter(model, bench):
    latent = Latent(grid((1, 4, 8, 8), 0.2))

    made = [
        advanced(model, latent, bench, add_noise="disable", noise_seed=seed).samples
        for seed in (1, 2)
    ]

    assert torch.equal(*made)


@pytest.mark.parametrize(("start", "end"), [(4, 10000), (9000, 10000), (3, 2)])
def test_no_steps_leave_the_latent_as_it_is(model, bench, start, end):
    latent = Latent(grid((1, 4, 8, 8), 0.2))

    made = advanced(model, latent, bench, start_at_step=start, end_at_step=end)

    assert torch.equal(made.samples, latent.samples)


def test_an_empty_latent_takes_the_models_channels_and_a_full_one_is_refused(model, bench):
    assert run(model, Latent(torch.zeros(2, 16, 8, 8)), bench).samples.shape == (2, 4, 8, 8)

    with pytest.raises(
        ChannelMismatchError, match="the latent has 16 channels, this model reads 4"
    ):
        run(model, Latent(torch.ones(1, 16, 8, 8)), bench)


def test_an_empty_latent_takes_the_models_scale(model, bench):
    drawn_at_sixteen = empty_flux2_latent_image(96, 64)

    made = run(model, drawn_at_sixteen, bench)

    assert made.samples.shape == (1, 4, 8, 12)
    assert run(model, made, bench).samples.shape == (1, 4, 8, 12), "one that is not empty keeps it"
    stale = Latent(made.samples, extras={DOWNSCALE: 16})
    assert run(model, stale, bench).samples.shape == (1, 4, 8, 12)
    assert run(model, empty_latent_image(96, 64), bench).samples.shape == (1, 4, 8, 12)


@pytest.mark.parametrize("size", [(8, 9), (7, 8), (3, 5), (1, 1)])
def test_odd_sizes_work(model, bench, size):
    made = run(model, Latent(torch.zeros(1, 4, *size)), bench, steps=2)

    assert made.samples.shape[-2:] == size
