"""CLIP's tokenizer: byte-pair encoding over words (Sennrich et al. 2016, arXiv:1508.07909).

Text is prepared as transformers 4 does without ftfy (its BERT-style basic tokenizer), which is
what most users of these models have: control and format characters are dropped, CJK characters
stand alone, everything is NFC and lower case.
"""

import gzip
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from itertools import pairwise
from typing import cast

START = "<|startoftext|>"
END = "<|endoftext|>"
_SPECIAL = re.compile(rf"\s*({re.escape(START)}|{re.escape(END)})\s*")
_CONTRACTION = re.compile(r"'(?:s|t|re|ve|m|ll|d)", re.IGNORECASE)
_CJK = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
_WORD_END = "</w>"


class ClipTokenizer:
    """Turns text into token ids, without start, end or padding."""

    def __init__(self, vocabulary: Mapping[str, int], merges: Iterable[tuple[str, str]]) -> None:
        self._ids = vocabulary
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._unknown = vocabulary[END]
        self._word = lru_cache(maxsize=10_000)(self._encode_word)

    @classmethod
    def from_texts(cls, vocabulary: str, merges: str) -> "ClipTokenizer":
        """Make a tokenizer from the contents of a `vocab.json` and a `merges.txt`."""
        lines = (line for line in merges.split("\n") if line and not line.startswith("#version"))
        return cls(cast("dict[str, int]", json.loads(vocabulary)), _pairs(lines))

    @classmethod
    @cache
    def clip(cls) -> "ClipTokenizer":
        """Return the tokenizer that all CLIP models were trained with: 49,408 tokens."""
        packed = files("nodes.models.text").joinpath("assets", "clip_merges.txt.gz").read_bytes()
        merges = list(_pairs(gzip.decompress(packed).decode().splitlines()))
        symbols = list(byte_symbols().values())
        words = [*symbols, *(s + _WORD_END for s in symbols), *(a + b for a, b in merges)]
        return cls({word: n for n, word in enumerate([*words, START, END])}, merges)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; names of special tokens in it become those tokens."""
        ids: list[int] = []
        for n, part in enumerate(_SPECIAL.split(text)):
            if n % 2:
                ids.append(self._ids[part])
            else:
                ids.extend(i for word in _words(_prepare(part)) for i in self._word(word))
        return ids

    def _encode_word(self, word: str) -> tuple[int, ...]:
        symbols = byte_symbols()
        parts = [symbols[byte] for byte in word.encode()]
        parts[-1] += _WORD_END
        return tuple(self._ids.get(part, self._unknown) for part in self._merge(parts))

    def _merge(self, parts: list[str]) -> list[str]:
        """Join neighbours, the earliest learned pair first, until none is known."""
        while len(parts) > 1:
            pairs = set(pairwise(parts))
            best = min(pairs, key=lambda pair: self._ranks.get(pair, len(self._ranks)))
            if best not in self._ranks:
                break
            parts = _join(parts, best)
        return parts


def clip_tokenizer(vocabulary: str = "", merges: str = "") -> ClipTokenizer:
    """Return the tokenizer of a `vocab.json` and a `merges.txt`, or CLIP's own without both."""
    if vocabulary and merges:
        return ClipTokenizer.from_texts(vocabulary, merges)
    return ClipTokenizer.clip()


def _join(parts: Sequence[str], pair: tuple[str, str]) -> list[str]:
    """Replace every occurrence of the pair, from the left, by its two halves in one."""
    joined: list[str] = []
    n = 0
    while n < len(parts):
        if tuple(parts[n : n + 2]) == pair:
            joined.append(pair[0] + pair[1])
            n += 2
        else:
            joined.append(parts[n])
            n += 1
    return joined


def _pairs(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        first, second = line.split()
        yield first, second


@cache
def byte_symbols() -> dict[int, str]:
    """Return a printable character for every byte: itself, or one from U+0100 on.

    The entries are in the order of the first 256 tokens (GPT-2's scheme).
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {
        byte: chr(256 + n) for n, byte in enumerate(others)
    }


def _prepare(text: str) -> str:
    """Drop invisible characters, set CJK characters apart, normalize, and lower the case."""
    visible = "".join(_visible(char) for char in text)
    return " ".join(unicodedata.normalize("NFC", visible).lower().split())


def _visible(char: str) -> str:
    if char in "\t\n\r":
        return " "
    category = unicodedata.category(char)
    if category == "Zs":
        return " "
    if category.startswith("C") or char == "\ufffd":
        return ""
    code = ord(char)
    return f" {char} " if any(low <= code <= high for low, high in _CJK) else char


def _words(text: str) -> Iterator[str]:
    """Split into contractions, runs of letters, single digits and runs of anything else."""
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = _CONTRACTION.match(text, at)
        end = match.end() if match else _run_end(text, at)
        yield text[at:end]
        at = end


def _run_end(text: str, at: int) -> int:
    kind = _kind(text[at])
    end = at + 1
    while kind != "N" and end < len(text) and _kind(text[end]) == kind:
        end += 1
    return end


def _kind(char: str) -> str:
    """Return L for a letter, N for a number, a blank for a space, P for anything else."""
    if char.isspace():
        return " "
    category = unicodedata.category(char)[0]
    return category if category in "LN" else "P"
