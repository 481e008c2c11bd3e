"""Reads pictures back: which background, colour, shape, size and position do the pixels show?

Knows nothing of prompts or networks. Colours are the nearest of the palette; shapes are found by
laying templates over the picture at every place and taking the best intersection over union.
"""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from training.shapes import CENTRES, RADII, SHAPES, SIZE, Scenes, coverage, palette

TEMPLATE = 35  # pixels; the largest shape fits
TEMPLATE_SCALES = (0.94, 1.0, 1.06)
REACH = 6  # pixels around the centroid in which templates are tried
BORDER = 3
LOW, HIGH = 0.25, 0.75  # mixtures outside this range count as plain background or foreground
FAR = 0.22  # RGB distance from which a pixel is no longer background
KNOWN = 0.7  # overlap with a template below which a picture shows no known shape
VISIBLE = 0.5  # and below which it shows nothing that has a place
NOTHING = -1


@dataclass(frozen=True, slots=True)
class Findings:
    """The contents of a batch of images; indices as in Scenes, -1 for "nothing of the kind"."""

    background: Tensor
    colour: Tensor
    shape: Tensor
    position: Tensor
    size: Tensor
    overlap: Tensor  # intersection over union with the best template


@dataclass(frozen=True, slots=True)
class Scores:
    """One boolean tensor for every attribute: the images that are right in it."""

    background: Tensor
    colour: Tensor
    shape: Tensor
    position: Tensor
    size: Tensor

    @property
    def all_four(self) -> Tensor:
        """Background, colour, shape and position are all right."""
        return self.background & self.colour & self.shape & self.position

    def percent(self) -> dict[str, float]:
        """Share of right pictures, in percent, by attribute."""
        return {
            name: 100 * right.float().mean().item()
            for name, right in (
                ("background", self.background),
                ("colour", self.colour),
                ("shape", self.shape),
                ("position", self.position),
                ("all", self.all_four),
                ("size", self.size),
            )
        }


@cache
def templates(outline: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Drawings of every shape and radius [n, 35, 35], with their shape and size numbers [n]."""
    grid = torch.cartesian_prod(
        torch.arange(len(SHAPES)), torch.arange(len(RADII)), torch.arange(len(TEMPLATE_SCALES))
    )
    shape, size, scale = grid.unbind(1)
    nothing = torch.zeros_like(shape)
    centre = torch.full(shape.shape, TEMPLATE / 2)
    radius = torch.tensor(list(RADII.values()))[size] * torch.tensor(TEMPLATE_SCALES)[scale]
    scenes = Scenes(shape, nothing, nothing, nothing, size, centre, centre, radius)
    return coverage(scenes, outline=outline)[:, :TEMPLATE, :TEMPLATE], shape, size


def _votes(nearest: Tensor, counted: Tensor) -> Tensor:
    """Count the pixels of each palette colour: [batch, 10]."""
    return (functional.one_hot(nearest, len(palette())) * counted.unsqueeze(-1)).sum((1, 2))


def _colours(images: Tensor) -> tuple[Tensor, Tensor]:
    """Background and foreground colour: most votes on the border, and away from the background."""
    pixels = images.movedim(1, -1)
    nearest = torch.cdist(pixels.flatten(1, 2), palette()).argmin(-1).view(-1, SIZE, SIZE)
    border = torch.ones(SIZE, SIZE, dtype=torch.bool)
    border[BORDER:-BORDER, BORDER:-BORDER] = False
    background = _votes(nearest, border.expand_as(nearest)).argmax(1)
    away = (pixels - palette()[background][:, None, None]).norm(dim=-1) > FAR
    votes = _votes(nearest, away)
    votes.scatter_(1, background[:, None], 0)
    found = votes.amax(1) > 0
    return background, torch.where(found, votes.argmax(1), NOTHING)


def _mask(images: Tensor, background: Tensor, colour: Tensor) -> Tensor:
    """Return how far each pixel is from background to foreground colour: in [0, 1], no noise."""
    start, end = palette()[background], palette()[colour]
    axis = (end - start)[:, :, None, None]
    along = ((images - start[:, :, None, None]) * axis).sum(1) / (axis**2).sum(1).clamp(min=1e-6)
    return ((along - LOW) / (HIGH - LOW)).clamp(0, 1)


def _centroid(mask: Tensor) -> Tensor:
    """Centre of mass of every mask: [batch, 2] whole pixels, row and column."""
    pixels = torch.arange(SIZE)
    total = mask.sum((1, 2)).clamp(min=1e-6)
    row = (mask.sum(2) * pixels).sum(1) / total
    column = (mask.sum(1) * pixels).sum(1) / total
    return torch.stack([row, column], 1).round().long()


def _overlaps(mask: Tensor, drawings: Tensor, centroid: Tensor) -> Tensor:
    """Intersection over union with every template at places near the centroid: [batch, n, k, k]."""
    margin = TEMPLATE // 2 + REACH
    window = torch.arange(2 * margin + 1)
    rows = (centroid[:, :1] + window)[:, :, None]
    columns = (centroid[:, 1:] + window)[:, None, :]
    padded = functional.pad(mask, (margin,) * 4)
    near = padded[torch.arange(len(mask))[:, None, None], rows, columns]
    patches = functional.unfold(near.unsqueeze(1), TEMPLATE)
    common = drawings.flatten(1) @ patches
    areas = drawings.sum((1, 2)).view(1, -1, 1) + mask.sum((1, 2)).view(-1, 1, 1)
    return (common / (areas - common)).unflatten(2, (2 * REACH + 1,) * 2)


def _thicken(mask: Tensor) -> Tensor:
    """Widen strokes by a pixel on either side, so that half a pixel's error matters less."""
    return functional.max_pool2d(mask, 3, 1, 1)


def _nearest_centre(coordinate: Tensor) -> Tensor:
    return (coordinate[:, None] - torch.tensor(CENTRES)).abs().argmin(1)


def analyse(images: Tensor, *, outline: bool = False) -> Findings:
    """Describe pictures, [batch, 3, 64, 64] in [0, 1], by their pixels alone."""
    background, colour = _colours(images)
    drawings, shape, size = templates(outline)
    mask = _mask(images, background, colour)
    if outline:
        mask, drawings = _thicken(mask), _thicken(drawings)
    centroid = _centroid(mask)
    overlap, best = _overlaps(mask, drawings, centroid).flatten(1).max(1)
    template, place = best // (2 * REACH + 1) ** 2, best % (2 * REACH + 1) ** 2
    row = centroid[:, 0] + place // (2 * REACH + 1) - REACH + 0.5
    column = centroid[:, 1] + place % (2 * REACH + 1) - REACH + 0.5
    there = (overlap >= VISIBLE) & (colour != NOTHING)
    known = there & (overlap >= KNOWN)
    position = _nearest_centre(row) * 3 + _nearest_centre(column)
    return Findings(
        background,
        colour,
        torch.where(known, shape[template], NOTHING),
        torch.where(there, position, NOTHING),
        torch.where(known, size[template], NOTHING),
        overlap,
    )


def score(images: Tensor, wanted: Scenes, *, outline: bool = False) -> Scores:
    """Compare pictures with the scenes they should show."""
    found = analyse(images, outline=outline)
    return Scores(
        found.background == wanted.background,
        found.colour == wanted.colour,
        found.shape == wanted.shape,
        found.position == wanted.position,
        found.size == wanted.size,
    )
