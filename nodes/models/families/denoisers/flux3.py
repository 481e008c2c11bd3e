"""FLUX.3: blocks for text, picture and reference pictures each alone, then blocks for all together.

Layout and sizes are those of the published checkpoints; the correspondence is the one in
diffusers' `convert_flux3_transformer_checkpoint_to_diffusers` (Apache-2.0).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from nodes.models.families.base.language_models import language_table, own_language_key
from nodes.models.families.base.ldm_keys import own_key
from nodes.models.families.base.licences import FLUX_3, Release
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
from nodes.models.families.base.vaes.flux2_vae import LATENT
from nodes.models.families.base.vaes.flux2_vae import PART as VAE
from nodes.models.families.base.vaes.vae import read_vae
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source

_NAME = "flux3"
"""The name of the family, and of its kind of network."""
_PREFIXES = ("model.diffusion_model.", "")
_MARK = "early_stream_modulations.image.lin.weight"
_PART = "transformer"
_JUMP = "ref_time_in.in_layer.weight"
"""The weight that only a distilled model has: it is also told the time that a step jumps to."""
_SEEN = ("image", "image_cond")
_MODES = (*_SEEN, "txt")
_ENDS = {
    **{f"x_embedders.{mode}": Source(f"emb_in.{mode}") for mode in _SEEN},
    "context_embedder": Source("txt_in"),
    "timestep_embedder.linear_1": Source("time_in.in_layer"),
    "timestep_embedder.linear_2": Source("time_in.out_layer"),
    "target_timestep_embedder.linear_1": Source("ref_time_in.in_layer"),
    "target_timestep_embedder.linear_2": Source("ref_time_in.out_layer"),
    **{
        f"{stage}_stream_modulations.{mode}.linear": Source(
            f"{stage}_stream_modulations.{mode}.lin"
        )
        for stage in ("early", "single")
        for mode in _MODES
    },
    "norm_out.linear": Source("final_layer.image.adaLN_modulation.1", "swap"),
    "proj_out": Source("final_layer.image.linear"),
}
_BLOCK = {
    "attn.to_q": Source("q_proj"),
    "attn.to_k": Source("k_proj"),
    "attn.to_v": Source("v_proj"),
    "attn.to_out.0": Source("attn_out"),
    "attn.norm_q.weight": Source("norm.query_norm.scale"),
    "attn.norm_k.weight": Source("norm.key_norm.scale"),
    "ff.linear_in": Source("mlp_in"),
    "ff.linear_out": Source("mlp_out"),
}
_STACKS = {
    "mode_blocks.image": Stack("content_mode_blocks.image", _BLOCK),
    "mode_blocks.image_cond": Stack("content_mode_blocks.image_cond", _BLOCK),
    "txt_mode_blocks": Stack("txt_mode_blocks", _BLOCK),
    "single_transformer_blocks": Stack("single_blocks", _BLOCK),
}
_TEXT: Mapping[EncoderName, str] = {"qwen3_vl_4b": "text_encoders.qwen3vl_4b.transformer."}
_ENCODERS = TextEncoderSet(
    _NAME,
    {
        "qwen3_vl_4b": HiddenStatePolicy(
            layers=(4, 8, 12, 16, 20, 24, 28, 32),
            final_norm=False,
            template="<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
            reads_weights=False,
            multiple=80,
            masks_padding=True,
            padding_position=1,
        )
    },
    combine="single",
    loader_type=_NAME,
    files=(1,),
)
"""As `Flux3TextEncoderStep` of diffusers has it: the transformer reads the padding, too."""


def flux3_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of a `Flux3Transformer2DModel`; see `block_table`."""
    return block_table(keys, prefix, _ENDS, _STACKS)


def flux3_config(header: Header, prefix: str) -> dict[str, Any]:
    """Return the configuration of a `Flux3Transformer2DModel`.

    Each of the four coordinates of a position has a quarter of a head's rotary positions.

    Raises:
        MissingWeightsError: a tensor that the configuration is read from is missing.
    """
    width, text = shape_of(header, f"{prefix}txt_in.weight", _PART)
    (head,) = shape_of(header, f"{prefix}single_blocks.0.norm.query_norm.scale", _PART)
    inner = shape_of(header, f"{prefix}single_blocks.0.mlp_out.weight", _PART)[1]
    seen = {mode: shape_of(header, f"{prefix}emb_in.{mode}.weight", _PART)[1] for mode in _SEEN}
    return {
        "in_channels": seen["image"],
        "cond_in_channels": seen["image_cond"],
        "num_layers": count(header, prefix + "txt_mode_blocks.{}.q_proj.weight"),
        "num_single_layers": count(header, prefix + "single_blocks.{}.q_proj.weight"),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": text,
        "timestep_channels": shape_of(header, f"{prefix}time_in.in_layer.weight", _PART)[1],
        "mlp_ratio": inner / width,
        "axes_dims_rope": [head // 4] * 4,
        "flow_map": prefix + _JUMP in header,
        **overrides(header, _NAME, {"axes_dims_rope", "rope_theta"}),
    }


def recognises(header: Header) -> bool:
    """Return True for modulation of the picture, the references and the text, each by itself."""
    return first_in(header, _PREFIXES, _MARK) is not None


def read(header: Header) -> Architecture:
    """Return the architecture, from the shapes; a flow map is the distilled model."""
    prefix = first_in(header, _PREFIXES, _MARK) or ""
    network = NetworkSpec(_NAME, "model", flux3_config(header, prefix), prefix, flux3_table)
    model = ModelSpec(_NAME, network, LATENT, FlowRules(shift=6.93, multiplier=1.0))
    return Architecture(model, read_text(header, _ENCODERS, _TEXT), read_vae(header, LATENT))


def _comfy_names(_spec: ModelSpec) -> ComfyNames:
    return ComfyNames("Flux3", "Flux3", image_model=_NAME)


_LAYOUT = Layout(
    "mode_blocks.image.0.attn.to_q.weight",
    {
        "transformer": Part(_NAME, _PREFIXES[0], flux3_table, own_key),
        "text_encoder": Part("qwen3_vl_4b", _TEXT["qwen3_vl_4b"], language_table, own_language_key),
        "vae": VAE,
    },
)
_LORAS = (
    LoraMark(
        r"(content|txt)_mode_blocks|(^|[._])mode_blocks.image"
        r"|single_blocks.\d+.([qkv]_proj|attn_out|mlp_(in|out))"
        r"|single_transformer_blocks.\d+.(ff.linear_(in|out)|attn.to_out)",
        _NAME,
    ),
)
FLUX3 = Family(
    _NAME,
    "FLUX.3",
    recognises,
    read,
    (_LAYOUT,),
    (_ENCODERS,),
    _LORAS,
    networks=("nodes.models.networks.denoisers.flux3:NETWORK",),
    comfy=_comfy_names,
    releases=(Release("FLUX.3 Image Klein", FLUX_3),),
)
