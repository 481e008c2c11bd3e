"""Model calls with more rows than the device has memory for, made as several smaller ones.

A row of a model call knows nothing of the others, so the parts give what the whole would, but for
rounding.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from nodegraph.definition.context import Context
from nodegraph.runtime.device_lane import device_lane
from nodes.models.loading.forward import ModelDenoiser, denoise, use_of
from nodes.models.loading.handles import ModelHandle
from nodes.sampling.conditioning.cond import CondBatch, RowRange
from nodes.sampling.conditioning.denoiser import ModelCall


@dataclass(frozen=True, slots=True)
class _Parts:
    """The conditions of the calls that are made instead of one."""

    whole: CondBatch
    """Those of the one, held so that no others get its identity."""
    parts: tuple[CondBatch, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SplittingDenoiser(ModelDenoiser):
    """The `Denoiser` of one model whose calls are split if memory is short."""

    ctx: Context
    split: dict[object, _Parts] = field(default_factory=dict[object, _Parts])
    """By the calls' conditions and shapes: it is decided once for all steps."""

    def _predict(self, call: ModelCall) -> Tensor:
        key = id(call.cond), call.x.shape
        if key not in self.split:
            rows = most_rows(self.model, call, self.ctx)
            self.split[key] = _Parts(call.cond, tuple(_split(call.cond, len(call.x), rows)))
        made = list(self._predict_parts(call, self.split[key].parts))
        return made[0] if len(made) == 1 else torch.cat(made)

    def _predict_parts(self, call: ModelCall, parts: tuple[CondBatch, ...]) -> Iterator[Tensor]:
        for part in _rows_of(call, parts):
            self.check_cancelled()
            yield denoise(self.model, part.x, part.sigma, self._conditions(part), self.memory)


def most_rows(model: ModelHandle, call: ModelCall, ctx: Context) -> int:
    """Return the number of rows of a call that there is memory for, told if not all; 1 or more.

    Calls that something alters or injects into are not split: it may know one row of the other.
    """
    cond, rows = call.cond, len(call.x)
    if cond.alterations or model.alterations or model.injections:
        return rows
    if rows == 1 or not (model.model.network.on_accelerator and ctx.models.plans):
        return rows
    use = use_of(model, call.x, cond)
    with device_lane(model.model.network.placement.device):
        spare = ctx.models.spare_bytes(use.models, use.activations or 0)
    if spare is None or _fits(model, call, rows, spare):
        return rows
    fewer = rows - 1
    while fewer > 1 and not _fits(model, call, fewer, spare):
        fewer -= 1
    ctx.notice(
        f"there is not enough memory for {rows} images and prompts at once: no more than"
        f" {fewer} in a model call."
    )
    return fewer


def split_call(call: ModelCall, most: int) -> Iterator[ModelCall]:
    """Yield calls of at most so many rows each that together are one; that one if it is all."""
    return _rows_of(call, tuple(_split(call.cond, len(call.x), most)))


def _rows_of(call: ModelCall, parts: tuple[CondBatch, ...]) -> Iterator[ModelCall]:
    start = 0
    for cond in parts:
        rows = slice(start, start + len(cond.tokens)) if len(parts) > 1 else slice(None)
        start += len(cond.tokens)
        yield ModelCall(call.x[rows], call.sigma[rows], cond)


def _fits(model: ModelHandle, call: ModelCall, rows: int, spare: int) -> bool:
    cond = next(_split(call.cond, len(call.x), rows))
    beside = use_of(model, call.x[:rows], cond).activations
    return beside is None or beside <= spare


def _split(cond: CondBatch, rows: int, most: int) -> Iterator[CondBatch]:
    """Yield conditions of at most so many rows each; the same if that is all of them."""
    if most >= rows:
        yield cond
        return
    for start in range(0, rows, most):
        part = slice(start, start + most)
        yield replace(
            cond,
            tokens=cond.tokens[part],
            pooled=None if cond.pooled is None else cond.pooled[part],
            extras={name: value[part] for name, value in cond.extras.items()},
            concat_input=None if cond.concat_input is None else cond.concat_input[part],
            chunks=1,
            branches=(),
            is_uniform=False,
            part=RowRange(start, rows, cond.chunks),
        )
