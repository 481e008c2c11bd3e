"""The Gaussian blur: its weights, and what it finds beyond each kind of border."""

import pytest
import torch
from torch.nn import functional

from nodes.imaging.filters import gaussian_blur
from tests.nodes.pictures import grid


def by_hand(padded: torch.Tensor, reach: int, sigma: float) -> torch.Tensor:
    """A picture that already has its margins, blurred with the kernel of both directions."""
    at = torch.arange(-reach, reach + 1).float()
    bell = (-(at**2) / (2 * sigma**2)).exp()
    kernel = torch.outer(bell, bell) / bell.sum() ** 2
    rows = [functional.conv2d(plane[:, None], kernel[None, None]) for plane in padded.unbind(1)]
    return torch.cat(rows, dim=1)


@pytest.mark.parametrize("mode", ["mirror", "replicate", "shrink"])
def test_a_window_within_one_reflection_mirrors_the_picture_in_every_mode(mode):
    given = grid((2, 3, 12, 9), 0.37)

    blurred = gaussian_blur(given, 4, 1.7, mode=mode)

    wanted = by_hand(functional.pad(given, (4, 4, 4, 4), mode="reflect"), 4, 1.7)
    torch.testing.assert_close(blurred, wanted)


def test_mirror_reflects_again_where_the_picture_is_smaller_than_the_window():
    given = torch.tensor([0.0, 0.25, 1.0]).view(1, 1, 1, 3)

    blurred = gaussian_blur(given, 4, 2.0, mode="mirror")

    row = torch.tensor([0, 0.25, 1, 0.25, 0, 0.25, 1, 0.25, 0, 0.25, 1]).view(1, 1, 1, -1)
    wanted = by_hand(row.repeat(1, 1, 9, 1), 4, 2.0)
    torch.testing.assert_close(blurred, wanted)


def test_replicate_reflects_once_and_then_repeats_the_last_value():
    given = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)

    blurred = gaussian_blur(given, 2, 1.0, mode="replicate")

    row = torch.tensor([1.0, 1.0, 0.0, 1.0, 0.0, 0.0]).view(1, 1, 1, -1)
    torch.testing.assert_close(blurred, by_hand(row.repeat(1, 1, 5, 1), 2, 1.0))


def test_shrink_takes_a_window_no_wider_than_one_reflection():
    given = grid((1, 2, 5, 5), 0.37)

    blurred = gaussian_blur(given, 31, 3.0, mode="shrink")

    assert torch.equal(blurred, gaussian_blur(given, 4, 3.0, mode="mirror"))
    assert not torch.allclose(blurred, gaussian_blur(given, 31, 3.0, mode="mirror"))


@pytest.mark.parametrize("mode", ["mirror", "replicate", "shrink"])
def test_a_plain_picture_stays_as_it_is(mode):
    given = torch.full((1, 3, 1, 6), 0.5, dtype=torch.float64)

    torch.testing.assert_close(gaussian_blur(given, 7, 4.0, mode=mode), given)
