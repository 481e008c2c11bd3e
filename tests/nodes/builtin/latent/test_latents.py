"""What the latent nodes do beyond the reference numbers."""

import pytest
import torch

from nodes.builtin.latent.batches import latent_cut_to_batch
from nodes.builtin.latent.latents import (
    empty_flux2_latent_image,
    empty_latent_image,
    latent_from_batch,
    latent_upscale,
    latent_upscale_by,
    repeat_latent_batch,
    set_latent_noise_mask,
)
from nodes.imaging.resize import slerp
from nodes.values import Latent
from tests.nodes.pictures import grid, untouched


def latent(batch=2, height=12, width=20, **more):
    return Latent(grid((batch, 4, height, width), 0.21), **more)


@pytest.mark.parametrize(("width", "height", "shape"), [(512, 768, (96, 64)), (70, 23, (2, 8))])
def test_an_empty_latent_is_an_eighth_of_the_pixels_rounded_down(width, height, shape):
    empty = empty_latent_image(width, height, 2).samples

    assert empty.shape == (2, 4, *shape)
    assert not empty.any()


@pytest.mark.parametrize(
    ("width", "height", "shape"),
    [(0, 0, (12, 20)), (320, 0, (24, 40)), (0, 192, (24, 40)), (8, 8, (8, 8)), (0, 8, (8, 13))],
)
def test_latent_upscale_derives_a_side_of_zero_and_stays_above_64_pixels(width, height, shape):
    scaled = latent_upscale(
        samples=latent(), upscale_method="bilinear", width=width, height=height, crop="disabled"
    )

    assert scaled.samples.shape[-2:] == shape


def test_scaling_far_down_leaves_at_least_one_latent_pixel():
    assert latent_upscale_by(latent(), "area", 0.01).samples.shape == (2, 4, 1, 1)


def test_resizing_carries_mask_noise_index_and_extras_along():
    mask = torch.ones(1, 1, 8, 8)
    given = latent(noise_mask=mask, batch_index=(4, 7), extras={"pack": "value"})

    scaled = latent_upscale_by(given, "bislerp", 2.0)

    assert scaled.noise_mask is mask
    assert scaled.batch_index == (4, 7)
    assert scaled.extras == {"pack": "value"}


def test_repeating_gives_each_image_its_own_mask():
    masks = torch.stack([torch.zeros(1, 8, 8), torch.ones(1, 8, 8)])
    given = latent(batch=3, noise_mask=masks, extras={"pack": 1})

    with untouched(given.samples, masks):
        repeated = repeat_latent_batch(given, 2)

    assert repeated.samples.shape[0] == 6
    assert repeated.noise_mask is not None
    assert repeated.noise_mask[:, 0, 0, 0].tolist() == [0, 1, 0, 0, 1, 0]
    assert repeated.batch_index is None
    assert repeated.extras == {"pack": 1}


def test_one_mask_for_all_stays_one_mask():
    mask = torch.ones(1, 1, 8, 8)

    assert repeat_latent_batch(latent(noise_mask=mask), 3).noise_mask is mask
    assert latent_from_batch(latent(noise_mask=mask), 1, 1).noise_mask is mask


def test_a_cut_from_a_batch_ends_where_the_batch_does():
    masks = torch.arange(3.0).reshape(3, 1, 1, 1)
    given = latent(batch=3, noise_mask=masks, batch_index=(5, 6, 9))

    cut = latent_from_batch(given, 1, 64)
    beyond = latent_from_batch(given, 63, 2)

    assert cut.samples.shape[0] == 2
    assert cut.batch_index == (6, 9)
    assert cut.noise_mask is not None
    assert cut.noise_mask.flatten().tolist() == [1, 2]
    assert beyond.batch_index == (9,)
    assert latent_from_batch(latent(batch=3), 1, 64).batch_index == (1, 2)


@pytest.mark.parametrize("shape", [(24, 40), (1, 24, 40), (2, 24, 40), (2, 1, 24, 40)])
def test_a_noise_mask_becomes_one_channel_a_picture(shape):
    mask = torch.rand(shape)

    with untouched(mask):
        masked = set_latent_noise_mask(latent(), mask).noise_mask

    assert masked is not None
    assert masked.shape == (mask.numel() // 960, 1, 24, 40)


def test_slerp_keeps_the_length_that_mixing_would_lose():
    a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])

    middle = slerp(a, b, torch.tensor([[0.5]]))

    torch.testing.assert_close(middle, torch.full((1, 2), 2**0.5))


def test_slerp_of_parallel_opposite_and_zero_vectors_is_finite():
    a = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    b = torch.tensor([[3.0, 0.0], [-1.0, 0.0], [0.0, 2.0]])

    mixed = slerp(a, b, torch.full((3, 1), 0.25))

    assert mixed.isfinite().all()
    torch.testing.assert_close(mixed[:2], torch.tensor([[1.0, 0.0], [0.5, 0.0]]))


def test_latents_are_cut_into_a_batch():
    samples = torch.arange(2 * 4 * 5 * 6.0).reshape(2, 4, 5, 6)
    whole = Latent(samples, noise_mask=torch.ones(2, 40, 48))

    across = latent_cut_to_batch(whole, "x", 4)
    down = latent_cut_to_batch(whole, "y", 2)

    assert torch.equal(across.samples, samples[..., :4])
    assert down.samples.shape == (4, 4, 2, 6)
    assert torch.equal(down.samples[1], samples[0, :, 2:4])
    assert torch.equal(down.samples[2], samples[1, :, :2])
    assert across.noise_mask is None
    assert torch.equal(latent_cut_to_batch(whole, "y", 99).samples, samples)
    assert latent_cut_to_batch(whole, "t", 1) is whole


def test_frames_become_a_batch():
    frames = torch.arange(2 * 4 * 3 * 5 * 6.0).reshape(2, 4, 3, 5, 6)

    found = latent_cut_to_batch(Latent(frames), "t", 1).samples

    assert found.shape == (6, 4, 1, 5, 6)
    assert torch.equal(found[4, :, 0], frames[1, :, 1])


def test_an_empty_latent_of_flux_2_has_its_shape():
    assert empty_flux2_latent_image(1248, 832, 2).samples.shape == (2, 128, 52, 78)
