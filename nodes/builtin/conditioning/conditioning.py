"""Nodes that combine conditionings, and limit them to areas, masks and steps."""

from dataclasses import replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from nodegraph.definition.context import Context
from nodegraph.definition.node import node
from nodes.builtin.inputs import Fraction, LatentAreaSide, LatentOffset, Ratio, Strength
from nodes.values import Area, Cond, Conditioning, Mask, RelativeArea


class ConditioningPair(NamedTuple):
    """A positive and a negative conditioning."""

    positive: Conditioning
    negative: Conditioning


@node("ConditioningCombine", category="conditioning", display_name="Conditioning (Combine)")
def conditioning_combine(
    conditioning_1: Conditioning, conditioning_2: Conditioning
) -> Conditioning:
    """Combine two conditionings: the model predicts for each, and the predictions are averaged.

    Each prediction counts by its conditioning's strength.
    """
    return Conditioning(conditioning_1.conds + conditioning_2.conds)


@node(
    "PairConditioningCombine",
    category="advanced/hooks/cond pair",
    display_name="Cond Pair Combine",
    experimental=True,
)
def pair_conditioning_combine(
    positive_A: Conditioning,  # noqa: N803 - ComfyUI's names
    negative_A: Conditioning,  # noqa: N803
    positive_B: Conditioning,  # noqa: N803
    negative_B: Conditioning,  # noqa: N803
) -> ConditioningPair:
    """Combine two pairs of positive and negative conditionings; see `Conditioning (Combine)`."""
    return ConditioningPair(
        Conditioning(positive_A.conds + positive_B.conds),
        Conditioning(negative_A.conds + negative_B.conds),
    )


@node("ConditioningConcat", category="conditioning", display_name="Conditioning (Concat)")
def conditioning_concat(
    conditioning_to: Conditioning, conditioning_from: Conditioning, ctx: Context
) -> Conditioning:
    """Append the tokens of `conditioning_from` to every prompt of `conditioning_to`.

    The model then reads both texts in one call: [1, length + length, dim].
    """
    tail = _only(conditioning_from, ctx).tokens
    return Conditioning(
        tuple(
            replace(cond, tokens=torch.cat([cond.tokens, tail], dim=1))
            for cond in conditioning_to.conds
        )
    )


@node("ConditioningAverage", category="conditioning")
def conditioning_average(
    conditioning_to: Conditioning,
    conditioning_from: Conditioning,
    conditioning_to_strength: Ratio = 1.0,
    *,
    ctx: Context,
) -> Conditioning:
    """Interpolate two encoded prompts: 1 is all `conditioning_to`, 0 all `conditioning_from`.

    `conditioning_from` is cut or padded with zeros to the length of `conditioning_to`.
    """
    other = _only(conditioning_from, ctx)
    mixed = (_mix(cond, other, conditioning_to_strength) for cond in conditioning_to.conds)
    return Conditioning(tuple(mixed))


@node("ConditioningSetArea", category="conditioning", display_name="Conditioning (Set Area)")
def conditioning_set_area(
    conditioning: Conditioning,
    width: LatentAreaSide = 64,
    height: LatentAreaSide = 64,
    x: LatentOffset = 0,
    y: LatentOffset = 0,
    strength: Strength = 1.0,
) -> Conditioning:
    """Limit a conditioning to a rectangle of the image; sizes and offsets are in pixels.

    They are rounded down to multiples of 8. Where conditionings overlap, they are averaged by
    strength.
    """
    area = Area(height // 8, width // 8, y // 8, x // 8)
    return Conditioning(
        tuple(
            replace(cond, area=area, relative_area=None, strength=strength, mask_bounds=False)
            for cond in conditioning.conds
        )
    )


@node(
    "ConditioningSetAreaPercentage",
    category="conditioning",
    display_name="Conditioning (Set Area with Percentage)",
)
def conditioning_set_area_percentage(
    conditioning: Conditioning,
    width: Ratio = 1.0,
    height: Ratio = 1.0,
    x: Ratio = 0,
    y: Ratio = 0,
    strength: Strength = 1.0,
) -> Conditioning:
    """Limit a conditioning to a rectangle given in fractions of the image: 0.5 is half of it."""
    relative_area = RelativeArea(height, width, y, x)
    return Conditioning(
        tuple(
            replace(
                cond, area=None, relative_area=relative_area, strength=strength, mask_bounds=False
            )
            for cond in conditioning.conds
        )
    )


@node("ConditioningSetAreaStrength", category="conditioning")
def conditioning_set_area_strength(
    conditioning: Conditioning, strength: Strength = 1.0
) -> Conditioning:
    """Set how much a conditioning counts where it overlaps with others; 0 is not at all."""
    return Conditioning(tuple(replace(cond, strength=strength) for cond in conditioning.conds))


@node("ConditioningSetMask", category="conditioning", display_name="Conditioning (Set Mask)")
def conditioning_set_mask(
    *,
    conditioning: Conditioning,
    mask: Mask,
    strength: Strength = 1.0,
    set_cond_area: Literal["default", "mask bounds"],
) -> Conditioning:
    """Limit a conditioning to a mask, which also weighs it; the mask may have any size.

    With `mask bounds` the model sees only the mask's bounding box, with `default` the whole image.
    """
    mask = mask if mask.ndim > 2 else mask.unsqueeze(0)
    bounds = set_cond_area == "mask bounds"
    return Conditioning(
        tuple(
            replace(cond, mask=mask, mask_strength=strength, mask_bounds=bounds)
            for cond in conditioning.conds
        )
    )


@node("ConditioningSetTimestepRange", category="advanced/conditioning")
def conditioning_set_timestep_range(
    conditioning: Conditioning, start: Fraction = 0.0, end: Fraction = 1.0
) -> Conditioning:
    """Limit a conditioning to a part of the denoising: 0 is pure noise, 1 the finished image."""
    held = (replace(cond, start=start, end=end) for cond in conditioning.conds)
    return Conditioning(tuple(held))


@node("ConditioningZeroOut", category="advanced/conditioning")
def conditioning_zero_out(conditioning: Conditioning) -> Conditioning:
    """Replace an encoded prompt by zeros of the same shape: a conditioning without content."""
    return Conditioning(
        tuple(
            replace(cond, tokens=torch.zeros_like(cond.tokens), pooled=_zeros(cond.pooled))
            for cond in conditioning.conds
        )
    )


def _only(conditioning: Conditioning, ctx: Context) -> Cond:
    first, *rest = conditioning.conds
    if rest:
        ctx.notice(f"conditioning_from holds {len(rest) + 1} conditions; only the first is used.")
    return first


def _mix(cond: Cond, other: Cond, strength: float) -> Cond:
    length = cond.tokens.shape[1]
    tokens = functional.pad(other.tokens, (0, 0, 0, max(0, length - other.tokens.shape[1])))
    pooled = other.pooled if cond.pooled is None else cond.pooled
    if cond.pooled is not None and other.pooled is not None:
        pooled = cond.pooled * strength + other.pooled * (1 - strength)
    mixed = cond.tokens * strength + tokens[:, :length] * (1 - strength)
    return replace(cond, tokens=mixed, pooled=pooled)


def _zeros(pooled: Tensor | None) -> Tensor | None:
    return None if pooled is None else torch.zeros_like(pooled)
