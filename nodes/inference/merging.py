"""Model calls of several runs on one model, made as one.

A row of a model call knows nothing of the others: each has its own noise level and conditions,
and guidance comes afterwards. So calls of equal shapes can be stacked. Numbers then differ from
those of a call alone by rounding only, about 1e-6 of their size in float32.
"""

from collections.abc import Callable, Generator, Hashable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from nodegraph.definition.context import Context
from nodegraph.runtime.call_merger import CallMerger, Participant
from nodegraph.runtime.run_environment import run_environment
from nodes.inference.row_split import SplittingDenoiser, most_rows, split_call
from nodes.models.loading.forward import ModelDenoiser, denoise
from nodes.models.loading.handles import ModelHandle
from nodes.sampling.conditioning.cond import CondBatch
from nodes.sampling.conditioning.denoiser import Denoiser, ModelCall
from nodes.sampling.conditioning.level_table import LevelTable
from nodes.sampling.conditioning.run_memory import RunMemory
from nodes.sampling.guidance.settings import PLAIN


@dataclass(frozen=True, slots=True, eq=False)
class MergingDenoiser(ModelDenoiser):
    """The `Denoiser` of one model whose calls are merged with those of other runs."""

    ctx: Context
    merger: CallMerger
    participant: Participant
    rows: dict[object, int] = field(default_factory=dict[object, int])
    """The rows that there is memory for, by the shape of calls: decided once for all steps."""

    def _predict(self, call: ModelCall) -> Tensor:
        self.check_cancelled()
        complete = replace(call, cond=self._conditions(call))
        kind = _kind(self.model, complete)
        return self.merger.call(kind, complete, self._predict_all, self.participant)

    def _predict_all(self, calls: Sequence[ModelCall]) -> Sequence[Tensor]:
        """Return the x0 of calls that one forward pass can make."""
        one = calls[0] if len(calls) == 1 else _stack(calls)
        shape = one.x.shape, one.cond.tokens.shape
        if shape not in self.rows:
            self.rows[shape] = most_rows(self.model, one, self.ctx)
        if len(one.x) > self.rows[shape]:
            parts = split_call(one, self.rows[shape])
            x0 = torch.cat([denoise(self.model, each.x, each.sigma, each.cond) for each in parts])
        else:
            memory = self.memory if one is calls[0] else None
            x0 = denoise(self.model, one.x, one.sigma, one.cond, memory)
        return torch.split(x0, [len(call.x) for call in calls])


@contextmanager
def open_denoiser(
    model: ModelHandle,
    ctx: Context,
    levels: Callable[[], Sequence[float]] = tuple,
    sigmas: Tensor | None = None,
) -> Generator[Denoiser]:
    """Open the denoiser of a model for one sampler.

    It merges calls if the settings say so, and splits those that memory is too short for.

    Args:
        model: with its patches.
        ctx: of the node that samples.
        levels: returns the noise levels that will come, as far as they are known.
        sigmas: of the sampler's steps.
    """
    merger = run_environment().merger
    memory = RunMemory(model.model.network.placement.device, sigmas=sigmas)
    table = LevelTable(levels)
    if merger is None:
        yield SplittingDenoiser(model, ctx.check_cancelled, ctx, memory=memory, levels=table)
        return
    with merger.participate(_forward_pass(model)) as participant:
        yield MergingDenoiser(
            model, ctx.check_cancelled, ctx, merger, participant, memory=memory, levels=table
        )


def _stack(calls: Sequence[ModelCall]) -> ModelCall:
    x, sigma = torch.cat([call.x for call in calls]), torch.cat([call.sigma for call in calls])
    return ModelCall(x, sigma, stack_conds([call.cond for call in calls]))


def stack_conds(conds: Sequence[CondBatch]) -> CondBatch:
    """Return the conditions of several model calls of one kind, row below row."""
    first = conds[0]
    pooled = [cond.pooled for cond in conds if cond.pooled is not None]
    concat = [cond.concat_input for cond in conds if cond.concat_input is not None]
    return replace(
        first,
        tokens=torch.cat([cond.tokens for cond in conds]),
        pooled=torch.cat(pooled) if pooled else None,
        extras={name: torch.cat([cond.extras[name] for cond in conds]) for name in first.extras},
        chunks=sum(cond.chunks for cond in conds),
        branches=tuple(branch for cond in conds for branch in cond.branches),
        is_uniform=False,
        concat_input=torch.cat(concat) if concat else None,
    )


def _forward_pass(model: ModelHandle) -> Hashable:
    """Return what decides the forward pass of a handle, without guidance, which follows it."""
    return replace(model, guidance=PLAIN, latents=None), run_environment().attention


def _kind(model: ModelHandle, call: ModelCall) -> Hashable:
    """Return all that must be equal for two calls to be rows of one."""
    cond, rows = call.cond, len(call.x)
    steered = bool(cond.controls or cond.alterations or cond.patch or model.alterations)
    levels = tuple(float(level) for level in call.sigma) if steered or model.injections else ()
    return (
        _forward_pass(model),
        (call.x.shape[1:], call.x.dtype, call.x.device),
        _shape(cond.tokens),
        _shape(cond.pooled),
        _shape(cond.concat_input),
        tuple((name, _shape(value)) for name, value in sorted(cond.extras.items())),
        (cond.controls, cond.alterations, cond.patch),
        (levels, rows, cond.chunks) if levels else (),
    )


def _shape(value: Tensor | None) -> Hashable:
    return None if value is None else (value.shape[1:], value.dtype)
