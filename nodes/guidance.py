"""From conditions to one guided prediction: model calls planned, merged, blended, combined.

Planning and combining are apart from the calls themselves, so that whoever makes the calls may
merge them with those of other runs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from nodes.guiding import PLAIN, Cfg, Guiding, Terms, Weakened
from nodes.parameterisation import Parameterisation
from nodes.regions import Placed
from nodes.samplers import Call, Reply
from nodes.values import Alteration, CondBatch

MOST_REPEATS = 4
"""Conditions merge into one call while no text is repeated more often than this, if at all."""


@dataclass(frozen=True, slots=True, eq=False)
class ModelCall:
    """One call of a model: several conditions over crops of the same size, row below row."""

    x: Tensor
    """[rows, channels, h, w]: a piece has as many as it has samples, mostly the whole batch."""
    sigma: Tensor
    """[rows]."""
    cond: CondBatch
    pieces: tuple[tuple[int, Placed], ...]
    """(side, condition) of each block of rows; side 0 is positive, 1 negative, others follow."""


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a schedule, by its highest and its lowest level."""

    first_sigma: float
    last_sigma: float

    @classmethod
    def of(cls, start: float, end: float, parameterisation: Parameterisation) -> "Span":
        """Between two fractions of a model's schedule."""
        return cls(*(parameterisation.percent_to_sigma(each) for each in (start, end)))

    def holds_at(self, sigma: float) -> bool:
        """Whether a level is in it."""
        return self.last_sigma <= sigma <= self.first_sigma


@dataclass(frozen=True, slots=True, eq=False)
class Guidance:
    """What the model is asked at each call of a sampler, and what becomes of its answers."""

    positive: Sequence[Placed]
    negative: Sequence[Placed]
    cfg: Cfg
    guiding: Guiding = PLAIN
    extras: Sequence[Sequence[Placed]] = ()
    """The conditions of `guiding.extras`."""
    steps: int = 1
    """How many the whole run has."""
    weakened: Sequence[Span] = ()
    """When those of `guiding.weakened` hold."""
    hampered: Sequence[Span] = ()
    """When those of `guiding.hampered` hold."""
    repeats_text: bool = True
    """See `nodes.denoiser.Denoiser`."""
    memory: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    """What the rule keeps from call to call."""

    def model_calls(self, call: Call) -> list[ModelCall]:
        """The calls that answer a sampler's: as few as the shapes allow."""
        sigma = _level(call)
        waiting = [(i, c) for i, side in self._sides(call) for c in side if c.holds_at(sigma)]
        merged: list[ModelCall] = []
        while waiting:
            group = _group(waiting, MOST_REPEATS if self.repeats_text else 1)
            waiting = [piece for piece in waiting if piece not in group]
            merged.append(_merge(call, group))
        return merged

    def reply(self, call: Call, calls: Sequence[ModelCall], outputs: Sequence[Tensor]) -> Reply:
        """Blend the model's answers, one x0 prediction a call, and combine the sides."""
        said = {side: _blend(side, call.x, calls, outputs) for side, _ in self._sides(call)}
        guided = self._combined(call, said)
        for side, weakened in self._weakened(call):
            guided = weakened.lead(guided, said[0], said[side])
        guided = self.guiding.correct(call.x, guided)
        return Reply(guided, said[1] if call.wants_uncond else None)

    def _sides(self, call: Call) -> list[tuple[int, Sequence[Placed]]]:
        """What is asked, each with the number that its answer goes by."""
        sides = [(0, self.positive)]
        if self._needs_all(call):
            sides += [(1, self._negative(call)), *enumerate(self.extras, 2)]
        return [
            *sides,
            *((at, _altered(self.positive, w.alteration)) for at, w in self._weakened(call)),
        ]

    def _negative(self, call: Call) -> Sequence[Placed]:
        placed = self.negative
        for span, hampered in zip(self.hampered, self.guiding.hampered, strict=True):
            if span.holds_at(_level(call)):
                placed = _altered(placed, hampered.alteration)
        return placed

    def _weakened(self, call: Call) -> list[tuple[int, Weakened]]:
        """Those that hold now; their numbers come after all others."""
        pairs = zip(self.weakened, self.guiding.weakened, strict=True)
        numbered = enumerate(pairs, 2 + len(self.extras))
        return [(at, each) for at, (span, each) in numbered if span.holds_at(_level(call))]

    def _combined(self, call: Call, said: Mapping[int, Tensor]) -> Tensor:
        """The positive, the negative and the extra predictions as one."""
        cond = said[0]
        if not self._needs_all(call):
            return cond
        cfg = self._cfg(call)
        if isinstance(cfg, Tensor):
            cfg = cfg.to(cond).view(-1, *[1] * (cond.ndim - 1))
        others = tuple(said[2 + at] for at in range(len(self.extras)))
        terms = Terms(call.x, call.sigma, cond, said[1], cfg, others, self.memory)
        return self.guiding.combine(terms)

    def _cfg(self, call: Call) -> Cfg:
        return self.guiding.cfg_at(self.cfg, call.step, self.steps)

    def _needs_all(self, call: Call) -> bool:
        """At a guidance of 1 the positive prediction is the whole answer, as a rule."""
        cfg = torch.as_tensor(self._cfg(call), dtype=torch.float64)
        plain = bool(torch.isclose(cfg, torch.ones_like(cfg), rtol=1e-9, atol=0.0).all())
        return call.wants_uncond or self.guiding.always or not plain


def _level(call: Call) -> float:
    return float(call.sigma.flatten()[0])


def _altered(side: Sequence[Placed], alteration: Alteration) -> list[Placed]:
    """The same conditions, asked of a network that is changed."""
    return [
        replace(p, cond=replace(p.cond, alterations=(*p.cond.alterations, alteration)))
        for p in side
    ]


def _group(waiting: list[tuple[int, Placed]], most_repeats: int) -> list[tuple[int, Placed]]:
    """The first, and those after it that fit into the same call."""
    group, (_, first) = waiting[:1], waiting[0]
    lengths = [_length(first)]
    for piece in waiting[1:]:
        more = [*lengths, _length(piece[1])]
        if _shapes(piece[1]) == _shapes(first) and math.lcm(*more) // min(more) <= most_repeats:
            group.append(piece)
            lengths = more
    return group


def _length(placed: Placed) -> int:
    return placed.cond.tokens.shape[1]


def _shapes(placed: Placed) -> object:
    """What must agree: the shapes, one row each, and what is the same for all rows."""
    cond, area = placed.cond, placed.area
    extras = {k: v.shape[1:] for k, v in cond.extras.items() if isinstance(v, Tensor)}
    pooled = cond.pooled is not None and cond.pooled.shape[1:]
    laid, patch = cond.laid is not None, cond.boxes and cond.boxes[-1].patch
    controls = cond.controls and (cond.controls, cond.sample is None)
    fixed = laid, patch, controls, cond.alterations
    return (area.height, area.width), cond.tokens.shape[2:], pooled, extras, fixed


def _merge(call: Call, group: list[tuple[int, Placed]]) -> ModelCall:
    sigmas = call.sigma.expand(len(call.x))
    x = torch.cat([piece.crop(call.x) for _, piece in group])
    sigma = torch.cat([sigmas[piece.rows] for _, piece in group])
    counts = [_count(piece, len(call.x)) for _, piece in group]
    cond = _cond_batch([c for _, c in group], counts, x.device)
    laid = [part for _, piece in group if (part := _laid(piece, len(call.x))) is not None]
    if laid:
        cond = replace(cond, laid=torch.cat(laid).to(x))
    return ModelCall(x, sigma, cond, tuple(group))


def _laid(placed: Placed, batch: int) -> Tensor | None:
    """The part of what is read beside the latent that a condition holds for."""
    laid = placed.cond.laid
    if laid is None:
        return None
    return placed.crop(laid.repeat(math.ceil(batch / len(laid)), 1, 1, 1)[:batch])


def _cond_batch(group: list[Placed], counts: list[int], device: torch.device) -> CondBatch:
    """The conditions row below row, texts repeated to a common length.

    Repeating all of a text changes nothing in cross-attention: every weight is shared out
    equally among the copies.
    """
    length = math.lcm(*(piece.cond.tokens.shape[1] for piece in group))
    conds = [piece.cond for piece in group]
    tokens = [c.tokens.repeat(1, length // c.tokens.shape[1], 1) for c in conds]
    pooled = [c.pooled for c in conds if c.pooled is not None]
    extras = {
        name: _rows([v for c in conds if isinstance(v := c.extras[name], Tensor)], counts, device)
        for name, value in conds[0].extras.items()
        if isinstance(value, Tensor)
    }
    return CondBatch(
        tokens=_rows(tokens, counts, device),
        pooled=_rows(pooled, counts, device) if pooled else None,
        extras=extras,
        controls=conds[0].controls,
        alterations=conds[0].alterations,
        patch=conds[0].boxes[-1].patch if conds[0].boxes else None,
        pieces=len(group),
    )


def _rows(values: list[Tensor], counts: list[int], device: torch.device) -> Tensor:
    """Each value repeated to, or cut to, as many rows as its condition has samples."""
    rows = [
        v.repeat(math.ceil(count / len(v)), *[1] * (v.ndim - 1))[:count]
        for v, count in zip(values, counts, strict=True)
    ]
    return torch.cat(rows).to(device)


def _blend(side: int, x: Tensor, calls: Sequence[ModelCall], outputs: Sequence[Tensor]) -> Tensor:
    """The weighted average of one side's predictions; 0 where none holds."""
    parts = [
        (placed, part)
        for call, output in zip(calls, outputs, strict=True)
        for (at, placed), part in zip(call.pieces, _rows_of(call, output, len(x)), strict=True)
        if at == side
    ]
    if len(parts) == 1 and parts[0][0].is_everywhere:
        return parts[0][1]
    total, count = torch.zeros_like(x), torch.full_like(x, 1e-37)
    for placed, part in parts:
        weight = torch.ones(()) if placed.weight is None else placed.weight
        weight = _per_sample(weight, len(x), placed).to(x.device)
        placed.crop(total).add_(part * weight)
        placed.crop(count).add_(weight)
    return total / count


def _rows_of(call: ModelCall, output: Tensor, batch: int) -> Sequence[Tensor]:
    """A model call's output, condition by condition."""
    return torch.split(output, [_count(placed, batch) for _, placed in call.pieces])


def _count(placed: Placed, batch: int) -> int:
    """How many samples a condition holds for."""
    return len(range(batch)[placed.rows])


def _per_sample(weight: Tensor, batch: int, placed: Placed) -> Tensor:
    if weight.ndim == 0 or len(weight) == 1:
        return weight
    return weight.repeat(math.ceil(batch / len(weight)), 1, 1, 1)[:batch][placed.rows]
