"""OpenEXR files, read back by a reader of their own."""

import struct
import zlib

import numpy as np
import pytest
import torch

from nodes.imaging.exr import encode_exr, to_linear


def read_exr(data):
    """The attributes of a file, and its planes by channel."""
    assert struct.unpack_from("<II", data) == (20000630, 2)
    at, attributes = 8, {}
    while data[at]:
        name, kind, rest = data[at:].split(b"\0", 2)
        size = struct.unpack_from("<i", rest)[0]
        attributes[name.decode()] = (kind.decode(), rest[4 : 4 + size])
        at += len(name) + len(kind) + 2 + 4 + size
    at += 1
    listed, kinds = attributes["channels"][1], {}
    while listed != b"\0":
        name, listed = listed.split(b"\0", 1)
        kinds[name.decode()] = ["", "<f2", "<f4"][struct.unpack_from("<i", listed)[0]]
        listed = listed[16:]
    left, top, right, bottom = struct.unpack("<4i", attributes["dataWindow"][1])
    width, height = right - left + 1, bottom - top + 1
    line = sum(np.dtype(kind).itemsize for kind in kinds.values()) * width
    rows = []
    for offset in struct.unpack_from(f"<{-(-height // 16)}Q", data, at):
        y, size = struct.unpack_from("<ii", data, offset)
        assert y == len(rows)
        wanted = min(16, height - y) * line
        block = data[offset + 8 : offset + 8 + size]
        rows += split(block if size == wanted else unpack(block), line)
    planes = {name: [] for name in kinds}
    for row in rows:
        start = 0
        for name, kind in kinds.items():
            planes[name].append(np.frombuffer(row, kind, width, start))
            start += np.dtype(kind).itemsize * width
    return attributes, {name: np.stack(found) for name, found in planes.items()}


def unpack(block):
    """Undo ZIP: inflate, add up the differences, and bring even and odd bytes together."""
    values = np.frombuffer(zlib.decompress(block), np.uint8).astype(np.int64)
    values[1:] -= 128
    apart = (np.cumsum(values) % 256).astype(np.uint8)
    half = (len(apart) + 1) // 2
    together = np.empty_like(apart)
    together[0::2], together[1::2] = apart[:half], apart[half:]
    return together.tobytes()


def split(data, size):
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize(("channels", "names"), [(1, "Y"), (3, "BGR"), (4, "ABGR")])
@pytest.mark.parametrize("half", [True, False])
def test_every_value_is_read_back(channels, names, half):
    image = torch.rand(37, 11, channels, generator=torch.Generator().manual_seed(1)) * 4

    attributes, planes = read_exr(encode_exr(image, {"prompt": "{}"}, "linear", half=half))

    assert list(planes) == list(names)
    order = {"Y": "Y", "BGR": "RGB", "ABGR": "RGBA"}[names]
    found = np.stack([planes[name] for name in order], axis=-1)
    assert np.array_equal(found, image.numpy().astype("<f2" if half else "<f4"))
    assert attributes["prompt"] == ("string", b"{}")
    assert attributes["compression"][1] == b"\3"


def test_flat_images_are_small_and_noise_is_stored_as_it_is():
    flat = encode_exr(torch.full((64, 64, 3), 0.5), {}, "linear", half=True)
    bits = torch.randint(0, 2**31 - 2**24, (16, 16, 3), dtype=torch.int32)
    noise = bits.view(torch.float32)

    assert len(flat) < 1500
    _, planes = read_exr(encode_exr(noise, {}, "linear", half=False))
    assert np.array_equal(planes["R"], noise[..., 0].numpy())


def test_light_is_linear_and_alpha_stays():
    srgb = torch.tensor([[[0.0, 0.5, 1.0, 0.5]]])

    torch.testing.assert_close(
        to_linear(srgb, "sRGB"), torch.tensor([[[0.0, 0.2140411, 1.0, 0.5]]])
    )
    torch.testing.assert_close(
        to_linear(torch.tensor([0.0, 0.5, 1.0]), "HDR"), torch.tensor([0.0, 1 / 12, 1.0])
    )
    assert to_linear(srgb, "linear ACEScg") is srgb


def test_the_gamut_and_long_names_are_as_the_format_has_them():
    texts = {"x" * 32: "left out", "x" * 31: "kept", "": "left out"}
    attributes, _ = read_exr(encode_exr(torch.zeros(1, 1, 3), texts, "HDR", half=True))

    assert struct.unpack("<8f", attributes["chromaticities"][1])[0] == pytest.approx(0.708)
    assert [name for name in attributes if name.startswith("x")] == ["x" * 31]
    with pytest.raises(ValueError, match="1, 3 or 4 channels"):
        encode_exr(torch.zeros(1, 1, 2), {}, "linear", half=True)
