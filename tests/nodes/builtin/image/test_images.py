"""What the picture nodes do beyond the reference numbers."""

import pytest
import torch

from nodes.builtin.editing.filters import image_blur
from nodes.builtin.image.images import empty_image, image_invert, image_scale, image_scale_by
from tests.nodes.pictures import picture, untouched


def test_an_empty_image_has_the_colour_that_its_number_spells():
    image = empty_image(3, 2, 4, 0xFF8000)

    assert image.shape == (4, 2, 3, 3)
    torch.testing.assert_close(image[0, 0, 0], torch.tensor([1.0, 128 / 255, 0.0]))


@pytest.mark.parametrize(
    ("width", "height", "shape"),
    [(0, 0, (24, 40)), (80, 0, (48, 80)), (0, 12, (12, 20)), (1, 0, (1, 1))],
)
def test_a_side_of_zero_follows_from_the_other(width, height, shape):
    scaled = image_scale(
        image=picture(), upscale_method="bicubic", width=width, height=height, crop="disabled"
    )

    assert scaled.shape == (2, *shape, 3)


def test_scaling_far_down_leaves_at_least_one_pixel():
    assert image_scale_by(picture(), "area", 0.01).shape == (2, 1, 1, 3)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_lanczos_takes_grey_colour_and_alpha(channels):
    image = torch.full((2, 8, 8, channels), 0.6)

    scaled = image_scale_by(image, "lanczos", 2.0)

    assert scaled.shape == (2, 16, 16, channels)
    torch.testing.assert_close(scaled, torch.full_like(scaled, 153 / 255))


def test_inverting_twice_gives_the_picture_back():
    image = picture()

    with untouched(image):
        twice = image_invert(image_invert(image))

    torch.testing.assert_close(twice, image)


def test_blurring_spreads_a_dot_as_a_gaussian_of_the_radius():
    dot = torch.zeros(1, 9, 9, 3)
    dot[0, 4, 4] = 1.0

    with untouched(dot):
        blurred = image_blur(dot, 2, 0.5)[0, :, :, 0]

    torch.testing.assert_close(blurred.sum(), torch.tensor(1.0))
    torch.testing.assert_close(blurred[4, 6] / blurred[4, 4], torch.tensor(-2.0).exp())
    torch.testing.assert_close(blurred[6, 6] / blurred[4, 4], torch.tensor(-4.0).exp())
    assert blurred[4, 7] == 0


@pytest.mark.parametrize("size", [1, 2, 5, 40])
def test_blurring_keeps_a_flat_picture_flat_up_to_the_edge(size):
    flat = torch.full((1, size, size, 4), 0.3)

    torch.testing.assert_close(image_blur(flat, 31, 10.0), flat)


def test_blurring_mirrors_the_picture_at_its_border():
    ramp = torch.arange(4.0).reshape(1, 1, 4, 1)

    blurred = image_blur(ramp, 1, 10.0)[0, 0, :, 0]

    weight = torch.tensor(-0.005).exp()
    left, right = 2 * weight / (1 + 2 * weight), (4 * weight + 3) / (1 + 2 * weight)
    torch.testing.assert_close(blurred[[0, 3]], torch.stack([left, right]))
