"""The choice of the next token of a text: the likeliest one, or one that is drawn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor


class WordChoice(Protocol):
    """Chooses the tokens of one text, one after the other."""

    def choose(self, scores: Tensor, written: Sequence[int]) -> int:
        """Return the id of the next token.

        Args:
            scores: [1, words] float32 on the CPU.
            written: the ids of the text's tokens so far, without those of the prompt.
        """
        ...


class Likeliest:
    """Chooses the likeliest token."""

    def choose(self, scores: Tensor, written: Sequence[int]) -> int:
        """Return the id of the token with the highest score."""
        del written
        return int(scores.argmax())


@dataclass(frozen=True, slots=True)
class Chances:
    """The settings of `Drawn`."""

    temperature: float = 0.7
    """Greater than 0; the scores are divided by it."""
    top_k: int = 64
    """Only so many of the likeliest tokens are left; 0: all."""
    top_p: float = 0.95
    """Of the likeliest tokens only so many are left that their chances add up to this."""
    min_p: float = 0.05
    """Only tokens are left whose chance is this share of the likeliest one's, or more."""
    repetition_penalty: float = 1.05
    """The scores of tokens that were written are made lower by this factor; 0 and 1: unchanged."""
    presence_penalty: float = 0.0
    """The amount taken from the scores of tokens that were written."""


class Drawn:
    """Draws tokens by their chances, on the CPU, so that every device has the same numbers.

    Args:
        chances: the settings; the steps are those of transformers, in its order.
        seed: of the generator.
    """

    def __init__(self, chances: Chances, seed: int) -> None:
        self._steps = tuple(_steps(chances))
        self._generator = torch.Generator().manual_seed(seed)

    def choose(self, scores: Tensor, written: Sequence[int]) -> int:
        """Return the id of a token that is drawn."""
        ids = torch.tensor([written], dtype=torch.long)
        for step in self._steps:
            scores = step(ids, scores)
        return int(torch.multinomial(scores.softmax(-1), 1, generator=self._generator))


class _Step(Protocol):
    """The interface of transformers' processors of scores."""

    def __call__(self, ids: Tensor, scores: Tensor, /) -> Tensor: ...


def _steps(chances: Chances) -> Iterator[_Step]:
    from transformers.generation import logits_process as steps

    found: list[object] = []
    if chances.repetition_penalty not in (0.0, 1.0):
        found.append(steps.RepetitionPenaltyLogitsProcessor(chances.repetition_penalty))
    if chances.presence_penalty:
        found.append(_Presence(chances.presence_penalty))
    if chances.temperature != 1.0:
        found.append(steps.TemperatureLogitsWarper(chances.temperature))
    if chances.top_k:
        found.append(steps.TopKLogitsWarper(chances.top_k))
    if chances.top_p < 1.0:
        found.append(steps.TopPLogitsWarper(chances.top_p))
    if chances.min_p:
        found.append(steps.MinPLogitsWarper(chances.min_p))
    yield from cast("list[_Step]", found)


@dataclass(frozen=True, slots=True)
class _Presence:
    """Lowers the scores of tokens that were written, however often."""

    penalty: float

    def __call__(self, ids: Tensor, scores: Tensor, /) -> Tensor:
        lowered = torch.zeros_like(scores)
        lowered[0, ids[0]] = self.penalty
        return scores - lowered
