"""Between pictures and latents, beyond the reference numbers."""

import pytest
import torch

from nodes.builtin.latent.vae import (
    vae_decode,
    vae_decode_tiled,
    vae_encode,
    vae_encode_for_inpaint,
    vae_encode_tiled,
)
from nodes.imaging.errors import SizeLimitError
from nodes.imaging.tiling import Tiling, compute_tiled
from nodes.models.loading.handles import VaeHandle
from nodes.models.networks.base.errors import ChannelMismatchError
from nodes.values import Latent
from tests.nodes.bench import Bench
from tests.nodes.pictures import grid, picture, untouched
from tests.tiny_models.checkpoints import small_sd15, write
from tests.tiny_models.handles import opened


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    return VaeHandle(opened(write(folder / "small.safetensors", small_sd15())).vae)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_pictures_of_a_batch_are_coded_on_their_own(vae, bench):
    pixels = picture(2, 24, 32)

    with untouched(pixels):
        latents = vae_encode(pixels, vae, bench)
    images = vae_decode(latents, vae, bench)

    assert torch.equal(latents.samples[1:], vae_encode(pixels[1:], vae, bench).samples)
    assert torch.equal(images[1:], vae_decode(Latent(latents.samples[1:]), vae, bench))
    assert images.shape == pixels.shape
    assert 0 <= images.min() <= images.max() <= 1


def test_transparency_is_ignored(vae, bench):
    pixels = picture(1, 16, 16, channels=4)

    assert torch.equal(
        vae_encode(pixels, vae, bench).samples, vae_encode(pixels[..., :3], vae, bench).samples
    )


def test_a_latent_of_another_model_is_refused(vae, bench):
    with pytest.raises(ChannelMismatchError, match="the latent has 16 channels, this VAE reads 4"):
        vae_decode(Latent(torch.zeros(1, 16, 4, 4)), vae, bench)


def test_a_picture_without_a_latent_pixel_is_refused(vae, bench):
    with pytest.raises(SizeLimitError, match="16x7"):
        vae_encode(picture(1, 7, 16), vae, bench)


def test_each_tile_asks_whether_to_go_on(vae, tmp_path):
    latent = Latent(grid((1, 4, 16, 16), 0.3))
    counting = Bench(tmp_path)
    vae_decode_tiled(latent, vae, counting, tile_size=64, overlap=16)

    stopped = Bench(tmp_path, cancel_at=2)
    with pytest.raises(InterruptedError):
        vae_decode_tiled(latent, vae, stopped, tile_size=64, overlap=16)

    assert counting.checks == counting.progressed[-1][1]
    assert counting.progressed[0] == (0, counting.checks)
    assert stopped.checks == 2


@pytest.mark.parametrize(("tile", "overlap"), [(64, 64), (64, 4096), (70, 30), (512, 64)])
def test_any_tile_and_overlap_give_a_whole_picture(vae, bench, tile, overlap):
    pixels = picture(1, 72, 136)

    latent = vae_encode_tiled(pixels, vae, bench, tile_size=tile, overlap=overlap)
    image = vae_decode_tiled(latent, vae, bench, tile_size=tile, overlap=overlap)

    assert latent.samples.shape == (1, 4, 9, 17)
    assert image.shape == pixels.shape
    assert latent.samples.isfinite().all()
    assert image.isfinite().all()


def test_tiles_of_a_pointwise_function_leave_no_seams():
    given = grid((2, 3, 20, 26), 0.1)
    tilings = [Tiling(8, 8, 2, 2.0), Tiling(16, 4, 2, 2.0)]

    result = compute_tiled(
        lambda x: x.repeat_interleave(2, -1).repeat_interleave(2, -2), given, tilings
    )

    expected = given.repeat_interleave(2, -1).repeat_interleave(2, -2)
    torch.testing.assert_close(result, expected)


def test_the_masked_part_is_grey_and_grows(vae, bench):
    pixels = picture(1, 27, 32)
    mask = torch.zeros(1, 27, 32)
    mask[:, 9, 16] = 1.0

    grown = vae_encode_for_inpaint(pixels, vae, mask, bench, 3)
    exact = vae_encode_for_inpaint(pixels, vae, mask, bench, 0)

    grey = pixels.clone()
    grey[:, 9, 16] = 0.5
    assert torch.equal(exact.samples, vae_encode(grey, vae, bench).samples)
    assert exact.noise_mask is not None
    assert exact.noise_mask.nonzero().tolist() == [[0, 0, 8, 16]], "one row was cut off"
    assert grown.noise_mask is not None
    assert grown.noise_mask.shape == (1, 1, 24, 32)
    assert grown.noise_mask[0, 0, 7:10, 15:18].all()
    assert grown.noise_mask.sum() == 9
    assert torch.equal(grown.samples, exact.samples), "only the mask grows"
