"""Krea 2: one stream of blocks for text and picture, of which the text is fused from many layers.

Layout and sizes are those of the published checkpoints; the correspondence is the one in
diffusers' `convert_krea2_transformer_checkpoint_to_diffusers` (Apache-2.0).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from nodes.models.families.base.language_models import language_table, own_language_key
from nodes.models.families.base.ldm_keys import own_key
from nodes.models.families.base.licences import KREA_2, Release
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
from nodes.models.families.base.transformer_keys import Stack, block_table
from nodes.models.families.base.vaes.vae import read_vae
from nodes.models.families.base.vaes.wan_vae import LATENT
from nodes.models.families.base.vaes.wan_vae import PART as VAE
from nodes.models.families.denoisers.qwen_image import TEMPLATE
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source

_NAME = "krea2"
"""The name of the family, and of its kind of network."""
_PREFIXES = ("model.diffusion_model.", "")
_MARK = "txtfusion.projector.weight"
_PART = "transformer"
_ENDS = {
    "img_in": Source("first"),
    "time_embed.linear_1": Source("tmlp.0"),
    "time_embed.linear_2": Source("tmlp.2"),
    "time_mod_proj": Source("tproj.1"),
    "text_fusion.projector": Source("txtfusion.projector"),
    "txt_in.norm.weight": Source("txtmlp.0.scale"),
    "txt_in.linear_1": Source("txtmlp.1"),
    "txt_in.linear_2": Source("txtmlp.3"),
    "final_layer.linear": Source("last.linear"),
    "final_layer.norm.weight": Source("last.norm.scale"),
    "final_layer.scale_shift_table": Source("last.modulation.lin"),
}
_FUSION = {
    "norm1.weight": Source("prenorm.scale"),
    "norm2.weight": Source("postnorm.scale"),
    "attn.to_q": Source("attn.wq"),
    "attn.to_k": Source("attn.wk"),
    "attn.to_v": Source("attn.wv"),
    "attn.to_gate": Source("attn.gate"),
    "attn.to_out.0": Source("attn.wo"),
    "attn.norm_q.weight": Source("attn.qknorm.qnorm.scale"),
    "attn.norm_k.weight": Source("attn.qknorm.knorm.scale"),
    "ff.gate": Source("mlp.gate"),
    "ff.up": Source("mlp.up"),
    "ff.down": Source("mlp.down"),
}
_BLOCK = {**_FUSION, "scale_shift_table": Source("mod.lin", "sixths")}
_STACKS = {
    "transformer_blocks": Stack("blocks", _BLOCK),
    "text_fusion.layerwise_blocks": Stack("txtfusion.layerwise_blocks", _FUSION),
    "text_fusion.refiner_blocks": Stack("txtfusion.refiner_blocks", _FUSION),
}
_TEXT: Mapping[EncoderName, str] = {"qwen3_vl_4b": "text_encoders.qwen3vl_4b.transformer."}
_ENCODERS = TextEncoderSet(
    _NAME,
    {
        "qwen3_vl_4b": HiddenStatePolicy(
            layers=tuple(range(2, 36, 3)),
            final_norm=False,
            template=TEMPLATE,
            dropped=34,
            reads_weights=False,
        )
    },
    combine="single",
    loader_type=_NAME,
    files=(1,),
)
"""As `Krea2Pipeline` of diffusers has it: twelve layers, of which each token has all.

The pipeline pads every prompt before the template's end. As nothing attends to the padding, and
positions skip it, there is none here.
"""


def krea2_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of a `Krea2Transformer2DModel`; see `block_table`."""
    return block_table(keys, prefix, _ENDS, _STACKS)


def krea2_config(header: Header, prefix: str) -> dict[str, Any]:
    """Return the configuration of a `Krea2Transformer2DModel`.

    A quarter of each head's rotary positions is for the number of the picture, the rest for row
    and column.

    Raises:
        MissingWeightsError: a tensor that the configuration is read from is missing.
    """

    def shape(key: str) -> tuple[int, ...]:
        return shape_of(header, prefix + key, _PART)

    fusion, refiner = "txtfusion.layerwise_blocks.{}.", "txtfusion.refiner_blocks.{}."
    width, channels = shape("first.weight")
    (head,) = shape("blocks.0.attn.qknorm.qnorm.scale")
    (text_head,) = shape(fusion.format(0) + "attn.qknorm.qnorm.scale")
    text = shape("txtmlp.1.weight")[1]
    side = head * 3 // 16 * 2
    return {
        "in_channels": channels,
        "num_layers": count(header, prefix + "blocks.{}.attn.wq.weight"),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "num_key_value_heads": shape("blocks.0.attn.wk.weight")[0] // head,
        "intermediate_size": shape("blocks.0.mlp.gate.weight")[0],
        "timestep_embed_dim": shape("tmlp.0.weight")[1],
        "text_hidden_dim": text,
        "num_text_layers": shape(_MARK)[1],
        "text_num_attention_heads": text // text_head,
        "text_num_key_value_heads": shape(fusion.format(0) + "attn.wk.weight")[0] // text_head,
        "text_intermediate_size": shape(fusion.format(0) + "mlp.gate.weight")[0],
        "num_layerwise_text_blocks": count(header, f"{prefix}{fusion}attn.wq.weight"),
        "num_refiner_text_blocks": count(header, f"{prefix}{refiner}attn.wq.weight"),
        "axes_dims_rope": [head - 2 * side, side, side],
        **overrides(header, _NAME, {"axes_dims_rope", "rope_theta", "norm_eps"}),
    }


def recognises(header: Header) -> bool:
    """Return True for a layer that makes one text of many."""
    return first_in(header, _PREFIXES, _MARK) is not None


def read(header: Header) -> Architecture:
    """Return the architecture, from the shapes; Raw and Turbo do not differ in them."""
    prefix = first_in(header, _PREFIXES, _MARK) or ""
    network = NetworkSpec(_NAME, "model", krea2_config(header, prefix), prefix, krea2_table)
    model = ModelSpec(_NAME, network, LATENT, FlowRules(mu=1.15, multiplier=1.0))
    return Architecture(model, read_text(header, _ENCODERS, _TEXT), read_vae(header, LATENT))


_LAYOUT = Layout(
    "text_fusion.projector.weight",
    {
        "transformer": Part(_NAME, _PREFIXES[0], krea2_table, own_key),
        "text_encoder": Part("qwen3_vl_4b", _TEXT["qwen3_vl_4b"], language_table, own_language_key),
        "vae": VAE,
    },
)
_LORAS = (
    LoraMark(r"(^|[._])blocks.\d+.(attn.(w[qkvo]|gate)|mlp.(gate|up|down))", _NAME),
    LoraMark(r"transformer_blocks.\d+.(attn.to_gate|ff.(gate|up|down))", _NAME),
    LoraMark(r"(txtfusion|text_fusion).(layerwise|refiner)_blocks", _NAME),
)
KREA2 = Family(
    _NAME,
    "Krea 2",
    recognises,
    read,
    (_LAYOUT,),
    (_ENCODERS, replace(_ENCODERS, loader_type="stable_diffusion")),
    _LORAS,
    networks=("nodes.models.networks.denoisers.krea2:NETWORK",),
    releases=(Release("Krea 2 Raw, Turbo", KREA_2),),
)
