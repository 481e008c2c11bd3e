"""A weights file is checked before any of it is used."""

import json
import struct

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save

from nodes.models.weights.errors import PickleRefusedError, TruncatedFileError, WeightFileError
from nodes.models.weights.header import read_header

F32 = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


def file_with(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_a_header_tells_names_types_shapes_and_metadata(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(save({"w": torch.zeros(2, 3, dtype=torch.float16)}, {"family": "sd15"}))

    header = read_header(path)

    assert header.shape("w") == (2, 3)
    assert header.tensors["w"].dtype == "F16"
    assert header.tensors["w"].numel == 6
    assert header.metadata == {"family": "sd15"}
    assert "w" in header
    assert "v" not in header


@pytest.mark.parametrize("kept", [0, 5, 40, -1])
def test_a_file_that_breaks_off_says_so(tmp_path, kept):
    path = tmp_path / "a.safetensors"
    path.write_bytes(save({"w": torch.zeros(100)})[:kept])

    with pytest.raises(TruncatedFileError, match="is incomplete"):
        read_header(path)


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\x80\x02", b"\x80\x05"])
def test_a_pickle_is_refused(tmp_path, start):
    path = tmp_path / "a.ckpt"
    path.write_bytes(start + bytes(100))

    with pytest.raises(PickleRefusedError, match=r"can run code.*\.safetensors"):
        read_header(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "header"),
        (file_with(b"{nonsense"), "not JSON"),
        (file_with(b"[" * 100_000), "not JSON"),
        (file_with([1]), "not a JSON object"),
        (file_with({"w": 1}), "not tensors"),
        (file_with({"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}), "malformed"),
        (file_with({"w": {"dtype": "F32", "shape": [1]}}), "malformed"),
        (file_with({"w": {"dtype": "F32", "shape": [1], "data_offsets": [4]}}), "malformed"),
        (file_with({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, b"0000"), "size"),
        (file_with({"w": F32}, bytes(516)), "512 bytes too many"),
        (file_with({}, b"1"), "1 bytes too many"),
        (file_with({"w": F32, "x": F32}, bytes(4)), "'x' do not begin where"),
        (file_with({"w": {**F32, "data_offsets": [4, 8]}}, bytes(8)), "'w' do not begin where"),
        (file_with({"w": {**F32, "dtype": "I4"}}, bytes(4)), "unknown type 'I4'"),
        (file_with({"w": F32, "__metadata__": {"a": 1}}, bytes(4)), "metadata's 'a' is no text"),
        (file_with(b"\xef\xbb\xbf{}"), "not JSON"),
        (b'{"weight_map": {}}', "it is JSON"),
    ],
)
def test_another_file_is_named_for_what_it_is(tmp_path, content, reason):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)

    with pytest.raises(WeightFileError, match=reason):
        read_header(path)


@pytest.mark.parametrize(
    ("header", "data"),
    [
        ({"w": F32, "x": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}, bytes(4)),
        ({"w": F32, "__metadata__": None}, bytes(4)),
        ({"w": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}, b"1"),
        ({"w": {"dtype": "F8_E8M0", "shape": [1], "data_offsets": [0, 1]}}, b"1"),
        ({}, b""),
    ],
)
def test_what_the_safetensors_library_reads_is_read(tmp_path, header, data):
    path = tmp_path / "a.safetensors"
    path.write_bytes(file_with(header, data))

    with safe_open(str(path), framework="pt") as file:
        assert set(read_header(path).tensors) == set(file.keys())
