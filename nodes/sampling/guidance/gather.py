"""The conditions of one model call, gathered row below row on the model's device."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from nodes.imaging.batch import repeat_to_batch
from nodes.sampling.conditioning.cond import CondBatch
from nodes.sampling.conditioning.denoiser import PreparedCond
from nodes.sampling.conditioning.regions import ResolvedCond


def gather_conds(
    group: Sequence[ResolvedCond],
    batch: int,
    device: torch.device,
    branches: tuple[int, ...] = (),
) -> CondBatch:
    """Return the conditions of a model call on a device, row below row.

    Args:
        group: the conditions.
        batch: the number of samples.
        device: of the network.
        branches: see `CondBatch`.
    """
    rows = _cond_batch(group, [count_rows(cond, batch) for cond in group], device)
    rows = replace(rows, branches=branches)
    concat = [part for cond in group if (part := _concat_input(cond, batch)) is not None]
    if not concat:
        return rows
    return replace(rows, concat_input=torch.cat([part.to(device).float() for part in concat]))


def count_rows(resolved: ResolvedCond, batch: int) -> int:
    """Return the number of samples that a condition holds for."""
    return len(range(batch)[resolved.rows])


def text_length(resolved: ResolvedCond) -> int:
    """Return the number of tokens of a condition's text."""
    return resolved.cond.tokens.shape[1]


def _concat_input(resolved: ResolvedCond, batch: int) -> Tensor | None:
    """Return the part of the concat input that a condition holds for."""
    whole = resolved.cond.concat_input
    if whole is None:
        return None
    return resolved.crop(repeat_to_batch(whole, batch))


def _cond_batch(
    group: Sequence[ResolvedCond], counts: Sequence[int], device: torch.device
) -> CondBatch:
    """Return the conditions row below row, texts repeated to a common length.

    Texts are in the network's precision, unless ControlNets read them, which may have another.

    Repeating all of a text changes nothing in cross-attention: every weight is shared out
    equally among the copies.
    """
    length = math.lcm(*(text_length(resolved) for resolved in group))
    conds = [resolved.cond for resolved in group]
    tokens = [c.tokens.repeat(1, length // c.tokens.shape[1], 1) for c in conds]
    pooled = [c.pooled for c in conds if c.pooled is not None]
    extras = {
        name: _rows([c.extras[name] for c in conds], counts, device) for name in conds[0].extras
    }
    dtype = None if conds[0].controls else conds[0].dtype
    return CondBatch(
        tokens=_rows(tokens, counts, device).to(dtype=dtype),
        pooled=_rows(pooled, counts, device).to(dtype=dtype) if pooled else None,
        extras=extras,
        controls=conds[0].controls,
        alterations=conds[0].alterations,
        patch=conds[0].boxes[-1].patch if conds[0].boxes else None,
        chunks=len(group),
        is_uniform=len(set(counts)) == 1 and all(map(_is_single, conds)),
    )


def _is_single(cond: PreparedCond) -> bool:
    """Return True if all that a network reads of a condition is [1, …], but for its latents."""
    values = [cond.tokens, *([] if cond.pooled is None else [cond.pooled]), *cond.extras.values()]
    return all(len(value) == 1 for value in values)


def _rows(values: Sequence[Tensor], counts: Sequence[int], device: torch.device) -> Tensor:
    """Return each value repeated to, or cut to, as many rows as its condition has samples.

    The values may be on several devices; packs leave them on any.
    """
    moved = [value.to(device) for value in values]
    return torch.cat([repeat_to_batch(v, count) for v, count in zip(moved, counts, strict=True)])
