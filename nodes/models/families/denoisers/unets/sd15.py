"""Stable Diffusion 1.x: one CLIP text encoder, a U-Net with convolutional projections."""

from nodes.models.families.base.encoder_keys import clip_table, own_clip_key
from nodes.models.families.base.licences import OPEN_RAIL, Release
from nodes.models.families.base.shapes import preview_rgb
from nodes.models.families.base.spec import (
    Architecture,
    ComfyNames,
    Family,
    HiddenStatePolicy,
    LatentRules,
    ModelSpec,
    Part,
    TextEncoderSet,
)
from nodes.models.families.base.text_encoders import read_text
from nodes.models.families.base.vaes.vae import read_vae
from nodes.models.families.denoisers.unets.layouts import (
    NETWORKS,
    is_linear,
    layout,
    lora_mark,
    noise_rules,
    takes_vector,
    unet_prefix,
    unet_spec,
)
from nodes.models.weights.header import Header

_NAME = "sd15"
TEXT_PREFIX = "cond_stage_model.transformer."
_HEADS = 8
SCALE = 0.18215
LATENT_RGB = (
    (0.298, 0.207, 0.208),
    (0.187, 0.286, 0.173),
    (-0.158, 0.189, 0.264),
    (-0.184, -0.271, -0.473),
    (0.0, 0.0, 0.0),
)
"""A linear fit that the diffusers community made for SD 1.4's latents."""


def recognises(header: Header) -> bool:
    """Return True for a U-Net with convolutional projections that reads nothing but text."""
    prefix = unet_prefix(header)
    return (
        prefix is not None
        and not takes_vector(header, prefix)
        and is_linear(header, prefix) is False
    )


def read(header: Header) -> Architecture:
    """Return the architecture, from the shapes and the metadata's overrides."""
    unet = unet_spec(header, unet_prefix(header) or "", _HEADS)
    rgb = preview_rgb(header) or LATENT_RGB
    latent = LatentRules(unet.config["out_channels"], 8, SCALE, rgb=rgb, tiny_vae="taesd")
    model = ModelSpec(_NAME, unet, latent, noise_rules(header))
    text = read_text(header, _ENCODERS, {"clip_l": TEXT_PREFIX})
    return Architecture(model, text, read_vae(header, latent, fits_float16=True))


_ENCODERS = TextEncoderSet(
    _NAME,
    {"clip_l": HiddenStatePolicy()},
    combine="single",
    loader_type="stable_diffusion",
    files=(1,),
)
_LAYOUT = layout({"text_encoder": Part("clip_l", TEXT_PREFIX, clip_table, own_clip_key)})
SD15 = Family(
    _NAME,
    "Stable Diffusion 1.x",
    recognises,
    read,
    (_LAYOUT,),
    (_ENCODERS,),
    (lora_mark(768),),
    networks=NETWORKS,
    comfy=lambda _: ComfyNames(config="SD15"),
    releases=(Release("Stable Diffusion 1.x", OPEN_RAIL),),
)
