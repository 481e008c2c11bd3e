"""Batches of pictures as animated files."""

import json

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from PIL import ImageSequence

from nodegraph.workflow.embedded import texts_of
from nodes.builtin.image.animations import save_animated_png, save_animated_webp
from nodes.imaging.codec import to_bytes
from nodes.imaging.errors import EmptyBatchError
from tests.nodes.bench import Bench
from tests.nodes.pictures import picture, untouched

CAFE = {"9": {"class_type": "CLIPTextEncode", "inputs": {"text": "café ☕"}}}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path, prompt=CAFE, extra_pnginfo={"workflow": {"nodes": [1]}})


def frames(path):
    """Every frame's pixels, and for how many milliseconds it shows."""
    with Picture.open(path) as opened:
        every = ImageSequence.Iterator(opened)
        return [(np.asarray(each.convert("RGB")), each.info["duration"]) for each in every]


def saved(ui, bench):
    (artifact,) = ui.artifacts["images"]
    assert ui.as_dict()["animated"] == [True]
    return bench.path(artifact)


def test_an_animated_png_has_every_picture_as_it_is(bench):
    images = picture(3, 12, 16)

    with untouched(images):
        path = saved(save_animated_png(images, "film", 8.0, ctx=bench), bench)

    assert path.name == "film_00001_.png"
    assert [duration for _, duration in frames(path)] == [125, 125, 125]
    for image, (pixels, _) in zip(images, frames(path), strict=True):
        assert np.array_equal(pixels, to_bytes(image))


def test_an_animated_webp_without_loss_does_too(bench):
    images = picture(3, 12, 16)

    path = saved(save_animated_webp(images=images, fps=10.0, method="fastest", ctx=bench), bench)

    assert path.suffix == ".webp"
    assert [duration for _, duration in frames(path)] == [100, 100, 100]
    for image, (pixels, _) in zip(images, frames(path), strict=True):
        assert np.array_equal(pixels, to_bytes(image))


def test_an_animated_webp_with_loss_is_smaller_and_close(bench):
    images = torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(1)) * 0.2 + 0.4

    exact = saved(save_animated_webp(images=images, method="default", ctx=bench), bench)
    ui = save_animated_webp(images=images, lossless=False, quality=30, method="slowest", ctx=bench)
    small = saved(ui, bench)

    assert small.stat().st_size < exact.stat().st_size / 3
    pixels = frames(small)[0][0].astype(float)
    assert np.abs(pixels - to_bytes(images[0])).mean() < 15


def test_both_carry_their_workflow(bench):
    images = picture(2, 8, 8)

    for ui in (
        save_animated_png(images, ctx=bench),
        save_animated_webp(images=images, method="default", ctx=bench),
    ):
        texts = texts_of(saved(ui, bench).read_bytes())
        assert json.loads(texts["prompt"]) == CAFE
        assert json.loads(texts["workflow"]) == {"nodes": [1]}
        assert "nodegraph" in texts


@pytest.mark.parametrize("fps", [0.01, 1000.0])
def test_any_speed_can_be_written(bench, fps):
    images = picture(2, 8, 8)
    expected = [1000 / fps] * 2

    png = saved(save_animated_png(images, fps=fps, ctx=bench), bench)
    webp = saved(save_animated_webp(images=images, fps=fps, method="fastest", ctx=bench), bench)

    assert [duration for _, duration in frames(png)] == expected
    assert [duration for _, duration in frames(webp)] == expected


def test_transparency_is_kept(bench):
    images = picture(2, 8, 8, channels=4)

    path = saved(save_animated_png(images, ctx=bench), bench)

    with Picture.open(path) as opened:
        assert np.array_equal(np.asarray(opened.convert("RGBA")), to_bytes(images[0]))


def test_a_batch_of_none_is_refused(bench):
    with pytest.raises(EmptyBatchError):
        save_animated_png(torch.zeros(0, 8, 8, 3), ctx=bench)
