"""Mistral's Tekken tokenizer: byte pair encoding, in which the joined token's number decides.

It comes with the text encoder, as `tekken.json` (mistral-common, Apache-2.0) or as the
`tokenizer.json` that transformers makes of it, for it is too large to be a part of this package.
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypedDict, cast

from tokenizers import Regex, Tokenizer, pre_tokenizers

from nodes.models.text.gemma_tokenizer import join_pairs

_SPECIAL = (
    *("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
    *("[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]"),
    *("[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"),
)
"""The first special tokens, in files that do not list them."""


class _Settings(TypedDict):
    """The settings of a `tekken.json` that are read here."""

    pattern: str
    """The regular expression of words."""
    default_vocab_size: int
    """The tokens of the model, the special ones included."""
    default_num_special_tokens: int


class TekkenTokenizer:
    """Turns text into token ids, without the start token; names of special tokens become those.

    Args:
        words: the regular expression of words, which are encoded one by one.
        numbers: of tokens by their bytes, as Latin-1, from 0 on.
        special: the names of special tokens, which are numbered first.
        reserved: the numbers that are kept for special tokens.
    """

    def __init__(
        self, words: str, numbers: Mapping[str, int], special: Sequence[str], reserved: int
    ) -> None:
        self._split = pre_tokenizers.Split(Regex(words), behavior="isolated")
        self._numbers = numbers
        self._scores = {token: -number for token, number in numbers.items()}
        self._special = {name: number for number, name in enumerate(special)}
        longest_first = sorted(special, key=len, reverse=True)
        self._names = re.compile(f"({'|'.join(map(re.escape, longest_first))})")
        self._reserved = reserved

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""
        ids: list[int] = []
        for part in self._names.split(text):
            if part in self._special:
                ids.append(self._special[part])
            elif part:
                ids += self._plain(part)
        return ids

    def _plain(self, text: str) -> list[int]:
        pieces = cast("list[tuple[str, object]]", self._split.pre_tokenize_str(text))
        return [
            self._reserved + self._numbers[token]
            for word, _ in pieces
            for token in join_pairs(word.encode().decode("latin-1"), self._scores)
        ]


class _JsonTokenizer:
    """A `tokenizer.json`, read by its own library."""

    def __init__(self, text: str) -> None:
        self._tokenizer = Tokenizer.from_str(text)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without the start token."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids


@lru_cache(maxsize=2)
def tekken_tokenizer(vocabulary: str, merges: str = "") -> TekkenTokenizer | _JsonTokenizer:
    """Return the tokenizer of a `tekken.json` or a `tokenizer.json`.

    Args:
        vocabulary: the file's bytes, as Latin-1.
        merges: nothing, as the file has them.

    Raises:
        ValueError: it is neither.
    """
    del merges
    text = vocabulary.encode("latin-1").decode()
    reason = "it is neither a tekken.json nor a tokenizer.json"
    try:
        content = cast("dict[str, Any]", json.loads(text))
        if "model" in content:
            return _JsonTokenizer(text)
        return _of_tekken(content)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(reason) from error


def _of_tekken(content: Mapping[str, Any]) -> TekkenTokenizer:
    settings = cast("_Settings", content["config"])
    reserved = settings["default_num_special_tokens"]
    size = settings["default_vocab_size"] - reserved
    entries = cast("list[dict[str, Any]]", content["vocab"])[:size]
    numbers = {
        base64.b64decode(each["token_bytes"]).decode("latin-1"): int(each["rank"])
        for each in entries
    }
    listed = cast("list[dict[str, Any]]", content.get("special_tokens") or [])
    special = [str(each["token_str"]) for each in sorted(listed, key=lambda each: each["rank"])]
    return TekkenTokenizer(settings["pattern"], numbers, special or _SPECIAL, reserved)
