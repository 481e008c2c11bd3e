"""Language models that encode texts: one record for each architecture, in all its sizes.

A record is all that a language model needs to be read, run, saved and changed by LoRAs. Files name
weights as transformers' causal models do (`model.layers.0.self_attn.q_proj.weight`), whether they
lie alone, below `text_encoders.<name>.transformer.` in a checkpoint, or in a folder of diffusers.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, cast

from nodes.models.families.base.language_vision import (
    QWEN2_5_VISION,
    QWEN3_VISION,
    VISION,
    VisionModel,
)
from nodes.models.families.base.shapes import count, overrides, shape_of
from nodes.models.families.base.spec import EncoderName
from nodes.models.weights.errors import BadMetadataError
from nodes.models.weights.header import Header, read_bytes
from nodes.models.weights.key_table import Source

ROOT = "model."
"""The start of a language model's keys in the layout that is read and written."""
_OTHER_ROOTS = ("model.language_model.", "language_model.model.", "language_model.", "")
"""The same in others: beside a vision encoder, or in a file of the bare model."""
_OWN_PARTS = ("embed_tokens.", "layers.", "norm.")
_VISION_ROOTS = ("model.visual.", VISION)
HEAD = "lm_head."
"""The start of the keys of the head that predicts words, in files that have one."""
_EMBEDDING, _QUERY = "embed_tokens.weight", "layers.0.self_attn.q_proj.weight"
_QUERY_NORM = "layers.0.self_attn.q_norm.weight"
_SECOND_NORM = "layers.0.post_feedforward_layernorm.weight"
_PART = "language model"

_ENDS = "<|im_end|>", "<|endoftext|>"


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """One architecture of language model whose hidden states families read."""

    kind: str
    """The name of its class of network; see `NetworkSpec`."""
    title: str
    """Its name for people."""
    model: str
    """The class in transformers, as `module:attribute`."""
    config: str
    """The class of its configuration, likewise."""
    sizes: Mapping[int, EncoderName]
    """The names of its text encoders, by the width of their states."""
    mark: str
    """A key below the root that tells it from the others."""
    tokenizer: str
    """The function that makes its tokenizer; see `TextRules`."""
    vocabulary: int
    """The rows of the token embedding of a model with that tokenizer."""
    pad: tuple[str, int]
    """The token that fills up a text, and its number in that tokenizer."""
    constants: Mapping[str, Any]
    """The entries of the configuration that shapes do not tell, of all published sizes."""
    lacks: str = ""
    """A key below the root that others have, besides the mark."""
    head: int = 128
    """The width of an attention head, where no norm of queries tells it."""
    start: int | None = None
    """The number of the token that texts start with; None if there is none."""
    tokenizer_files: Mapping[str, str] = field(default_factory=dict[str, str])
    """The files of a tokenizer that does not ship here, by the tensors with the same bytes.

    A file of weights has such a tensor, or such a file beside it; the first is taken.
    """
    scales_embedding: bool = False
    """True if the embeddings are multiplied by the root of their width."""
    coordinates: int = 1
    """The numbers of a position: 3 in models that see pictures, equal ones for text."""
    eyes: str = ""
    """A key of its vision encoder that tells it from a model whose weights have the same names."""
    architecture: str = ""
    """Its name in files of llama.cpp, which have no vision encoder."""
    vision: VisionModel | None = None
    """The vision encoder that files may have beside it."""
    ends: tuple[str, ...] = ()
    """The tokens that end a text that it writes; empty if it writes none here."""
    system: str = ""
    """The message that begins its chats, where a user gives none; empty if there is none."""
    thinks: bool = False
    """True if it writes down its thoughts before an answer, unless an empty thought is given."""
    picture: tuple[str, int] = ("<|image_pad|>", 151_655)
    """The token in whose place a picture's tokens are read, and its number in that tokenizer."""


QWEN3 = LanguageModel(
    kind="qwen3",
    title="Qwen3",
    model="transformers.models.qwen3.modeling_qwen3:Qwen3Model",
    config="transformers.models.qwen3.configuration_qwen3:Qwen3Config",
    sizes={1024: "qwen3_06b", 2560: "qwen3_4b", 4096: "qwen3_8b"},
    mark=_QUERY_NORM,
    lacks=_SECOND_NORM,
    tokenizer="nodes.models.text.qwen_tokenizer:qwen3_tokenizer",
    vocabulary=151_936,
    pad=("<|endoftext|>", 151_643),
    constants={
        "rope_theta": 1_000_000.0,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "max_position_embeddings": 40_960,
    },
    architecture="qwen3",
    thinks=True,
    ends=_ENDS,
)
"""Yang et al. 2025, arXiv:2505.09388; the constants are those of `config.json` of all sizes."""
QWEN2_5_VL = LanguageModel(
    kind="qwen2_5_vl",
    title="Qwen2.5-VL",
    model="transformers.models.qwen2_5_vl.modeling_qwen2_5_vl:Qwen2_5_VLTextModel",
    config="transformers.models.qwen2_5_vl.configuration_qwen2_5_vl:Qwen2_5_VLTextConfig",
    sizes={3584: "qwen2_5_vl_7b"},
    mark="layers.0.self_attn.q_proj.bias",
    tokenizer="nodes.models.text.qwen_tokenizer:qwen2_tokenizer",
    vocabulary=152_064,
    pad=("<|endoftext|>", 151_643),
    constants={
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1_000_000.0,
            "mrope_section": [16, 24, 24],
        },
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "max_position_embeddings": 128_000,
    },
    coordinates=3,
    vision=QWEN2_5_VISION,
    system="You are a helpful assistant.",
    ends=_ENDS,
)
"""The language part of Qwen2.5-VL (Bai et al. 2025, arXiv:2502.13923)."""
QWEN3_VL = LanguageModel(
    kind="qwen3_vl",
    title="Qwen3-VL",
    model="transformers.models.qwen3_vl.modeling_qwen3_vl:Qwen3VLTextModel",
    config="transformers.models.qwen3_vl.configuration_qwen3_vl:Qwen3VLTextConfig",
    sizes={2560: "qwen3_vl_4b", 4096: "qwen3_vl_8b"},
    mark=_QUERY_NORM,
    lacks=_SECOND_NORM,
    tokenizer="nodes.models.text.qwen_tokenizer:qwen3_tokenizer",
    vocabulary=151_936,
    pad=("<|endoftext|>", 151_643),
    constants={
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 5_000_000.0,
            "mrope_section": [24, 20, 20],
        },
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "max_position_embeddings": 262_144,
    },
    coordinates=3,
    vision=QWEN3_VISION,
    eyes="deepstack_merger_list.0.norm.weight",
    architecture="qwen3vl",
    ends=_ENDS,
)
"""The language part of Qwen3-VL (Bai et al. 2025, arXiv:2511.21631).

Its weights have the names and the shapes of Qwen3's, but its positions turn more slowly.
"""
GEMMA2 = LanguageModel(
    kind="gemma2",
    title="Gemma 2",
    model="transformers.models.gemma2.modeling_gemma2:Gemma2Model",
    config="transformers.models.gemma2.configuration_gemma2:Gemma2Config",
    sizes={2304: "gemma2_2b"},
    mark=_SECOND_NORM,
    lacks=_QUERY_NORM,  # Gemma 3 has it
    tokenizer="nodes.models.text.gemma_tokenizer:gemma_tokenizer",
    vocabulary=256_000,
    pad=("<pad>", 0),
    head=256,
    start=2,
    tokenizer_files={"spiece_model": "tokenizer.model", "tokenizer_json": "tokenizer.json"},
    constants={
        "rope_theta": 10_000.0,
        "rms_norm_eps": 1e-6,
        "hidden_activation": "gelu_pytorch_tanh",
        "max_position_embeddings": 8_192,
        "query_pre_attn_scalar": 256,
        "attn_logit_softcapping": 50.0,
        "sliding_window": 4_096,
    },
    scales_embedding=True,
)
"""Gemma Team 2024, arXiv:2408.00118; the constants are those of `config.json` of the size 2B."""
LANGUAGE_MODELS = (QWEN3, QWEN2_5_VL, QWEN3_VL, GEMMA2)
"""Every record; of those whose mark a file has, the first one is the likeliest."""


def language_models(header: Header, prefix: str = "") -> tuple[LanguageModel, ...]:
    """Return the records that the language model below a prefix may be of, the likeliest first.

    There are several only if nothing in the file tells models of the same names apart; then the
    family that reads it has to. There is none if the file has no language model.

    Args:
        header: of the file.
        prefix: of all its keys, before the root.
    """
    root = prefix + ROOT
    if root + _EMBEDDING not in header:
        return ()
    named = [
        each
        for each in LANGUAGE_MODELS
        if root + each.mark in header and not (each.lacks and root + each.lacks in header)
    ]
    told = [each for each in named if _is_told(each, header, prefix)]
    return tuple(told or named)


def _is_told(record: LanguageModel, header: Header, prefix: str) -> bool:
    """Return True if the file says more of a model than the names of its weights."""
    if record.architecture and header.metadata.get("general.architecture") == record.architecture:
        return True
    return bool(record.eyes) and any(
        f"{prefix}{root}{record.eyes}" in header for root in _VISION_ROOTS
    )


def find_language_model(
    header: Header, prefix: str = "", name: EncoderName = ""
) -> LanguageModel | None:
    """Return the record of the language model below a prefix; None if there is none.

    Args:
        header: of the file.
        prefix: of all its keys, before the root.
        name: of the encoder that is to be read; the record is that of this name, if it may be.
    """
    may_be = language_models(header, prefix)
    wanted = (each for each in may_be if name in each.sizes.values())
    return next(chain(wanted, may_be), None)


def language_model_of(name: str) -> LanguageModel | None:
    """Return the record that an encoder's name belongs to; None for CLIP and T5."""
    return next((each for each in LANGUAGE_MODELS if name in each.sizes.values()), None)


def language_model_names(header: Header, prefix: str = "") -> tuple[str, ...]:
    """Return the names that the language model below a prefix may have, the likeliest first.

    That of a size that no family reads says the width. There are several, or none, as of
    `language_models`.
    """
    may_be = language_models(header, prefix)
    if not may_be:
        return ()
    width = header.shape(prefix + ROOT + _EMBEDDING)[-1]
    known = tuple(each.sizes[width] for each in may_be if width in each.sizes)
    return known or (f"a {may_be[0].title} of width {width}",)


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
    words, width = shape_of(header, root + _EMBEDDING, _PART)
    stated = {
        key: value
        for part in (record.kind, name)
        for key, value in overrides(header, part, {*record.constants, "head_dim"}).items()
        if value is not None
    }
    attention = root + "layers.0.self_attn."
    norm = attention + "q_norm.weight"
    head = header.shape(norm)[0] if norm in header else stated.get("head_dim", record.head)
    return {
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": shape_of(header, f"{root}layers.0.mlp.gate_proj.weight", _PART)[0],
        "num_hidden_layers": count(header, root + "layers.{}.self_attn.q_proj.weight"),
        "num_attention_heads": shape_of(header, f"{attention}q_proj.weight", _PART)[0] // head,
        "num_key_value_heads": shape_of(header, f"{attention}k_proj.weight", _PART)[0] // head,
        **record.constants,
        **stated,
        "head_dim": head,
    }


def token_number(header: Header, record: LanguageModel, token: tuple[str, int]) -> int:
    """Return the number of a special token, in the file's own vocabulary if it brings one.

    There, special tokens that the vocabulary lacks come after it, the padding token first.

    Args:
        header: of the file.
        record: of the language model.
        token: its name, and its number in the record's tokenizer.

    Raises:
        BadMetadataError: the vocabulary is not a JSON object.
    """
    name, number = token
    text = header.metadata.get("tokenizer.vocab")
    if record.tokenizer_files or not text:
        return number
    try:
        vocabulary: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadMetadataError(header.path, "'tokenizer.vocab' is not JSON") from error
    if not isinstance(vocabulary, dict):
        raise BadMetadataError(header.path, "'tokenizer.vocab' is not a JSON object")
    numbers = cast("dict[str, int]", vocabulary)
    return numbers.get(name, len(numbers) + number - record.pad[1])


def brought_tokenizer(header: Header, record: LanguageModel) -> tuple[str, str]:
    """Return the tokenizer that a file of weights brings along: its tensor, and its text.

    It is looked for in the file, then in files beside it; in a folder of diffusers in `tokenizer`.
    The text is empty if there is none.
    """
    folder = header.path / "tokenizer" if header.path.is_dir() else header.path.parent
    for tensor in record.tokenizer_files:
        key = next((key for key in header.tensors if f".{key}".endswith(f".{tensor}")), None)
        if key is not None:
            return tensor, read_bytes(header, key).decode("latin-1")
    for tensor, name in record.tokenizer_files.items():
        if (folder / name).is_file():
            return tensor, (folder / name).read_bytes().decode("latin-1")
    return next(iter(record.tokenizer_files), ""), ""


def language_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of a language model, and of the vision encoder and head beside it."""
    beside = (VISION, HEAD)
    return {key: Source(prefix + (key if key.startswith(beside) else ROOT + key)) for key in keys}


def plain_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of a vision encoder or a head alone, whose prefix is all of theirs."""
    return {key: Source(prefix + key) for key in keys}


def own_language_key(key: str) -> str | None:
    """Return the network's key for a language model's, in any layout; None for other weights.

    A vision encoder's keys begin with `VISION`, and those of the head with `HEAD`.
    """
    if key.startswith(HEAD):
        return key
    for root in _VISION_ROOTS:
        if key.startswith(root):
            return VISION + key.removeprefix(root)
    for root in (*_OTHER_ROOTS[:-1], ROOT, ""):
        below = key.removeprefix(root)
        if key.startswith(root) and below.startswith(_OWN_PARTS):
            return below
    return None


def has_other_root(header: Header) -> bool:
    """Return True for a language model whose keys do not begin with the root."""
    return any(root + _EMBEDDING in header and root + _QUERY in header for root in _OTHER_ROOTS)
