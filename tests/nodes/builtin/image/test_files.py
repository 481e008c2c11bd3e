"""Pictures to files and back: what is written, what is read, what is refused."""

import json
import struct
import threading
import zlib
from hashlib import sha256

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from nodegraph.errors import NodeGraphError, UnsafePathError
from nodegraph.files.files import Files
from nodegraph.graph.results import Ui
from nodes.builtin.image import files
from nodes.builtin.image.files import (
    load_image,
    load_image_mask,
    load_image_output,
    preview_image,
    save_image,
)
from nodes.imaging.codec import encode_png, to_bytes
from nodes.imaging.errors import InputFileError, SizeLimitError
from nodes.preflight.images import check_image, check_prefix
from tests.nodes.bench import Bench
from tests.nodes.pictures import picture, untouched

CAFE = {"9": {"class_type": "CLIPTextEncode", "inputs": {"text": "café ☕"}}}


@pytest.fixture
def bench(tmp_path):
    (tmp_path / "input").mkdir()
    return Bench(tmp_path)


def put(bench, name, content, **options):
    """Store a picture, or bytes, as an input file."""
    path = bench.root / "input" / name
    path.write_bytes(content) if isinstance(content, bytes) else content.save(path, **options)
    return name


def written(ui):
    """The pictures that a node wrote."""
    assert isinstance(ui, Ui)
    return ui.artifacts["images"]


def opened(bench, artifact):
    with Picture.open(bench.path(artifact)) as found:
        found.load()
        return found


def test_each_picture_of_a_batch_becomes_a_numbered_file(bench):
    images = picture(batch=3)

    with untouched(images):
        saved = written(save_image(images, "cats/tabby", ctx=bench))
    again = written(save_image(images[:1], "cats/tabby", ctx=bench))

    names = [(item.subfolder, item.filename, item.type) for item in [*saved, *again]]
    assert names == [("cats", f"tabby_0000{k}_.png", "output") for k in (1, 2, 3, 4)]
    for image, item in zip(images, saved, strict=True):
        assert np.array_equal(np.asarray(opened(bench, item)), to_bytes(image))


def test_the_prefix_knows_the_size_and_the_place_in_the_batch(bench):
    saved = written(save_image(picture(), "%width%x%height%-%batch_num%", ctx=bench))

    names = [item.filename for item in saved]
    assert names == ["40x24-0_00001_.png", "40x24-1_00001_.png"]


def test_a_saved_picture_carries_prompt_and_workflow_as_comfyui_writes_them(bench):
    bench.prompt = CAFE
    bench.extra_pnginfo = {"workflow": {"nodes": [], "version": 0.4}, "note": "ü"}

    (saved,) = written(save_image(picture(batch=1), ctx=bench))

    texts = opened(bench, saved).info
    assert texts["prompt"] == json.dumps(CAFE)
    assert texts["workflow"] == '{"nodes": [], "version": 0.4}'
    assert texts["note"] == '"\\u00fc"'
    assert list(texts)[:3] == ["prompt", "workflow", "note"]


def test_a_saved_picture_says_which_files_and_seeds_made_it(bench):
    for folder in ("checkpoints", "loras"):
        place = bench.root / "models" / folder
        place.mkdir(parents=True)
        (place / "tiny.safetensors").write_bytes(folder.encode())
    bench.prompt = {
        "1": {"class_type": "Loader", "inputs": {"ckpt_name": "tiny.safetensors"}},
        "2": {"class_type": "Loader", "inputs": {"ckpt_name": "absent.safetensors"}},
        "3": {"class_type": "Other", "inputs": {"file": "../tiny.safetensors", "model": ["1", 0]}},
        "5": {"class_type": "Loader", "inputs": {"lora_name": "tiny.safetensors"}},
        "4": {"class_type": "KSampler", "inputs": {"seed": 2**64 - 1, "noise_seed": ["5", 0]}},
    }

    (saved,) = written(save_image(picture(batch=1), ctx=bench))

    made = json.loads(opened(bench, saved).info["nodegraph"])
    assert made["models"] == {
        "checkpoints/tiny.safetensors": sha256(b"checkpoints").hexdigest(),
        "loras/tiny.safetensors": sha256(b"loras").hexdigest(),
    }
    assert made["seeds"] == {"4.seed": 2**64 - 1}
    assert made["torch"] == torch.__version__
    assert set(made) == {"nodegraph", "torch", "models", "seeds"}


def test_a_saved_picture_says_which_versions_of_node_types_made_it(bench):
    bench.type_versions = {"KSampler": "1.1"}

    (saved,) = written(save_image(picture(batch=1), ctx=bench))

    assert json.loads(opened(bench, saved).info["nodegraph"])["versions"] == {"KSampler": "1.1"}


def test_a_preview_goes_to_the_temp_folder(bench):
    (shown,) = written(preview_image(picture(batch=1), bench))

    assert shown.type == "temp"
    assert opened(bench, shown).size == (40, 24)
    assert not (bench.root / "output").exists()


def test_values_are_cut_off_to_bytes_not_rounded():
    values = torch.tensor([[[-0.5, 0.0, 0.9999], [0.5, 2.0, float("nan")]]])

    assert to_bytes(values).tolist() == [[[0, 0, 254], [127, 255, 0]]]


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_grey_colour_and_alpha_can_be_saved(bench, channels, mode):
    (saved,) = written(save_image(picture(1, channels=channels), ctx=bench))

    assert opened(bench, saved).mode == mode


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp", "tif", "ppm"])
def test_a_saved_picture_loads_as_the_same_bytes(bench, suffix):
    pixels = to_bytes(picture(batch=1)[0])
    lossless = {"lossless": True} if suffix == "webp" else {}
    name = put(bench, f"a.{suffix}", Picture.fromarray(pixels), **lossless)

    image, mask = load_image(name, bench)

    torch.testing.assert_close(image, torch.tensor(pixels)[None] / 255)
    assert mask.shape == (1, 64, 64)
    assert not mask.any()


def test_transparency_becomes_the_mask(bench):
    pixels = np.full((2, 3, 4), 51, np.uint8)
    pixels[0, 0, 3] = 255
    name = put(bench, "alpha.png", Picture.fromarray(pixels))

    image, mask = load_image(name, bench)

    torch.testing.assert_close(image, torch.full((1, 2, 3, 3), 0.2))
    torch.testing.assert_close(mask[0, 0], torch.tensor([0.0, 0.8, 0.8]))


def test_a_palette_with_a_transparent_colour_has_a_mask(bench):
    palette = Picture.fromarray(np.array([[0, 1]], np.uint8), mode="P")
    palette.putpalette([255, 0, 0, 0, 255, 0])
    name = put(bench, "palette.png", palette, transparency=1)

    image, mask = load_image(name, bench)

    assert image[0, 0].tolist() == [[1, 0, 0], [0, 1, 0]]
    assert mask[0, 0].tolist() == [0, 1]


def test_a_camera_picture_is_turned_upright(bench):
    exif = Picture.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    name = put(bench, "camera.png", Picture.new("RGB", (30, 20)), exif=exif)

    assert load_image(name, bench).image.shape == (1, 30, 20, 3)
    assert load_image_mask(name, "red", bench).shape == (1, 30, 20)


def test_sixteen_bits_of_grey_become_eight(bench):
    values = np.array([[0, 254, 255, 32768, 65535]], np.uint16)
    name = put(bench, "deep.png", Picture.fromarray(values))

    image = load_image(name, bench).image

    assert (image[0, 0, :, 0] * 255).round().int().tolist() == [0, 0, 1, 128, 255]


def test_an_animation_becomes_a_batch_without_frames_of_another_size(bench):
    frames = [Picture.new("RGB", (6, 4), (shade, 0, 0)) for shade in (0, 128, 255)]
    moving = put(
        bench, "moving.webp", frames[0], save_all=True, append_images=frames[1:], lossless=True
    )
    pages = [frames[0], Picture.new("RGB", (5, 5)), frames[2]]
    mixed = put(bench, "pages.tif", pages[0], save_all=True, append_images=pages[1:])

    assert [round(float(f.max()) * 255) for f in load_image(moving, bench).image] == [0, 128, 255]
    assert load_image(mixed, bench).image.shape == (2, 4, 6, 3)


def test_an_animation_with_some_transparent_frames_has_a_mask_for_each(bench):
    frames = [Picture.new("RGBA", (6, 4), (9, 9, 9, alpha)) for alpha in (0, 255)]
    name = put(bench, "a.png", frames[0], save_all=True, append_images=frames[1:])

    image, mask = load_image(name, bench)

    assert image.shape == (2, 4, 6, 3)
    assert mask.shape == (2, 4, 6)


@pytest.mark.parametrize(
    ("channel", "value"), [("red", 0.2), ("green", 0.4), ("blue", 0.6), ("alpha", 0.2)]
)
def test_a_mask_is_one_channel_and_alpha_is_inverted(bench, channel, value):
    name = put(bench, "c.png", Picture.new("RGBA", (3, 2), (51, 102, 153, 204)))

    torch.testing.assert_close(load_image_mask(name, channel, bench), torch.full((1, 2, 3), value))


def test_the_alpha_of_an_opaque_picture_masks_nothing(bench):
    name = put(bench, "grey.png", Picture.new("L", (3, 2), 51))

    assert not load_image_mask(name, "alpha", bench).any()
    torch.testing.assert_close(load_image_mask(name, "blue", bench), torch.full((1, 2, 3), 0.2))


def png(width, height):
    """A PNG that claims a size and holds nothing."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0"))


@pytest.mark.parametrize("side", [9_450, 10_000, 20_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(bench, side):
    name = put(bench, "bomb.png", png(side, side))

    with pytest.raises(SizeLimitError, match="at most 89 million"):
        load_image(name, bench)


@pytest.mark.slow
def test_many_frames_count_together(bench):
    frames = [Picture.new("L", (3000, 3000), shade) for shade in range(10)]
    name = put(bench, "long.gif", frames[0], save_all=True, append_images=frames[1:])

    with pytest.raises(SizeLimitError, match="10 frames of 3000 by 3000"):
        load_image(name, bench)


@pytest.mark.parametrize(
    "content",
    [b"", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg></svg>", b"PK\x03\x04 zip", b"\x80\x04pickle"],
)
def test_what_is_no_picture_is_refused_before_the_run_and_in_it(bench, content):
    name = put(bench, "foreign.png", content)

    with pytest.raises(InputFileError, match=r"foreign\.png' can not be loaded as an image"):
        check_image({"image": name}, bench.files)
    with pytest.raises(InputFileError, match=r"foreign\.png' can not be loaded as an image"):
        load_image(name, bench)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "bmp", "tif", "ppm", "avif"])
def test_every_format_passes_the_check_before_the_run(bench, suffix):
    name = put(bench, f"a.{suffix}", Picture.new("RGB", (8, 8)))

    check_image({"image": name}, bench.files)
    assert load_image(name, bench).image.shape == (1, 8, 8, 3)


def test_a_link_is_not_checked_before_the_run_and_a_missing_file_is_named(bench):
    check_image({}, bench.files)

    with pytest.raises(NodeGraphError, match=r"no file 'gone\.png' in the input folder"):
        check_image({"image": "gone.png"}, bench.files)


@pytest.mark.parametrize(
    "prefix", ["../../evil", "/tmp/evil", "a\0b", "a" * 400, "%date:../../yyyy%/x"]
)
def test_a_prefix_that_makes_no_safe_name_is_refused_before_the_run(prefix, bench):
    with pytest.raises(UnsafePathError):
        check_prefix({"filename_prefix": prefix}, bench.files)


def test_the_next_image_of_a_batch_is_encoded_while_one_is_written(bench, monkeypatch):
    save, ahead = Files.save, threading.Event()
    monkeypatch.setattr(files, "_ENCODERS", 2)

    def encode(image, chunks):
        if image[0, 0, 0] == 1:
            ahead.set()
        return encode_png(image, chunks)

    def waits(self, *args):
        assert ahead.wait(20)
        return save(self, *args)

    monkeypatch.setattr(Files, "save", waits)
    batch = torch.stack([torch.zeros(8, 8, 3), torch.ones(8, 8, 3), torch.zeros(8, 8, 3)])
    ui = files._save(batch, "output", "ahead", bench, encode)

    names = [artifact.filename for artifact in ui.artifacts["images"]]
    assert names == [f"ahead_{number:05}_.png" for number in (1, 2, 3)]
    shades = [np.asarray(Picture.open(bench.files.path(each))) for each in ui.artifacts["images"]]
    assert [int(shade.max()) for shade in shades] == [0, 255, 0]


def test_saving_stops_between_pictures_when_the_run_is_cancelled(bench):
    bench.cancel_at = 3

    with pytest.raises(InterruptedError):
        save_image(torch.zeros(3, 8, 8, 3), "x", ctx=bench)

    assert len(list(bench.files.root("output").rglob("*"))) == 2


def test_a_picture_of_the_output_folder_is_loaded_by_the_name_it_is_offered_by(bench):
    save_image(torch.full((1, 2, 3, 3), 0.2), "cat", ctx=bench)
    (name,) = bench.files.input_names((".png",), "output")

    found = load_image_output(name, bench)

    assert name == "cat_00001_.png [output]"
    torch.testing.assert_close(found.image, torch.full((1, 2, 3, 3), 0.2))
