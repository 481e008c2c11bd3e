"""The conditions of a pass in the form that ComfyUI's `apply_model` takes them, and back."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from nodes.models.networks.denoisers.modulation import MODULATION
from nodes.sampling.conditioning.cond import CondBatch, ForwardPass

PLAIN = ("x", "timesteps", "context", "y")
GUIDED = (*PLAIN, "guidance", "ref_latents")
LAST = ("control", "transformer_options")


def network_arguments(module: nn.Module) -> tuple[str, ...]:
    """Return what wrappers of this network get, in order.

    ComfyUI's networks of single-stream blocks take a guidance and reference latents besides.
    """
    guided = hasattr(module, "single_transformer_blocks")
    return (*(GUIDED if guided else PLAIN), *LAST)


def arguments_of(cond: CondBatch) -> dict[str, Tensor]:
    """Return the tensors of conditions by the names of `apply_model`, one row a sample each."""
    found = {name: value for name, value in cond.extras.items() if name != MODULATION}
    found["c_crossattn"] = cond.tokens
    if cond.pooled is not None:
        found["y"] = cond.pooled
    if cond.concat_input is not None:
        found["c_concat"] = cond.concat_input
    return found


def pass_with(
    asked: ForwardPass, x: Tensor, sigma: Tensor, given: Mapping[str, Any]
) -> ForwardPass:
    """Return a pass with what a pack gives to `apply_model`.

    Args:
        asked: the pass that the pack was asked for.
        x: [batch, channels, h, w]; it may have fewer or more rows.
        sigma: a scalar, [1] or [batch].
        given: as from `arguments_of`; what is missing is as in `asked`.
    """
    rows, device = len(x), asked.x.device
    cond, level = asked.cond, sigma.to(asked.sigma).reshape(-1).expand(rows)
    extras = {
        name: _rows(given.get(name, value), rows).to(value)
        for name, value in cond.extras.items()
        if name != MODULATION or _is_same(asked, rows, level)
    }
    pooled, concat = cond.pooled, cond.concat_input
    cond = replace(
        cond,
        tokens=_rows(given.get("c_crossattn", cond.tokens), rows).to(cond.tokens),
        pooled=None if pooled is None else _rows(given.get("y", pooled), rows).to(pooled),
        concat_input=None
        if concat is None
        else _rows(given.get("c_concat", concat), rows).to(concat),
        extras=extras,
    )
    if rows != len(asked.x):
        cond = replace(cond, chunks=1, branches=cond.branches[:1], is_uniform=False)
    return ForwardPass(x.to(device), level, cond, asked.memory)


def _is_same(asked: ForwardPass, rows: int, sigma: Tensor) -> bool:
    """Return True for the rows and the levels that the modulation was made for."""
    return rows == len(asked.x) and bool((sigma == asked.sigma).all())


def _rows(value: Tensor | None, rows: int) -> Any:
    """Return the first rows of a value; of one with a single row, that one again and again."""
    if value is None or len(value) == rows:
        return value
    return value[:rows] if len(value) > rows else value.repeat(rows, *[1] * (value.ndim - 1))[:rows]
