"""Anima: Cosmos-Predict2's transformer, with a conditioner that turns texts into what it reads.

Published files have the names of NVIDIA's code; the correspondence is the one in diffusers'
`convert_cosmos_transformer_checkpoint_to_diffusers` (Apache-2.0), and the sizes that shapes do not
tell are those of its `scripts/convert_cosmos_to_diffusers.py`. The conditioner is in the same file.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from nodes.models.families.base.language_models import language_table, own_language_key
from nodes.models.families.base.ldm_keys import own_key
from nodes.models.families.base.licences import CIRCLESTONE, Release
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
from nodes.models.families.base.text_encoders import T5_RULES, read_text
from nodes.models.families.base.transformer_keys import Stack, block_table
from nodes.models.families.base.vaes.vae import read_vae
from nodes.models.families.base.vaes.wan_vae import LATENT
from nodes.models.families.base.vaes.wan_vae import PART as VAE
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source

_NAME = "anima"
"""The name of the family, and of its kind of network."""
_PREFIXES = ("model.diffusion_model.", "net.", "")
_MARK = "blocks.0.adaln_modulation_self_attn.1.weight"
_PART, _CONDITIONER_PART = "transformer", "text conditioner"
_CONDITIONER = "llm_adapter."
_PATCH = 2
_SHORTEST = 512
"""The least number of tokens that the transformer reads: zeros follow those of a shorter text."""
_LARGEST = 4096
"""The most latent pixels each way: no limit of training, but one of the rotary positions."""
_ENDS = {
    "patch_embed.proj": Source("x_embedder.proj.1"),
    "time_embed.t_embedder.linear_1": Source("t_embedder.1.linear_1"),
    "time_embed.t_embedder.linear_2": Source("t_embedder.1.linear_2"),
    "time_embed.norm": Source("t_embedding_norm"),
    "norm_out.linear_1": Source("final_layer.adaln_modulation.1"),
    "norm_out.linear_2": Source("final_layer.adaln_modulation.2"),
    "proj_out": Source("final_layer.linear"),
}
_ATTENTION = {
    "to_q": "q_proj",
    "to_k": "k_proj",
    "to_v": "v_proj",
    "to_out.0": "output_proj",
    "norm_q": "q_norm",
    "norm_k": "k_norm",
}
_BLOCK = {
    **{
        f"norm{number}.linear_{layer}": Source(f"adaln_modulation_{part}.{layer}")
        for number, part in enumerate(("self_attn", "cross_attn", "mlp"), 1)
        for layer in (1, 2)
    },
    **{f"attn1.{ours}": Source(f"self_attn.{theirs}") for ours, theirs in _ATTENTION.items()},
    **{f"attn2.{ours}": Source(f"cross_attn.{theirs}") for ours, theirs in _ATTENTION.items()},
    "ff.net.0.proj": Source("mlp.layer1"),
    "ff.net.2": Source("mlp.layer2"),
}
_STACKS = {"transformer_blocks": Stack("blocks", _BLOCK)}
_TEXT: Mapping[EncoderName, str] = {"qwen3_06b": "text_encoders.qwen3_06b.transformer."}
_ENCODERS = TextEncoderSet(
    _NAME,
    {
        "qwen3_06b": HiddenStatePolicy(
            applies_weights=False, masks_padding=True, zeroes_padding=True
        )
    },
    combine="single",
    loader_type="stable_diffusion",
    files=(1,),
    read_tokens={"t5xxl": T5_RULES},
)
"""As `AnimaAutoBlocks` of diffusers has it: Qwen3's states, and T5's tokens without its network.

The weights in a prompt are those of T5's tokens.
"""


def anima_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of a transformer with its conditioner, whose names are the same."""
    keys = list(keys)
    own = [key for key in keys if key.startswith(_CONDITIONER)]
    rest = [key for key in keys if not key.startswith(_CONDITIONER)]
    return block_table(rest, prefix, _ENDS, _STACKS) | _same_table(own, prefix)


def _same_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    return {key: Source(prefix + key) for key in keys}


def anima_config(header: Header, prefix: str) -> dict[str, Any]:
    """Return the configuration of a `CosmosTransformer3DModel`, and of its conditioner.

    The transformer reads one channel more than the latent has, a mask, which is no input here.

    Raises:
        MissingWeightsError: a tensor that the configuration is read from is missing.
    """
    width, patch = shape_of(header, f"{prefix}x_embedder.proj.1.weight", _PART)
    (head,) = shape_of(header, f"{prefix}blocks.0.self_attn.q_norm.weight", _PART)
    inner = shape_of(header, f"{prefix}blocks.0.mlp.layer1.weight", _PART)[0]
    out = shape_of(header, f"{prefix}final_layer.linear.weight", _PART)[0]
    return {
        "in_channels": patch // _PATCH**2 - 1,
        "out_channels": out // _PATCH**2,
        "num_attention_heads": width // head,
        "attention_head_dim": head,
        "num_layers": count(header, prefix + "blocks.{}.self_attn.q_proj.weight"),
        "mlp_ratio": inner / width,
        "text_embed_dim": shape_of(header, f"{prefix}blocks.0.cross_attn.k_proj.weight", _PART)[1],
        "adaln_lora_dim": shape_of(header, prefix + _MARK, _PART)[0],
        "max_size": [1, _LARGEST, _LARGEST],
        "rope_scale": [1.0, 4.0, 4.0],
        "extra_pos_embed_type": None,
        **overrides(header, _NAME, {"rope_scale"}),
        "conditioner": _conditioner_config(header, prefix + _CONDITIONER),
    }


def _conditioner_config(header: Header, prefix: str) -> dict[str, Any]:
    """Return the configuration of an `AnimaTextConditioner`."""
    words, wide = shape_of(header, f"{prefix}embed.weight", _CONDITIONER_PART)
    first = f"{prefix}blocks.0."
    width = shape_of(header, f"{first}self_attn.q_proj.weight", _CONDITIONER_PART)[1]
    (head,) = shape_of(header, f"{first}self_attn.q_norm.weight", _CONDITIONER_PART)
    inner = shape_of(header, f"{first}mlp.0.weight", _CONDITIONER_PART)[0]
    return {
        "source_dim": shape_of(header, f"{first}cross_attn.k_proj.weight", _CONDITIONER_PART)[1],
        "target_dim": wide,
        "model_dim": width,
        "num_layers": count(header, prefix + "blocks.{}.self_attn.q_proj.weight"),
        "num_attention_heads": width // head,
        "mlp_ratio": inner / width,
        "target_vocab_size": words,
        "min_sequence_length": _SHORTEST,
    }


def recognises(header: Header) -> bool:
    """Return True for blocks of Cosmos-Predict2, whose modulation is of low rank."""
    return first_in(header, _PREFIXES, _MARK) is not None


def read(header: Header) -> Architecture:
    """Return the architecture, from the shapes; the releases do not differ in them."""
    prefix = first_in(header, _PREFIXES, _MARK) or ""
    network = NetworkSpec(_NAME, "model", anima_config(header, prefix), prefix, anima_table)
    model = ModelSpec(_NAME, network, LATENT, FlowRules(shift=3.0, multiplier=1.0))
    return Architecture(model, read_text(header, _ENCODERS, _TEXT), read_vae(header, LATENT))


def _comfy_names(_spec: ModelSpec) -> ComfyNames:
    return ComfyNames("Anima", "Anima", image_model=_NAME)


_LAYOUT = Layout(
    "time_embed.t_embedder.linear_1.weight",
    {
        "transformer": Part(_NAME, _PREFIXES[0], anima_table, own_key),
        "text_conditioner": Part(
            "text_conditioner", _PREFIXES[0] + _CONDITIONER, _same_table, own_key
        ),
        "text_encoder": Part("qwen3_06b", _TEXT["qwen3_06b"], language_table, own_language_key),
        "vae": VAE,
    },
)
_LORAS = (
    LoraMark(r"(^|[._])blocks.\d+.(cross|self)_attn.([qkv]|output)_proj", _NAME),
    LoraMark(r"(^|[._])blocks.\d+.adaln_modulation_(self_attn|cross_attn|mlp)", _NAME),
)
ANIMA = Family(
    _NAME,
    "Anima",
    recognises,
    read,
    (_LAYOUT,),
    (_ENCODERS,),
    _LORAS,
    networks=("nodes.models.networks.denoisers.anima:NETWORK",),
    comfy=_comfy_names,
    releases=(Release("Anima", CIRCLESTONE),),
)
