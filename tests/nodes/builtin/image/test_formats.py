"""Images in the formats of today's templates, saved by the real engine."""

import io
import json
import zlib

import numpy as np
import pytest
import torch
from PIL import Image as PILImage
from PIL.AvifImagePlugin import AvifImageFile
from PIL.PngImagePlugin import PngImageFile

from nodegraph.errors import NodeGraphError
from nodes.builtin.image.batches import batch_images_node
from nodes.builtin.image.files import image_compare
from nodes.builtin.image.formats import save_image_advanced
from nodes.builtin.image.resize import resize_image_mask_node
from tests.nodes.pictures import picture


def saved(run_node, images, **chosen):
    inputs = {"format": "png", **chosen}
    return run_node(save_image_advanced, images=images, filename_prefix="x", **inputs)


def test_images_go_on_and_carry_their_workflow(run_node):
    image = picture()
    found = saved(run_node, image)

    assert torch.equal(found.value, image)
    assert [path.name for path in found.files] == ["x_00001_.png", "x_00002_.png"]
    with PILImage.open(found.files[0]) as file:
        assert isinstance(file, PngImageFile)
        assert file.mode == "RGB"
        assert json.loads(file.text["prompt"])["tested"]["inputs"]["format"] == "png"
        expected = (image[0] * 255).numpy().astype(np.uint8)
        assert np.array_equal(np.asarray(file), expected)


@pytest.mark.parametrize(("channels", "colour"), [(1, 0), (3, 2), (4, 6)])
def test_a_png_of_16_bits_has_every_value(run_node, channels, colour):
    image = torch.rand(1, 9, 5, channels)
    found = saved(run_node, image, **{"format.bit_depth": "16-bit"})

    data = found.files[0].read_bytes()
    assert data[24:26] == bytes([16, colour])
    with PILImage.open(io.BytesIO(data)) as file:
        file.load()
    rows = np.frombuffer(pixels_of(data), np.uint8).reshape(9, -1)
    assert set(rows[:, 0]) == {2}
    values = np.cumsum(rows[:, 1:].astype(np.int64), axis=0).astype(np.uint8)
    expected = (image[0].numpy() * 65535.0).astype(">u2").reshape(9, -1)
    assert np.array_equal(np.ascontiguousarray(values).view(">u2"), expected)


def pixels_of(data):
    at, packed = 8, b""
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        packed += data[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += 12 + size
    return zlib.decompress(packed)


def test_an_exr_is_no_picture_for_browsers(run_node):
    found = saved(run_node, picture()[:1], format="exr", **{"format.input_color_space": "linear"})

    assert found.ui.artifacts.keys() == {"files"}
    assert found.files[0].read_bytes()[:4] == b"\x76\x2f\x31\x01"


def test_avif_is_small_and_near(run_node):
    image = picture()
    near, far = (saved(run_node, image, format="avif", **{"format.crf": crf}) for crf in (5, 60))

    assert len(near.files) == 2
    with PILImage.open(near.files[0]) as file:
        assert np.abs(np.asarray(file) / 255 - image[0].numpy()).mean() < 0.05
        assert file.getexif()[0x0110].startswith("prompt:{")
    assert far.files[0].stat().st_size < near.files[0].stat().st_size


def test_a_batch_is_one_animation(run_node):
    found = saved(
        run_node,
        torch.cat([picture(), picture()[:1]]),
        format="avif",
        **{
            "format.save_mode": "animated",
            "format.save_mode.fps": 4,
            "format.save_mode.loop_count": 2,
        },
    )

    with PILImage.open(found.files[0]) as file:
        assert isinstance(file, AvifImageFile)
        assert file.n_frames == 3
        file.load()
        assert file.info["duration"] == 250
    assert any("loop_count" in event.message for event in found.events if event.name == "notice")


@pytest.mark.parametrize(("kind", "channels"), [("png", 2), ("exr", 5), ("avif", 4)])
def test_channels_that_a_format_lacks_are_refused(run_node, kind, channels):
    with pytest.raises(NodeGraphError, match=f"can not have {channels} channels"):
        saved(run_node, torch.zeros(1, 4, 4, channels), format=kind)


@pytest.mark.parametrize(
    "chosen",
    [
        {"format": "avif", "format.input_color_space": "HDR"},
        {"format": "avif", "format.bit_depth": "10-bit YUV420"},
        {"format": "exr", "format.bit_depth": "8-bit"},
        {"format": "tiff"},
    ],
)
def test_what_is_not_offered_is_said_before_the_run(run_node, chosen):
    assert [p.code for p in saved(run_node, picture(), **chosen).problems] == ["value_not_in_list"]


def test_nothing_is_no_file(run_node):
    with pytest.raises(NodeGraphError, match="batch of images is empty"):
        saved(run_node, torch.zeros(0, 4, 4, 3))


def test_two_images_are_compared(run_node):
    found = run_node(image_compare, image_a=picture(), image_b=picture()[:1])

    names = {kind: [item.filename for item in items] for kind, items in found.ui.artifacts.items()}
    assert {kind: len(items) for kind, items in names.items()} == {"a_images": 2, "b_images": 1}
    assert all(name.startswith("comfy.compare.") for items in names.values() for name in items)
    assert {item.type for items in found.ui.artifacts.values() for item in items} == {"temp"}
    assert run_node(image_compare, image_b=picture()).ui.artifacts.keys() == {"b_images"}


def test_images_of_any_size_become_one_batch(run_node):
    first, second = picture(), torch.rand(1, 10, 60, 4)

    joined = run_node(batch_images_node, images={"image0": first, "image1": second}).value

    assert joined.shape == (3, *first.shape[1:3], 4)
    assert torch.equal(joined[:2, ..., :3], first)
    assert torch.equal(run_node(batch_images_node, images={"image0": first}).value, first)
    lacking = run_node(batch_images_node).problems
    assert [p.input_name for p in lacking] == ["images.image0"]


@pytest.mark.parametrize(
    ("way", "size"),
    [
        ({"resize_type": "scale by multiplier", "multiplier": 0.5}, (12, 20)),
        ({"resize_type": "scale dimensions", "width": 30, "height": 10}, (10, 30)),
        ({"resize_type": "scale dimensions", "width": 0, "height": 12}, (12, 20)),
        ({"resize_type": "scale dimensions", "width": 0, "height": 0}, (24, 40)),
        ({"resize_type": "scale longer dimension", "longer_size": 20}, (12, 20)),
        ({"resize_type": "scale shorter dimension", "shorter_size": 48}, (48, 80)),
        ({"resize_type": "scale width", "width": 10}, (6, 10)),
        ({"resize_type": "scale height", "height": 6}, (6, 10)),
        ({"resize_type": "scale height", "height": 0}, (1, 1)),
        ({"resize_type": "scale total pixels", "megapixels": 0.01}, (79, 132)),
        ({"resize_type": "match size", "match": torch.zeros(1, 7, 9)}, (7, 9)),
        ({"resize_type": "match size", "match": torch.zeros(1, 7, 9, 3)}, (7, 9)),
        ({"resize_type": "scale to multiple", "multiple": 16}, (16, 32)),
        ({"resize_type": "scale to multiple", "multiple": 64}, (64, 64)),
    ],
    ids=str,
)
@pytest.mark.parametrize("is_mask", [True, False])
def test_images_and_masks_are_resized_in_every_way(run_node, way, size, is_mask):
    given = torch.rand(2, 24, 40) if is_mask else torch.rand(2, 24, 40, 3)

    found = run_node(resize_image_mask_node, input=given, resize_type=way, scale_method="area")

    assert found.value.shape == (2, *size) if is_mask else (2, *size, 3)


@pytest.mark.parametrize("method", ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"])
def test_a_mask_is_resized_as_a_grey_image(run_node, method):
    mask = torch.rand(1, 24, 40)
    way = {"resize_type": "scale dimensions", "width": 10, "height": 10}

    one = run_node(resize_image_mask_node, input=mask, resize_type=way, scale_method=method).value
    grey = mask[..., None].expand(-1, -1, -1, 3)
    other = run_node(resize_image_mask_node, input=grey, resize_type=way, scale_method=method).value

    torch.testing.assert_close(one, other[..., 0])


def test_the_first_way_is_the_default():
    image = picture()

    assert resize_image_mask_node(image).shape == image.shape
    assert resize_image_mask_node.spec.inputs[1].default == "scale by multiplier"


def test_the_editor_s_part_of_a_comparison_has_the_editor_s_default():
    found = next(item for item in image_compare.spec.inputs if item.name == "compare_view")

    assert (found.required, found.default) == (True, ["", ""])
