"""Pictures in prompts: their states in the place of embeddings, and their places in the text.

A picture's tokens have the place of the text before them in time, and their own row and column;
the text goes on after the longer side (Wang et al. 2024, arXiv:2409.12191, section 2.1).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from nodes.models.networks.base.pictures import PictureStates, PixelPatches, TextPictures
from nodes.models.text.chunks import Chunk

Seen: TypeAlias = Mapping[PixelPatches, PictureStates]
"""The pictures of prompts, as a language model reads them."""


def pictures_of(rows: Iterable[Chunk]) -> list[PixelPatches]:
    """Return the pictures in rows of tokens, each once, in their order."""
    return list(dict.fromkeys(token.picture for row in rows for token in row if token.picture))


def place_pictures(rows: Sequence[Chunk], embedded: Tensor, seen: Seen) -> TextPictures | None:
    """Put the pictures' states in the place of their tokens' embeddings; None if there are none.

    Args:
        rows: of tokens, all of one length.
        embedded: [rows, length, width]: changed.
        seen: all pictures of the rows.
    """
    mask = torch.tensor([[token.picture is not None for token in row] for row in rows])
    if not mask.any():
        return None
    states = [seen[picture] for row in rows for picture, _ in _runs(row) if picture]
    device = embedded.device
    embedded[mask.to(device)] = torch.cat([each.tokens for each in states]).to(embedded)
    layers = zip(*(each.deep for each in states), strict=True)
    deep = tuple(torch.cat(layer).to(embedded) for layer in layers)
    return TextPictures(mask.to(device), deep)


def picture_positions(rows: Sequence[Chunk]) -> Tensor:
    """Return (time, row, column) of the tokens of rows of one length: [3, rows, length]."""
    return torch.stack([_places(row) for row in rows], dim=1)


def _places(row: Chunk) -> Tensor:
    """Return (time, row, column) of each token: [3, length]."""
    parts: list[Tensor] = []
    start = 0
    for picture, number in _runs(row):
        if picture is None:
            parts.append(torch.arange(start, start + number).expand(3, -1))
            start += number
            continue
        ranges = (1, picture.rows, picture.columns)
        grid = torch.meshgrid(*(torch.arange(each) + start for each in ranges), indexing="ij")
        parts.append(torch.stack([each.flatten() for each in grid]))
        start += max(picture.rows, picture.columns)
    return torch.cat(parts, dim=1)


def _runs(row: Chunk) -> Iterator[tuple[PixelPatches | None, int]]:
    """Yield each picture, and each stretch of text as None, with the number of tokens."""
    at = 0
    while at < len(row):
        picture, number = row[at].picture, 1
        if picture is not None:
            number = picture.tokens
        else:
            while at + number < len(row) and row[at + number].picture is None:
                number += 1
        yield picture, number
        at += number
