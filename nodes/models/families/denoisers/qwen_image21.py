"""Qwen-Image 2.1: one stream of text, pictures to look at, and the picture that is made.

Published single files have the names of diffusers but for one fused layer, by diffusers'
`convert_qwen_image21_transformer_checkpoint_to_diffusers` (Apache-2.0).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from nodes.models.families.base.language_models import language_table, own_language_key
from nodes.models.families.base.ldm_keys import own_key
from nodes.models.families.base.licences import QWEN_RESEARCH, Release
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
from nodes.models.families.base.transformer_keys import fused_sources
from nodes.models.families.base.vaes.qwen21_vae import LATENT
from nodes.models.families.base.vaes.qwen21_vae import PART as VAE
from nodes.models.families.base.vaes.vae import read_vae
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source

_NAME = "qwen_image21"
"""The name of the family, and of its kind of network."""
_PREFIXES = ("model.diffusion_model.", "")
_MARK = "txt_in.text_norm.weight"
_OWN_MARK = "transformer_blocks.0.img_mlp.gate_layer.weight"
"""A key that only files in diffusers' names have."""
_PART = "transformer"
_FUSED = fused_sources("gate_up", ("gate_layer", "proj"))
_TEXT: Mapping[EncoderName, str] = {"qwen3_vl_8b": "text_encoders.qwen3vl_8b.transformer."}
_TEMPLATE = (
    "<|im_start|>system\nComprehend and analyze the provided prompt.<|im_end|>\n"
    "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
)
_ENCODERS = TextEncoderSet(
    _NAME,
    {
        "qwen3_vl_8b": HiddenStatePolicy(
            final_norm=False, template=_TEMPLATE, dropped=14, reads_weights=False
        )
    },
    combine="single",
    loader_type="qwen_image",
    files=(1,),
)
"""As `QwenImage21Pipeline` of diffusers has it; the tokens of the system's message are dropped."""


def qwen_image21_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of a `QwenImage21Transformer2DModel`."""
    return {key: _source(key, prefix) for key in keys}


def _source(key: str, prefix: str) -> Source:
    layer, _, leaf = key.rpartition(".")
    place, _, name = layer.rpartition(".")
    if place.endswith(".img_mlp") and name in _FUSED:
        fused = _FUSED[name]
        return replace(fused, key=f"{prefix}{place}.{fused.key}.{leaf}")
    return Source(prefix + key)


def qwen_image21_config(header: Header, prefix: str) -> dict[str, Any]:
    """Return the configuration of a `QwenImage21Transformer2DModel`.

    An eighth of each head's rotary positions is for the place in the sequence, the rest for row
    and column.

    Raises:
        MissingWeightsError: a tensor that the configuration is read from is missing.
    """
    width, channels = shape_of(header, f"{prefix}img_in.weight", _PART)
    (head,) = shape_of(header, f"{prefix}transformer_blocks.0.attn.norm_q.weight", _PART)
    inner = shape_of(header, f"{prefix}transformer_blocks.0.img_mlp.out.weight", _PART)[1]
    side = head * 7 // 32 * 2
    return {
        "in_channels": channels,
        "out_channels": shape_of(header, f"{prefix}proj_out.weight", _PART)[0],
        "num_layers": count(header, prefix + "transformer_blocks.{}.attn.norm_q.weight"),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "context_in_dim": shape_of(header, f"{prefix}{_MARK}", _PART)[0],
        "mlp_ratio": inner // width,
        "axes_dims_rope": [head - 2 * side, side, side],
        **overrides(header, _NAME, {"axes_dims_rope"}),
    }


def recognises(header: Header) -> bool:
    """Return True for texts that are normed before they are embedded."""
    return first_in(header, _PREFIXES, _MARK) is not None


def read(header: Header) -> Architecture:
    """Return the architecture, from the shapes; Turbo does not differ in them."""
    prefix = first_in(header, _PREFIXES, _MARK) or ""
    config = qwen_image21_config(header, prefix)
    network = NetworkSpec(_NAME, "model", config, prefix, qwen_image21_table)
    model = ModelSpec(_NAME, network, LATENT, FlowRules(mu=0.69, multiplier=1.0))
    return Architecture(model, read_text(header, _ENCODERS, _TEXT), read_vae(header, LATENT))


def _comfy_names(_spec: ModelSpec) -> ComfyNames:
    return ComfyNames("QwenImage21", "QwenImage21", image_model=_NAME)


_LORAS = (LoraMark(r"transformer_blocks.\d+.img_mlp.(gate_layer|gate_up|proj|out)$", _NAME),)
_LAYOUT = Layout(
    _OWN_MARK,
    {
        "transformer": Part(_NAME, _PREFIXES[0], qwen_image21_table, own_key),
        "text_encoder": Part("qwen3_vl_8b", _TEXT["qwen3_vl_8b"], language_table, own_language_key),
        "vae": VAE,
    },
)
QWEN_IMAGE21 = Family(
    _NAME,
    "Qwen-Image 2.1",
    recognises,
    read,
    (_LAYOUT,),
    (_ENCODERS, replace(_ENCODERS, loader_type="stable_diffusion")),
    _LORAS,
    networks=("nodes.models.networks.denoisers.qwen_image21:NETWORK",),
    comfy=_comfy_names,
    releases=(Release("Qwen-Image-2.1", QWEN_RESEARCH),),
)
