"""Captions, and which combinations of shape and colours are held out of all training."""

import random
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from training.shapes import COLOURS, SHAPES, SIZES, Scenes, place

POSITIONS = (
    "top left",
    "top",
    "top right",
    "left",
    "center",
    "right",
    "bottom left",
    "bottom",
    "bottom right",
)
HELD_OUT_EVERY = 10
SPLIT_SEED = 2024


@cache
def triples() -> tuple[Tensor, Tensor]:
    """All (shape, colour, background) triples, shuffled: trained [486, 3], held out [54, 3]."""
    every = [
        (shape, colour, background)
        for shape in range(len(SHAPES))
        for colour in range(len(COLOURS))
        for background in range(len(COLOURS))
        if colour != background
    ]
    order = torch.randperm(len(every), generator=torch.Generator().manual_seed(SPLIT_SEED))
    shuffled = torch.tensor(every)[order]
    held_out = len(every) // HELD_OUT_EVERY
    return shuffled[held_out:], shuffled[:held_out]


def sample_scenes(count: int, generator: torch.Generator, *, held_out: bool = False) -> Scenes:
    """Draw random scenes from the trained (or the held-out) combinations."""
    chosen = triples()[held_out]
    rows = chosen[torch.randint(len(chosen), (count,), generator=generator)]
    position = torch.randint(9, (count,), generator=generator)
    size = torch.randint(len(SIZES), (count,), generator=generator)
    return place(rows[:, 0], rows[:, 1], rows[:, 2], position, size, generator)


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a caption; an empty string leaves the attribute out."""

    size: str
    colour: str
    shape: str
    position: str
    background: str


def describe(scenes: Scenes) -> list[Words]:
    """The words for every scene."""
    columns = zip(
        scenes.size.tolist(),
        scenes.colour.tolist(),
        scenes.shape.tolist(),
        scenes.position.tolist(),
        scenes.background.tolist(),
        strict=True,
    )
    return [
        Words(SIZES[s], COLOURS[c], SHAPES[h], POSITIONS[p], COLOURS[b])
        for s, c, h, p, b in columns
    ]


def _article(phrase: str) -> str:
    return f"{'an' if phrase[:1] in 'aeiou' else 'a'} {phrase}"


def _thing(words: Words) -> str:
    return " ".join(part for part in (words.size, words.colour, words.shape or "shape") if part)


def _where(position: str) -> str:
    if position == "center":
        return "in the center"
    return f"on the {position}" if position in ("left", "right") else f"at the {position}"


def caption(words: Words) -> str:
    """The full sentence, e.g. "a large red circle at the top left on a blue background"."""
    return (
        f"{_article(_thing(words))} {_where(words.position)}"
        f" on {_article(words.background)} background"
    )


def _drop(words: Words, rng: random.Random) -> Words:
    """Leave some attributes out, at least one and at most four."""
    parts = [words.size, words.colour, words.shape, words.position, words.background]
    kept = rng.randint(1, 4)
    for index in rng.sample(range(5), 5 - kept):
        parts[index] = ""
    return Words(*parts)


def free_caption(words: Words, rng: random.Random) -> str:
    """The same facts in looser wording; absent attributes are not mentioned."""
    thing = _thing(words)
    if not (words.size or words.colour or words.shape):
        thing = rng.choice(("", "shape"))
    elif rng.random() < 0.6:
        thing = _article(thing)
    where = words.position
    if where and rng.random() < 0.7:
        where = rng.choice((_where(where), f"at the {where}", f"in the {where}"))
    behind = words.background
    if behind and (thing or where) and rng.random() < 0.5:
        behind = rng.choice((f"on {behind}", f"on {_article(behind)} background"))
    elif behind:
        behind = rng.choice((f"{behind} background", f"{_article(behind)} background"))
    parts = [part for part in (thing, where, behind) if part]
    if rng.random() < 0.3:
        rng.shuffle(parts)
    return rng.choice((" ", " ", ", ")).join(parts)


def training_caption(words: Words, rng: random.Random) -> str:
    """One caption: 10 % empty, 45 % the full sentence, the rest loose, half of it partial."""
    luck = rng.random()
    if luck < 0.10:
        return ""
    if luck < 0.55:
        return caption(words)
    return free_caption(words if luck < 0.75 else _drop(words, rng), rng)
