"""The size of tiles by what a card has beside the weights, for a VAE of full size."""

from dataclasses import replace

import pytest
import torch

from nodegraph.runtime.model_pool import ModelPool
from nodes.inference.vae_tiles import VaeCall, largest_tile
from nodes.models.loading.checkpoint import open_vae
from nodes.models.loading.handles import VaeHandle
from tests.full_size.models import write_model

ROOMS = (1, 2, 6, 10, 22, 38)
"""Gigabytes that cards of 4 to 40 GB may have for a VAE."""
WHOLE = None


@pytest.mark.parametrize(
    ("method", "side", "expected"),
    [
        ("decode", 2048, [704, 1024, 1920, WHOLE, WHOLE, WHOLE]),
        pytest.param("decode", 4096, [320, 832, 1792, 2432, 3712, WHOLE], marks=pytest.mark.slow),
        ("encode", 2048, [832, 1216, WHOLE, WHOLE, WHOLE, WHOLE]),
    ],
)
def test_tiles_are_as_large_as_the_room_allows(tmp_path, method, side, expected):
    path = write_model(tmp_path / "ae.safetensors", "ae", "BF16")
    vae = VaeHandle(open_vae(path, "ae", ModelPool()))
    call = VaeCall(replace(vae, compute=torch.bfloat16), method)
    shape = (1, 16, side // 8, side // 8) if method == "decode" else (1, 3, side, side)
    x = torch.empty(shape, device="meta")

    found: list[int | None] = []
    for room in (gigabytes * 10**9 for gigabytes in ROOMS):
        size = WHOLE if call.peak_bytes(x) <= room else largest_tile(call, x, room)
        found.append(size)
        assert call.peak_bytes(x, size) <= room
        if size is not None:
            assert call.peak_bytes(x, size + 128) > room

    assert found == expected
