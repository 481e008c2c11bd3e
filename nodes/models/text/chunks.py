"""Cut a prompt into sections as long as the text encoder can read.

Each starts and ends with the special tokens and is padded. A stretch of fewer than eight tokens
is never cut: it moves to the next section. Where sections end shows in the picture, so the
rules are ComfyUI's. Where a text encoder reads any length, all is one section.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from torch import Tensor

from nodes.models.families.base.spec import TextRules
from nodes.models.text.prompt_weights import parse
from nodes.models.text.textual_inversion import Embeddings, split

SHORT = 8


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """One position of a section."""

    id: int
    weight: float = 1.0
    word: int = 0
    """Which stretch of the prompt it is from, from 1 on; 0 is none: start, end, padding."""
    vector: Tensor | None = None
    """[width] float32: stands in for the embedding of `id`."""


Section: TypeAlias = Sequence[Token]


class Tokenizer(Protocol):
    """Turns text into token ids."""

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without start, end or padding."""
        ...


@dataclass(frozen=True, slots=True)
class PromptReader:
    """Turns prompts into sections for one text encoder."""

    tokenizer: Tokenizer
    rules: TextRules
    width: int
    """How long an embedding's vector must be."""
    embeddings: Embeddings

    def sections(self, prompt: str) -> list[list[Token]]:
        """The sections of a prompt: at least one, all of one length."""
        return _fill(self._stretches(prompt), self.rules)

    def _stretches(self, prompt: str) -> list[list[Token]]:
        stretches: list[list[Token]] = []
        for segment in parse(prompt):
            for found in self._found(segment.text.replace("\n", " ")):
                word = len(stretches) + 1
                stretches.append([Token(n, segment.weight, word, vector) for n, vector in found])
        return stretches

    def _found(self, text: str) -> Iterator[list[tuple[int, Tensor | None]]]:
        """The stretches of one segment: each an embedding or the text between two."""
        before, embeddings = split(text)
        if before.strip():
            yield self._plain(before)
        for name, rest in embeddings:
            exact = name if self.embeddings.knows(name) else name.rstrip(",")
            vectors = self.embeddings.find(exact, self.width)
            if vectors is not None:
                yield [(self.rules.end, vector) for vector in vectors]
            after = f"{name[len(exact) :]} {rest}"
            if after.strip():
                yield self._plain(after)

    def _plain(self, text: str) -> list[tuple[int, Tensor | None]]:
        return [(token, None) for token in self.tokenizer.encode(text)]


def empty_section(rules: TextRules, length: int) -> list[Token]:
    """The section of an empty prompt, padded to a length."""
    return _closed(_opened(rules), rules, length)


def _fill(stretches: Sequence[Sequence[Token]], rules: TextRules) -> list[list[Token]]:
    if rules.length is None:
        tokens = [*_opened(rules), *(token for stretch in stretches for token in stretch)]
        return [_closed(tokens, rules, max(rules.least, len(tokens) + 1 + rules.padding))]
    sections: list[list[Token]] = []
    current = _opened(rules)
    for stretch in stretches:
        rest = list(stretch)
        while rest:
            room = rules.length - 1 - len(current)
            if len(rest) <= room:
                current, rest = [*current, *rest], []
                continue
            if len(rest) >= SHORT:
                current, rest = [*current, *rest[:room]], rest[room:]
            sections.append(_closed(current, rules, rules.length))
            current = _opened(rules)
    return [*sections, _closed(current, rules, rules.length)]


def _opened(rules: TextRules) -> list[Token]:
    """The start token, if there is one."""
    return [] if rules.start is None else [Token(rules.start)]


def _closed(tokens: Sequence[Token], rules: TextRules, length: int) -> list[Token]:
    """With the end token, padded to a length."""
    padding = length - len(tokens) - 1
    return [*tokens, Token(rules.end), *[Token(rules.pad)] * padding]
