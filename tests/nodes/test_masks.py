"""What the mask nodes do beyond the reference numbers."""

import pytest
import torch

from nodes.masks import invert_mask, mask_composite, solid_mask
from tests.nodes.pictures import untouched


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
