"""Cut a prompt into sections as long as the text encoder can read.

Each starts and ends with the special tokens and is padded. A stretch of fewer than eight tokens
is never cut: it moves to the next section. Where sections end shows in the picture, so the
rules are ComfyUI's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from nodes.families.family import TextRules
from nodes.text.embeddings import Embeddings, split
from nodes.text.tokenizer import ClipTokenizer
from nodes.text.weights import parse

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


@dataclass(frozen=True, slots=True)
class PromptReader:
    """Turns prompts into sections for one text encoder."""

    tokenizer: ClipTokenizer
    rules: TextRules
    width: int
    """How long an embedding's vector must be."""
    embeddings: Embeddings

    def sections(self, prompt: str) -> list[list[Token]]:
        """The sections of a prompt; at least one, `rules.length` tokens each."""
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


def empty_section(rules: TextRules) -> list[Token]:
    """The section of an empty prompt."""
    return _closed([Token(rules.start)], rules)


def _fill(stretches: Sequence[Sequence[Token]], rules: TextRules) -> list[list[Token]]:
    sections: list[list[Token]] = []
    current = [Token(rules.start)]
    for stretch in stretches:
        rest = list(stretch)
        while rest:
            room = rules.length - 1 - len(current)
            if len(rest) <= room:
                current, rest = [*current, *rest], []
                continue
            if len(rest) >= SHORT:
                current, rest = [*current, *rest[:room]], rest[room:]
            sections.append(_closed(current, rules))
            current = [Token(rules.start)]
    return [*sections, _closed(current, rules)]


def _closed(tokens: Sequence[Token], rules: TextRules) -> list[Token]:
    """With the end token, padded to full length."""
    padding = rules.length - len(tokens) - 1
    return [*tokens, Token(rules.end), *[Token(rules.pad)] * padding]
