"""A weights file that is larger than the machine's memory is read like any other."""

import json
import os

import pytest
import torch

from nodes.models.weights.errors import WeightFileError
from nodes.models.weights.header import read_header
from nodes.models.weights.mapped_tensors import map_safetensors
from nodes.models.weights.reader import TensorFiles


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A file of which most is a hole, so that it takes no room on the disk."""
    path = tmp_path_factory.mktemp("models") / "large.safetensors"
    size = 4 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")  # beyond any swap
    entries = {
        "few": {"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24]},
        "odd": {"dtype": "F4", "shape": [2], "data_offsets": [24, 25]},
        "many": {"dtype": "U8", "shape": [size], "data_offsets": [25, 25 + size]},
        "last": {"dtype": "F16", "shape": [2], "data_offsets": [25 + size, 29 + size]},
    }
    text = json.dumps(entries).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.write(torch.arange(6.0).numpy().tobytes())
        file.seek(1 + size, os.SEEK_CUR)
        file.write(torch.tensor([1.5, -2.0]).half().numpy().tobytes())
    return path


def test_its_tensors_and_their_rows_are_read(path):
    infos = read_header(path).tensors
    with TensorFiles() as files:
        few = files.tensor(infos["few"])
        rows = files.tensor(infos["few"], slice(1, 2))
        last = files.tensor(infos["last"])

    assert few.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert rows.tolist() == [[2, 3]]
    assert last.tolist() == [1.5, -2]
    assert last.dtype == torch.float16


def test_a_type_that_is_not_read_is_named(path):
    with map_safetensors(path) as file, pytest.raises(WeightFileError, match="'odd' is of type F4"):
        file.get_tensor("odd")
