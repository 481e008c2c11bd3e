"""What full-size networks stream with a part of their weights on the device, beside the least."""

import pytest

from nodes.models.families.base.spec import NetworkSpec
from nodes.models.networks.factory import network_class, skeleton
from nodes.models.residency.split import split
from nodes.models.residency.units import divide
from tests.full_size.models import MODELS

MOST = 1.1
NAMES = (
    "sd15",
    "sdxl",
    "sd3_medium",
    "sd35_large",
    "flux_dev",
    "chroma",
    "t5xxl",
    "flux2_klein_4b",
    "flux2_klein_9b",
    "flux2_dev",
    "qwen3_8b",
    "z_image",
    "qwen3_4b",
    "qwen_image",
    "qwen2_5_vl_7b",
    "qwen2_5_vl_vision",
    "anima",
    "qwen3_06b",
    "qwen_image21",
    "qwen3_vl_8b",
    "qwen3_vl_vision",
    "qwen3_5_9b",
    "qwen3_5_vision",
    "flux3",
    "qwen3_vl_4b",
    "lumina2",
    "gemma2_2b",
    "longcat_image",
    "krea2",
)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name == "sd15" else pytest.mark.slow) for name in NAMES],
)
def test_what_is_streamed_beside_what_does_not_fit(name):
    part = MODELS[name][0]
    spec = NetworkSpec(part.kind, part.kind, part.config, part.prefix, part.table)
    network, parts = skeleton(spec), network_class(spec.kind).parts
    sizes = {key: 2 * weight.numel() for key, weight in network.state_dict().items()}
    total = sum(sizes.values())

    found: dict[float, float] = {}
    for share in (0.6, 0.3, 0.15):
        room = int(share * total)
        places = split(lambda largest: divide(network, sizes, largest, parts), sizes, room)
        assert places is not None
        assert places.held_bytes <= room
        found[share] = places.streamed_bytes / (total - room)

    print(name, {share: round(ratio, 3) for share, ratio in found.items()})
    assert max(found.values()) <= MOST
