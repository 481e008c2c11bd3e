"""Measure a model: images for 1,000 prompts, read back by the analyser.

Half of the prompts ask for combinations of shape and colours that no stage was trained on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TypeAlias

import torch
from torch import Tensor

from training.analyse import Scores, score
from training.captions import caption, describe, sample_scenes
from training.shapes import Scenes

PROMPTS = 1000
EVALUATION_SEED = 777


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request to a source of images."""

    text: str
    seed: int


Source: TypeAlias = Callable[[Sequence[Prompt]], Tensor]


def prompts(count: int = PROMPTS) -> tuple[list[Prompt], Scenes]:
    """The prompts and what they describe; the first half trained, the second held out."""
    generator = torch.Generator().manual_seed(EVALUATION_SEED)
    halves = [sample_scenes(count // 2, generator, held_out=held_out) for held_out in (False, True)]
    columns = [
        torch.cat([getattr(half, field.name) for half in halves]) for field in fields(Scenes)
    ]
    scenes = Scenes(*columns)
    texts = (caption(words) for words in describe(scenes))
    return [Prompt(text, seed) for seed, text in enumerate(texts)], scenes


def report(scores: Scores) -> str:
    """Percentages as a table: all prompts, the trained half, the held-out half."""
    half = len(scores.shape) // 2
    parts = {
        "all": slice(None),
        "trained": slice(None, half),
        "held out": slice(half, None),
    }
    lines: list[str] = []
    for name, part in parts.items():
        percent = Scores(*(getattr(scores, field.name)[part] for field in fields(Scores))).percent()
        cells = "  ".join(f"{key} {value:5.1f}" for key, value in percent.items())
        lines.append(f"{name:9} {cells}")
    return "\n".join(lines)


def evaluate(source: Source, count: int = PROMPTS, *, outline: bool = False) -> Scores:
    """Ask a source for pictures, [count, 3, 64, 64] in [0, 1], and score them."""
    asked, scenes = prompts(count)
    return score(source(asked), scenes, outline=outline)
