"""The placement of networks on cards, by what the card can compute."""

import pytest
import torch

from nodes.models.families.base.spec import NetworkSpec
from nodes.models.loading import placement
from tests.tiny_models.checkpoints import (
    small_ae16,
    small_sd3,
    small_sd15,
    small_sd21,
    small_sdxl,
    write,
)
from tests.tiny_models.handles import opened


@pytest.mark.parametrize(
    ("kind", "capability", "expected"),
    [
        ("flux", (8, 6), torch.bfloat16),
        ("flux", (7, 5), torch.float16),
        ("unet", (8, 6), torch.float16),
        ("unet", (7, 5), torch.float16),
        ("vae", (8, 6), torch.bfloat16),
        ("vae", (7, 5), torch.float32),
        ("tiny_vae", (8, 6), torch.bfloat16),
        ("tiny_vae", (7, 5), torch.float16),
        ("pixels", (8, 6), torch.float32),
        ("rrdb", (8, 6), torch.float32),
    ],
)
def test_a_network_has_a_precision_that_the_card_has(monkeypatch, kind, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    monkeypatch.setattr(placement, "default_device", lambda: torch.device("cuda"))
    spec = NetworkSpec(kind, "model", {}, "", lambda _keys, _prefix: {})

    assert placement.default_placement(spec).dtype == expected
    assert placement.default_placement(spec, on_cpu=True).dtype == torch.float32


@pytest.mark.parametrize(
    ("tensors", "without_bfloat16"),
    [
        (small_sd15, torch.float16),
        (small_sd21, torch.float16),
        (small_sdxl, torch.float32),
        (lambda: small_sd3() | small_ae16(prefix="first_stage_model."), torch.float32),
    ],
    ids=["sd15", "sd21", "sdxl", "sd3"],
)
def test_vaes_that_fit_float16_compute_in_it_where_there_is_no_bfloat16(
    monkeypatch, tmp_path, tensors, without_bfloat16
):
    monkeypatch.setattr(placement, "default_device", lambda: torch.device("cuda"))
    path, found = write(tmp_path / "a.safetensors", tensors()), list[torch.dtype]()

    for capability in ((8, 0), (7, 5)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, is_=capability: is_)
        found.append(opened(path).vae.network.placement.dtype)

    assert found == [torch.bfloat16, without_bfloat16]
