"""Key tables of encoders of texts and pictures: transformers' layout, OpenCLIP's, and T5's.

Language models have theirs in `language_models.py`.

OpenCLIP has query, key and value in one matrix, and the projection transposed.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from nodes.models.families.base.language_models import ROOT, language_table
from nodes.models.families.base.language_records import LANGUAGE_MODELS
from nodes.models.weights.key_table import Source

Table: TypeAlias = Callable[[Iterable[str], str], dict[str, Source]]
"""A function from a network's own keys and a prefix to its key table."""
T5 = "t5"
"""The kind of T5's network."""
LORA_NUMBERS: Mapping[str, tuple[str, ...]] = {
    "clip_l": ("", "1"),
    "clip_h": ("", "1"),
    "clip_g": ("2",),
    "t5xxl": ("2", "3"),
    **{name: ("", "1") for record in LANGUAGE_MODELS for name in record.sizes.values()},
}
"""The numbers of a text encoder in LoRAs: 1 or none for the first; 2 (FLUX) or 3 (SD3) for T5.

A number that CLIP and T5 share is not ambiguous, as their layers have different names.
"""
_LANGUAGE_KINDS = {record.kind for record in LANGUAGE_MODELS}
_OPEN_ENDS = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
}
_OPEN_VISION_ENDS = {
    "embeddings.class_embedding": "class_embedding",
    "embeddings.patch_embedding.weight": "conv1.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "pre_layrnorm.weight": "ln_pre.weight",
    "pre_layrnorm.bias": "ln_pre.bias",
    "post_layernorm.weight": "ln_post.weight",
    "post_layernorm.bias": "ln_post.bias",
}
_OPEN_PARTS = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
_LAYER = re.compile(r"encoder\.layers\.(?P<layer>\d+)\.(?P<part>.+)\.(?P<kind>weight|bias)")
_PROJECTION, _VISUAL_PROJECTION = "text_projection.weight", "visual_projection.weight"
_OPEN_PROJECTIONS = {_PROJECTION: "text_projection", _VISUAL_PROJECTION: "proj"}


def own_clip_key(key: str) -> str | None:
    """Return the network's key for a CLIP text encoder's key in a file of transformers."""
    return None if key.endswith("position_ids") else key.removeprefix("text_model.")


def own_t5_key(key: str) -> str | None:
    """Return the network's key for a T5 encoder's; the token embedding may be there twice."""
    if key == "encoder.embed_tokens.weight":
        return None
    return "embed_tokens.weight" if key == "shared.weight" else key.removeprefix("encoder.")


def clip_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of a CLIP text encoder in the layout of transformers before 5.

    Args:
        keys: the network's own.
        prefix: of every key of the file.
    """
    return {
        key: Source(f"{prefix}{'' if key == _PROJECTION else 'text_model.'}{key}") for key in keys
    }


def open_clip_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of a CLIP text encoder in OpenCLIP's layout."""
    return {key: _open_clip(key, prefix, _OPEN_ENDS) for key in keys}


def vision_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of a CLIP or SigLIP vision encoder in transformers' layout."""
    return {
        key: Source(f"{prefix}{'' if key == _VISUAL_PROJECTION else 'vision_model.'}{key}")
        for key in keys
    }


def open_vision_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of a CLIP vision encoder in OpenCLIP's layout, which is OpenAI's."""
    return {key: _open_clip(key, prefix, _OPEN_VISION_ENDS) for key in keys}


def t5_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of a T5 encoder."""
    return {
        key: Source(
            f"{prefix}{'shared.weight' if key == 'embed_tokens.weight' else f'encoder.{key}'}"
        )
        for key in keys
    }


def _open_clip(key: str, prefix: str, ends: Mapping[str, str]) -> Source:
    if key in _OPEN_PROJECTIONS:
        return Source(prefix + _OPEN_PROJECTIONS[key], "transpose")
    match = _LAYER.fullmatch(key)
    if not match:
        return Source(prefix + ends[key])
    block = f"{prefix}transformer.resblocks.{match['layer']}."
    part, kind = match["part"], match["kind"]
    if part in _OPEN_PARTS:
        return Source(f"{block}{_OPEN_PARTS[part]}.{kind}")
    slot = ("q_proj", "k_proj", "v_proj").index(part.removeprefix("self_attn."))
    return Source(f"{block}attn.in_proj_{kind}", slot=slot, slots=3)


def lone_table(kind: str) -> Table:
    """Return the table of a text encoder's file, in transformers' layout, by its kind."""
    if kind in _LANGUAGE_KINDS:
        return language_table
    return t5_table if kind == T5 else clip_table


def lora_paths(kind: str, path: str) -> tuple[str, ...]:
    """Return the paths of a text encoder's layer in LoRAs: before transformers 5, and since."""
    if kind in _LANGUAGE_KINDS:
        return (f"{ROOT}{path}", path)
    if kind == T5:
        return (f"encoder.{path}",)
    return (path,) if path == "text_projection" else (f"text_model.{path}", path)
