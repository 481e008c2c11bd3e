"""Qwen's tokenizer: byte pair encoding of bytes (Bai et al. 2023, arXiv:2309.16609, section 2.2).

The vocabulary is shipped as the two earlier tokens that each token is joined from; the first 256
are the bytes. `training/qwen_vocabulary.py` made the file.
"""

import gzip
import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import cast

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE

from nodes.models.text.clip_tokenizer import byte_symbols

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Contractions, words, single digits, punctuation, ends of lines and blanks."""
QWEN2_SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>"),
    *("<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>"),
    *("<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>", "<tool_call>"),
    *("</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>"),
    *("<|repo_name|>", "<|file_sep|>"),
)
"""The special tokens of Qwen2.5, from number 151,643 on, by its `tokenizer_config.json`."""
QWEN3_SPECIAL = (*QWEN2_SPECIAL, "<tool_response>", "</tool_response>", "<think>", "</think>")
"""Those of Qwen3."""


class QwenTokenizer:
    """Turns text into token ids; names of special tokens in it become those tokens."""

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        merges: Iterable[tuple[str, str]],
        special: Iterable[str] = (),
    ) -> None:
        """Make a tokenizer.

        Args:
            vocabulary: the number of each token, whose bytes are written as GPT-2's symbols.
            merges: the pairs that are joined, the most frequent ones first.
            special: tokens that are one whole each; those that the vocabulary lacks come after it.
        """
        self._tokenizer = Tokenizer(BPE(dict(vocabulary), list(merges)))
        self._tokenizer.normalizer = normalizers.NFC()
        split = pre_tokenizers.Split(Regex(_WORDS), behavior="isolated")
        as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        self._tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, as_bytes])
        add = cast("Callable[[list[AddedToken]], int]", self._tokenizer.add_tokens)
        self._special = tuple(special)
        add([AddedToken(name, normalized=False) for name in self._special])

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without any that it does not itself name."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def bytes_of(self, number: int) -> bytes:
        """Return the bytes that a token stands for in UTF-8; none of one that marks something.

        Those that mark thoughts and calls of tools are text, as in transformers.
        """
        token = self._tokenizer.id_to_token(number)
        if token is None:
            return b""
        if token in self._special:
            return b"" if token.startswith("<|") else token.encode()
        return bytes(_symbol_bytes()[symbol] for symbol in token)


@cache
def _symbol_bytes() -> dict[str, int]:
    return {symbol: byte for byte, symbol in byte_symbols().items()}


def qwen2_tokenizer(vocabulary: str = "", merges: str = "") -> QwenTokenizer:
    """Return the tokenizer of a `vocab.json` and a `merges.txt` with Qwen2.5's special tokens.

    Without both it is that of Qwen2.5 and Qwen2.5-VL: 151,665 tokens.
    """
    return (
        _from_texts(vocabulary, merges, QWEN2_SPECIAL)
        if vocabulary and merges
        else _shipped_tokenizer(QWEN2_SPECIAL)
    )


def qwen3_tokenizer(vocabulary: str = "", merges: str = "") -> QwenTokenizer:
    """Return the tokenizer of a `vocab.json` and a `merges.txt` with Qwen3's special tokens.

    Without both it is that of Qwen3 and Qwen3-VL: 151,669 tokens.
    """
    return (
        _from_texts(vocabulary, merges, QWEN3_SPECIAL)
        if vocabulary and merges
        else _shipped_tokenizer(QWEN3_SPECIAL)
    )


@cache
def _shipped_tokenizer(special: tuple[str, ...]) -> QwenTokenizer:
    return QwenTokenizer(*shipped_vocabulary(), special)


def _from_texts(vocabulary: str, merges: str, special: tuple[str, ...]) -> QwenTokenizer:
    lines = (line for line in merges.split("\n") if line and not line.startswith("#version"))
    pairs = [cast("tuple[str, str]", tuple(line.split(" "))) for line in lines]
    return QwenTokenizer(cast("dict[str, int]", json.loads(vocabulary)), pairs, special)


def shipped_vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return the 151,643 tokens of all Qwen models with their numbers, and the merges."""
    packed = files("nodes.models.text").joinpath("assets", "qwen_merges.bin.gz").read_bytes()
    low, middle, high = (
        np.frombuffer(gzip.decompress(packed), np.uint8).reshape(2, 3, -1).swapaxes(0, 1)
    )
    numbers = low.astype(np.int32) | middle.astype(np.int32) << 8 | high.astype(np.int32) << 16
    words, pairs = list(byte_symbols().values()), list[tuple[str, str]]()
    for first, second in cast("list[tuple[int, int]]", numbers.T.tolist()):
        pairs.append((words[first], words[second]))
        words.append(words[first] + words[second])
    return {word: number for number, word in enumerate(words)}, pairs
