"""The configuration of a language model, read from the shapes of its weights."""

from collections.abc import Mapping, Sequence
from typing import Any

from nodes.models.families.base.language_models import EMBEDDING, ROOT
from nodes.models.families.base.language_records import LanguageModel
from nodes.models.families.base.shapes import overrides, shape_of
from nodes.models.weights.header import Header

_PART = "language model"
_QUERY = "layers.{}.self_attn.q_proj.weight"
_LINEAR_QUERY = "layers.{}.linear_attn.in_proj_qkv.weight"
_LINEAR, _FULL = "linear_attention", "full_attention"
_KEY_HEAD = "linear_key_head_dim"
_NUMBERS = 24
"""The numbers of 32 bits that linear attention computes with for each of its values; generous."""


def language_config(
    header: Header, prefix: str, record: LanguageModel, name: str
) -> dict[str, Any]:
    """Return the configuration of a language model, by its shapes.

    The number of heads follows from the width of one, which is that of the norms of queries where
    there are any. The metadata, or a folder's `config.json`, may replace the record's constants.

    Raises:
        MissingWeightsError: a tensor that the configuration is read from is missing.
        BadMetadataError: an override in the metadata has no meaning.
    """
    root = prefix + ROOT
    words, width = shape_of(header, root + EMBEDDING, _PART)
    stated = {
        key: value
        for part in (record.kind, name)
        for key, value in overrides(
            header, part, {*record.constants, "head_dim", _KEY_HEAD}
        ).items()
        if value is not None
    }
    types = _layer_types(header, root)
    attention = f"{root}layers.{types.index(_FULL) if _FULL in types else 0}.self_attn."
    norm = attention + "q_norm.weight"
    head = header.shape(norm)[0] if norm in header else stated.get("head_dim", record.head)
    queries = shape_of(header, f"{attention}q_proj.weight", _PART)[0]
    linear = _linear_config(header, root, types) if _LINEAR in types else {}
    return {
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": shape_of(header, f"{root}layers.0.mlp.gate_proj.weight", _PART)[0],
        "num_hidden_layers": len(types),
        "num_attention_heads": queries // (2 * head if record.gated else head),
        "num_key_value_heads": shape_of(header, f"{attention}k_proj.weight", _PART)[0] // head,
        **record.constants,
        **linear,
        **stated,
        "head_dim": head,
    }


def _layer_types(header: Header, root: str) -> list[str]:
    """Return the kind of attention of each layer, in transformers' words."""
    types: list[str] = []
    while True:
        full, linear = (root + key.format(len(types)) in header for key in (_QUERY, _LINEAR_QUERY))
        if not full and not linear:
            return types
        types.append(_FULL if full else _LINEAR)


def _linear_config(header: Header, root: str, types: list[str]) -> dict[str, Any]:
    """Return the entries about layers with linear attention, as the first one has them.

    Keys have heads as wide as those of values, unless the metadata says otherwise.
    """
    attention = f"{root}layers.{types.index(_LINEAR)}.linear_attn."
    head = shape_of(header, f"{attention}norm.weight", _PART)[0]
    channels, _, kernel = shape_of(header, f"{attention}conv1d.weight", _PART)
    heads = shape_of(header, f"{attention}A_log", _PART)[0]
    return {
        "layer_types": types,
        "linear_conv_kernel_dim": kernel,
        "linear_value_head_dim": head,
        "linear_num_value_heads": heads,
        _KEY_HEAD: head,
        "linear_num_key_heads": (channels - heads * head) // 2 // head,
    }


def keeping_layers(config: Mapping[str, Any]) -> int:
    """Return the number of layers that keep keys and values of all tokens."""
    layers: int = config["num_hidden_layers"]
    return layers - _linear_layers(config)


def linear_bytes(config: Mapping[str, Any], tokens: int) -> int:
    """Return the bytes that linear attention takes; 0 if a language model has none.

    Each layer keeps a state whose size does not depend on the text; the others are what one layer
    computes with.

    Args:
        config: as `language_config` returns it.
        tokens: of a pass.
    """
    layers = _linear_layers(config)
    if not layers:
        return 0
    values: int = config["linear_num_value_heads"] * config["linear_value_head_dim"]
    keys: int = config["linear_num_key_heads"] * config[_KEY_HEAD]
    state = values * config[_KEY_HEAD] + (values + 2 * keys) * config["linear_conv_kernel_dim"]
    return 4 * (layers * state + tokens * values * _NUMBERS)


def _linear_layers(config: Mapping[str, Any]) -> int:
    types: Sequence[str] = config.get("layer_types", ())
    return types.count(_LINEAR)
