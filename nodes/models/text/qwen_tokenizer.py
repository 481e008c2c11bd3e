"""Qwen's tokenizer: byte pair encoding of bytes (Bai et al. 2023, arXiv:2309.16609, section 2.2).

The vocabularies are shipped as the two earlier tokens that each token is joined from; the first 256
are the bytes. Some tokens of Qwen3.5 are not joined of two: a model may write them, but no text is
read as one. `training/qwen_vocabulary.py` made the files.
"""

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
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
_MARKED_WORDS = _WORDS.replace(r"\p{L}+", r"[\p{L}\p{M}]+").replace(r"[^\s\p{L}", r"[^\s\p{L}\p{M}")
"""The same of Qwen3.5: marks, such as vowel signs, belong to words."""
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
QWEN3_5_SPECIAL = (
    *(*QWEN3_SPECIAL, "<|audio_start|>", "<|audio_end|>", "<tts_pad>", "<tts_text_bos>"),
    *("<tts_text_eod>", "<tts_text_bos_single>", "<|audio_pad|>"),
)
"""Those of Qwen3.5, from number 248,044 on."""


class QwenTokenizer:
    """Turns text into token ids; names of special tokens in it become those tokens."""

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        merges: Iterable[tuple[str, str]],
        special: Iterable[str] = (),
        words: str = _WORDS,
    ) -> None:
        """Make a tokenizer.

        Args:
            vocabulary: the number of each token, whose bytes are written as GPT-2's symbols.
            merges: the pairs that are joined, the most frequent ones first.
            special: tokens that are one whole each; those that the vocabulary lacks come after it.
            words: the regular expression of the parts of a text that are encoded alone.
        """
        self._tokenizer = Tokenizer(BPE(dict(vocabulary), list(merges)))
        self._tokenizer.normalizer = normalizers.NFC()
        split = pre_tokenizers.Split(Regex(words), behavior="isolated")
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
    return _tokenizer(vocabulary, merges, _Kind("qwen", QWEN2_SPECIAL))


def qwen3_tokenizer(vocabulary: str = "", merges: str = "") -> QwenTokenizer:
    """Return the tokenizer of a `vocab.json` and a `merges.txt` with Qwen3's special tokens.

    Without both it is that of Qwen3 and Qwen3-VL: 151,669 tokens.
    """
    return _tokenizer(vocabulary, merges, _Kind("qwen", QWEN3_SPECIAL))


def qwen3_5_tokenizer(vocabulary: str = "", merges: str = "") -> QwenTokenizer:
    """Return the tokenizer of a `vocab.json` and a `merges.txt` with Qwen3.5's special tokens.

    Without both it is that of Qwen3.5: 248,077 tokens.
    """
    return _tokenizer(vocabulary, merges, _Kind("qwen35", QWEN3_5_SPECIAL, _MARKED_WORDS))


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of tokenizer: its files, its special tokens, its words."""

    name: str
    """The start of the names of its files."""
    special: tuple[str, ...]
    words: str = _WORDS


def _tokenizer(vocabulary: str, merges: str, kind: _Kind) -> QwenTokenizer:
    if not vocabulary or not merges:
        return _shipped_tokenizer(kind)
    lines = (line for line in merges.split("\n") if line and not line.startswith("#version"))
    pairs = [cast("tuple[str, str]", tuple(line.split(" "))) for line in lines]
    numbers = cast("dict[str, int]", json.loads(vocabulary))
    return QwenTokenizer(numbers, pairs, kind.special, kind.words)


@cache
def _shipped_tokenizer(kind: _Kind) -> QwenTokenizer:
    return QwenTokenizer(*shipped_vocabulary(kind.name), kind.special, kind.words)


def shipped_vocabulary(name: str = "qwen") -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return the tokens of a vocabulary with their numbers, and the merges.

    Args:
        name: `qwen`, the 151,643 tokens of Qwen to Qwen3, or `qwen35`, the 248,044 of Qwen3.5.
    """
    assets = files("nodes.models.text").joinpath("assets")
    packed = assets.joinpath(f"{name}_merges.bin.gz").read_bytes()
    low, middle, high = (
        np.frombuffer(gzip.decompress(packed), np.uint8).reshape(2, 3, -1).swapaxes(0, 1)
    )
    numbers = low.astype(np.int32) | middle.astype(np.int32) << 8 | high.astype(np.int32) << 16
    symbols = byte_symbols()
    words, pairs = list(symbols.values()), list[tuple[str, str]]()
    whole = _whole_words(assets.joinpath(f"{name}_words.txt"))
    for first, second in cast("list[tuple[int, int]]", numbers.T.tolist()):
        if first == len(words):
            words.append("".join(symbols[byte] for byte in next(whole)))
            continue
        pairs.append((words[first], words[second]))
        words.append(words[first] + words[second])
    return {word: number for number, word in enumerate(words)}, pairs


def _whole_words(file: Traversable) -> Iterator[bytes]:
    """Yield the tokens that are not joined of two, in the order of their numbers."""
    if file.is_file():
        yield from file.read_bytes().removesuffix(b"\n").split(b"\n")
