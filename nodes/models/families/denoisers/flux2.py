"""FLUX.2: double blocks for text and picture, then single blocks, which share their modulation.

Layout and sizes are those of the published checkpoints; the correspondence is the one in
diffusers' `convert_flux2_transformer_checkpoint_to_diffusers` (Apache-2.0).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from nodes.models.families.base.language_models import language_table, own_language_key
from nodes.models.families.base.ldm_keys import own_key
from nodes.models.families.base.licences import APACHE, FLUX_2, Release
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
from nodes.models.families.base.transformer_keys import (
    JOINT_LORA,
    Stack,
    block_table,
    fused_sources,
)
from nodes.models.families.base.vaes.flux2_vae import LATENT
from nodes.models.families.base.vaes.flux2_vae import PART as VAE
from nodes.models.families.base.vaes.vae import read_vae
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source

_NAME = "flux2"
"""The name of the family, and of its kind of network."""
_PREFIXES = ("model.diffusion_model.", "")
_MARK = "single_stream_modulation.lin.weight"
_NORM = "double_blocks.0.img_attn.norm.key_norm.scale"
_PART = "transformer"
_AXES = 4
"""The coordinates of a position: the picture, row, column, and the place in the text."""
_ENDS = {
    "x_embedder": Source("img_in"),
    "context_embedder": Source("txt_in"),
    "time_guidance_embed.timestep_embedder.linear_1": Source("time_in.in_layer"),
    "time_guidance_embed.timestep_embedder.linear_2": Source("time_in.out_layer"),
    "time_guidance_embed.guidance_embedder.linear_1": Source("guidance_in.in_layer"),
    "time_guidance_embed.guidance_embedder.linear_2": Source("guidance_in.out_layer"),
    "double_stream_modulation_img.linear": Source("double_stream_modulation_img.lin"),
    "double_stream_modulation_txt.linear": Source("double_stream_modulation_txt.lin"),
    "single_stream_modulation.linear": Source("single_stream_modulation.lin"),
    "norm_out.linear": Source("final_layer.adaLN_modulation.1", "swap"),
    "proj_out": Source("final_layer.linear"),
}
_DOUBLE = {
    **fused_sources("img_attn.qkv", ("attn.to_q", "attn.to_k", "attn.to_v")),
    **fused_sources("txt_attn.qkv", ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")),
    "attn.norm_q.weight": Source("img_attn.norm.query_norm.scale"),
    "attn.norm_k.weight": Source("img_attn.norm.key_norm.scale"),
    "attn.norm_added_q.weight": Source("txt_attn.norm.query_norm.scale"),
    "attn.norm_added_k.weight": Source("txt_attn.norm.key_norm.scale"),
    "attn.to_out.0": Source("img_attn.proj"),
    "attn.to_add_out": Source("txt_attn.proj"),
    "ff.linear_in": Source("img_mlp.0"),
    "ff.linear_out": Source("img_mlp.2"),
    "ff_context.linear_in": Source("txt_mlp.0"),
    "ff_context.linear_out": Source("txt_mlp.2"),
}
_SINGLE = {
    "attn.to_qkv_mlp_proj": Source("linear1"),
    "attn.to_out": Source("linear2"),
    "attn.norm_q.weight": Source("norm.query_norm.scale"),
    "attn.norm_k.weight": Source("norm.key_norm.scale"),
}
_STACKS = {
    "transformer_blocks": Stack("double_blocks", _DOUBLE),
    "single_transformer_blocks": Stack("single_blocks", _SINGLE),
}
_TEXT: Mapping[EncoderName, str] = {
    "qwen3_4b": "text_encoders.qwen3_4b.transformer.",
    "qwen3_8b": "text_encoders.qwen3_8b.transformer.",
    "mistral3_24b": "text_encoders.mistral3_24b.transformer.",
}
_QWEN3 = HiddenStatePolicy(
    layers=(9, 18, 27),
    final_norm=False,
    min_length=512,
    usual_length=512,
    template="<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
    reads_weights=False,
    masks_padding=True,
)
"""As `Flux2KleinPipeline` of diffusers has it; the template is Qwen3's, with empty thoughts."""
_MISTRAL3 = HiddenStatePolicy(
    layers=(10, 20, 30),
    final_norm=False,
    min_length=512,
    usual_length=512,
    template="[SYSTEM_PROMPT]You are an AI that reasons about image descriptions. You give"
    " structured responses focusing on object relationships, object\nattribution and actions"
    " without speculation.[/SYSTEM_PROMPT][INST]{}[/INST]",
    reads_weights=False,
    masks_padding=True,
    pads_left=True,
)
"""As `Flux2Pipeline` of diffusers has it, with the tokenizer of Mistral Small 3.1."""
_ENCODERS = TextEncoderSet(
    _NAME,
    {"qwen3_4b": _QWEN3, "qwen3_8b": _QWEN3, "mistral3_24b": _MISTRAL3},
    combine="single",
    loader_type=_NAME,
    files=(1,),
    any_suffices=True,
)
"""Each model reads one of them: klein 4B, klein 9B or dev."""
_TOLD = {name: policy for name, policy in _ENCODERS.policies.items() if name != "qwen3_4b"}
"""Those that the file tells; that of klein 4B is Z-Image's, too."""


def flux2_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of a `Flux2Transformer2DModel`; see `block_table`."""
    return block_table(keys, prefix, _ENDS, _STACKS)


def flux2_config(header: Header, prefix: str) -> dict[str, Any]:
    """Return the configuration of a `Flux2Transformer2DModel`.

    A quarter of each head's rotary positions is for each coordinate.

    Raises:
        MissingWeightsError: a tensor that the configuration is read from is missing.
    """
    width, channels = shape_of(header, f"{prefix}img_in.weight", _PART)
    (head,) = shape_of(header, prefix + _NORM, _PART)
    steps = shape_of(header, f"{prefix}time_in.in_layer.weight", _PART)[1]
    inner = shape_of(header, f"{prefix}double_blocks.0.img_mlp.2.weight", _PART)[1]
    return {
        "in_channels": channels,
        "num_layers": count(header, prefix + "double_blocks.{}.img_attn.qkv.weight"),
        "num_single_layers": count(header, prefix + "single_blocks.{}.linear1.weight"),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": shape_of(header, f"{prefix}txt_in.weight", _PART)[1],
        "timestep_guidance_channels": steps,
        "mlp_ratio": inner / width,
        "axes_dims_rope": [head // _AXES] * _AXES,
        "guidance_embeds": f"{prefix}guidance_in.in_layer.weight" in header,
        **overrides(header, _NAME, {"axes_dims_rope"}),
    }


def recognises(header: Header) -> bool:
    """Return True for single blocks that share their modulation, after double blocks."""
    return any(all(p + mark in header for mark in (_MARK, _NORM)) for p in _PREFIXES)


def read(header: Header) -> Architecture:
    """Return the architecture, from the shapes; base and distilled models do not differ in them."""
    prefix = first_in(header, _PREFIXES, _MARK) or ""
    network = NetworkSpec(_NAME, "model", flux2_config(header, prefix), prefix, flux2_table)
    model = ModelSpec(_NAME, network, LATENT, FlowRules(multiplier=1.0, mu=2.02))
    return Architecture(model, read_text(header, _ENCODERS, _TEXT), read_vae(header, LATENT))


def _comfy_names(_spec: ModelSpec) -> ComfyNames:
    return ComfyNames("Flux2", "Flux2", image_model=_NAME)


def _layout(encoder: EncoderName) -> Layout:
    """Return the folders of the models that read this text encoder."""
    return Layout(
        "single_stream_modulation.linear.weight",
        {
            "transformer": Part(_NAME, _PREFIXES[0], flux2_table, own_key),
            "text_encoder": Part(encoder, _TEXT[encoder], language_table, own_language_key),
            "vae": VAE,
        },
    )


_LORAS = (
    LoraMark(
        r"(single|double)_stream_modulation.(img|txt|lin)|attn.to_qkv_mlp_proj"
        r"|(?<!single_)transformer_blocks.\d+.ff(_context)?.linear_(in|out)",
        _NAME,
    ),
    LoraMark(
        r"double_blocks.\d+.(img|txt)_|single_blocks.\d+.linear"
        r"|single_transformer_blocks.\d+.attn.to_out",
        _NAME,
    ),
    LoraMark(JOINT_LORA, _NAME, range(1, 2**31)),
)
FLUX2 = Family(
    _NAME,
    "FLUX.2",
    recognises,
    read,
    tuple(_layout(encoder) for encoder in _ENCODERS.policies),
    (_ENCODERS, replace(_ENCODERS, policies=_TOLD, loader_type="stable_diffusion")),
    _LORAS,
    networks=("nodes.models.networks.denoisers.flux2:NETWORK",),
    comfy=_comfy_names,
    releases=(
        Release("FLUX.2 klein 4B", APACHE),
        Release("FLUX.2 dev, klein 9B", FLUX_2),
    ),
)
