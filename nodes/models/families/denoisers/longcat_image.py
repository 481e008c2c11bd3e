"""LongCat-Image: FLUX.1's blocks, told the time alone, and Qwen2.5-VL for the text.

Single files have FLUX.1's names; folders have those of diffusers, whose `LongCatImagePipeline` says
how texts are read.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from nodes.models.families.base.language_models import language_table, own_language_key
from nodes.models.families.base.ldm_keys import own_key
from nodes.models.families.base.licences import APACHE, Release
from nodes.models.families.base.shapes import count, overrides, shape_of
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
from nodes.models.families.base.transformer_keys import JOINT_LORA, block_table
from nodes.models.families.base.vaes.vae import PART as VAE
from nodes.models.families.base.vaes.vae import read_vae
from nodes.models.families.denoisers.flux import IMAGE_MODEL, LATENT, POOLED, PREFIXES, STACKS
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source

_NAME = "longcat_image"
"""The name of the family, and of its kind of network."""
_NORM = "double_blocks.0.img_attn.norm.key_norm.scale"
_MARKS = (
    *("double_blocks.0.img_mod.lin.weight", "double_blocks.0.img_mlp.0.weight"),
    "time_in.in_layer.weight",
)
_PART = "transformer"
_ENDS = {
    "x_embedder": Source("img_in"),
    "context_embedder": Source("txt_in"),
    "time_embed.timestep_embedder.linear_1": Source("time_in.in_layer"),
    "time_embed.timestep_embedder.linear_2": Source("time_in.out_layer"),
    "norm_out.linear": Source("final_layer.adaLN_modulation.1", "swap"),
    "proj_out": Source("final_layer.linear"),
}
_TEXT: Mapping[EncoderName, str] = {"qwen2_5_vl_7b": "text_encoders.qwen25_7b.transformer."}
_CHAT = (
    "<|im_start|>system\nAs an image captioning expert, generate a descriptive text prompt based"
    " on an image content, suitable for input to a text-to-image model.<|im_end|>\n"
    "<|im_start|>user\n"
)
_CHAT_LENGTH, _LENGTH = 36, 512
"""The tokens of the chat before a prompt, and those of a prompt, padding included."""
_ENCODERS = TextEncoderSet(
    _NAME,
    {
        "qwen2_5_vl_7b": HiddenStatePolicy(
            template=_CHAT + "{}",
            dropped=_CHAT_LENGTH,
            min_length=_CHAT_LENGTH + _LENGTH,
            reads_weights=False,
            spells_quotations=True,
            masks_padding=True,
        )
    },
    combine="single",
    loader_type=_NAME,
    files=(1,),
)
"""As `LongCatImagePipeline` of diffusers has it: what comes after the padding is never read."""


def longcat_image_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of a `LongCatImageTransformer2DModel`; see `block_table`."""
    return block_table(keys, prefix, _ENDS, STACKS)


def longcat_image_config(header: Header, prefix: str) -> dict[str, Any]:
    """Return the configuration of a `LongCatImageTransformer2DModel`.

    An eighth of each head's rotary positions is for the number of the text or picture, the rest for
    row and column.

    Raises:
        MissingWeightsError: a tensor that the configuration is read from is missing.
    """
    width, channels = shape_of(header, f"{prefix}img_in.weight", _PART)
    (head,) = shape_of(header, prefix + _NORM, _PART)
    side = head * 7 // 32 * 2
    text = shape_of(header, f"{prefix}txt_in.weight", _PART)[1]
    return {
        "in_channels": channels,
        "num_layers": count(header, prefix + "double_blocks.{}.img_attn.qkv.weight"),
        "num_single_layers": count(header, prefix + "single_blocks.{}.linear1.weight"),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": text,
        "pooled_projection_dim": text,
        "axes_dims_rope": [head - 2 * side, side, side],
        **overrides(header, _NAME, {"axes_dims_rope"}),
    }


def _prefix(header: Header) -> str | None:
    """Return the prefix of the transformer's keys; None if the file has none."""
    return next(
        (
            prefix
            for prefix in PREFIXES
            if all(prefix + mark in header for mark in _MARKS) and prefix + POOLED not in header
        ),
        None,
    )


def recognises(header: Header) -> bool:
    """Return True for FLUX.1's blocks, told the time but no pooled text."""
    return _prefix(header) is not None


def read(header: Header) -> Architecture:
    """Return the architecture, from the shapes."""
    prefix = _prefix(header) or ""
    config = longcat_image_config(header, prefix)
    network = NetworkSpec(_NAME, "model", config, prefix, longcat_image_table)
    model = ModelSpec(_NAME, network, LATENT, FlowRules(multiplier=1.0, mu=1.15))
    return Architecture(model, read_text(header, _ENCODERS, _TEXT), read_vae(header, LATENT))


def _comfy_names(_spec: ModelSpec) -> ComfyNames:
    return ComfyNames("LongCatImage", "LongCatImage", image_model=IMAGE_MODEL)


_LAYOUT = Layout(
    "time_embed.timestep_embedder.linear_1.weight",
    {
        "transformer": Part(_NAME, PREFIXES[0], longcat_image_table, own_key),
        "text_encoder": Part(
            "qwen2_5_vl_7b", _TEXT["qwen2_5_vl_7b"], language_table, own_language_key
        ),
        "vae": VAE,
    },
)
_LORAS = (
    LoraMark(r"double_blocks.\d+.(img|txt)_|single_(transformer_)?blocks.\d+", _NAME),
    LoraMark(JOINT_LORA, _NAME, range(1, 2**31)),
)
LONGCAT_IMAGE = Family(
    _NAME,
    "LongCat-Image",
    recognises,
    read,
    (_LAYOUT,),
    (_ENCODERS,),
    _LORAS,
    networks=("nodes.models.networks.denoisers.longcat_image:NETWORK",),
    comfy=_comfy_names,
    releases=(Release("LongCat-Image", APACHE),),
)
