"""Stable Diffusion XL and its refiner (Podell et al. 2023, arXiv:2307.01952).

The VAE of version 1.0 overflows in float16: it runs in float32 or bfloat16, as all do here.
"""

import json
from collections.abc import Mapping
from dataclasses import replace

from nodes.models.families.base.encoder_keys import clip_table, open_clip_table, own_clip_key
from nodes.models.families.base.licences import OPEN_RAIL_PLUS, STABILITY, Release
from nodes.models.families.base.shapes import preview_rgb
from nodes.models.families.base.spec import (
    Architecture,
    ComfyNames,
    Config,
    EdmRules,
    EncoderName,
    Family,
    LatentRules,
    ModelSpec,
    NoiseRules,
    Part,
    TextEncoderSet,
    TextSpec,
    UnclipRules,
)
from nodes.models.families.base.text_encoders import PENULTIMATE, read_text
from nodes.models.families.base.vaes.vae import read_vae
from nodes.models.families.denoisers.unets.layouts import (
    NETWORKS,
    layout,
    lora_mark,
    noise_rules,
    takes_vector,
    unet_prefix,
    unet_spec,
)
from nodes.models.weights.errors import BadMetadataError
from nodes.models.weights.header import Header, read_numbers

_NAME = "sdxl"
SCALE = 0.13025
_MEAN, _STD = "edm_mean", "edm_std"
_PLAYGROUND_SCALE = 0.5
_RGB = (
    (0.471, 0.471, 0.471),
    (-0.471, -0.039, 0.078),
    (0.196, 0.118, -0.039),
    (-0.549, -0.392, -0.275),
    (0.176, 0.098, 0.020),
)
"""A linear fit by T. A. Vass, as in diffusers' guide to callbacks."""
_BASE_TEXT: Mapping[EncoderName, str] = {
    "clip_l": "conditioner.embedders.0.transformer.",
    "clip_g": "conditioner.embedders.1.model.",
}
_REFINER_TEXT: Mapping[EncoderName, str] = {"clip_g": "conditioner.embedders.0.model."}


def recognises(header: Header) -> bool:
    """Return True for a U-Net that reads the pooled text and sizes besides the text."""
    prefix = unet_prefix(header)
    return prefix is not None and takes_vector(header, prefix)


def read(header: Header) -> Architecture:
    """Return the architecture, from the shapes, the metadata's overrides and marker keys."""
    unet = unet_spec(header, unet_prefix(header) or "")
    latent = _latent(header, unet.config["out_channels"])
    model = ModelSpec(_NAME, unet, latent, _noise(header), _unclip_rules(unet.config))
    return Architecture(model, _text(header), read_vae(header, latent))


def _latent(header: Header, channels: int) -> LatentRules:
    """Return the latents' rules; Playground 2.5 normalizes them with statistics of its own."""
    rgb = preview_rgb(header)
    if not _is_edm(header):
        return LatentRules(channels, 8, SCALE, rgb=rgb or _RGB, tiny_vae="taesdxl")
    scale = tuple(_PLAYGROUND_SCALE / deviation for deviation in _statistic(header, _STD))
    return LatentRules(channels, 8, scale, _statistic(header, _MEAN), rgb)


def _unclip_rules(config: Config) -> UnclipRules:
    """Return the rules for images, whose CLIP-G vectors replace the pooled text ("Revision").

    The base model reads six sizes besides, and the refiner, whose text is as wide, five.
    """
    size, vector = (
        config[f"{name}_dim"]
        for name in ("addition_time_embed", "projection_class_embeddings_input")
    )
    refines = config["cross_attention_dim"] == vector - 5 * size
    return UnclipRules(vector - (5 if refines else 6) * size, pooled=True)


def _noise(header: Header) -> NoiseRules:
    return EdmRules() if _is_edm(header) else noise_rules(header)


def _is_edm(header: Header) -> bool:
    return all(key in header or key in header.metadata for key in (_MEAN, _STD))


def _statistic(header: Header, key: str) -> tuple[float, ...]:
    """Return a statistic of the latents, by channel, from a tensor or the metadata."""
    if key in header:
        return read_numbers(header, key)
    try:
        found = tuple(float(number) for number in json.loads(header.metadata[key]))
    except (ValueError, TypeError) as error:
        raise BadMetadataError(header.path, f"{key!r} is not a list of numbers") from error
    return found


def _text(header: Header) -> TextSpec | None:
    """Return the text encoders of the base model, or else of the refiner.

    The refiner's only text encoder has the keys of the base model's first one.
    """
    return read_text(header, _ENCODERS, _BASE_TEXT) or read_text(
        header, _REFINER_ENCODERS, _REFINER_TEXT
    )


def _comfy_names(spec: ModelSpec) -> ComfyNames:
    name = "SDXLRefiner" if spec.network.config["cross_attention_dim"] == 1280 else "SDXL"
    return ComfyNames(name, name)


_ENCODERS = TextEncoderSet(
    _NAME,
    {"clip_l": PENULTIMATE, "clip_g": PENULTIMATE},
    combine="side_by_side",
    loader_type=_NAME,
    files=(2,),
)
_REFINER_ENCODERS = TextEncoderSet(
    "sdxl_refiner",
    {"clip_g": PENULTIMATE},
    combine="single",
    loader_type="stable_diffusion",
    files=(1,),
)
_FIRST = Part("clip_l", _BASE_TEXT["clip_l"], clip_table, own_clip_key)
_SECOND = Part("clip_g", _BASE_TEXT["clip_g"], open_clip_table, own_clip_key)
_BASE = layout({"text_encoder": _FIRST, "text_encoder_2": _SECOND})
_REFINER = layout({"text_encoder_2": replace(_SECOND, prefix=_REFINER_TEXT["clip_g"])})
SDXL = Family(
    _NAME,
    "Stable Diffusion XL",
    recognises,
    read,
    layouts=(_BASE, _REFINER),
    encoder_sets=(_ENCODERS, _REFINER_ENCODERS),
    loras=(lora_mark(2048), lora_mark(1280, "Stable Diffusion XL (refiner)")),
    networks=NETWORKS,
    comfy=_comfy_names,
    releases=(
        Release("SDXL 1.0", OPEN_RAIL_PLUS),
        Release("SDXL-Turbo", STABILITY),
    ),
)
