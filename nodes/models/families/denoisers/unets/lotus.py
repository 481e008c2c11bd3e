"""Lotus: depth or surface normals of a picture, by a U-Net of Stable Diffusion 2's shape.

He et al. 2024 (arXiv:2409.18124), the deterministic kind ("lotus-depth-d"): the network gets the
picture's latent in place of a noisy one, and gives that of the answer in one step. The other kind,
which also reads noise, is not recognised.
"""

from dataclasses import replace

from nodes.models.families.base.licences import APACHE, Release
from nodes.models.families.base.shapes import preview_rgb
from nodes.models.families.base.spec import (
    Architecture,
    ComfyNames,
    DirectRules,
    Family,
    LatentRules,
    ModelSpec,
)
from nodes.models.families.base.text_encoders import read_text
from nodes.models.families.base.vaes.vae import read_vae
from nodes.models.families.denoisers.unets.layouts import (
    is_told_its_task,
    unet_prefix,
    unet_spec,
)
from nodes.models.families.denoisers.unets.sd2 import ENCODERS, LAYOUT, TEXT_PREFIXES
from nodes.models.families.denoisers.unets.sd15 import LATENT_RGB, SCALE
from nodes.models.weights.header import Header

_NAME = "lotus"
_CHANNELS = 4


def recognises(header: Header) -> bool:
    """Return True for a U-Net that is told its task, and reads one latent."""
    prefix = unet_prefix(header)
    return (
        prefix is not None
        and is_told_its_task(header, prefix)
        and header.shape(f"{prefix}input_blocks.0.0.weight")[1] == _CHANNELS
    )


def read(header: Header) -> Architecture:
    """Return the architecture, from the shapes and the metadata's overrides."""
    unet = replace(unet_spec(header, unet_prefix(header) or ""), kind="lotus")
    rgb = preview_rgb(header) or LATENT_RGB
    latent = LatentRules(_CHANNELS, 8, SCALE, rgb=rgb, tiny_vae="taesd")
    text = read_text(header, ENCODERS, {"clip_h": TEXT_PREFIXES})
    vae = read_vae(header, latent, fits_float16=True)
    return Architecture(ModelSpec(_NAME, unet, latent, DirectRules()), text, vae)


LOTUS = Family(
    _NAME,
    "Lotus",
    recognises,
    read,
    (LAYOUT,),
    (),
    networks=("nodes.models.networks.denoisers.unets.lotus:NETWORK",),
    comfy=lambda _spec: ComfyNames("Lotus", "LotusD"),
    releases=(Release("Lotus", APACHE),),
)
