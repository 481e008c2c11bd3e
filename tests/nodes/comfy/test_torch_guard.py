"""The guard of torch against packs."""

from functools import wraps
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from nodes.comfy.torch_guard import guard_torch
from nodes.comfy.values.errors import ChangesTorchError


@pytest.fixture
def seed():
    """The function that this test replaces; it is put back."""
    before = torch.manual_seed
    yield before
    torch.manual_seed = before


def test_what_torch_replaces_itself_at_an_import_stays(seed):
    with guard_torch():
        torch.manual_seed = cast("Any", torch)._disable_dynamo(seed)  # as torch._dynamo does

    assert torch.manual_seed is not seed


def test_what_a_pack_replaces_is_put_back_whoever_wraps_it(seed):
    @wraps(seed)
    def own(value):
        return seed(value)

    with pytest.raises(ChangesTorchError, match=r"torch\.manual_seed"), guard_torch():
        torch.manual_seed = own
    with pytest.raises(ChangesTorchError), guard_torch():
        torch.manual_seed = cast("Any", torch)._disable_dynamo(own)

    assert torch.manual_seed is seed


def test_what_a_library_replaces_is_put_back_and_no_blame_of_the_pack(seed):
    place = str(Path(torch.__file__).parents[1] / "some_library" / "patches.py")

    def patched(value):
        return value

    with guard_torch():
        patched.__code__ = patched.__code__.replace(co_filename=place)
        torch.manual_seed = patched

    assert torch.manual_seed is seed
