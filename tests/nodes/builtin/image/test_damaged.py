"""Damaged image files are read as far as they can be, and that is said."""

import io

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from PIL import PngImagePlugin

from nodes.builtin.image.files import load_image
from nodes.imaging.errors import InputFileError
from tests.nodes.bench import Bench

SIZE = (48, 64)


def saved(kind, *, frames=1, **options):
    """Return the bytes of an image file: noise, or frames of one colour."""
    if frames > 1:
        first, *rest = [Picture.new("RGB", SIZE, colour) for colour in ("red", "lime", "blue")]
        options |= {"save_all": True, "append_images": rest}
    else:
        noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
        first = Picture.fromarray(noise)
    file = io.BytesIO()
    first.save(file, kind, **options)
    return file.getvalue()


def text_chunk():
    info = PngImagePlugin.PngInfo()
    info.add_text("note", "lorem ipsum " * 100_000, zip=True)
    return info


def with_bad_exif():
    exif = Picture.Exif()
    exif[0x0112] = 6
    return saved("PNG", exif=exif).replace(b"MM\0*", b"MM\xff*")


@pytest.fixture
def load(tmp_path):
    (tmp_path / "input").mkdir()
    bench = Bench(tmp_path)

    def read(content):
        (tmp_path / "input" / "a.png").write_bytes(content)
        return load_image("a.png", bench).image, bench.notices

    return read


@pytest.mark.parametrize(
    ("content", "whole"),
    [
        (saved("JPEG")[:-2], saved("JPEG")),
        (saved("PNG", pnginfo=text_chunk()), saved("PNG")),
        (saved("PNG", icc_profile=bytes(1_100_000)), saved("PNG")),
        (with_bad_exif(), saved("PNG")),
    ],
    ids=["no end mark", "large text", "large profile", "bad EXIF"],
)
def test_all_pixels_of_a_file_with_small_damage_are_read(load, content, whole):
    found, notices = load(content)

    assert len(notices) == 1
    assert "What can be read of it is used" in notices[0]
    torch.testing.assert_close(found, load(whole)[0], rtol=0, atol=0)
    assert len(notices) == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF"])
def test_the_pixels_before_a_break_are_read(load, kind):
    content = saved(kind)

    found, notices = load(content[: len(content) * 3 // 4])

    assert "is damaged" in notices[0]
    rows = slice(-4, None) if kind == "BMP" else slice(4)  # which is written from below
    torch.testing.assert_close(found[:, rows], load(content)[0][:, rows], rtol=0, atol=0)


def test_a_webp_file_that_breaks_off_is_refused(load):
    content = saved("WEBP")

    with pytest.raises(InputFileError, match=r"a\.png' is damaged"):
        load(content[: len(content) // 2])


def test_the_frames_before_a_break_are_read(load):
    content = saved("PNG", frames=3)

    found, notices = load(content[: len(content) * 2 // 3])

    assert notices
    assert 1 <= len(found) < 3
    assert torch.equal(found[0, 0, 0], torch.tensor([1.0, 0.0, 0.0]))


@pytest.mark.parametrize("start", [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_a_file_of_which_nothing_can_be_read_is_refused(load, start):
    with pytest.raises(InputFileError, match=r"a\.png"):
        load(start + b"nothing" * 9)
