"""Where and when a condition holds: areas, masks and parts of the schedule, as weights."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from nodes.parameterisation import Parameterisation
from nodes.values import Area, Cond

FEATHER = 8
"""At most this many latent pixels, and a quarter of its side, an area takes to fade in."""

SMALLEST_SIDE = 8
"""The least height and width of an area drawn round a mask, in latent pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A condition with its place in a latent of known size, and the levels it holds for."""

    cond: Cond
    area: Area
    """Inside the latent; the whole of it where the condition names none."""
    weight: Tensor | None
    """[batch or 1, 1, area height, area width]: its share in the average; None is 1 everywhere."""
    first_sigma: float
    last_sigma: float

    def holds_at(self, sigma: float) -> bool:
        """Whether it takes part at this noise level."""
        return self.last_sigma <= sigma <= self.first_sigma

    @property
    def rows(self) -> slice:
        """The samples of a batch that it holds for."""
        sample = self.cond.sample
        return slice(None) if sample is None else slice(sample, sample + 1)

    @property
    def is_everywhere(self) -> bool:
        """Whether it holds for all of every sample."""
        return self.weight is None and self.cond.sample is None

    def crop(self, x: Tensor) -> Tensor:
        """The part of [batch, channels, h, w] that it holds for: a view."""
        a = self.area
        return x[self.rows, :, a.y : a.y + a.height, a.x : a.x + a.width]


def place(
    positive: Iterable[Cond],
    negative: Iterable[Cond],
    size: tuple[int, int],
    parameterisation: Parameterisation,
) -> tuple[list[Placed], list[Placed]]:
    """Give every condition its place in a latent of this height and width.

    A condition with an area is compared with one of the other side over the same area: where
    that side has none, the one with the smallest area round it stands in. Controls that are
    for both sides go over to the negative one.
    """
    sides = ([_bounded(c, size) for c in positive], [_bounded(c, size) for c in negative])
    for here, there in (sides, sides[::-1]):
        there.extend([twin for cond in here for twin in _twin(cond, there)])
    sides = (sides[0], _steered(*sides))
    placed_positive, placed_negative = (
        [_placed(cond, size, parameterisation) for cond in side] for side in sides
    )
    return placed_positive, placed_negative


def resize_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, to [batch, 1, height, width]; from [batch, h, w] or [batch, 1, h, w]."""
    mask = mask.reshape(-1, 1, *mask.shape[-2:])
    return functional.interpolate(mask, size=size, mode="bilinear")


def _bounded(cond: Cond, size: tuple[int, int]) -> Cond:
    """Bring mask and area to the latent's size."""
    if cond.share is not None:
        cond = replace(cond, area=cond.share.of(*size), share=None)
    if cond.mask is None:
        return replace(cond, area=_inside(cond.area, size))
    mask = resize_mask(cond.mask, size)
    area = _bounding_box(mask) if cond.mask_bounds else cond.area
    return replace(cond, mask=mask, area=_inside(area, size))


def _inside(area: Area | None, size: tuple[int, int]) -> Area | None:
    """Cut off what lies outside the latent; at least one pixel stays."""
    if area is None:
        return None
    y, x = min(area.y, size[0] - 1), min(area.x, size[1] - 1)
    return Area(min(area.height, size[0] - y), min(area.width, size[1] - x), y, x)


def _bounding_box(mask: Tensor) -> Area:
    """Round what any picture's mask covers; the top left corner where none covers anything."""
    covered = mask.abs().amax(dim=(0, 1)).nonzero()
    if len(covered) == 0:
        return Area(SMALLEST_SIDE, SMALLEST_SIDE, 0, 0)
    (top, left), (bottom, right) = covered.amin(dim=0), covered.amax(dim=0)
    height, width = int(bottom - top) + 1, int(right - left) + 1
    return Area(max(height, SMALLEST_SIDE), max(width, SMALLEST_SIDE), int(top), int(left))


def _twin(cond: Cond, others: Sequence[Cond]) -> list[Cond]:
    """What the other side says over this condition's area, unless it has a condition there."""
    area = cond.area
    there = [other for other in others if other.sample in (None, cond.sample)]
    around = [o for o in there if area and (o.area is None or _contains(o.area, area))]
    if not around or any(other.area == area for other in around):
        return []
    smallest = min(around, key=lambda o: o.area.height * o.area.width if o.area else torch.inf)
    said = {"tokens": smallest.tokens, "pooled": smallest.pooled, "extras": smallest.extras}
    return [replace(cond, **said)]


def _steered(positive: Sequence[Cond], negative: Sequence[Cond]) -> list[Cond]:
    """The negative conditions with the controls of positive ones, all over the whole picture.

    Where there are fewer of them they hold more than once; where one has its own, none changes.
    """
    shared = [c.controls for c in positive if _shares(c)]
    whole = [c for c in negative if c.area is None]
    if not shared or not whole or any(c.controls for c in whole):
        return list(negative)
    twice = whole * math.ceil(len(shared) / len(whole))
    steered = [replace(c, controls=each) for c, each in zip(twice, shared, strict=False)]
    return [*(c for c in negative if c.area), *steered, *whole[len(shared) :]]


def _shares(cond: Cond) -> bool:
    return cond.area is None and bool(cond.controls) and cond.controls[-1].both_sides


def _contains(outer: Area, inner: Area) -> bool:
    return (
        outer.y <= inner.y
        and outer.x <= inner.x
        and outer.y + outer.height >= inner.y + inner.height
        and outer.x + outer.width >= inner.x + inner.width
    )


def _placed(cond: Cond, size: tuple[int, int], parameterisation: Parameterisation) -> Placed:
    first, last = (parameterisation.percent_to_sigma(f) for f in (cond.start, cond.end))
    area = cond.area or Area(*size, 0, 0)
    return Placed(cond, area, _weight(cond, area, size), first, last)


def _weight(cond: Cond, area: Area, size: tuple[int, int]) -> Tensor | None:
    if cond.mask is not None:
        mask = cond.mask[:, :, area.y : area.y + area.height, area.x : area.x + area.width]
        return mask * (cond.mask_strength * cond.strength)
    if cond.area is not None:
        rows = _feathered(area.y, area.height, size[0])
        columns = _feathered(area.x, area.width, size[1])
        return (cond.strength * rows[:, None] * columns[None, :])[None, None]
    if cond.strength != 1.0:
        return torch.full((1, 1, *size), cond.strength)
    return None


def _feathered(start: int, length: int, whole: int) -> Tensor:
    """1 inside, rising linearly from either end that is not the latent's own."""
    width = min(FEATHER, length // 4)
    ramp, flat = torch.arange(1, width + 1) / max(width, 1), torch.ones(width)
    first = ramp if start > 0 else flat
    last = ramp.flip(0) if start + length < whole else flat
    return torch.cat([first, torch.ones(length - 2 * width), last])
