"""The placement of networks on cards, by what the card can compute."""

import pytest
import torch

from nodes.models.families.base.spec import NetworkSpec
from nodes.models.loading import placement


@pytest.mark.parametrize(
    ("kind", "capability", "expected"),
    [
        ("flux", (8, 6), torch.bfloat16),
        ("flux", (7, 5), torch.float16),
        ("unet", (8, 6), torch.float16),
        ("unet", (7, 5), torch.float16),
        ("vae", (7, 5), torch.float32),
    ],
)
def test_a_network_has_a_precision_that_the_card_has(monkeypatch, kind, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    monkeypatch.setattr(placement, "default_device", lambda: torch.device("cuda"))
    spec = NetworkSpec(kind, "model", {}, "", lambda _keys, _prefix: {})

    assert placement.default_placement(spec).dtype == expected
    assert placement.default_placement(spec, on_cpu=True).dtype == torch.float32
