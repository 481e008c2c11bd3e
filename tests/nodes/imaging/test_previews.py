"""Previews have the pixels and texts of saved images."""

import io
import json
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image as PILImage

from nodes.imaging.codec import encode_png, to_bytes
from nodes.imaging.quick_png import encode_preview

TEXTS = {"prompt": json.dumps({"1": {}}), "title": "größer \N{SNOWMAN}"}


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (33, 20)])
def test_a_preview_has_the_pixels_and_texts_of_a_saved_image(channels, size):
    image = torch.rand(*size, channels) * 1.4 - 0.2
    image[0, 0, 0] = float("nan")

    found, expected = (
        PILImage.open(io.BytesIO(encode(image, TEXTS))) for encode in (encode_preview, encode_png)
    )

    assert found.mode == expected.mode
    assert np.array_equal(np.asarray(found), np.asarray(expected))
    assert found.info == expected.info == TEXTS


def test_encoding_a_preview_leaves_the_image_as_it_is():
    image = torch.rand(4, 4, 3) * 3 - 1
    before = image.clone()

    encode_preview(image, {})

    assert torch.equal(image, before)


def chunks(data):
    """The kind and body of each chunk of a PNG file, whose lengths and checksums are right."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    place, found = 8, []
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        end = place + 8 + length
        assert struct.unpack(">I", data[end : end + 4]) == (zlib.crc32(kind + body),)
        found.append((kind, body))
        place = end + 4
    assert place == len(data)
    return found


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_preview_is_a_file_that_strict_readers_take(channels):
    data = encode_preview(torch.rand(5, 7, channels), TEXTS)

    (first, header), *_, (before_last, pixels), (last, nothing) = chunks(data)
    assert (first, before_last, last, nothing) == (b"IHDR", b"IDAT", b"IEND", b"")
    assert struct.unpack(">IIBBBBB", header) == (7, 5, 8, [0, 4, 2, 6][channels - 1], 0, 0, 0)
    reader = zlib.decompressobj()
    rows = reader.decompress(pixels)
    assert reader.eof
    assert not reader.unused_data
    assert len(rows) == 5 * (1 + 7 * channels)
    assert set(rows[:: 1 + 7 * channels]) == {2}


def test_a_preview_of_one_colour_is_small():
    assert len(encode_preview(torch.full((512, 512, 3), 0.3), {})) < 4000


@pytest.mark.parametrize("rows", ["", "a", "aaa", "ab", "aab", "aaaabbbbcaaa", "abababaa"])
@pytest.mark.parametrize(("height", "width"), [(32, 5), (33, 5), (70, 300)])
def test_bands_of_one_colour_keep_their_place(rows, height, width):
    bands = [torch.full((height, width, 3), ord(letter) / 255) for letter in rows]
    image = torch.cat([*bands, torch.rand(3, width, 3), *bands])

    data = encode_preview(image, {})

    assert np.array_equal(np.asarray(PILImage.open(io.BytesIO(data))), to_bytes(image))
    assert len(zlib.decompress(dict(chunks(data))[b"IDAT"])) == len(image) * (1 + 3 * width)


def test_a_preview_of_too_many_channels_is_refused():
    with pytest.raises(ValueError, match="1 to 4 channels, not 5"):
        encode_preview(torch.rand(2, 2, 5), {})


@pytest.mark.parametrize(
    "image",
    [
        torch.rand(700, 400, 3),
        torch.rand(3, 700, 400).movedim(0, -1),
        torch.rand(3).expand(9, 5, 3),
        torch.rand(5, 3).expand(9, 5, 3),
        torch.rand(9, 1, 1).expand(9, 5, 3),
        torch.zeros(0, 5, 3),
    ],
    ids=["rows", "channels apart", "one pixel", "one row", "one column", "empty"],
)
def test_every_layout_becomes_the_same_bytes(image):
    expected = image.mul(255).to(torch.uint8).numpy()

    assert np.array_equal(to_bytes(image), expected)
