"""What the mask nodes do beyond the reference numbers."""

import pytest
import torch

from nodes.builtin.editing.errors import ChannelError, OutsideError
from nodes.builtin.editing.mask_channels import (
    image_color_to_mask,
    image_to_mask,
    join_image_with_alpha,
    mask_to_image,
    split_image_with_alpha,
)
from nodes.builtin.editing.masks import (
    crop_mask,
    feather_mask,
    grow_mask,
    invert_mask,
    mask_composite,
    solid_mask,
    threshold_mask,
)
from tests.nodes.pictures import picture, untouched


def test_a_solid_mask_has_one_value_everywhere():
    mask = solid_mask(0.25, 3, 2)

    assert mask.shape == (1, 2, 3)
    assert mask.unique().tolist() == [0.25]


def test_what_sticks_out_of_the_destination_is_cut_off():
    canvas, patch = torch.zeros(1, 4, 6), torch.ones(1, 3, 3)

    with untouched(canvas, patch):
        result = mask_composite(destination=canvas, source=patch, x=4, y=2, operation="add")
        beyond = mask_composite(destination=canvas, source=patch, x=9, y=9, operation="add")

    assert result.nonzero().tolist() == [[0, 2, 4], [0, 2, 5], [0, 3, 4], [0, 3, 5]]
    assert not beyond.any()


def test_one_source_serves_a_batch_and_sums_stay_within_one():
    canvas = torch.full((2, 2, 2), 0.75)

    result = mask_composite(destination=canvas, source=canvas[0], operation="add")

    assert torch.equal(result, torch.ones(2, 2, 2))


@pytest.mark.parametrize(("value", "inverse"), [(0.0, 1.0), (0.25, 0.75)])
def test_inverting_swaps_kept_and_new(value, inverse):
    assert invert_mask(solid_mask(value, 2, 2)).unique().tolist() == [inverse]


def test_a_dot_grows_to_a_square_or_a_diamond_and_shrinks_back():
    dot = torch.zeros(1, 7, 7)
    dot[0, 3, 3] = 1.0

    square, diamond = grow_mask(dot, 2, False), grow_mask(dot, 2, True)

    assert square.sum() == 25
    assert diamond.sum() == 13
    assert torch.equal(grow_mask(square, -2, False), dot)
    assert torch.equal(grow_mask(diamond, -2, True), dot)


@pytest.mark.parametrize("tapered", [True, False])
def test_growing_without_end_covers_all_or_nothing(tapered):
    half = torch.cat([torch.zeros(1, 3, 4), torch.ones(1, 3, 4)], dim=2)

    assert grow_mask(half, 16384, tapered).all()
    assert not grow_mask(half, -16384, tapered).any()


def test_feathering_by_nothing_changes_nothing():
    assert torch.equal(feather_mask(torch.ones(2, 4, 4)), torch.ones(2, 4, 4))


def test_a_mask_is_one_above_the_threshold_only():
    values = torch.tensor([[[0.2, 0.5, 0.7]]])

    assert threshold_mask(values, 0.5).tolist() == [[[0.0, 0.0, 1.0]]]


def test_a_mask_is_cut_where_it_ends_and_not_beyond():
    masks = torch.arange(12.0).reshape(1, 3, 4)

    assert crop_mask(masks, 2, 1, 512, 512).tolist() == [[[6, 7], [10, 11]]]
    with pytest.raises(OutsideError, match=r"x 4, y 0, outside the mask of 4x3.*at most 3"):
        crop_mask(masks, 4, 0)


def test_a_channel_of_a_picture_is_a_mask():
    image = torch.arange(24.0).reshape(1, 2, 3, 4)

    assert torch.equal(image_to_mask(image, "blue"), image[..., 2])
    assert torch.equal(image_to_mask(image, "alpha"), image[..., 3])
    with pytest.raises(ChannelError, match="3 channels and no alpha"):
        image_to_mask(image[..., :3], "alpha")


def test_a_mask_is_a_grey_picture():
    grey = mask_to_image(torch.tensor([[0.0, 0.5]]))

    assert grey.tolist() == [[[[0.0] * 3, [0.5] * 3]]]


def test_a_colour_is_found_once_rounded_to_8_bits():
    image = torch.tensor([[[[1.0, 0.5, 0.0], [1.0, 0.51, 0.0]]]])

    assert image_color_to_mask(image, 0xFF8000).tolist() == [[[1.0, 0.0]]]


def test_alpha_is_split_off_and_joined_again():
    image = picture(channels=4)

    with untouched(image):
        colours, transparent = split_image_with_alpha(image)
        joined = join_image_with_alpha(colours, transparent)

    torch.testing.assert_close(joined, image)
    assert not split_image_with_alpha(image[..., :3]).mask.any()


def test_a_mask_is_stretched_to_the_picture_it_joins():
    joined = join_image_with_alpha(picture(batch=1), torch.full((3, 4, 4), 0.25))

    assert joined.shape == (1, 24, 40, 4)
    torch.testing.assert_close(joined[..., 3], torch.full((1, 24, 40), 0.75))
