"""Chroma: FLUX.1's blocks, whose modulation one small network makes of the time alone.

Layout and sizes are those of the published checkpoints; the correspondence is the one in
diffusers' `convert_chroma_transformer_checkpoint_to_diffusers` (Apache-2.0).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from nodes.models.families.base.encoder_keys import own_t5_key, t5_table
from nodes.models.families.base.ldm_keys import own_key
from nodes.models.families.base.licences import APACHE, Release
from nodes.models.families.base.shapes import count, first_in, overrides, shape_of
from nodes.models.families.base.spec import (
    Architecture,
    ComfyNames,
    EncoderName,
    Family,
    FlowRules,
    HiddenStatePolicy,
    Layout,
    LoraMark,
    ModelSpec,
    NetworkSpec,
    Part,
    TextEncoderSet,
)
from nodes.models.families.base.text_encoders import read_text
from nodes.models.families.base.transformer_keys import JOINT_LORA, Stack, block_table
from nodes.models.families.base.vaes.vae import PART as VAE
from nodes.models.families.base.vaes.vae import read_vae
from nodes.models.families.denoisers.flux import DOUBLE, LATENT, PREFIXES, SINGLE
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source

_NAME = "chroma"
"""The name of the family, and of its kind of network."""
_APPROXIMATOR = "distilled_guidance_layer"
_MARKS = (f"{_APPROXIMATOR}.in_proj.weight", "img_in.weight")
_PART = "transformer"
_ENDS = {
    "x_embedder": Source("img_in"),
    "context_embedder": Source("txt_in"),
    f"{_APPROXIMATOR}.in_proj": Source(f"{_APPROXIMATOR}.in_proj"),
    f"{_APPROXIMATOR}.out_proj": Source(f"{_APPROXIMATOR}.out_proj"),
    "proj_out": Source("final_layer.linear"),
}
_STACKS = {
    "transformer_blocks": Stack("double_blocks", DOUBLE),
    "single_transformer_blocks": Stack("single_blocks", SINGLE),
    f"{_APPROXIMATOR}.layers": Stack(
        f"{_APPROXIMATOR}.layers",
        {"linear_1": Source("in_layer"), "linear_2": Source("out_layer")},
    ),
    f"{_APPROXIMATOR}.norms": Stack(f"{_APPROXIMATOR}.norms", {"weight": Source("scale")}),
}
_TEXT: Mapping[EncoderName, str] = {"t5xxl": "text_encoders.t5xxl.transformer."}
_ENCODERS = TextEncoderSet(
    _NAME,
    {"t5xxl": HiddenStatePolicy(min_padding=1, masks_padding=True)},
    combine="single",
    loader_type=_NAME,
    files=(1,),
)
"""As `ChromaPipeline` of diffusers has it, which pads texts more and masks all padding but one."""


def chroma_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of a `ChromaTransformer2DModel`; see `block_table`."""
    return block_table(keys, prefix, _ENDS, _STACKS)


def chroma_config(header: Header, prefix: str) -> dict[str, Any]:
    """Return the configuration of a `ChromaTransformer2DModel`.

    An eighth of each head's rotary positions is for the first coordinate, the rest for row and
    column.

    Raises:
        MissingWeightsError: a tensor that the configuration is read from is missing.
    """
    width, channels = shape_of(header, f"{prefix}img_in.weight", _PART)
    (head,) = shape_of(header, f"{prefix}double_blocks.0.img_attn.norm.key_norm.scale", _PART)
    wide, numbers = shape_of(header, prefix + _MARKS[0], _PART)
    side = (head - head // 8) // 2
    return {
        "in_channels": channels,
        "out_channels": shape_of(header, f"{prefix}final_layer.linear.weight", _PART)[0],
        "num_layers": count(header, prefix + "double_blocks.{}.img_attn.qkv.weight"),
        "num_single_layers": count(header, prefix + "single_blocks.{}.linear1.weight"),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": shape_of(header, f"{prefix}txt_in.weight", _PART)[1],
        "axes_dims_rope": [head - 2 * side, side, side],
        "approximator_num_channels": numbers,
        "approximator_hidden_dim": wide,
        "approximator_layers": count(
            header, f"{prefix}{_APPROXIMATOR}.layers.{{}}.in_layer.weight"
        ),
        **overrides(header, _NAME, {"axes_dims_rope"}),
    }


def recognises(header: Header) -> bool:
    """Return True for a network that makes the modulation, beside patches of a latent."""
    return any(all(prefix + mark in header for mark in _MARKS) for prefix in PREFIXES)


def read(header: Header) -> Architecture:
    """Return the architecture, from the shapes; the releases do not differ in them."""
    prefix = first_in(header, PREFIXES, _MARKS[0]) or ""
    network = NetworkSpec(_NAME, "model", chroma_config(header, prefix), prefix, chroma_table)
    model = ModelSpec(_NAME, network, LATENT, FlowRules(mu=1.15, multiplier=1.0))
    return Architecture(model, read_text(header, _ENCODERS, _TEXT), read_vae(header, LATENT))


def _comfy_names(_spec: ModelSpec) -> ComfyNames:
    return ComfyNames("Chroma", "Chroma", image_model=_NAME)


_LAYOUT = Layout(
    f"{_APPROXIMATOR}.layers.0.linear_1.weight",
    {
        "transformer": Part(_NAME, PREFIXES[0], chroma_table, own_key),
        "text_encoder": Part("t5xxl", _TEXT["t5xxl"], t5_table, own_t5_key),
        "vae": VAE,
    },
)
_LORAS = (
    LoraMark(_APPROXIMATOR, _NAME),
    LoraMark(r"double_blocks.\d+.(img|txt)_|single_(transformer_)?blocks.\d+", _NAME),
    LoraMark(JOINT_LORA, _NAME, range(3072, 2**31)),
)
"""The blocks have the names of FLUX.1's, so that its LoRAs fit but for the modulation."""
CHROMA = Family(
    _NAME,
    "Chroma",
    recognises,
    read,
    (_LAYOUT,),
    (_ENCODERS,),
    _LORAS,
    networks=("nodes.models.networks.denoisers.chroma:NETWORK",),
    comfy=_comfy_names,
    releases=(Release("Chroma1-HD, Base, Flash", APACHE),),
)
