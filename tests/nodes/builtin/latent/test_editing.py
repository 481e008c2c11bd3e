"""Nodes that compute with latents, join them, and take them apart."""

import pytest
import torch

from nodes.builtin.latent.arithmetic import (
    latent_add,
    latent_blend,
    latent_interpolate,
    latent_multiply,
    latent_subtract,
)
from nodes.builtin.latent.batches import latent_batch, latent_batch_seed_behavior, rebatch_latents
from nodes.builtin.latent.errors import LatentMismatchError, NoTimeAxisError
from nodes.builtin.latent.latents import empty_sd3_latent_image
from nodes.builtin.latent.transforms import (
    latent_composite,
    latent_composite_masked,
    latent_concat,
    latent_crop,
    latent_cut,
    latent_flip,
    latent_rotate,
)
from nodes.imaging.errors import EmptyBatchError
from nodes.values import Latent
from tests.nodes.pictures import grid, untouched


def latent(value=1.0, batch=1, height=4, width=6, channels=4, **more):
    return Latent(torch.full((batch, channels, height, width), value), **more)


def test_an_empty_latent_of_sixteen_channels():
    empty = empty_sd3_latent_image(64, 32, 2).samples

    assert empty.shape == (2, 16, 4, 8)
    assert not empty.any()


def test_sums_and_differences_fit_the_second_to_the_first():
    one, two = latent(1.0, batch=3), latent(0.25, batch=2, height=8, width=8)

    with untouched(one.samples, two.samples):
        total, difference = latent_add(one, two), latent_subtract(one, two)

    torch.testing.assert_close(total.samples, torch.full((3, 4, 4, 6), 1.25))
    torch.testing.assert_close(difference.samples, torch.full((3, 4, 4, 6), 0.75))


def test_computing_keeps_mask_and_place_in_the_noise():
    mask = torch.ones(1, 1, 8, 8)

    product = latent_multiply(latent(2.0, noise_mask=mask, batch_index=(7,)), -1.5)

    assert product.samples.unique().tolist() == [-3.0]
    assert product.noise_mask is mask
    assert product.batch_index == (7,)


@pytest.mark.parametrize(
    "compute", [latent_add, latent_subtract, latent_blend, latent_interpolate, latent_batch]
)
def test_latents_of_two_families_do_not_mix(compute):
    with pytest.raises(LatentMismatchError, match=r"\[1, 4, 4, 6\] and \[1, 16, 4, 6\]"):
        compute(latent(), latent(channels=16))


def test_interpolating_turns_and_stretches_apart():
    right, up = torch.zeros(1, 2, 1, 1), torch.zeros(1, 2, 1, 1)
    right[0, 0], up[0, 1] = 2.0, 4.0

    halfway = latent_interpolate(Latent(right), Latent(up), 0.5).samples

    torch.testing.assert_close(halfway.norm(), torch.tensor(3.0))
    torch.testing.assert_close(halfway[0, 0], halfway[0, 1])
    assert torch.equal(latent_interpolate(Latent(right), Latent(up), 1.0).samples, right)
    assert not latent_interpolate(latent(0.0), latent(0.0), 0.5).samples.any()


def test_batches_join_and_keep_their_noise():
    joined = latent_batch(latent(batch=2, batch_index=(4, 9)), latent(0.5, 3, 8, 8))

    assert joined.samples.shape == (5, 4, 4, 6)
    assert joined.batch_index == (4, 9, 0, 1, 2)


def test_a_batch_takes_one_noise_or_many():
    drawn = latent(batch=3, batch_index=(5, 6, 7))

    assert latent_batch_seed_behavior(drawn, "fixed").batch_index == (5, 5, 5)
    assert latent_batch_seed_behavior(latent(batch=2), "fixed").batch_index == (0, 0)
    assert latent_batch_seed_behavior(drawn, "random").batch_index is None


def test_latents_are_batched_anew_with_their_masks_and_their_noise():
    masked = latent(0.5, batch=2, noise_mask=torch.zeros(1, 1, 5, 5), batch_index=(8, 9))
    other = latent(2.0, height=8)

    first, second, third = rebatch_latents([latent(batch=2), masked, other], [3])

    assert first.samples[:, 0, 0, 0].tolist() == [1.0, 1.0, 0.5]
    assert first.batch_index == (0, 1, 8)
    assert first.noise_mask is not None
    assert first.noise_mask.shape == (3, 1, 32, 48)
    assert first.noise_mask[:, 0, 0, 0].tolist() == [1.0, 1.0, 0.0]
    assert (second.batch_index, third.batch_index) == ((9,), (4,))
    assert third.samples.shape == (1, 4, 8, 6)
    assert third.noise_mask is None
    with pytest.raises(EmptyBatchError):
        rebatch_latents([latent(batch=0)], [1])


def test_a_latent_fades_in_from_the_sides_that_are_not_the_border():
    composed = latent_composite(latent(0.0), latent(1.0, 1, 4, 4), 16, 0, 16).samples[0, 0]

    torch.testing.assert_close(composed, torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0, 1.0]).expand(4, -1))


def test_what_lies_beyond_the_other_latent_is_cut_off():
    below = latent(0.0)

    assert latent_composite(below, latent(), 48, 0) is below
    assert latent_composite(below, latent(), 40, 24).samples.sum() == 4
    assert latent_composite_masked(below, latent(), 40, 24).samples.sum() == 4


def test_a_masked_latent_shows_where_its_mask_is_one():
    mask = torch.zeros(1, 2, 2)
    mask[..., 1] = 1.0

    composed = latent_composite_masked(
        latent(0.0, batch=2), latent(1.0, 1, 2, 2), resize_source=True, mask=mask
    )

    assert composed.samples.shape == (2, 4, 4, 6)
    assert composed.samples[1, 0, 0].tolist() == pytest.approx([0, 0, 1 / 3, 2 / 3, 1, 1], abs=1e-6)


def test_latents_are_put_side_by_side():
    one, two = latent(1.0, batch=2), latent(2.0, width=1)

    assert latent_concat(one, two, "x").samples[1, 0, 0].tolist() == [1] * 6 + [2]
    assert latent_concat(one, two, "-x").samples[1, 0, 0].tolist() == [2] + [1] * 6
    assert latent_concat(one, latent(), "y").samples.shape == (2, 4, 8, 6)
    with pytest.raises(LatentMismatchError, match="only 'y' may differ"):
        latent_concat(one, two, "y")
    with pytest.raises(NoTimeAxisError):
        latent_concat(one, one, "t")


@pytest.mark.parametrize(
    ("index", "amount", "kept"),
    [(1, 2, [1, 2]), (4, 9, [4, 5]), (99, 1, [5]), (-2, 9, [4, 5]), (-99, 1, [0])],
)
def test_columns_are_cut_out_of_a_latent(index, amount, kept):
    samples = torch.arange(6.0).expand(1, 4, 4, 6)

    assert latent_cut(Latent(samples), "x", index, amount).samples[0, 0, 0].tolist() == kept


def test_time_is_cut_out_of_a_video_only():
    video = torch.arange(5.0)[:, None, None].expand(1, 4, 5, 2, 2)

    assert latent_cut(Latent(video), "t", 1, 3).samples[0, 0, :, 0, 0].tolist() == [1, 2, 3]
    with pytest.raises(NoTimeAxisError, match="latents of images"):
        latent_cut(latent(), "t")


def test_a_crop_s_corner_stays_within_the_latent():
    samples = grid((1, 4, 12, 20), 0.21)

    assert torch.equal(
        latent_crop(Latent(samples), 64, 64, 999, 999).samples, samples[..., 4:, 12:]
    )
    assert latent_crop(latent(), 64, 64, 8, 8).samples.shape == (1, 4, 4, 6)


def test_latents_flip_and_turn_as_pictures_do():
    samples = torch.arange(6.0).reshape(1, 1, 2, 3)

    flipped = latent_flip(Latent(samples), "y-axis: horizontally").samples
    turned = latent_rotate(Latent(samples), "270 degrees").samples

    assert flipped.flatten().tolist() == [2, 1, 0, 5, 4, 3]
    assert turned[0, 0].tolist() == [[2, 5], [1, 4], [0, 3]]
