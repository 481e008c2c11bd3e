"""Pictures that FLUX.1 Kontext looks at: latents whose patches stand beside the noisy ones.

Labs 2025, arXiv:2506.15742, section 3: a reference's patches have the positions of a picture, and
a first coordinate that says it is not the one to be made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias, cast, get_args

import torch
from torch import Tensor

from nodes.models.networks.base.patchify import PATCH, packed, padded, positions
from nodes.models.networks.denoisers.errors import WrongReferenceError
from nodes.sampling.conditioning.cond import REFERENCES, Cond
from nodes.sampling.conditioning.latents import LatentFormat

METHOD = "reference_latents_method"
"""Which of a condition's extras says how."""

Method: TypeAlias = Literal["offset", "index", "uxo/uno"]
"""How several references are told apart.

`offset` lays them out beside one another, `index` numbers them, `uxo/uno` lays them along the
diagonal that starts at the picture's far corner (Wu et al. 2025, arXiv:2504.02160, section 3.2).
"""


def with_references(cond: Cond, latents: LatentFormat) -> Cond:
    """A condition whose references are in the model's space.

    Raises:
        WrongReferenceError: one of them is of another family.
    """
    shown = cast("Sequence[Tensor]", cond.extras.get(REFERENCES, ()))
    if not shown:
        return cond
    for latent in shown:
        if latent.shape[1] != latents.channels:
            raise WrongReferenceError(latent.shape[1], latents.channels)
    scaled = tuple(latents.to_model(latent) for latent in shown)
    return replace(cond, extras={**cond.extras, REFERENCES: scaled})


def named(extras: Mapping[str, object]) -> dict[str, object]:
    """The extras with each reference by itself, under a name that says its method.

    Conditions share a call of the model only if their extras have the same names.
    """
    rest = {name: value for name, value in extras.items() if name not in {REFERENCES, METHOD}}
    latents = cast("Sequence[Tensor]", extras.get(REFERENCES, ()))
    method = extras.get(METHOD, get_args(Method)[0])
    return rest | {f"{REFERENCES} {method} {n}": latent for n, latent in enumerate(latents)}


def patches(extras: Mapping[str, Tensor], x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """The references' patches, [batch, number, size], and their positions, [number, 3].

    Args:
        extras: of a call, as `named` made them.
        x: the latent that is denoised, [batch, channels, h, w], padded.

    Raises:
        WrongReferenceError: the model reads more beside its latent, which references do not have.
    """
    names = [name for name in extras if name.startswith(REFERENCES)]
    latents = [padded(extras[name].to(x), PATCH) for name in names]
    if not latents:
        return [], []
    if latents[0].shape[1] != x.shape[1]:
        raise WrongReferenceError(latents[0].shape[1], x.shape[1])
    method = cast("Method", names[0].split(" ")[1])
    starts = _starts(method, [_size(latent) for latent in latents], _size(x))
    places = [
        positions(latent) + torch.tensor(start, device=x.device)
        for latent, start in zip(latents, starts, strict=True)
    ]
    return [packed(latent) for latent in latents], places


def _size(latent: Tensor) -> tuple[int, int]:
    """How many patches it has down and across."""
    return latent.shape[-2] // PATCH, latent.shape[-1] // PATCH


def _starts(
    method: Method, sizes: Sequence[tuple[int, int]], picture: tuple[int, int]
) -> list[tuple[int, int, int]]:
    """Where each reference starts: (index, row, column) of its first patch."""
    if method == "index":
        return [(number, 0, 0) for number in range(1, len(sizes) + 1)]
    return _diagonal(sizes, picture) if method == "uxo/uno" else _beside(sizes)


def _diagonal(
    sizes: Sequence[tuple[int, int]], picture: tuple[int, int]
) -> list[tuple[int, int, int]]:
    """Each starts where the one before it ends, the first where the picture ends."""
    starts = list[tuple[int, int, int]]()
    row, column = picture
    for height, width in sizes:
        starts.append((0, row, column))
        row, column = row + height, column + width
    return starts


def _beside(sizes: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Each right of or below all before it, whichever keeps the whole nearer to a square."""
    starts = list[tuple[int, int, int]]()
    rows = columns = 0
    for height, width in sizes:
        right = rows + height > columns + width
        row, column = (0, columns) if right else (rows, 0)
        starts.append((1, row, column))
        rows, columns = max(rows, row + height), max(columns, column + width)
    return starts
