"""The text encoders of a checkpoint: found by their keys, configured from their shapes.

A family file calls `read_text` with its encoder set and the prefix of each encoder's keys:

    text = read_text(header, _ENCODERS, {
        "clip_l": "conditioner.embedders.0.transformer.",
        "clip_g": "conditioner.embedders.1.model.",
    })

The keys tell the layout (transformers' or OpenCLIP's); language models have records of their own
in `language_models.py`. The result, for `Architecture.text`, is a
`TextSpec` with the encoders that the file has, or None if it has none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from nodes.models.families.base.encoder_keys import T5, clip_table, open_clip_table, t5_table
from nodes.models.families.base.language_config import language_config
from nodes.models.families.base.language_models import (
    FINAL_NORM,
    HEAD,
    brought_tokenizer,
    find_language_model,
    head_table,
    language_model_names,
    language_table,
    plain_table,
    token_number,
)
from nodes.models.families.base.language_records import LanguageModel
from nodes.models.families.base.language_vision import VISION, vision_config
from nodes.models.families.base.shapes import count, overrides, shape_of
from nodes.models.families.base.spec import (
    EncoderName,
    EncoderSpec,
    HiddenStatePolicy,
    NetworkSpec,
    TextEncoderSet,
    TextRules,
    TextSpec,
)
from nodes.models.weights.header import Header

_PART = "text encoder"
_HF = {
    "embedding": "text_model.embeddings.token_embedding.weight",
    "positions": "text_model.embeddings.position_embedding.weight",
    "mlp": "text_model.encoder.layers.{}.mlp.fc1.weight",
    "projection": "text_projection.weight",
}
_OPEN = {
    "embedding": "token_embedding.weight",
    "positions": "positional_embedding",
    "mlp": "transformer.resblocks.{}.mlp.c_fc.weight",
    "projection": "text_projection",
}
_WIDTHS: Mapping[int, EncoderName] = {768: "clip_l", 1024: "clip_h", 1280: "clip_g"}
_H_LAYERS = 24
_T5_EMBEDDING, _T5_WIDTH = "shared.weight", 4096
_T5_END, _T5_PAD = 1, 0
T5_RULES = TextRules(
    length=None,
    start=None,
    end=_T5_END,
    pad=_T5_PAD,
    tokenizer="nodes.models.text.t5_tokenizer:t5_tokenizer",
)
"""The rules of T5's tokens."""
_ENCODER_ENTRIES = frozenset({"num_attention_heads", "hidden_act"})
_METADATA_ENTRIES = _ENCODER_ENTRIES | {"bos_token_id", "eos_token_id", "pad_token_id"}
"""The entries of the configuration that the metadata may set: one encoder's, and all CLIPs'."""
PENULTIMATE = HiddenStatePolicy(layers=(-2,), final_norm=False)


def read_text(
    header: Header, encoder_set: TextEncoderSet, prefixes: Mapping[EncoderName, str | Sequence[str]]
) -> TextSpec | None:
    """Return the text encoders of a file, in the order of the encoder set.

    Args:
        header: of the file.
        encoder_set: the family's.
        prefixes: those that each encoder's keys may have, by its name.

    Raises:
        MissingWeightsError: an encoder is incomplete.
        BadMetadataError: an override in the metadata has no meaning.
    """
    found: list[EncoderSpec] = []
    for name, policy in encoder_set.policies.items():
        options = prefixes.get(name, ())
        for prefix in (options,) if isinstance(options, str) else options:
            if has_encoder(header, prefix):
                found.append(read_encoder(header, prefix, name, policy))
                break
    return TextSpec(tuple(found), encoder_set) if found else None


def has_encoder(header: Header, prefix: str) -> bool:
    """Return True if the file has a text encoder's keys below the prefix."""
    marks = (_HF["embedding"], _OPEN["embedding"], _T5_EMBEDDING)
    known = any(prefix + mark in header for mark in marks)
    return known or find_language_model(header, prefix) is not None


def encoder_names(header: Header, prefix: str = "") -> tuple[EncoderName, ...]:
    """Return the names that the text encoder below a prefix may have, the likeliest first.

    The width tells one CLIP from another, and the sizes of a language model; two language models
    may have the same weights' names and sizes. There is no name if there is no known encoder.
    """
    if languages := language_model_names(header, prefix):
        return languages
    name = _encoder_name(header, prefix)
    return () if name is None else (name,)


def _encoder_name(header: Header, prefix: str) -> EncoderName | None:
    if prefix + _T5_EMBEDDING in header:
        return "t5xxl" if header.shape(prefix + _T5_EMBEDDING)[-1:] == (_T5_WIDTH,) else None
    words = next(
        (
            prefix + mark
            for mark in (_HF["embedding"], _OPEN["embedding"])
            if prefix + mark in header
        ),
        "",
    )
    return _WIDTHS.get(header.shape(words)[-1]) if words else None


def read_encoder(
    header: Header, prefix: str, name: EncoderName, policy: HiddenStatePolicy
) -> EncoderSpec:
    """Return one text encoder, from its shapes and the metadata's overrides.

    Raises:
        MissingWeightsError: a tensor that the configuration is read from is missing.
        BadMetadataError: an override in the metadata has no meaning.
    """
    if name == "clip_h" and _lacks_last(header, prefix):
        policy = replace(policy, layers=(-1,))
    if record := find_language_model(header, prefix, name):
        return _language_encoder(header, prefix, name, record, policy)
    if name == "t5xxl":
        config, kind, table = t5_config(header, prefix), T5, t5_table
    elif prefix + _OPEN["embedding"] in header:
        config, kind, table = clip_config(header, prefix, name), "clip", open_clip_table
    else:
        config, kind, table = clip_config(header, prefix, name), "clip", clip_table
    network = NetworkSpec(kind, name, config, prefix, table, rounds_patched=True)
    return EncoderSpec(network, _rules(_token_rules(header, config), policy))


def _language_encoder(
    header: Header,
    prefix: str,
    name: EncoderName,
    record: LanguageModel,
    policy: HiddenStatePolicy,
) -> EncoderSpec:
    config = language_config(header, prefix, record, name)
    network = NetworkSpec(
        record.kind,
        name,
        config,
        prefix,
        language_table,
        rounds_patched=True,
        optional=(FINAL_NORM,) if record.ends_early else (),
    )
    vocabulary, merges = _own_tokenizer(header)
    vision = _vision(header, prefix, name, record)
    tensor = ""
    if record.tokenizer_files:
        tensor, vocabulary = brought_tokenizer(header, record)
    rules = TextRules(
        length=None,
        start=record.start,
        end=None,
        pad=token_number(header, record, record.pad),
        picture=token_number(header, record, record.picture) if vision else None,
        keeps_lines=True,
        tokenizer=record.tokenizer,
        vocabulary=vocabulary,
        merges=merges,
        vocabulary_tensor=tensor,
    )
    head = _head(header, prefix + HEAD, name)
    return EncoderSpec(network, _rules(rules, policy), vision, head)


def _head(header: Header, root: str, name: EncoderName) -> NetworkSpec | None:
    """Return the head of a language model that predicts words; None if its embedding does."""
    if f"{root}weight" not in header:
        return None
    words, width = header.shape(f"{root}weight")
    return NetworkSpec(
        "word_head", f"{name}.head", {"words": words, "width": width}, root, head_table
    )


def _vision(
    header: Header, prefix: str, name: EncoderName, record: LanguageModel
) -> NetworkSpec | None:
    """Return the vision encoder beside a language model; None if the file has none."""
    if record.vision is None:
        return None
    root = prefix + VISION
    config = vision_config(header, root, record.vision, name)
    if config is None:
        return None
    return NetworkSpec(record.vision.kind, f"{name}.vision", config, root, plain_table)


def _lacks_last(header: Header, prefix: str) -> bool:
    """Return True for CLIP-H without its last layer, which no model reads and diffusers drops."""
    layers = count(header, prefix + _HF["mlp"])
    return bool(header.own.get(prefix)) or layers == _H_LAYERS - 1


def clip_config(header: Header, prefix: str, name: EncoderName = "clip_l") -> dict[str, Any]:
    """Return the configuration of a CLIP text encoder, in either layout.

    Heads are 64 wide; start and end are the last two tokens; CLIP-L pads with the end token, the
    others with 0. It has a `projection_dim` if the file has a projection.
    """
    parts = _OPEN if prefix + _OPEN["embedding"] in header else _HF
    words, width = shape_of(header, prefix + parts["embedding"], _PART)
    projection = prefix + parts["projection"]
    original = name == "clip_l"
    projected = {"projection_dim": width} if projection in header else {}
    return {
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": shape_of(header, prefix + parts["mlp"].format(0), _PART)[0],
        "num_hidden_layers": count(header, prefix + parts["mlp"]),
        "num_attention_heads": max(1, width // 64),
        "max_position_embeddings": shape_of(header, prefix + parts["positions"], _PART)[0],
        "hidden_act": "quick_gelu" if original else "gelu",
        "bos_token_id": words - 2,
        "eos_token_id": words - 1,
        "pad_token_id": words - 1 if original else 0,
        **projected,
        **overrides(header, "clip", _METADATA_ENTRIES),
        **overrides(header, name, _ENCODER_ENTRIES),
    }


def t5_config(header: Header, prefix: str) -> dict[str, Any]:
    """Return the configuration of a T5 v1.1 encoder."""
    words, width = shape_of(header, prefix + _T5_EMBEDDING, _PART)
    block = prefix + "encoder.block.{}.layer.0.SelfAttention."
    bias = shape_of(header, f"{block.format(0)}relative_attention_bias.weight", _PART)
    mlp = f"{prefix}encoder.block.0.layer.1.DenseReluDense.wi_0.weight"
    return {
        "vocab_size": words,
        "d_model": width,
        "d_kv": shape_of(header, f"{block.format(0)}q.weight", _PART)[0] // bias[1],
        "d_ff": shape_of(header, mlp, _PART)[0],
        "num_layers": count(header, f"{block}q.weight"),
        "num_heads": bias[1],
        "relative_attention_num_buckets": bias[0],
        "feed_forward_proj": "gated-gelu",
    }


def _rules(tokens: TextRules, policy: HiddenStatePolicy) -> TextRules:
    """Return the rules of an encoder's tokens with those of a family's states."""
    return replace(tokens, **{each.name: getattr(policy, each.name) for each in fields(policy)})


def _own_tokenizer(header: Header) -> tuple[str, str]:
    """Return the vocabulary and the merges that a file brings along; empty if it has none."""
    metadata = header.metadata
    return metadata.get("tokenizer.vocab", ""), metadata.get("tokenizer.merges", "")


def _token_rules(header: Header, config: Mapping[str, Any]) -> TextRules:
    if "d_model" in config:
        return T5_RULES
    vocabulary, merges = _own_tokenizer(header)
    return TextRules(
        length=config["max_position_embeddings"],
        start=config["bos_token_id"],
        end=config["eos_token_id"],
        pad=config["pad_token_id"],
        vocabulary=vocabulary,
        merges=merges,
    )
