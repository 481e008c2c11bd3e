"""Stable Diffusion 3 and 3.5: a transformer over joint text and picture tokens.

Layout and sizes are those of the published checkpoints; the correspondence is the one in
diffusers' `convert_sd3_transformer_checkpoint_to_diffusers` (Apache-2.0).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import isqrt
from typing import Any

from nodes.models.families.base.encoder_keys import clip_table, own_clip_key, own_t5_key, t5_table
from nodes.models.families.base.ldm_keys import own_key
from nodes.models.families.base.licences import STABILITY, Release
from nodes.models.families.base.shapes import count, first_in, shape_of
from nodes.models.families.base.spec import (
    Architecture,
    ComfyNames,
    EncoderName,
    Family,
    FlowRules,
    HiddenStatePolicy,
    LatentRules,
    Layout,
    LoraMark,
    ModelSpec,
    NetworkSpec,
    Part,
    TextEncoderSet,
)
from nodes.models.families.base.text_encoders import PENULTIMATE, read_text
from nodes.models.families.base.transformer_keys import (
    JOINT_LORA,
    Stack,
    block_table,
    fused_sources,
)
from nodes.models.families.base.vaes.vae import PART as VAE
from nodes.models.families.base.vaes.vae import read_vae
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source

_NAME, _KIND = "sd3", "mmdit"
PREFIXES = ("model.diffusion_model.", "")
_MARK = "joint_blocks.0.context_block.attn.qkv.weight"
_PART = "transformer"
_HEAD = 64
_RGB = (
    (-0.0645, 0.0177, 0.1052),
    (0.0028, 0.0312, 0.065),
    (0.1848, 0.0762, 0.036),
    (0.0944, 0.036, 0.0889),
    (0.0897, 0.0506, -0.0364),
    (-0.002, 0.1203, 0.0284),
    (0.0855, 0.0118, 0.0283),
    (-0.0539, 0.0658, 0.1047),
    (-0.0057, 0.0116, 0.07),
    (-0.0412, 0.0281, -0.0039),
    (0.1106, 0.1171, 0.122),
    (-0.0248, 0.0682, -0.0481),
    (0.0815, 0.0846, 0.1207),
    (-0.012, -0.0055, -0.0867),
    (-0.0749, -0.0634, -0.0456),
    (-0.1418, -0.1457, -0.1259),
    (0.0, 0.0, 0.0),
)
"""A linear fit; the numbers are those of Stability AI's own sd3.5 (MIT)."""
_LATENT = LatentRules(
    channels=16, downscale=8, scale=1.5305, shift=0.0609, rgb=_RGB, tiny_vae="taesd3"
)
_ENDS = {
    "pos_embed.pos_embed": Source("pos_embed"),
    "pos_embed.proj": Source("x_embedder.proj"),
    "time_text_embed.timestep_embedder.linear_1": Source("t_embedder.mlp.0"),
    "time_text_embed.timestep_embedder.linear_2": Source("t_embedder.mlp.2"),
    "time_text_embed.text_embedder.linear_1": Source("y_embedder.mlp.0"),
    "time_text_embed.text_embedder.linear_2": Source("y_embedder.mlp.2"),
    "context_embedder": Source("context_embedder"),
    "norm_out.linear": Source("final_layer.adaLN_modulation.1", "swap"),
    "proj_out": Source("final_layer.linear"),
}
_BLOCK = {
    "norm1.linear": Source("x_block.adaLN_modulation.1"),
    "norm1_context.linear": Source("context_block.adaLN_modulation.1"),
    **fused_sources("x_block.attn.qkv", ("attn.to_q", "attn.to_k", "attn.to_v")),
    **fused_sources(
        "context_block.attn.qkv", ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")
    ),
    "attn.norm_q": Source("x_block.attn.ln_q"),
    "attn.norm_k": Source("x_block.attn.ln_k"),
    "attn.norm_added_q": Source("context_block.attn.ln_q"),
    "attn.norm_added_k": Source("context_block.attn.ln_k"),
    "attn.to_out.0": Source("x_block.attn.proj"),
    "attn.to_add_out": Source("context_block.attn.proj"),
    **fused_sources("x_block.attn2.qkv", ("attn2.to_q", "attn2.to_k", "attn2.to_v")),
    "attn2.norm_q": Source("x_block.attn2.ln_q"),
    "attn2.norm_k": Source("x_block.attn2.ln_k"),
    "attn2.to_out.0": Source("x_block.attn2.proj"),
    "ff.net.0.proj": Source("x_block.mlp.fc1"),
    "ff.net.2": Source("x_block.mlp.fc2"),
    "ff_context.net.0.proj": Source("context_block.mlp.fc1"),
    "ff_context.net.2": Source("context_block.mlp.fc2"),
}
_STACKS = {"transformer_blocks": Stack("joint_blocks", _BLOCK)}
_TEXT: Mapping[EncoderName, str] = {
    "clip_l": "text_encoders.clip_l.transformer.",
    "clip_g": "text_encoders.clip_g.transformer.",
    "t5xxl": "text_encoders.t5xxl.transformer.",
}


def mmdit_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of an `SD3Transformer2DModel`; see `block_table`.

    The last block drops the text after its attention, so that it scales and shifts the text as
    the final layer does the picture.
    """
    table = block_table(keys, prefix, _ENDS, _STACKS)
    last = max(int(key.split(".")[1]) for key in table if key.startswith("transformer_blocks."))
    for leaf in ("weight", "bias"):
        key = f"transformer_blocks.{last}.norm1_context.linear.{leaf}"
        table[key] = replace(table[key], op="swap")
    return table


def mmdit_config(header: Header, prefix: str) -> dict[str, Any]:
    """Return the configuration of an `SD3Transformer2DModel`, whose heads are 64 wide.

    Raises:
        MissingWeightsError: a tensor that the configuration is read from is missing.
    """
    width, channels, _, patch = shape_of(header, f"{prefix}x_embedder.proj.weight", _PART)
    inner, text = shape_of(header, f"{prefix}context_embedder.weight", _PART)
    block = prefix + "joint_blocks.{}.x_block."
    layers = count(header, block + "attn.qkv.weight")
    dual = [n for n in range(layers) if block.format(n) + "attn2.qkv.weight" in header]
    normed = block.format(0) + "attn.ln_q.weight" in header
    return {
        "patch_size": patch,
        "in_channels": channels,
        "out_channels": shape_of(header, f"{prefix}final_layer.linear.weight", _PART)[0]
        // patch**2,
        "num_layers": layers,
        "attention_head_dim": _HEAD,
        "num_attention_heads": width // _HEAD,
        "joint_attention_dim": text,
        "caption_projection_dim": inner,
        "pooled_projection_dim": shape_of(header, f"{prefix}y_embedder.mlp.0.weight", _PART)[1],
        "pos_embed_max_size": isqrt(shape_of(header, f"{prefix}pos_embed", _PART)[1]),
        "dual_attention_layers": dual,
        "qk_norm": "rms_norm" if normed else None,
    }


def recognises(header: Header) -> bool:
    """Return True for blocks with one half for the text and one for the picture."""
    return first_in(header, PREFIXES, _MARK) is not None


def read(header: Header) -> Architecture:
    """Return the architecture, from the shapes."""
    prefix = first_in(header, PREFIXES, _MARK) or ""
    network = NetworkSpec(_KIND, "model", mmdit_config(header, prefix), prefix, mmdit_table)
    model = ModelSpec(_NAME, network, _LATENT, FlowRules(shift=3.0))
    return Architecture(model, read_text(header, _ENCODERS, _TEXT), read_vae(header, _LATENT))


_ENCODERS = TextEncoderSet(
    _NAME,
    {
        "clip_l": HiddenStatePolicy(layers=(-2,), final_norm=False, projected=False),
        "clip_g": PENULTIMATE,
        "t5xxl": HiddenStatePolicy(min_length=77),
    },
    combine="clips_then_t5",
    loader_type=_NAME,
    files=(1, 2, 3),
    any_suffices=True,
)
_LAYOUT = Layout(
    "pos_embed.pos_embed",
    {
        "transformer": Part(_KIND, PREFIXES[0], mmdit_table, own_key),
        "text_encoder": Part("clip_l", _TEXT["clip_l"], clip_table, own_clip_key),
        "text_encoder_2": Part("clip_g", _TEXT["clip_g"], clip_table, own_clip_key),
        "text_encoder_3": Part("t5xxl", _TEXT["t5xxl"], t5_table, own_t5_key),
        "vae": VAE,
    },
)
_LORAS = (
    LoraMark(r"joint_blocks.\d+", _KIND),
    LoraMark(JOINT_LORA, _KIND, range(3072)),
)
SD3 = Family(
    _NAME,
    "Stable Diffusion 3.x",
    recognises,
    read,
    (_LAYOUT,),
    (_ENCODERS,),
    _LORAS,
    networks=("nodes.models.networks.denoisers.mmdit:NETWORK",),
    comfy=lambda _: ComfyNames("SD3", "SD3"),
    releases=(Release("Stable Diffusion 3 and 3.5", STABILITY),),
)
