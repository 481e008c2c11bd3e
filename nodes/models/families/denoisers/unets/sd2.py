"""Stable Diffusion 2.x: OpenCLIP's text encoder H, a U-Net with linear projections.

The unCLIP models also read the output of a vision encoder (Stability AI's
https://github.com/Stability-AI/stablediffusion/blob/main/doc/UNCLIP.MD, MIT).
"""

from statistics import pstdev

from nodes.models.families.base.encoder_keys import open_clip_table, own_clip_key
from nodes.models.families.base.licences import OPEN_RAIL_PLUS, STABILITY, Release
from nodes.models.families.base.shapes import preview_rgb
from nodes.models.families.base.spec import (
    Architecture,
    ComfyNames,
    Family,
    HiddenStatePolicy,
    LatentRules,
    ModelSpec,
    Part,
    Prediction,
    TextEncoderSet,
    UnclipRules,
)
from nodes.models.families.base.text_encoders import read_text
from nodes.models.families.base.vaes.vae import read_vae
from nodes.models.families.denoisers.unets.layouts import (
    NETWORKS,
    is_linear,
    is_told_its_task,
    layout,
    lora_mark,
    noise_rules,
    takes_vector,
    unet_prefix,
    unet_spec,
)
from nodes.models.families.denoisers.unets.sd15 import LATENT_RGB, SCALE
from nodes.models.weights.header import Header, read_numbers

_NAME = "sd2"
_BIASES = "output_blocks.11.1.transformer_blocks.0.norm1.bias"
_SPREAD = 0.09
_MEAN, _DEVIATION = "noise_augmentor.data_mean", "noise_augmentor.data_std"
_MERGING = 0.05
TEXT_PREFIXES = ("cond_stage_model.model.", "cond_stage_model.transformer.")


def recognises(header: Header) -> bool:
    """Return True for a U-Net with linear projections that reads text, and pictures if any."""
    prefix = unet_prefix(header)
    return (
        prefix is not None
        and not is_told_its_task(header, prefix)
        and not takes_vector(header, prefix)
        and is_linear(header, prefix) is True
    )


def read(header: Header) -> Architecture:
    """Return the architecture, from the shapes, the metadata's overrides and one tensor."""
    prefix = unet_prefix(header) or ""
    unet = unet_spec(header, prefix)
    rgb = preview_rgb(header) or LATENT_RGB
    latent = LatentRules(unet.config["out_channels"], 8, SCALE, rgb=rgb, tiny_vae="taesd")
    noise = noise_rules(header, _prediction(header, prefix))
    vector = unet.config.get("projection_class_embeddings_input_dim")
    unclip = _unclip_rules(header, vector) if vector else None
    model = ModelSpec(_NAME, unet, latent, noise, unclip)
    text = read_text(header, ENCODERS, {"clip_h": TEXT_PREFIXES})
    return Architecture(model, text, read_vae(header, latent, fits_float16=True))


def _unclip_rules(header: Header, vector: int) -> UnclipRules:
    """Return the rules for images: half of the vector is for the noise level."""
    spread = (_MEAN, _DEVIATION)
    if not all(key in header for key in spread):
        return UnclipRules(vector // 2, merging=_MERGING)
    mean, deviation = (read_numbers(header, key) for key in spread)
    return UnclipRules(vector // 2, mean=mean, deviation=deviation, merging=_MERGING)


def _prediction(header: Header, prefix: str) -> Prediction:
    """Return the prediction type: models that predict v have larger biases in one layer."""
    if prefix + _BIASES not in header or header.metadata.get("modelspec.prediction_type"):
        return "eps"
    return "v" if pstdev(read_numbers(header, prefix + _BIASES)) > _SPREAD else "eps"


def _comfy_names(spec: ModelSpec) -> ComfyNames:
    return ComfyNames("SD21UNCLIP", "SD21UnclipH") if spec.unclip else ComfyNames(config="SD20")


ENCODERS = TextEncoderSet(
    _NAME,
    {"clip_h": HiddenStatePolicy(layers=(-2,))},
    combine="single",
    loader_type="stable_diffusion",
    files=(1,),
)
LAYOUT = layout({"text_encoder": Part("clip_h", TEXT_PREFIXES[0], open_clip_table, own_clip_key)})
SD2 = Family(
    _NAME,
    "Stable Diffusion 2.x",
    recognises,
    read,
    (LAYOUT,),
    (ENCODERS,),
    (lora_mark(1024),),
    networks=NETWORKS,
    comfy=_comfy_names,
    releases=(
        Release("Stable Diffusion 2.x", OPEN_RAIL_PLUS),
        Release("SD-Turbo", STABILITY),
    ),
)
