"""Areas, masks and parts of the schedule of conditions, as weights over a latent."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from nodes.sampling.conditioning.cond import Area
from nodes.sampling.conditioning.denoiser import PreparedCond
from nodes.sampling.noise_schedule.parameterization import Parameterization

FEATHER = 8
"""The width of an area's soft edge in latent pixels; at most a quarter of the area's side."""

SMALLEST_SIDE = 8
"""The least height and width of an area drawn round a mask, in latent pixels."""


@dataclass(frozen=True, slots=True)
class SigmaRange:
    """A part of a schedule, by its highest and its lowest level."""

    first: float
    last: float

    @classmethod
    def between(cls, start: float, end: float, parameterization: Parameterization) -> "SigmaRange":
        """Return the levels between two fractions of a model's schedule."""
        return cls(*(parameterization.percent_to_sigma(each) for each in (start, end)))

    def __contains__(self, sigma: float) -> bool:
        """Return True for a level in the range."""
        return self.last <= sigma <= self.first


@dataclass(frozen=True, slots=True, eq=False)
class ResolvedCond:
    """A condition with its place in a latent of known size, and the levels it holds for."""

    cond: PreparedCond
    area: Area
    """The area inside the latent; all of the latent if the condition has none."""
    weight: Tensor | None
    """[batch or 1, 1, area height, area width]: its share in the average; None is 1 everywhere."""
    sigmas: SigmaRange

    @property
    def rows(self) -> slice:
        """The samples of a batch that it holds for."""
        sample = self.cond.sample
        return slice(None) if sample is None else slice(sample, sample + 1)

    @property
    def is_everywhere(self) -> bool:
        """True if it holds for all of every sample."""
        return self.weight is None and self.cond.sample is None

    def crop(self, x: Tensor) -> Tensor:
        """Return the part of [batch, channels, …, h, w] that it holds for: a view."""
        a = self.area
        return x[self.rows, ..., a.y : a.y + a.height, a.x : a.x + a.width]


def resolve(
    positive: Iterable[PreparedCond],
    negative: Iterable[PreparedCond],
    size: tuple[int, int],
    parameterization: Parameterization,
) -> tuple[list[ResolvedCond], list[ResolvedCond]]:
    """Give every condition its place in a latent of this height and width.

    A condition with an area is compared with one of the other branch over the same area: where
    that branch has none, the one with the smallest area round it stands in. Controls that are
    for both sides go over to the negative one.
    """
    branches = (
        [_fit_to_latent(c, size) for c in positive],
        [_fit_to_latent(c, size) for c in negative],
    )
    for branch, other in (branches, branches[::-1]):
        other.extend([twin for cond in branch for twin in _twin(cond, other)])
    branches = (branches[0], _add_controls(branches[0], branches[1]))
    resolved_positive, resolved_negative = (
        [_resolve(cond, size, parameterization) for cond in branch] for branch in branches
    )
    return resolved_positive, resolved_negative


def resize_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize bilinearly to [batch, 1, height, width], from [batch, h, w] or [batch, 1, h, w]."""
    mask = mask.reshape(-1, 1, *mask.shape[-2:])
    return functional.interpolate(mask, size=size, mode="bilinear")


def _fit_to_latent(cond: PreparedCond, size: tuple[int, int]) -> PreparedCond:
    """Bring a condition's mask and area to the latent's size."""
    if cond.relative_area is not None:
        cond = replace(cond, area=cond.relative_area.to_pixels(*size), relative_area=None)
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
    """Return the box round what any image's mask covers; the top left corner if none does."""
    covered = mask.abs().amax(dim=(0, 1)).nonzero()
    if len(covered) == 0:
        return Area(SMALLEST_SIDE, SMALLEST_SIDE, 0, 0)
    (top, left), (bottom, right) = covered.amin(dim=0), covered.amax(dim=0)
    height, width = int(bottom - top) + 1, int(right - left) + 1
    return Area(max(height, SMALLEST_SIDE), max(width, SMALLEST_SIDE), int(top), int(left))


def _twin(cond: PreparedCond, others: Sequence[PreparedCond]) -> list[PreparedCond]:
    """Return the other branch's texts over this condition's area, unless it has some there."""
    area = cond.area
    same_sample = [other for other in others if other.sample in (None, cond.sample)]
    around = [o for o in same_sample if area and (o.area is None or _contains(o.area, area))]
    if not around or any(other.area == area for other in around):
        return []
    smallest = min(around, key=lambda o: o.area.height * o.area.width if o.area else torch.inf)
    texts = {"tokens": smallest.tokens, "pooled": smallest.pooled, "extras": smallest.extras}
    return [replace(cond, **texts)]


def _add_controls(
    positive: Sequence[PreparedCond], negative: Sequence[PreparedCond]
) -> list[PreparedCond]:
    """Return the negative conditions with the controls of positive ones over the whole image.

    Where there are fewer of them they hold more than once; where one has its own, none changes.
    """
    shared = [c.controls for c in positive if _shares(c)]
    whole = [c for c in negative if c.area is None]
    if not shared or not whole or any(c.controls for c in whole):
        return list(negative)
    twice = whole * math.ceil(len(shared) / len(whole))
    steered = [replace(c, controls=each) for c, each in zip(twice, shared, strict=False)]
    return [*(c for c in negative if c.area), *steered, *whole[len(shared) :]]


def _shares(cond: PreparedCond) -> bool:
    return cond.area is None and bool(cond.controls) and cond.controls[-1].applies_to_uncond


def _contains(outer: Area, inner: Area) -> bool:
    return (
        outer.y <= inner.y
        and outer.x <= inner.x
        and outer.y + outer.height >= inner.y + inner.height
        and outer.x + outer.width >= inner.x + inner.width
    )


def _resolve(
    cond: PreparedCond, size: tuple[int, int], parameterization: Parameterization
) -> ResolvedCond:
    sigmas = SigmaRange.between(cond.start, cond.end, parameterization)
    area = cond.area or Area(*size, 0, 0)
    weight = _weight(cond, area, size)
    there = None if weight is None else weight.to(cond.tokens.device)
    return ResolvedCond(cond, area, there, sigmas)


def _weight(cond: PreparedCond, area: Area, size: tuple[int, int]) -> Tensor | None:
    if cond.mask is not None:
        mask = cond.mask[:, :, area.y : area.y + area.height, area.x : area.x + area.width]
        return mask * (cond.mask_strength * cond.strength)
    if cond.area is not None:
        rows = _feather(area.y, area.height, size[0])
        columns = _feather(area.x, area.width, size[1])
        return (cond.strength * rows[:, None] * columns[None, :])[None, None]
    if cond.strength != 1.0:
        return torch.full((1, 1, *size), cond.strength)
    return None


def _feather(start: int, length: int, whole: int) -> Tensor:
    """Return weights of 1 that rise linearly from each end that is not the latent's own."""
    width = min(FEATHER, length // 4)
    ramp, flat = torch.arange(1, width + 1) / max(width, 1), torch.ones(width)
    first = ramp if start > 0 else flat
    last = ramp.flip(0) if start + length < whole else flat
    return torch.cat([first, torch.ones(length - 2 * width), last])
