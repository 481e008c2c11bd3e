"""Language models that encode texts: which one a file has, and its keys.

Their records are in `language_records.py`, their configurations in `language_config.py`. Files name
weights as transformers' causal models do (`model.layers.0.self_attn.q_proj.weight`), whether they
lie alone, below `text_encoders.<name>.transformer.` in a checkpoint, or in a folder of diffusers.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import cast

from nodes.models.families.base.errors import MissingTokenizerError
from nodes.models.families.base.language_records import LANGUAGE_MODELS, LanguageModel
from nodes.models.families.base.language_vision import VISION
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
EMBEDDING = "embed_tokens.weight"
"""The key of the token embedding below the root."""
_FIRST = "layers.0.self_attn.q_proj.weight", "layers.0.linear_attn.in_proj_qkv.weight"
FINAL_NORM = "norm.weight"
"""The network's own key of the norm after the last layer."""


def language_models(header: Header, prefix: str = "") -> tuple[LanguageModel, ...]:
    """Return the records that the language model below a prefix may be of, the likeliest first.

    There are several only if nothing in the file tells models of the same names apart; then the
    family that reads it has to. There is none if the file has no language model.

    Args:
        header: of the file.
        prefix: of all its keys, before the root.
    """
    root = prefix + ROOT
    if root + EMBEDDING not in header:
        return ()
    named = [
        each
        for each in LANGUAGE_MODELS
        if root + each.mark in header and not any(root + key in header for key in each.lacks)
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


def missing_tokenizer(path: Path, name: str) -> MissingTokenizerError:
    """Return the error that a file has a language model of this name without its tokenizer."""
    record = language_model_of(name)
    assert record, "no other encoder brings its tokenizer along"
    return MissingTokenizerError(path, name, record.tokenizer_files)


def language_model_names(header: Header, prefix: str = "") -> tuple[str, ...]:
    """Return the names that the language model below a prefix may have, the likeliest first.

    That of a size that no family reads says the width. There are several, or none, as of
    `language_models`.
    """
    may_be = language_models(header, prefix)
    if not may_be:
        return ()
    width = header.shape(prefix + ROOT + EMBEDDING)[-1]
    known = tuple(each.sizes[width] for each in may_be if width in each.sizes)
    return known or (f"a {may_be[0].title} of width {width}",)


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


def head_parts(words: int) -> int:
    """Return the number of equal parts that a head's words are in."""
    return next(count for count in (16, 8, 4, 2, 1) if words % count == 0)


def head_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of a head, whose parts are rows of one matrix."""
    parts = tuple(keys)
    source = Source(f"{prefix}weight", slots=len(parts))
    return {key: replace(source, slot=number) for number, key in enumerate(parts)}


def plain_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of a vision encoder alone, whose prefix is that of all its keys."""
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
    return any(
        root + EMBEDDING in header and any(root + each in header for each in _FIRST)
        for root in _OTHER_ROOTS
    )
