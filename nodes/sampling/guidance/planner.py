"""From the conditions to one guided x0, at each call of a sampler.

`GuidancePlanner.plan` groups the conditions into as few model calls as their shapes allow;
`run_model` has the model predict x0 for each call; `combine` averages the predictions of each
branch over their areas and applies the guidance rule to the branches.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Protocol, TypeAlias, TypeVar

import torch
from torch import Tensor

from nodes.imaging.batch import repeat_to_batch
from nodes.sampling.conditioning.cond import Alteration, CondBatch
from nodes.sampling.conditioning.denoiser import Denoiser, ModelCall
from nodes.sampling.conditioning.latents import LAYERED
from nodes.sampling.conditioning.regions import ResolvedCond, SigmaRange
from nodes.sampling.guidance.finiteness import FinitenessCheck
from nodes.sampling.guidance.gather import count_rows, gather_conds, text_length
from nodes.sampling.guidance.rules import Cfg, GuidanceInputs
from nodes.sampling.guidance.self_attention import AttentionWatch, attended_rows
from nodes.sampling.guidance.settings import (
    PLAIN,
    CfgOverride,
    GuidanceSettings,
    PerturbedGuidance,
    UncondModifier,
)
from nodes.sampling.noise_schedule.parameterization import Parameterization
from nodes.sampling.samplers.registry import Call, Reply

MOST_REPEATS = 4
"""Conditions merge into one call while no text is repeated more often than this, if at all."""

Chunk: TypeAlias = tuple[int, ResolvedCond]
"""The branch of a block of rows, and their condition."""


@dataclass(frozen=True, slots=True, eq=False)
class PlannedCall(ModelCall):
    """A model call of several conditions over crops of the same size, row below row."""

    chunks: tuple[Chunk, ...]
    """The blocks of rows; branch 0 is positive, 1 negative, others follow."""


Gather: TypeAlias = Callable[
    [Sequence[ResolvedCond], int, torch.device, tuple[int, ...]], CondBatch
]
"""A function from conditions, samples in a batch, a device and the conditions' branches to the
conditions' rows there."""
Alter: TypeAlias = Callable[[ResolvedCond, Alteration], ResolvedCond]
"""A function from a condition to the same with one more alteration of the network."""


class Ranged(Protocol):
    """A setting that holds in a part of the schedule."""

    @property
    def start(self) -> float:
        """The fraction of the schedule where it begins to hold."""
        ...

    @property
    def end(self) -> float:
        """The fraction of the schedule where it stops."""
        ...


R = TypeVar("R", bound=Ranged)


def with_ranges(
    parts: Iterable[R], parameterization: Parameterization
) -> list[tuple[SigmaRange, R]]:
    """Return each part of the settings with the noise levels that it holds at."""
    return [(SigmaRange.between(part.start, part.end, parameterization), part) for part in parts]


@dataclass(frozen=True, slots=True, eq=False)
class GuidancePlanner:
    """Plans the model calls for each call of a sampler, and combines their predictions."""

    positive: Sequence[ResolvedCond]
    negative: Sequence[ResolvedCond]
    cfg: Cfg
    settings: GuidanceSettings = PLAIN
    extras: Sequence[Sequence[ResolvedCond]] = ()
    """The conditions of `settings.extras`."""
    steps: int = 1
    """The number of steps of the whole run."""
    perturbed: Sequence[tuple[SigmaRange, PerturbedGuidance]] = ()
    """`settings.perturbed`, each with the levels that it holds at."""
    uncond_modifiers: Sequence[tuple[SigmaRange, UncondModifier]] = ()
    """`settings.uncond_modifiers`, likewise."""
    cfg_overrides: Sequence[tuple[SigmaRange, CfgOverride]] = ()
    """`settings.cfg_overrides`, likewise."""
    watch: AttentionWatch | None = None
    """Notes the attention that `settings.self_attention` looks at."""
    repeats_text: bool = True
    """See `nodes.sampling.conditioning.denoiser.Denoiser`."""
    memory: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    """See `GuidanceInputs.memory`."""
    gather: Gather = field(default_factory=lambda: cache(gather_conds))
    """Gathers the conditions of a model call: once for each group of them and number of samples."""
    alter: Alter = field(default_factory=lambda: cache(_alter))
    """Adds an alteration to a condition, which makes the same one each time."""
    finiteness: FinitenessCheck = field(default_factory=FinitenessCheck)
    """Gets every prediction of the model; who samples looks at it at the end."""

    def predict(self, call: Call, denoiser: Denoiser) -> Reply:
        """Answer a call of a sampler by asking a model.

        Raises:
            NotFiniteError: the model's prediction holds infinities or NaN; see `FinitenessCheck`.
        """
        calls = self.plan(call)
        outputs = self.run_model(call, calls, denoiser)
        return self.combine(call, calls, outputs, self.look_again(call, calls, outputs, denoiser))

    def run_model(
        self, call: Call, calls: Sequence[PlannedCall], denoiser: Denoiser
    ) -> Sequence[Tensor]:
        """Return the model's x0 predictions, one a model call.

        Raises:
            NotFiniteError: one of them holds infinities or NaN; see `FinitenessCheck`.
        """
        outputs = denoiser.predict(calls)
        what = f"the model's prediction in step {call.step + 1} of {self.steps}"
        self.finiteness.add(what, outputs)
        return outputs

    def look_again(
        self,
        call: Call,
        calls: Sequence[PlannedCall],
        outputs: Sequence[Tensor],
        denoiser: Denoiser,
    ) -> Tensor | None:
        """Return what self-attention guidance adds to x0, by another call of the model.

        None without such guidance, and for networks without attention in their middle.

        Raises:
            NotFiniteError: see `predict`.
        """
        settings, maps = self.settings.self_attention, self.watch.take() if self.watch else []
        if settings is None or len(maps) != len(calls):
            return None
        attended = attended_rows(maps, [each.x.shape[-2:] for each in calls])
        uncond = _blend(1, call.x, calls, outputs)
        blurred = settings.degrade(uncond, _blend(1, call.x[:, :1], calls, attended))
        again = replace(call, x=call.x - uncond + blurred)
        more = self._plan(again, [(1, self._negative(again))])
        return (blurred - _blend(1, again.x, more, self.run_model(again, more, denoiser))) * (
            settings.scale
        )

    def plan(self, call: Call) -> list[PlannedCall]:
        """Return the model calls that answer a sampler's: as few as the shapes allow."""
        return self._plan(call, self._branches(call))

    def _plan(
        self, call: Call, branches: Sequence[tuple[int, Sequence[ResolvedCond]]]
    ) -> list[PlannedCall]:
        level = _level(call)
        waiting = [(i, c) for i, conds in branches for c in conds if level in c.sigmas]
        merged: list[PlannedCall] = []
        while waiting:
            group = _group(waiting, MOST_REPEATS if self.repeats_text else 1)
            waiting = [chunk for chunk in waiting if chunk not in group]
            merged.append(self._merge(call, group))
        return merged

    def combine(
        self,
        call: Call,
        calls: Sequence[PlannedCall],
        outputs: Sequence[Tensor],
        more: Tensor | None = None,
    ) -> Reply:
        """Blend the model's x0 predictions, one a model call, and combine the branches.

        Args:
            call: of the sampler.
            calls: of the model.
            outputs: their predictions.
            more: is added to the guided x0; see `look_again`.
        """
        predictions = {i: _blend(i, call.x, calls, outputs) for i, _ in self._branches(call)}
        guided = self._apply_rule(call, predictions)
        for i, perturbed in self._perturbations(call):
            guided = perturbed.apply(guided, predictions[0], predictions[i])
        guided = guided if more is None else guided + more
        guided = self.settings.correct(call.x, guided, predictions[0])
        if not call.wants_uncond:
            return Reply(guided)
        return Reply(guided, predictions[1], predictions[0])

    def predict_each(self, call: Call, denoiser: Denoiser) -> list[Tensor]:
        """Return the prediction of each branch, without a rule: positive, negative, extras.

        Raises:
            NotFiniteError: see `predict`.
        """
        calls = self.plan(call)
        outputs = self.run_model(call, calls, denoiser)
        return [_blend(i, call.x, calls, outputs) for i, _ in self._branches(call)]

    def _branches(self, call: Call) -> list[tuple[int, Sequence[ResolvedCond]]]:
        """Return the conditions to ask for, each list with the number of its prediction."""
        branches = [(0, self.positive)]
        if self._needs_all(call):
            branches += [(1, self._negative(call)), *enumerate(self.extras, 2)]
        if self.watch:
            branches = [(i, self._with_alteration(conds, self.watch)) for i, conds in branches]
        for i, perturbed in self._perturbations(call):
            branches.append((i, self._with_alteration(self.positive, perturbed.alteration)))
        return branches

    def _negative(self, call: Call) -> Sequence[ResolvedCond]:
        conds = self.negative
        for sigmas, modifier in self.uncond_modifiers:
            if _level(call) in sigmas:
                conds = self._with_alteration(conds, modifier.alteration)
        return conds

    def _with_alteration(
        self, conds: Sequence[ResolvedCond], alteration: Alteration
    ) -> Sequence[ResolvedCond]:
        """Return the conditions with one more alteration of the network."""
        return [self.alter(cond, alteration) for cond in conds]

    def _merge(self, call: Call, group: Sequence[Chunk]) -> PlannedCall:
        """Return the model call of a group of conditions."""
        batch, conds = len(call.x), tuple(cond for _, cond in group)
        branches = tuple(branch for branch, _ in group)
        sigmas = call.sigma.expand(batch)
        x = torch.cat([cond.crop(call.x) for cond in conds])
        sigma = torch.cat([sigmas[cond.rows] for cond in conds])
        cond = self.gather(conds, batch, x.device, branches)
        return PlannedCall(x, sigma, cond, tuple(group))

    def _perturbations(self, call: Call) -> list[tuple[int, PerturbedGuidance]]:
        """Return those that hold at this level, with the numbers of their predictions."""
        numbered = enumerate(self.perturbed, 2 + len(self.extras))
        return [(i, each) for i, (sigmas, each) in numbered if _level(call) in sigmas]

    def _apply_rule(self, call: Call, predictions: Mapping[int, Tensor]) -> Tensor:
        """Return the x0 that the rule makes of the positive, negative and extra predictions."""
        cond = predictions[0]
        if not self._needs_all(call):
            return cond
        cfg = self._cfg(call)
        if isinstance(cfg, Tensor):
            cfg = cfg.to(cond).view(-1, *[1] * (cond.ndim - 1))
        extras = tuple(predictions[2 + i] for i in range(len(self.extras)))
        inputs = GuidanceInputs(call.x, call.sigma, cond, predictions[1], cfg, extras, self.memory)
        return self.settings.combine(inputs)

    def _cfg(self, call: Call) -> Cfg:
        for sigmas, override in reversed(self.cfg_overrides):
            if _level(call) in sigmas:
                return override.cfg
        return self.settings.cfg_at(self.cfg, call.step, self.steps)

    def _needs_all(self, call: Call) -> bool:
        """Return False if the positive prediction is the result: at a cfg of 1, for most rules."""
        cfg = torch.as_tensor(self._cfg(call), dtype=torch.float64)
        plain = bool(torch.isclose(cfg, torch.ones_like(cfg), rtol=1e-9, atol=0.0).all())
        settings = self.settings
        asks = settings.disable_cfg1_optimization or settings.self_attention is not None
        return call.wants_uncond or asks or not plain


def _level(call: Call) -> float:
    return float(call.sigma.flatten()[0])


def _alter(resolved: ResolvedCond, alteration: Alteration) -> ResolvedCond:
    """Return the condition with one more alteration of the network."""
    alterations = (*resolved.cond.alterations, alteration)
    return replace(resolved, cond=replace(resolved.cond, alterations=alterations))


def _group(waiting: list[Chunk], most_repeats: int) -> list[Chunk]:
    """Return the first chunk, and those after it that fit into the same call."""
    group, (_, first) = waiting[:1], waiting[0]
    lengths = [text_length(first)]
    for chunk in waiting[1:]:
        more = [*lengths, text_length(chunk[1])]
        if _shapes(chunk[1]) == _shapes(first) and math.lcm(*more) // min(more) <= most_repeats:
            group.append(chunk)
            lengths = more
    return group


def _shapes(resolved: ResolvedCond) -> object:
    """Return the shapes and fields that must be equal for two conditions to share a call."""
    cond, area = resolved.cond, resolved.area
    extras = {name: value.shape[1:] for name, value in cond.extras.items()}
    pooled = cond.pooled is not None and cond.pooled.shape[1:]
    concat, patch = cond.concat_input is not None, cond.boxes and cond.boxes[-1].patch
    controls = cond.controls and (cond.controls, cond.sample is None)
    fixed = concat, patch, controls, cond.alterations
    return (area.height, area.width), cond.tokens.shape[2:], pooled, extras, fixed


def _blend(
    branch: int, x: Tensor, calls: Sequence[PlannedCall], outputs: Sequence[Tensor]
) -> Tensor:
    """Return the weighted average of one branch's predictions; 0 where none holds."""
    parts = [
        (resolved, part)
        for call, output in zip(calls, outputs, strict=True)
        for (i, resolved), part in zip(call.chunks, _split(call, output, len(x)), strict=True)
        if i == branch
    ]
    if len(parts) == 1 and parts[0][0].is_everywhere:
        return parts[0][1]
    total, count = torch.zeros_like(x), torch.full_like(x, 1e-37)
    for resolved, part in parts:
        weight = x.new_ones(()) if resolved.weight is None else resolved.weight
        weight = _per_sample(weight, len(x), resolved).to(x.device)
        weight = weight.unsqueeze(2) if weight.ndim and x.ndim == LAYERED else weight
        resolved.crop(total).add_(part * weight)
        resolved.crop(count).add_(weight)
    return total / count


def _split(call: PlannedCall, output: Tensor, batch: int) -> Sequence[Tensor]:
    """Split a model call's output by condition."""
    return torch.split(output, [count_rows(resolved, batch) for _, resolved in call.chunks])


def _per_sample(weight: Tensor, batch: int, resolved: ResolvedCond) -> Tensor:
    if weight.ndim == 0 or len(weight) == 1:
        return weight
    return repeat_to_batch(weight, batch)[resolved.rows]
