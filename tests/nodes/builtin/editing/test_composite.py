"""Nodes that crop, turn, pad, stitch, batch and composite pictures."""

import pytest
import torch

from nodes.builtin.editing.composite import image_blend, image_composite_masked
from nodes.builtin.editing.porter_duff import porter_duff_image_composite
from nodes.builtin.image.batches import (
    get_image_size,
    image_batch,
    image_from_batch,
    rebatch_images,
    repeat_image_batch,
)
from nodes.builtin.image.errors import MixedSizesError
from nodes.builtin.image.images import image_scale_to_max_dimension, image_scale_to_total_pixels
from nodes.builtin.image.transforms import (
    image_crop,
    image_flip,
    image_pad_for_outpaint,
    image_rotate,
    image_stitch,
    resize_and_pad_image,
)
from nodes.imaging.errors import EmptyBatchError
from tests.nodes.pictures import picture, untouched


def plain(value, height=4, width=6, channels=3, batch=1):
    return torch.full((batch, height, width, channels), value)


def test_a_crop_ends_with_the_picture_and_begins_within_it():
    image = picture()

    assert torch.equal(image_crop(image, 8, 4, 30, 10), image[:, 10:14, 30:38])
    assert image_crop(image, 512, 512, 30, 10).shape == (2, 14, 10, 3)
    assert torch.equal(image_crop(image, 9, 9, 99, 99), image[:, -1:, -1:])


def test_pictures_flip_and_turn_clockwise():
    image = torch.arange(6.0).reshape(1, 2, 3, 1)

    assert image_flip(image, "x-axis: vertically").flatten().tolist() == [3, 4, 5, 0, 1, 2]
    assert image_flip(image, "y-axis: horizontally").flatten().tolist() == [2, 1, 0, 5, 4, 3]
    assert image_rotate(image, "90 degrees")[0, ..., 0].tolist() == [[3, 0], [4, 1], [5, 2]]
    assert image_rotate(image, "180 degrees").flatten().tolist() == [5, 4, 3, 2, 1, 0]
    assert torch.equal(image_rotate(image, "none"), image)


def test_only_sides_with_a_margin_are_feathered():
    mask = image_pad_for_outpaint(plain(0.2, 8, 8), left=8, feathering=3).mask[0]

    assert mask.shape == (8, 16)
    torch.testing.assert_close(mask[0, 7:12], torch.tensor([1.0, 1.0, 4 / 9, 1 / 9, 0.0]))
    assert torch.equal(mask[:1].expand(8, -1), mask)


def test_a_picture_too_small_to_feather_is_masked_sharply():
    mask = image_pad_for_outpaint(plain(0.2, 8, 8), right=8, feathering=4).mask[0]

    assert mask[:, :8].sum() == 0
    assert mask[:, 8:].all()


@pytest.mark.parametrize("direction", ["right", "down", "left", "up"])
def test_the_second_picture_lies_on_the_named_side(direction):
    other = plain(0.6, height=8, width=12)

    stitched = image_stitch(plain(0.2), direction, True, 3, "red", image2=other)

    sideways = direction in ("left", "right")
    assert stitched.shape == ((1, 4, 6 + 4 + 6, 3) if sideways else (1, 4 + 4 + 4, 6, 3))
    line = stitched[0, 1] if sideways else stitched[0, :, 1]
    order = line[:, 1] if direction in ("right", "down") else line[:, 1].flip(0)
    assert [order[0], order[-1]] == pytest.approx([0.2, 0.6])
    assert line[len(line) // 2].tolist() == [1, 0, 0]


def test_pictures_of_unequal_sides_are_centred_on_black():
    stitched = image_stitch(plain(0.2, batch=2), "right", False, image2=plain(0.6, 2, 3))

    assert stitched.shape == (2, 4, 9, 3)
    assert stitched[1, :, 7, 0].tolist() == pytest.approx([0.0, 0.6, 0.6, 0.0])


def test_stitching_nothing_changes_nothing():
    image = plain(0.2)

    assert image_stitch(image) is image


def test_a_picture_keeps_its_shape_between_white_bars():
    padded = resize_and_pad_image(
        image=plain(0.2, 4, 8),
        target_width=4,
        target_height=4,
        padding_color="white",
        interpolation="area",
    )

    assert padded[0, :, 1, 0].tolist() == pytest.approx([1.0, 0.2, 0.2, 1.0])


def test_scaling_to_a_number_of_pixels_keeps_the_shape():
    assert image_scale_to_total_pixels(plain(0.2, 20, 40), "area", 0.01).shape == (1, 72, 145, 3)


@pytest.mark.parametrize(("size", "shape"), [(0, (20, 40)), (10, (5, 10)), (80, (40, 80))])
def test_scaling_to_the_longer_side(size, shape):
    assert image_scale_to_max_dimension(plain(0.2, 20, 40), "bilinear", size).shape[1:3] == shape


def test_batches_join_at_one_size_and_with_alpha_if_one_has_it():
    joined = image_batch(plain(0.2), plain(0.6, 8, 12, channels=4, batch=2))

    assert joined.shape == (3, 4, 6, 4)
    assert joined[0, 0, 0].tolist() == pytest.approx([0.2, 0.2, 0.2, 1.0])


def test_pictures_out_of_a_batch_end_where_it_does():
    image = picture(batch=4)

    assert torch.equal(image_from_batch(image, 1, 2), image[1:3])
    assert torch.equal(image_from_batch(image, 2, 9), image[2:])
    assert torch.equal(image_from_batch(image, 99, 1), image[3:])
    with pytest.raises(EmptyBatchError):
        image_from_batch(image[:0])


@pytest.mark.parametrize(
    ("index", "length", "span"), [(-1, 1, (3, 4)), (-3, 2, (1, 3)), (-9, 1, (0, 1))]
)
def test_a_negative_number_counts_from_the_end_of_the_batch(index, length, span):
    image = picture(batch=4)

    assert torch.equal(image_from_batch(image, index, length), image[slice(*span)])


def test_repeating_and_measuring_a_batch():
    repeated = repeat_image_batch(picture(batch=2), 3)

    assert get_image_size(repeated) == (40, 24, 6)
    assert torch.equal(repeated[2:4], picture(batch=2))


def test_pictures_are_batched_anew():
    images = [picture(batch=2), picture(batch=3, channels=4), picture(batch=0)]

    batches = rebatch_images(images, [2])

    assert [batch.shape[0] for batch in batches] == [2, 2, 1]
    torch.testing.assert_close(torch.cat(batches)[:2, ..., :3], images[0])
    with pytest.raises(MixedSizesError, match="40x24, 6x4"):
        rebatch_images([picture(), plain(0.2)], [2])
    with pytest.raises(EmptyBatchError):
        rebatch_images([picture(batch=0)], [2])


def test_a_source_shows_where_its_mask_is_one():
    below, above = plain(0.2, batch=2), plain(0.6, 2, 2)

    composed = image_composite_masked(below, above, 5, 3, mask=torch.ones(1, 1, 1))
    stretched = image_composite_masked(below, above, resize_source=True)
    beyond = image_composite_masked(below, above, 6, 0)

    assert (composed[:, :, :, 0] > 0.5).nonzero().tolist() == [[0, 3, 5], [1, 3, 5]]
    torch.testing.assert_close(stretched, plain(0.6, batch=2))
    assert torch.equal(beyond, below)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("normal", 0.6),
        ("multiply", 0.12),
        ("screen", 0.68),
        ("overlay", 0.24),
        ("soft_light", 0.2 + 0.2 * (((16 * 0.2 - 12) * 0.2 + 4) * 0.2 - 0.2)),
        ("difference", 0.0),
    ],
)
def test_blend_modes_are_those_of_the_w3c(mode, expected):
    blended = image_blend(plain(0.2), plain(0.6, 8, 12), 1.0, blend_mode=mode)

    torch.testing.assert_close(blended, plain(expected), atol=1e-5, rtol=0)


def test_blending_by_nothing_gives_the_first_picture():
    image = picture()

    with untouched(image):
        assert torch.equal(image_blend(image, plain(0.6), 0.0, blend_mode="screen"), image)


@pytest.mark.parametrize(
    ("mode", "colour", "alpha"),
    [
        ("ADD", (0.4 + 0.2) / 1.0, 1.0),
        ("CLEAR", 0.0, 0.0),
        ("DARKEN", (0.5 * 0.4 + 0.5 * 0.2 + 0.2) / 0.75, 0.75),
        ("DST", 0.4, 0.5),
        ("DST_ATOP", (0.4 * 0.5 + 0.2 * 0.5) / 0.5, 0.5),
        ("DST_IN", 0.4, 0.25),
        ("DST_OUT", 0.4, 0.25),
        ("DST_OVER", (0.4 * 0.5 + 0.2) / 0.75, 0.75),
        ("LIGHTEN", (0.5 * 0.4 + 0.5 * 0.2 + 0.4) / 0.75, 0.75),
        ("MULTIPLY", 0.08 / 0.25, 0.25),
        ("OVERLAY", 2 * 0.08 / 0.75, 0.75),
        ("SCREEN", (0.6 - 0.08) / 0.75, 0.75),
        ("SRC", 0.8, 0.5),
        ("SRC_ATOP", (0.4 * 0.5 + 0.2 * 0.5) / 0.5, 0.5),
        ("SRC_IN", 0.8, 0.25),
        ("SRC_OUT", 0.8, 0.25),
        ("SRC_OVER", (0.4 + 0.2 * 0.5) / 0.75, 0.75),
        ("XOR", (0.4 * 0.5 + 0.2 * 0.5) / 0.5, 0.5),
    ],
)
def test_porter_duff_modes_are_as_published(mode, colour, alpha):
    """Colours 0.8 over 0.4, both half transparent."""
    half = torch.full((1, 4, 6), 0.5)

    image, mask = porter_duff_image_composite(plain(0.8), half, plain(0.4), half, mode)

    torch.testing.assert_close(image, plain(colour), atol=1e-5, rtol=0)
    torch.testing.assert_close(mask, torch.full((1, 4, 6), 1.0 - alpha))


def test_porter_duff_brings_everything_to_the_destination_s_size():
    image, mask = porter_duff_image_composite(
        plain(0.8, 8, 8, batch=2), torch.zeros(2, 3, 3), plain(0.4), torch.zeros(1, 5, 5), "SRC"
    )

    assert image.shape == (1, 4, 6, 3)
    torch.testing.assert_close(mask, torch.zeros(1, 4, 6))
