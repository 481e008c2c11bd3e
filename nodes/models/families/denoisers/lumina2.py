"""Lumina-Image 2.0: one stack of blocks for picture and text together, Gemma 2 for the text.

Layout and sizes are those of the published checkpoints; the correspondence is the one in
diffusers' `convert_lumina2_to_diffusers` (Apache-2.0).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from nodes.models.families.base.language_models import language_table, own_language_key
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
from nodes.models.families.base.transformer_keys import Stack, block_table
from nodes.models.families.base.vaes.vae import PART as VAE
from nodes.models.families.base.vaes.vae import read_vae
from nodes.models.families.denoisers.flux import LATENT
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source

_NAME = "lumina2"
"""The name of the family, and of its kind of network."""
_PREFIXES = ("model.diffusion_model.", "")
_MARKS = ("cap_embedder.1.weight", "noise_refiner.0.attention.qkv.weight")
_OTHERS = ("x_pad_token", "clip_text_pooled_proj.0.weight")
"""Weights that Z-Image and NewBie have besides."""
_PART = "transformer"
_PATCH = 2
_ENDS = {
    "x_embedder": Source("x_embedder"),
    "time_caption_embed.caption_embedder.0": Source("cap_embedder.0"),
    "time_caption_embed.caption_embedder.1": Source("cap_embedder.1"),
    "time_caption_embed.timestep_embedder.linear_1": Source("t_embedder.mlp.0"),
    "time_caption_embed.timestep_embedder.linear_2": Source("t_embedder.mlp.2"),
    "norm_out.linear_1": Source("final_layer.adaLN_modulation.1"),
    "norm_out.linear_2": Source("final_layer.linear"),
}
_BLOCK = {
    "attn.to_q": Source("attention.qkv", slots=5, span=3),
    "attn.to_k": Source("attention.qkv", slot=3, slots=5),
    "attn.to_v": Source("attention.qkv", slot=4, slots=5),
    "attn.norm_q": Source("attention.q_norm"),
    "attn.norm_k": Source("attention.k_norm"),
    "attn.to_out.0": Source("attention.out"),
    "feed_forward.linear_1": Source("feed_forward.w1"),
    "feed_forward.linear_2": Source("feed_forward.w2"),
    "feed_forward.linear_3": Source("feed_forward.w3"),
    "norm1.norm": Source("attention_norm1"),
    "norm1.linear": Source("adaLN_modulation.1"),
    "norm2": Source("attention_norm2"),
    "ffn_norm1": Source("ffn_norm1"),
    "ffn_norm2": Source("ffn_norm2"),
}
"""There are three heads of queries for each of keys and values."""
_TEXT_BLOCK = {**_BLOCK, "norm1": Source("attention_norm1")}
"""Those of the text alone are not modulated."""
_STACKS = {
    "noise_refiner": Stack("noise_refiner", _BLOCK),
    "context_refiner": Stack("context_refiner", _TEXT_BLOCK),
    "layers": Stack("layers", _BLOCK),
}
_TEXT: Mapping[EncoderName, str] = {"gemma2_2b": "text_encoders.gemma2_2b.transformer."}
_ENCODERS = TextEncoderSet(
    _NAME,
    {"gemma2_2b": HiddenStatePolicy(layers=(-2,), final_norm=False)},
    combine="single",
    loader_type=_NAME,
    files=(1,),
)
"""As `Lumina2Pipeline` of diffusers has it, whose system prompt is for the workflow to give."""


def lumina2_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of a `Lumina2Transformer2DModel`; see `block_table`."""
    return block_table(keys, prefix, _ENDS, _STACKS)


def lumina2_config(header: Header, prefix: str) -> dict[str, Any]:
    """Return the configuration of a `Lumina2Transformer2DModel`.

    A third of each head's rotary positions is for the place in the text, row and column each.

    Raises:
        MissingWeightsError: a tensor that the configuration is read from is missing.
    """
    width, patch = shape_of(header, f"{prefix}x_embedder.weight", _PART)
    (head,) = shape_of(header, f"{prefix}layers.0.attention.q_norm.weight", _PART)
    heads, third = width // head, head // 3
    fused = shape_of(header, f"{prefix}layers.0.attention.qkv.weight", _PART)[0] // head
    inner = shape_of(header, f"{prefix}layers.0.feed_forward.w1.weight", _PART)[0]
    return {
        "in_channels": patch // _PATCH**2,
        "hidden_size": width,
        "num_layers": count(header, prefix + "layers.{}.attention.qkv.weight"),
        "num_refiner_layers": count(header, prefix + "noise_refiner.{}.attention.qkv.weight"),
        "num_attention_heads": heads,
        "num_kv_heads": (fused - heads) // 2,
        "multiple_of": inner,  # its width is the multiple of it that is next to this share
        "ffn_dim_multiplier": inner / (4 * width),
        "axes_dim_rope": [third] * 3,
        "cap_feat_dim": shape_of(header, f"{prefix}cap_embedder.1.weight", _PART)[1],
        **overrides(header, _NAME, {"axes_dim_rope"}),
    }


def recognises(header: Header) -> bool:
    """Return True for fused attentions, and a text that the transformer itself refines."""
    return any(
        all(prefix + mark in header for mark in _MARKS)
        and not any(prefix + other in header for other in _OTHERS)
        for prefix in _PREFIXES
    )


def read(header: Header) -> Architecture:
    """Return the architecture, from the shapes; models trained further do not differ in them."""
    prefix = first_in(header, _PREFIXES, _MARKS[0]) or ""
    network = NetworkSpec(_NAME, "model", lumina2_config(header, prefix), prefix, lumina2_table)
    model = ModelSpec(_NAME, network, LATENT, FlowRules(shift=6.0, multiplier=1.0))
    return Architecture(model, read_text(header, _ENCODERS, _TEXT), read_vae(header, LATENT))


def _comfy_names(_spec: ModelSpec) -> ComfyNames:
    return ComfyNames("Lumina2", "Lumina2", image_model=_NAME)


_LAYOUT = Layout(
    "time_caption_embed.caption_embedder.1.weight",
    {
        "transformer": Part(_NAME, _PREFIXES[0], lumina2_table, own_key),
        "text_encoder": Part("gemma2_2b", _TEXT["gemma2_2b"], language_table, own_language_key),
        "vae": VAE,
    },
)
_LORAS = (
    LoraMark(r"(layers|noise_refiner|context_refiner).\d+.(attn|attention|feed_forward)", _NAME),
)
LUMINA2 = Family(
    _NAME,
    "Lumina 2",
    recognises,
    read,
    (_LAYOUT,),
    (_ENCODERS, replace(_ENCODERS, loader_type="stable_diffusion")),
    _LORAS,
    networks=("nodes.models.networks.denoisers.lumina2:NETWORK",),
    comfy=_comfy_names,
    releases=(Release("Lumina-Image 2.0", APACHE),),
)
