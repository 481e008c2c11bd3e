"""From conditions to one guided prediction: model calls planned, merged, blended, combined.

Planning and combining are apart from the calls themselves, so that whoever makes the calls may
merge them with those of other runs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from nodes.regions import Placed
from nodes.samplers import Call, Reply
from nodes.values import CondBatch

MOST_REPEATS = 4
"""Conditions merge into one call while no text is repeated more often than this."""


@dataclass(frozen=True, slots=True, eq=False)
class ModelCall:
    """One call of a model: several conditions over crops of the same size, row below row."""

    x: Tensor
    """[pieces x batch, channels, h, w]."""
    sigma: Tensor
    """[pieces x batch]."""
    cond: CondBatch
    pieces: tuple[tuple[int, Placed], ...]
    """(side, condition) of each block of rows; side 0 is positive, 1 negative."""


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """What a guidance rule combines; [batch, channels, h, w] each."""

    x: Tensor
    sigma: Tensor
    cond: Tensor
    uncond: Tensor
    cfg: float


Rule: TypeAlias = Callable[[Terms], Tensor]
"""How the two predictions become one x0."""


def classifier_free(terms: Terms) -> Tensor:
    """Classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598, eq. 6)."""
    return terms.uncond + (terms.cond - terms.uncond) * terms.cfg


@dataclass(frozen=True, slots=True)
class Rescaled:
    """Guidance whose v-prediction keeps the standard deviation that the positive one has.

    Lin et al. 2023 (arXiv:2305.08891), eq. 14 to 16, for models that add noise to the latent.
    """

    multiplier: float = 0.7
    """0 is plain classifier-free guidance, 1 fully rescaled."""

    def __call__(self, terms: Terms) -> Tensor:
        """Combine in v, go back to x0."""
        sigma = terms.sigma.reshape(-1, *[1] * (terms.x.ndim - 1))
        root = (sigma**2 + 1.0).sqrt()
        scaled = terms.x / (sigma**2 + 1.0)
        cond, uncond = ((scaled - x0) * root / sigma for x0 in (terms.cond, terms.uncond))
        guided = uncond + terms.cfg * (cond - uncond)
        rescaled = guided * (_std(cond) / _std(guided))
        v = self.multiplier * rescaled + (1.0 - self.multiplier) * guided
        return scaled - v * sigma / root


@dataclass(frozen=True, slots=True, eq=False)
class Guidance:
    """What the model is asked at each call of a sampler, and what becomes of its answers."""

    positive: Sequence[Placed]
    negative: Sequence[Placed]
    cfg: float
    rule: Rule = classifier_free

    def model_calls(self, call: Call) -> list[ModelCall]:
        """The calls that answer a sampler's: as few as the shapes allow."""
        sigma = float(call.sigma.flatten()[0])
        sides = (self.positive, self.negative if self._needs_negative(call) else ())
        waiting = [(i, c) for i, side in enumerate(sides) for c in side if c.holds_at(sigma)]
        merged: list[ModelCall] = []
        while waiting:
            group = [piece for piece in waiting if _mergeable(waiting[0][1], piece[1])]
            waiting = [piece for piece in waiting if piece not in group]
            merged.append(_merge(call, group))
        return merged

    def reply(self, call: Call, calls: Sequence[ModelCall], outputs: Sequence[Tensor]) -> Reply:
        """Blend the model's answers, one x0 prediction a call, and combine the two sides."""
        cond, uncond = (_blend(side, call.x, calls, outputs) for side in (0, 1))
        if not self._needs_negative(call):
            return Reply(cond)
        guided = self.rule(Terms(call.x, call.sigma, cond, uncond, self.cfg))
        return Reply(guided, uncond if call.wants_uncond else None)

    def _needs_negative(self, call: Call) -> bool:
        return call.wants_uncond or not math.isclose(self.cfg, 1.0)


def _mergeable(a: Placed, b: Placed) -> bool:
    """Whether two conditions fit into one call."""
    if (a.area.height, a.area.width) != (b.area.height, b.area.width):
        return False
    if _shapes(a) != _shapes(b):
        return False
    lengths = a.cond.tokens.shape[1], b.cond.tokens.shape[1]
    return math.lcm(*lengths) // min(lengths) <= MOST_REPEATS


def _shapes(placed: Placed) -> object:
    """The shapes that must agree, one row each."""
    cond = placed.cond
    extras = {k: v.shape[1:] for k, v in cond.extras.items() if isinstance(v, Tensor)}
    return cond.tokens.shape[2:], cond.pooled is not None and cond.pooled.shape[1:], extras


def _merge(call: Call, group: list[tuple[int, Placed]]) -> ModelCall:
    batch = len(call.x)
    x = torch.cat([piece.crop(call.x) for _, piece in group])
    sigma = call.sigma.expand(batch).repeat(len(group))
    return ModelCall(x, sigma, _cond_batch([c for _, c in group], batch, x.device), tuple(group))


def _cond_batch(group: list[Placed], batch: int, device: torch.device) -> CondBatch:
    """The conditions row below row, texts repeated to a common length.

    Repeating all of a text changes nothing in cross-attention: every weight is shared out
    equally among the copies.
    """
    length = math.lcm(*(piece.cond.tokens.shape[1] for piece in group))
    conds = [piece.cond for piece in group]
    tokens = [c.tokens.repeat(1, length // c.tokens.shape[1], 1) for c in conds]
    pooled = [c.pooled for c in conds if c.pooled is not None]
    extras = {
        name: _rows([v for c in conds if isinstance(v := c.extras[name], Tensor)], batch, device)
        for name, value in conds[0].extras.items()
        if isinstance(value, Tensor)
    }
    rows = _rows(tokens, batch, device)
    return CondBatch(rows, _rows(pooled, batch, device) if pooled else None, extras)


def _rows(values: list[Tensor], batch: int, device: torch.device) -> Tensor:
    """Each value repeated to, or cut to, as many rows as there are samples."""
    counts = (math.ceil(batch / len(v)) for v in values)
    rows = (v.repeat(n, *[1] * (v.ndim - 1))[:batch] for v, n in zip(values, counts, strict=True))
    return torch.cat(list(rows)).to(device)


def _blend(side: int, x: Tensor, calls: Sequence[ModelCall], outputs: Sequence[Tensor]) -> Tensor:
    """The weighted average of one side's predictions; 0 where none holds."""
    parts = [
        (placed, part)
        for call, output in zip(calls, outputs, strict=True)
        for (at, placed), part in zip(call.pieces, _rows_of(output, len(x)), strict=True)
        if at == side
    ]
    if len(parts) == 1 and parts[0][0].weight is None:
        return parts[0][1]
    total, count = torch.zeros_like(x), torch.full_like(x, 1e-37)
    for placed, part in parts:
        weight = torch.ones(()) if placed.weight is None else placed.weight
        weight = _per_sample(weight, len(x)).to(x.device)
        placed.crop(total).add_(part * weight)
        placed.crop(count).add_(weight)
    return total / count


def _rows_of(output: Tensor, batch: int) -> Sequence[Tensor]:
    """A model call's output, condition by condition."""
    return [output[i : i + batch] for i in range(0, len(output), batch)]


def _per_sample(weight: Tensor, batch: int) -> Tensor:
    if weight.ndim == 0 or len(weight) == 1:
        return weight
    return weight.repeat(math.ceil(batch / len(weight)), 1, 1, 1)[:batch]


def _std(x: Tensor) -> Tensor:
    return x.std(dim=tuple(range(1, x.ndim)), keepdim=True)
