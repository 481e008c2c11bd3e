"""Build the network that a spec describes, without weights."""

from collections.abc import Mapping

import torch
from torch import nn

from nodes.families.family import NetworkKind, NetworkSpec
from nodes.networks import (
    clip,
    compact,
    controlnet,
    flux,
    flux_controlnet,
    ip_adapter,
    mmdit,
    photomaker,
    pixels,
    rrdb,
    sd3_controlnet,
    style,
    t2i_adapter,
    t5,
    tiny_vae,
    unet,
    vae,
    vision,
)
from nodes.networks.builder import Builder

_BUILDERS: Mapping[NetworkKind, Builder] = {
    "unet": unet.builder,
    "mmdit": mmdit.builder,
    "flux": flux.builder,
    "vae": vae.builder,
    "tiny_vae": tiny_vae.builder,
    "pixels": pixels.builder,
    "clip": clip.builder,
    "t5": t5.builder,
    "controlnet": controlnet.builder,
    "vision": vision.builder,
    "redux": style.redux_builder,
    "projector": style.projector_builder,
    "ip_adapter": ip_adapter.builder,
    "photomaker": photomaker.builder,
    "rrdb": rrdb.builder,
    "compact": compact.builder,
    "t2i_adapter": t2i_adapter.builder,
    "sd3_controlnet": sd3_controlnet.builder,
    "flux_controlnet": flux_controlnet.builder,
}


def skeleton(spec: NetworkSpec) -> nn.Module:
    """The network on the meta device: every shape, no memory."""
    build = _BUILDERS[spec.kind]()  # imports first: what they make must not be on that device
    with torch.device("meta"):
        return build(dict(spec.config)).eval().requires_grad_(False)
