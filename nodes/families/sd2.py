"""Stable Diffusion 2.x: OpenCLIP's text encoder H, a U-Net with linear projections."""

from statistics import pstdev

from nodes.families.encoder_keys import open_clip_table, own_clip_key
from nodes.families.encoders import read_text
from nodes.families.family import Architecture, Family, LatentRules, ModelSpec, Part, Prediction
from nodes.families.sd15 import LATENT_RGB, SCALE
from nodes.families.shapes import preview_rgb
from nodes.families.unets import (
    is_linear,
    layout,
    noise_rules,
    takes_vector,
    unet_prefix,
    unet_spec,
)
from nodes.families.vae import read_vae
from nodes.weights.header import Header, numbers

_TELLING = "output_blocks.11.1.transformer_blocks.0.norm1.bias"
_SPREAD = 0.09
_TEXT = ("cond_stage_model.model.", "cond_stage_model.transformer.")


def recognises(header: Header) -> bool:
    """A U-Net of the original layout, linear projections, and no vector besides the text."""
    prefix = unet_prefix(header)
    return (
        prefix is not None
        and not takes_vector(header, prefix)
        and is_linear(header, prefix) is True
    )


def read(header: Header) -> Architecture:
    """The architecture, from the shapes, the metadata's overrides and one telling tensor."""
    prefix = unet_prefix(header) or ""
    unet = unet_spec(header, prefix)
    rgb = preview_rgb(header) or LATENT_RGB
    latent = LatentRules(unet.config["out_channels"], 8, SCALE, rgb=rgb)
    model = ModelSpec("sd2", unet, latent, noise_rules(header, _prediction(header, prefix)))
    return Architecture(
        model, read_text(header, "sd2", {"clip_h": _TEXT}), read_vae(header, latent)
    )


def _prediction(header: Header, prefix: str) -> Prediction:
    """What the network predicts: the trained models that predict v have larger biases there."""
    if prefix + _TELLING not in header or header.metadata.get("modelspec.prediction_type"):
        return "eps"
    return "v" if pstdev(numbers(header, prefix + _TELLING)) > _SPREAD else "eps"


_LAYOUT = layout({"text_encoder": Part("clip_h", _TEXT[0], open_clip_table, own_clip_key)})
SD2 = Family("sd2", "Stable Diffusion 2.x", recognises, read, (_LAYOUT,))
