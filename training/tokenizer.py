"""A small byte-pair tokenizer in CLIP's file format, learned from the captions.

Every word of the captions ends up as one token; other text falls back to letters and bytes.
Byte-pair encoding: Sennrich et al. 2016, https://arxiv.org/abs/1508.07909.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor

from training.captions import describe, sample_scenes, training_caption
from training.networks import TEXT_TOKENS

END = "</w>"
CORPUS_CAPTIONS = 4000
EXTRA_WORDS = "photo picture drawing of the a an shape middle corner"


def byte_letters() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes, in CLIP's vocabulary order."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return [chr(byte) for byte in visible] + [chr(256 + n) for n in range(len(hidden))]


def _pairs(words: dict[tuple[str, ...], int]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for word, count in words.items():
        for pair in pairwise(word):
            counts[pair] += count
    return counts


def merge(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    """Join every occurrence of a pair of neighbours."""
    out: list[str] = []
    for part in word:
        if out and (out[-1], part) == pair:
            out[-1] += part
        else:
            out.append(part)
    return tuple(out)


def learn_merges(corpus: Counter[str]) -> list[tuple[str, str]]:
    """Join the most frequent pair, again and again, until every word is one token."""
    words = {(*word[:-1], word[-1] + END): count for word, count in corpus.items()}
    merges: list[tuple[str, str]] = []
    while pairs := _pairs(words):
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        words = {merge(word, best): count for word, count in words.items()}
    return merges


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """Vocabulary and merges, as CLIP's vocab.json and merges.txt hold them."""

    vocab: dict[str, int]
    merges: tuple[tuple[str, str], ...]
    words: dict[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])

    @property
    def merges_text(self) -> str:
        """The merges in the format of merges.txt."""
        return "\n".join(["#version: 0.2", *(" ".join(pair) for pair in self.merges), ""])

    def _word(self, word: str) -> tuple[int, ...]:
        if word not in self.words:
            parts = (*word[:-1], word[-1] + END)
            for pair in self.merges:
                parts = merge(parts, pair)
            self.words[word] = tuple(self.vocab[part] for part in parts)
        return self.words[word]

    def encode(self, captions: list[str]) -> Tensor:
        """Token numbers [captions, 32]: bos, words, eos, padded with eos; lower-case ASCII only."""
        bos, eos = len(self.vocab) - 2, len(self.vocab) - 1
        rows: list[list[int]] = []
        for text in captions:
            words = text.replace(",", " , ").split()
            ids = [number for word in words for number in self._word(word)][: TEXT_TOKENS - 2]
            rows.append([bos, *ids] + [eos] * (TEXT_TOKENS - 1 - len(ids)))
        return torch.tensor(rows)


@cache
def build() -> Tokenizer:
    """Learn the tokenizer from captions; the same every time."""
    rng = random.Random(0)
    scenes = sample_scenes(CORPUS_CAPTIONS, torch.Generator().manual_seed(0))
    corpus = Counter(EXTRA_WORDS.split())
    for words in describe(scenes):
        corpus.update(training_caption(words, rng).replace(",", "").split())
    merges = learn_merges(corpus)
    letters = byte_letters()
    tokens = [*letters, *(letter + END for letter in letters)]
    tokens += ["".join(pair) for pair in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return Tokenizer({token: number for number, token in enumerate(tokens)}, tuple(merges))
