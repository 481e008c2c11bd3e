"""T5's tokenizer: the likeliest split under a unigram model (Kudo 2018, arXiv:1804.10959)."""

import gzip
from functools import cache
from importlib.resources import files

from tokenizers import Tokenizer


class T5Tokenizer:
    """Turns text into token ids, without end or padding."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    @classmethod
    @cache
    def t5(cls) -> "T5Tokenizer":
        """Return the tokenizer that all of Google's T5 models were trained with: 32,100 tokens."""
        packed = files("nodes.models.text").joinpath("assets", "t5_tokenizer.json.gz").read_bytes()
        return cls(Tokenizer.from_buffer(gzip.decompress(packed)))

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; names of special tokens in it become those tokens."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids


def t5_tokenizer(vocabulary: str = "", merges: str = "") -> T5Tokenizer:
    """Return T5's tokenizer, which has neither byte pairs nor another vocabulary."""
    del vocabulary, merges
    return T5Tokenizer.t5()
