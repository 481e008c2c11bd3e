"""The registry of network classes, and networks built without weights.

Denoisers are not listed here: each family names its own (`Family.networks`).
"""

from functools import cache
from pkgutil import resolve_name

import torch
from torch import nn

from nodes.models.families.base.spec import NetworkSpec
from nodes.models.families.registry import families
from nodes.models.networks.base.builder import NetworkClass
from nodes.models.networks.components import (
    clip,
    compact_upscaler,
    esrgan,
    ip_adapter,
    language_model,
    language_vision,
    photomaker,
    style,
    t5,
    vision,
)
from nodes.models.networks.components.vaes import (
    flux2_vae,
    pixel_space,
    qwen21_vae,
    tiny_vae,
    vae,
    wan_vae,
)
from nodes.models.networks.controlnets import (
    flux,
    qwen_image,
    qwen_image_blockwise,
    sd3,
    t2i_adapter,
    unet,
    z_image,
)

_SHARED = (
    *(vae.NETWORK, wan_vae.NETWORK, qwen21_vae.NETWORK, flux2_vae.NETWORK),
    *(tiny_vae.NETWORK, pixel_space.NETWORK),
    *(clip.NETWORK, t5.NETWORK, vision.NETWORK),
    *language_model.NETWORKS,
    *language_vision.NETWORKS,
    *(unet.NETWORK, t2i_adapter.NETWORK, sd3.NETWORK, flux.NETWORK),
    *(qwen_image.NETWORK, qwen_image_blockwise.NETWORK, z_image.NETWORK),
    *(style.REDUX, style.PROJECTOR, ip_adapter.NETWORK, photomaker.NETWORK),
    *(esrgan.NETWORK, compact_upscaler.NETWORK),
)


@cache
def network_classes() -> dict[str, NetworkClass]:
    """Return every class by its kind: those that belong to no family, then those of families."""
    places = dict.fromkeys(place for family in families() for place in family.networks)
    denoisers: list[NetworkClass] = [resolve_name(place) for place in places]
    return {network.kind: network for network in (*_SHARED, *denoisers)}


def network_class(kind: str) -> NetworkClass:
    """Return all that is particular to a class of network.

    Raises:
        KeyError: there is none of that name.
    """
    return network_classes()[kind]


def skeleton(spec: NetworkSpec) -> nn.Module:
    """Build a network on the meta device: every shape, no memory."""
    build = network_class(spec.kind).builder()  # imports first: they must not be on that device
    with torch.device("meta"):
        return build(dict(spec.config)).eval().requires_grad_(False)
