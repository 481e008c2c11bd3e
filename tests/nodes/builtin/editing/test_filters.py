"""Nodes that filter pictures, find edges and change how colours are written."""

import pytest
import torch

from nodes.builtin.editing.canny import canny
from nodes.builtin.editing.colors import bayer, image_quantize, image_rgb_to_yuv, image_yuv_to_rgb
from nodes.builtin.editing.errors import ThresholdOrderError
from nodes.builtin.editing.filters import image_add_noise, image_blur, image_sharpen, morphology
from tests.nodes.bench import Bench
from tests.nodes.pictures import picture, untouched


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def box():
    """A white box on black: rows 10 to 29, columns 12 to 24."""
    image = torch.zeros(1, 40, 40, 3)
    image[:, 10:30, 12:25] = 1.0
    return image


def test_sharpening_adds_what_blurring_takes_away():
    image = picture() * 0.1 + 0.45

    with untouched(image):
        sharpened = image_sharpen(image, 2, 0.7, 0.3)

    torch.testing.assert_close(sharpened, image + 3 * (image - image_blur(image, 2, 0.7)))
    assert torch.equal(image_sharpen(image, alpha=0.0), image)


def test_noise_belongs_to_its_seed():
    grey = torch.full((1, 64, 64, 3), 0.5)

    noisy = image_add_noise(grey, 2**64 - 1, 0.1)

    assert torch.equal(noisy, image_add_noise(grey, 2**64 - 1, 0.1))
    assert not torch.equal(noisy, image_add_noise(grey, 0, 0.1))
    assert float((noisy - grey).std()) == pytest.approx(0.1, rel=0.05)
    assert torch.equal(image_add_noise(grey, 1, 0.0), grey)


@pytest.mark.parametrize("size", [3, 4, 7])
def test_morphology_of_a_box(size):
    image = box()
    area = 20 * 13

    def covered(operation):
        return int(morphology(image, operation, size)[0, ..., 0].sum())

    with untouched(image):
        assert covered("erode") == (21 - size) * (14 - size)
        assert covered("dilate") == (19 + size) * (12 + size)
        assert covered("open") == covered("close") == area
        assert covered("top_hat") == covered("bottom_hat") == 0
        assert covered("gradient") == covered("dilate") - covered("erode")


def test_a_square_larger_than_the_picture_takes_its_extremes():
    image = picture(batch=1)

    lowest = image.amin(dim=(1, 2), keepdim=True).expand_as(image)
    assert torch.equal(morphology(image, "erode", 999), lowest)


def test_canny_draws_a_line_round_a_box(bench):
    edges = canny(box(), 0.4, 0.8, ctx=bench)

    assert edges.shape == (1, 40, 40, 3)
    assert sorted(edges.unique().tolist()) == [0, 1]
    line = edges[0, ..., 0]
    left, right = line[20].nonzero().flatten().tolist()
    top, bottom = line[:, 18].nonzero().flatten().tolist()
    assert (left in (11, 12), right in (24, 25)) == (True, True)
    assert (top in (9, 10), bottom in (29, 30)) == (True, True)
    assert 50 <= int(line.sum()) <= 70


def test_a_weak_edge_is_kept_only_if_it_touches_a_strong_one(bench):
    columns = torch.arange(40.0) >= 20
    strength = torch.linspace(0.0, 0.5, 80)[:, None]
    fading = (strength * columns)[None, ..., None].expand(1, 80, 40, 3)

    connected = canny(fading, 0.2, 0.8, ctx=bench)[0, ..., 0].any(dim=1)
    strong = canny(fading, 0.8, 0.8, ctx=bench)[0, ..., 0].any(dim=1)

    assert int(connected.sum()) > int(strong.sum()) > 0
    assert not canny(fading[:, :40], 0.2, 0.99, ctx=bench).any()


@pytest.mark.parametrize("size", [1, 2, 3])
def test_canny_takes_the_tiniest_pictures(bench, size):
    assert not canny(torch.full((1, size, size, 1), 0.5), ctx=bench).any()


def test_canny_refuses_thresholds_in_the_wrong_order(bench):
    with pytest.raises(
        ThresholdOrderError, match=r"low_threshold 0\.9 is above high_threshold 0\.5"
    ):
        canny(box(), 0.9, 0.5, ctx=bench)


def test_yuv_of_white_and_the_way_back():
    image = picture()

    y, u, v = image_rgb_to_yuv(torch.ones(1, 2, 2, 3))
    back = image_yuv_to_rgb(*image_rgb_to_yuv(image))

    torch.testing.assert_close(y, torch.ones(1, 2, 2, 3))
    torch.testing.assert_close(torch.cat([u, v]), torch.full((2, 2, 2, 3), 0.5))
    torch.testing.assert_close(back, image, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dither", ["none", "floyd-steinberg", "bayer-2", "bayer-16"])
def test_a_quantized_picture_has_so_many_colours(bench, dither):
    image = picture(batch=2, channels=4)

    with untouched(image):
        painted = image_quantize(image, 5, dither=dither, ctx=bench)

    assert painted.shape == image.shape
    assert torch.equal(painted[..., 3], image[..., 3])
    for one in painted:
        assert 1 < len(one[..., :3].reshape(-1, 3).unique(dim=0)) <= 5


def test_dithering_keeps_the_mean_of_a_ramp(bench):
    ramp = torch.linspace(0, 1, 64)[None, None, :, None].expand(1, 64, 64, 3)

    errors = {
        dither: float((image_quantize(ramp, 4, dither=dither, ctx=bench) - ramp).mean().abs())
        for dither in ("floyd-steinberg", "bayer-8")
    }

    assert errors["floyd-steinberg"] < 0.01
    assert errors["bayer-8"] < 0.05


def test_bayer_s_matrix_holds_every_rank_once():
    assert (bayer(2) * 4 + 1.5).tolist() == [[0, 2], [3, 1]]
    assert sorted((bayer(8) * 64 + 31.5).flatten().tolist()) == list(range(64))
