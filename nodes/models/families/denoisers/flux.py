"""FLUX.1: double blocks for text and picture, then single blocks for both together.

Layout and sizes are those of the published checkpoints; the correspondence is the one in
diffusers' `convert_flux_transformer_checkpoint_to_diffusers` (Apache-2.0).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from nodes.models.families.base.encoder_keys import clip_table, own_clip_key, own_t5_key, t5_table
from nodes.models.families.base.ldm_keys import own_key
from nodes.models.families.base.licences import APACHE, FLUX_1_DEV, Release
from nodes.models.families.base.shapes import count, first_in, overrides, shape_of
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
from nodes.models.families.base.text_encoders import read_text
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

_NAME = "flux"
"""The name of the family, and of its kind of network."""
IMAGE_MODEL = _NAME
"""ComfyUI's name of such a network."""
PREFIXES = ("model.diffusion_model.", "")
_MARK = "double_blocks.0.img_attn.norm.key_norm.scale"
POOLED = "vector_in.in_layer.weight"
"""A weight for the pooled text, which later models do not read."""
_MODULATION = "double_blocks.0.img_mod.lin.weight"
"""A key that later models lack, whose blocks have no modulation of their own."""
_PART = "transformer"
_PATCH = 2
_RGB = (
    (-0.0412, 0.0149, 0.0521),
    (0.0056, 0.0291, 0.0768),
    (0.0342, -0.0681, -0.0427),
    (-0.0258, 0.0092, 0.0463),
    (0.0863, 0.0784, 0.0547),
    (-0.0017, 0.0402, 0.0158),
    (0.0501, 0.1058, 0.1152),
    (-0.0209, -0.0218, -0.0329),
    (-0.0314, 0.0083, 0.0896),
    (0.0851, 0.0665, -0.0472),
    (-0.0534, 0.0238, -0.0024),
    (0.0452, -0.0026, 0.0048),
    (0.0892, 0.0831, 0.0881),
    (-0.1117, -0.0304, -0.0789),
    (0.0027, -0.0479, -0.0043),
    (-0.1146, -0.0827, -0.0598),
    (0.0, 0.0, 0.0),
)
"""A linear fit; the numbers are those of InvokeAI's previews (Apache-2.0)."""
LATENT = LatentRules(
    channels=16, downscale=8, scale=0.3611, shift=0.1159, rgb=_RGB, tiny_vae="taef1"
)
_DISTILLED = FlowRules(multiplier=1.0, mu=1.15)
_SCHNELL = FlowRules(multiplier=1.0)
_ENDS = {
    "x_embedder": Source("img_in"),
    "context_embedder": Source("txt_in"),
    "time_text_embed.timestep_embedder.linear_1": Source("time_in.in_layer"),
    "time_text_embed.timestep_embedder.linear_2": Source("time_in.out_layer"),
    "time_text_embed.text_embedder.linear_1": Source("vector_in.in_layer"),
    "time_text_embed.text_embedder.linear_2": Source("vector_in.out_layer"),
    "time_text_embed.guidance_embedder.linear_1": Source("guidance_in.in_layer"),
    "time_text_embed.guidance_embedder.linear_2": Source("guidance_in.out_layer"),
    "norm_out.linear": Source("final_layer.adaLN_modulation.1", "swap"),
    "proj_out": Source("final_layer.linear"),
}
DOUBLE = {
    **fused_sources("img_attn.qkv", ("attn.to_q", "attn.to_k", "attn.to_v")),
    **fused_sources("txt_attn.qkv", ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")),
    "attn.norm_q.weight": Source("img_attn.norm.query_norm.scale"),
    "attn.norm_k.weight": Source("img_attn.norm.key_norm.scale"),
    "attn.norm_added_q.weight": Source("txt_attn.norm.query_norm.scale"),
    "attn.norm_added_k.weight": Source("txt_attn.norm.key_norm.scale"),
    "attn.to_out.0": Source("img_attn.proj"),
    "attn.to_add_out": Source("txt_attn.proj"),
    "ff.net.0.proj": Source("img_mlp.0"),
    "ff.net.2": Source("img_mlp.2"),
    "ff_context.net.0.proj": Source("txt_mlp.0"),
    "ff_context.net.2": Source("txt_mlp.2"),
}
"""The layers of a double block, but for its modulation."""
SINGLE = {
    "attn.to_q": Source("linear1", slot=0, slots=7),
    "attn.to_k": Source("linear1", slot=1, slots=7),
    "attn.to_v": Source("linear1", slot=2, slots=7),
    "proj_mlp": Source("linear1", slot=3, slots=7, span=4),
    "proj_out": Source("linear2"),
    "attn.norm_q.weight": Source("norm.query_norm.scale"),
    "attn.norm_k.weight": Source("norm.key_norm.scale"),
}
"""The layers of a single block, but for its modulation.

`linear1` holds query, key, value and the MLP, which is four times as wide as they are.
"""
_DOUBLE_MODULATION = {
    "norm1.linear": Source("img_mod.lin"),
    "norm1_context.linear": Source("txt_mod.lin"),
}
_SINGLE_MODULATION = {"norm.linear": Source("modulation.lin")}
STACKS = {
    "transformer_blocks": Stack("double_blocks", {**DOUBLE, **_DOUBLE_MODULATION}),
    "single_transformer_blocks": Stack("single_blocks", {**SINGLE, **_SINGLE_MODULATION}),
}
_TEXT: Mapping[EncoderName, str] = {
    "clip_l": "text_encoders.clip_l.transformer.",
    "t5xxl": "text_encoders.t5xxl.transformer.",
}
_ENCODERS = TextEncoderSet(
    _NAME,
    {"clip_l": HiddenStatePolicy(projected=False), "t5xxl": HiddenStatePolicy(min_length=256)},
    combine="t5_with_pooled_clip",
    loader_type=_NAME,
    files=(2,),
)


def flux_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of a `FluxTransformer2DModel`; see `block_table`."""
    return block_table(keys, prefix, _ENDS, STACKS)


def flux_config(header: Header, prefix: str) -> dict[str, Any]:
    """Return the configuration of a `FluxTransformer2DModel`.

    An eighth of each head's rotary positions is for the first coordinate, the rest for row and
    column.

    Raises:
        MissingWeightsError: a tensor that the configuration is read from is missing.
    """
    width, channels = shape_of(header, f"{prefix}img_in.weight", _PART)
    (head,) = shape_of(header, prefix + _MARK, _PART)
    side = (head - head // 8) // 2
    return {
        "in_channels": channels,
        "out_channels": shape_of(header, f"{prefix}final_layer.linear.weight", _PART)[0],
        "num_layers": count(header, prefix + "double_blocks.{}.img_attn.qkv.weight"),
        "num_single_layers": count(header, prefix + "single_blocks.{}.linear1.weight"),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": shape_of(header, f"{prefix}txt_in.weight", _PART)[1],
        "pooled_projection_dim": shape_of(header, prefix + POOLED, _PART)[1],
        "guidance_embeds": f"{prefix}guidance_in.in_layer.weight" in header,
        "axes_dims_rope": [head - 2 * side, side, side],
        **overrides(header, _NAME, {"axes_dims_rope"}),
    }


def recognises(header: Header) -> bool:
    """Return True for double blocks with normed keys and modulation, and for a pooled text."""
    prefix = first_in(header, PREFIXES, _MARK)
    return prefix is not None and all(prefix + key in header for key in (_MODULATION, POOLED))


def read(header: Header) -> Architecture:
    """Return the architecture, from the shapes; a model that takes guidance is FLUX.1 dev."""
    prefix = first_in(header, PREFIXES, _MARK) or ""
    config = flux_config(header, prefix)
    network = NetworkSpec(_NAME, "model", config, prefix, flux_table)
    noise = _DISTILLED if config["guidance_embeds"] else _SCHNELL
    model = ModelSpec(_NAME, network, LATENT, noise)
    return Architecture(model, read_text(header, _ENCODERS, _TEXT), read_vae(header, LATENT))


def _comfy_names(spec: ModelSpec) -> ComfyNames:
    config = "Flux" if spec.network.config.get("guidance_embeds") else "FluxSchnell"
    return ComfyNames("Flux", config, image_model=IMAGE_MODEL)


_LAYOUT = Layout(
    "time_text_embed.text_embedder.linear_1.weight",
    {
        "transformer": Part(_NAME, PREFIXES[0], flux_table, own_key),
        "text_encoder": Part("clip_l", _TEXT["clip_l"], clip_table, own_clip_key),
        "text_encoder_2": Part("t5xxl", _TEXT["t5xxl"], t5_table, own_t5_key),
        "vae": VAE,
    },
)
_LORAS = (
    LoraMark(
        r"double_blocks.\d+.(img|txt)_|single_blocks.\d+.(linear|modulation)"
        r"|single_transformer_blocks.\d+.(attn.to_[qkv]|norm|proj)",
        _NAME,
    ),
    LoraMark(JOINT_LORA, _NAME, range(3072, 2**31)),
)
FLUX = Family(
    _NAME,
    "FLUX.1",
    recognises,
    read,
    (_LAYOUT,),
    (_ENCODERS,),
    _LORAS,
    networks=("nodes.models.networks.denoisers.flux:NETWORK",),
    comfy=_comfy_names,
    releases=(
        Release("FLUX.1-schnell", APACHE),
        Release("FLUX.1-dev, Fill, Canny, Depth, Kontext, Redux", FLUX_1_DEV),
    ),
)
