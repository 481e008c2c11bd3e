"""Cut a prompt into chunks of the length that the text encoder reads.

A chunk starts and ends with the special tokens and is padded. A stretch of fewer than eight tokens
is never cut: it moves to the next chunk. The ends of chunks change the image, so the rules are
ComfyUI's. A text encoder that reads any length gets the whole prompt as one chunk.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from torch import Tensor

from nodes.models.families.base.spec import TextRules
from nodes.models.text.prompt_weights import parse
from nodes.models.text.textual_inversion import Embeddings, split_embeddings

SHORT = 8


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """One token of a chunk."""

    id: int
    weight: float = 1.0
    word: int = 0
    """The number of the prompt's stretch it is from, from 1 on; 0 for start, end and padding."""
    vector: Tensor | None = None
    """[width] float32: used in place of the embedding of `id`."""


Chunk: TypeAlias = Sequence[Token]


class Tokenizer(Protocol):
    """Turns text into token ids."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without start, end or padding."""
        ...


@dataclass(frozen=True, slots=True)
class PromptReader:
    """Turns prompts into chunks for one text encoder."""

    tokenizer: Tokenizer
    rules: TextRules
    width: int
    """The length of an embedding's vectors."""
    embeddings: Embeddings

    def chunks(self, prompt: str) -> list[list[Token]]:
        """Return the chunks of a prompt: at least one, all of one length."""
        return _fill(self._stretches(prompt), self.rules)

    def _stretches(self, prompt: str) -> list[list[Token]]:
        stretches: list[list[Token]] = []
        for segment in parse(prompt):
            for found in self._segment_stretches(segment.text.replace("\n", " ")):
                word = len(stretches) + 1
                stretches.append([Token(n, segment.weight, word, vector) for n, vector in found])
        return stretches

    def _segment_stretches(self, text: str) -> Iterator[list[tuple[int, Tensor | None]]]:
        """Yield the stretches of one segment: each an embedding or the text between two."""
        before, embeddings = split_embeddings(text)
        if before.strip():
            yield self._plain(before)
        for name, rest in embeddings:
            exact = self.embeddings.name_in(name)
            vectors = self.embeddings.find(exact, self.width)
            if vectors is not None:
                yield [(self.rules.end, vector) for vector in vectors]
            after = f"{name[len(exact) :]} {rest}"
            if after.strip():
                yield self._plain(after)

    def _plain(self, text: str) -> list[tuple[int, Tensor | None]]:
        return [(token, None) for token in self.tokenizer.encode(text)]


def empty_chunk(rules: TextRules, length: int) -> list[Token]:
    """Return the chunk of an empty prompt, padded to a length."""
    return _end_chunk(_start_tokens(rules), rules, length)


def _fill(stretches: Sequence[Sequence[Token]], rules: TextRules) -> list[list[Token]]:
    if rules.length is None:
        tokens = [*_start_tokens(rules), *(token for stretch in stretches for token in stretch)]
        length = max(rules.min_length, len(tokens) + 1 + rules.min_padding)
        return [_end_chunk(tokens, rules, length)]
    chunks: list[list[Token]] = []
    current = _start_tokens(rules)
    for stretch in stretches:
        rest = list(stretch)
        while rest:
            room = rules.length - 1 - len(current)
            if len(rest) <= room:
                current, rest = [*current, *rest], []
                continue
            if len(rest) >= SHORT:
                current, rest = [*current, *rest[:room]], rest[room:]
            chunks.append(_end_chunk(current, rules, rules.length))
            current = _start_tokens(rules)
    return [*chunks, _end_chunk(current, rules, rules.length)]


def _start_tokens(rules: TextRules) -> list[Token]:
    """Return the start token, if the encoder has one."""
    return [] if rules.start is None else [Token(rules.start)]


def _end_chunk(tokens: Sequence[Token], rules: TextRules, length: int) -> list[Token]:
    """Add the end token, and pad to a length."""
    padding = length - len(tokens) - 1
    return [*tokens, Token(rules.end), *[Token(rules.pad)] * padding]
