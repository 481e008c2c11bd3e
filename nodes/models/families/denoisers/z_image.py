"""Z-Image: one stack of blocks for picture and text together, after a few blocks for each alone.

Layout and sizes are those of the published checkpoints; the correspondence is the one in
diffusers' `convert_z_image_transformer_checkpoint_to_diffusers` (Apache-2.0).
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
from nodes.models.families.base.transformer_keys import Stack, block_table, fused_sources
from nodes.models.families.base.vaes.vae import PART as VAE
from nodes.models.families.base.vaes.vae import read_vae
from nodes.models.families.denoisers.flux import LATENT
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source

_NAME = "z_image"
"""The name of the family, and of its kind of network."""
_PREFIXES = ("model.diffusion_model.", "")
_MARKS = ("x_pad_token", "layers.0.attention.qkv.weight")
_PART = "transformer"
_PATCH = 2
_PLACES = [8192, 2048, 2048]
"""The positions that there are of texts' tokens, rows and columns: more than in training."""
_ENDS = {
    "all_x_embedder.2-1": Source("x_embedder"),
    "cap_embedder.0": Source("cap_embedder.0"),
    "cap_embedder.1": Source("cap_embedder.1"),
    "t_embedder.mlp.0": Source("t_embedder.mlp.0"),
    "t_embedder.mlp.2": Source("t_embedder.mlp.2"),
    "x_pad_token": Source("x_pad_token"),
    "cap_pad_token": Source("cap_pad_token"),
    "all_final_layer.2-1.linear": Source("final_layer.linear"),
    "all_final_layer.2-1.adaLN_modulation.1": Source("final_layer.adaLN_modulation.1"),
}
_SAME = (
    *("attention_norm1", "attention_norm2", "ffn_norm1", "ffn_norm2", "adaLN_modulation.0"),
    *("feed_forward.w1", "feed_forward.w2", "feed_forward.w3"),
)
_BLOCK = {
    **fused_sources("attention.qkv", ("attention.to_q", "attention.to_k", "attention.to_v")),
    "attention.norm_q": Source("attention.q_norm"),
    "attention.norm_k": Source("attention.k_norm"),
    "attention.to_out.0": Source("attention.out"),
    **{name: Source(name) for name in _SAME},
}
_STACKS = {name: Stack(name, _BLOCK) for name in ("noise_refiner", "context_refiner", "layers")}
_TEXT: Mapping[EncoderName, str] = {"qwen3_4b": "text_encoders.qwen3_4b.transformer."}
_ENCODERS = TextEncoderSet(
    _NAME,
    {
        "qwen3_4b": HiddenStatePolicy(
            layers=(-2,),
            final_norm=False,
            template="<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
            reads_weights=False,
        )
    },
    combine="single",
    loader_type="lumina2",
    files=(1,),
)
"""As `ZImagePipeline` of diffusers has it; the template is Qwen3's, with thinking left to it."""


def z_image_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of a `ZImageTransformer2DModel`; see `block_table`."""
    return block_table(keys, prefix, _ENDS, _STACKS)


def z_image_config(header: Header, prefix: str) -> dict[str, Any]:
    """Return the configuration of a `ZImageTransformer2DModel`.

    A quarter of each head's rotary positions is for the place in the text, the rest for row and
    column.

    Raises:
        MissingWeightsError: a tensor that the configuration is read from is missing.
    """
    width, patch = shape_of(header, f"{prefix}x_embedder.weight", _PART)
    (head,) = shape_of(header, f"{prefix}layers.0.attention.q_norm.weight", _PART)
    side = head * 3 // 8
    heads = width // head
    return {
        "in_channels": patch // _PATCH**2,
        "dim": width,
        "n_layers": count(header, prefix + "layers.{}.attention.qkv.weight"),
        "n_refiner_layers": count(header, prefix + "noise_refiner.{}.attention.qkv.weight"),
        "n_heads": heads,
        "n_kv_heads": heads,
        "cap_feat_dim": shape_of(header, f"{prefix}cap_embedder.1.weight", _PART)[1],
        "axes_dims": [head - 2 * side, side, side],
        "axes_lens": _PLACES,
        **overrides(header, _NAME, {"axes_dims"}),
    }


def recognises(header: Header) -> bool:
    """Return True for fused attentions, and a token that pads pictures."""
    return any(all(prefix + mark in header for mark in _MARKS) for prefix in _PREFIXES)


def read(header: Header) -> Architecture:
    """Return the architecture, from the shapes; Turbo and base do not differ in them."""
    prefix = first_in(header, _PREFIXES, _MARKS[0]) or ""
    network = NetworkSpec(_NAME, "model", z_image_config(header, prefix), prefix, z_image_table)
    model = ModelSpec(_NAME, network, LATENT, FlowRules(shift=3.0, multiplier=1.0))
    return Architecture(model, read_text(header, _ENCODERS, _TEXT), read_vae(header, LATENT))


_LAYOUT = Layout(
    "all_x_embedder.2-1.weight",
    {
        "transformer": Part(_NAME, _PREFIXES[0], z_image_table, own_key),
        "text_encoder": Part("qwen3_4b", _TEXT["qwen3_4b"], language_table, own_language_key),
        "vae": VAE,
    },
)
_LORAS = (LoraMark(r"(layers|noise_refiner|context_refiner).\d+.(attention|feed_forward)", _NAME),)
Z_IMAGE = Family(
    _NAME,
    "Z-Image",
    recognises,
    read,
    (_LAYOUT,),
    (_ENCODERS, replace(_ENCODERS, loader_type="stable_diffusion")),
    _LORAS,
    networks=("nodes.models.networks.denoisers.z_image:NETWORK",),
    releases=(Release("Z-Image", APACHE),),
)
