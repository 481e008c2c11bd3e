"""Tiled img2img: the tiles, their order, their seams, and what conditions they read."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from nodes.builtin.image.upscale import upscale_model_loader
from nodes.builtin.popular.ultimate_upscale import (
    Grid,
    ultimate_sd_upscale,
    ultimate_sd_upscale_no_upscale,
)
from nodes.inference.crop_conditions import Part, crop_conditions
from nodes.models.adapters.controlnet import NetControl
from nodes.models.loading.handles import ModelHandle, VaeHandle
from nodes.models.networks.base.control_hint import ControlHint
from nodes.values import Area, Cond, Conditioning, RelativeArea
from tests.nodes.bench import Bench
from tests.nodes.pictures import grid, picture, untouched
from tests.tiny_models.checkpoints import small_sd15, write
from tests.tiny_models.handles import opened
from tests.tiny_models.upscalers import compact

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    checkpoint = opened(write(path, small_sd15()))
    return {"model": ModelHandle(checkpoint.model), "vae": VaeHandle(checkpoint.vae)}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def text(step):
    return Conditioning((Cond(grid((1, 77, 64), step)),))


def redraw(parts, bench, image, **more):
    given: dict[str, Any] = {
        "positive": text(0.3),
        "negative": text(0.7),
        "steps": 2,
        "cfg": 1.0,
        "denoise": 0.5,
        "sampler_name": "euler",
        "scheduler": "normal",
        "mode_type": "Linear",
        "tile_width": 64,
        "tile_height": 64,
        "mask_blur": 0,
        "tile_padding": 0,
        "seam_fix_mode": "None",
    }
    return ultimate_sd_upscale_no_upscale(
        upscaled_image=image, ctx=bench, **parts, **(given | more)
    )


def test_an_image_is_enlarged_to_its_size_and_drawn_again(parts, bench):
    write(bench.root / "models/upscale_models/tiny.safetensors", compact(2))
    enlarger = upscale_model_loader("tiny.safetensors", bench)
    image = picture(1, 40, 56)

    with untouched(image):
        made = ultimate_sd_upscale(
            image=image,
            **parts,
            positive=text(0.3),
            negative=text(0.7),
            upscale_by=1.5,
            steps=1,
            sampler_name="euler",
            scheduler="normal",
            denoise=0.3,
            upscale_model=enlarger,
            mode_type="Chess",
            tile_width=64,
            tile_height=64,
            seam_fix_mode="None",
            ctx=bench,
        )

    assert made.shape == (1, 60, 84, 3)
    assert made.isfinite().all()
    assert 0 <= made.min() <= made.max() <= 1


def test_one_tile_is_img2img_of_the_whole(parts, bench):
    from nodes.builtin.latent.vae import vae_decode, vae_encode
    from nodes.builtin.sampling.ksampler import ksampler

    image = picture(1, 64, 64)

    made = redraw(parts, bench, image, seed=5)

    latent = ksampler(
        model=parts["model"],
        seed=5,
        steps=2,
        cfg=1.0,
        sampler_name="euler",
        scheduler="normal",
        positive=text(0.3),
        negative=text(0.7),
        latent_image=vae_encode(image, parts["vae"], bench),
        denoise=0.5,
        ctx=bench,
    )
    torch.testing.assert_close(made, vae_decode(latent, parts["vae"], bench))


def test_tiles_change_nothing_outside_of_them(parts, bench):
    image = picture(2, 64, 100)

    made = redraw(
        parts, bench, image, mode_type="None", seam_fix_mode="Band Pass", seam_fix_width=16
    )
    sharp = redraw(
        parts,
        bench,
        image,
        mode_type="None",
        seam_fix_mode="Band Pass",
        seam_fix_width=16,
        seam_fix_mask_blur=0,
        tiled_decode=True,
    )

    changed = (sharp - image).abs().amax(dim=(0, 1, 3)) > 1e-6
    assert changed.nonzero().flatten().tolist() == list(range(56, 72))
    assert torch.equal(made[:, :, :20], image[:, :, :20])


@pytest.mark.parametrize("uniform", [True, False])
def test_any_size_keeps_its_size(parts, bench, uniform):
    image = picture(1, 70, 50)

    made = redraw(
        parts, bench, image, tile_padding=8, mask_blur=2, steps=1, force_uniform_tiles=uniform
    )

    assert made.shape == image.shape
    assert (made - image).abs().mean() > 1e-3


def places(pieces):
    return [(piece.left, piece.top, piece.width, piece.height) for piece in pieces]


def test_tiles_cover_the_image_in_their_order():
    tiles = Grid(150, 100, 64, 64)

    linear, chess = tiles.tiles("Linear"), tiles.tiles("Chess")

    assert places(linear)[:3] == [(0, 0, 64, 64), (64, 0, 64, 64), (128, 0, 22, 64)]
    assert sum(piece.width * piece.height for piece in linear) == 150 * 100
    assert places(chess)[:3] == [(0, 0, 64, 64), (128, 0, 22, 64), (64, 64, 64, 36)]
    assert sorted(places(chess)) == sorted(places(linear))
    assert tiles.tiles("None") == []


@pytest.mark.parametrize(
    ("how", "count", "first"),
    [
        ("Band Pass", 4, (48, 0, 32, 64)),
        ("Half Tile", 4, (32, 0, 64, 64)),
        ("Half Tile + Intersections", 5, (32, 0, 64, 64)),
    ],
)
def test_seams_lie_between_tiles(how, count, first):
    pieces = Grid(128, 128, 64, 64).seams(how, 32)

    assert len(pieces) == count
    assert places(pieces)[0] == first
    assert [piece.fade for piece in pieces] == ["x", "x", "y", "y", "xy"][:count]
    assert Grid(64, 64, 64, 64).seams(how, 32) == []


PART = Part(top=32, left=64, height=64, width=64, whole_height=128, whole_width=128)


def test_control_images_and_masks_are_cut_to_the_tile():
    hint = ControlHint(grid((1, 3, 128, 128), 0.1) * 0.5 + 0.5)
    control = NetControl(None, hint, 1.0)  # pyright: ignore[reportArgumentType]
    mask = torch.zeros(1, 64, 64)
    mask[:, 16:48, 32:] = 1
    cond = replace(text(0.3).conds[0], mask=mask, controls=(control,))

    (cut,) = crop_conditions(Conditioning((cond,)), PART).conds

    assert isinstance(cut.controls[0], NetControl)
    assert torch.equal(cut.controls[0].hint.picture, hint.picture[..., 32:96, 64:128])
    assert cut.mask is not None
    assert cut.mask.shape == (1, 64, 64)
    assert cut.mask[:, 4:-4, 4:].min() == 1


def test_areas_move_with_the_tile_or_are_left_out():
    inside = Cond(grid((1, 77, 64), 0.3), area=Area(8, 8, 6, 10))
    outside = Cond(grid((1, 77, 64), 0.3), area=Area(4, 4, 0, 0))
    half = Cond(grid((1, 77, 64), 0.3), relative_area=RelativeArea(1.0, 0.5, 0.0, 0.5))

    kept = crop_conditions(Conditioning((inside, outside, half)), PART).conds
    alone = crop_conditions(Conditioning((outside,)), PART).conds

    assert [each.area for each in kept] == [Area(6, 6, 2, 2), Area(8, 8, 0, 0)]
    assert [each.area for each in alone] == [None]
