"""A model in a run of a sampler, in ComfyUI's form: predicts for the conditions of guiders."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn, TypeAlias

import torch
from torch import Tensor

from nodes.comfy.values.conditions import from_entries
from nodes.comfy.values.errors import NotOfferedError
from nodes.comfy.values.inner_model import InnerModel
from nodes.comfy.values.models import PackModel
from nodes.comfy.values.patches.changes import PackChanges
from nodes.comfy.values.patches.options import INSIDE, LiveOptions
from nodes.sampling.conditioning.denoiser import Branch
from nodes.sampling.guidance.planner import GuidancePlanner
from nodes.sampling.guidance.session import SamplingSession
from nodes.sampling.samplers.registry import Call
from nodes.values import Conditioning

BRANCH = "nodegraph_branch"
"""The key in a guider's condition of the branch of guidance that it belongs to."""
Entries: TypeAlias = Sequence[Mapping[str, Any]]
"""The conditions of a guider, a dict each."""


class LiveModel(InnerModel):
    """The object under `guider.inner_model` while a sampler runs.

    Args:
        session: the sampler's run.
        patcher: the MODEL.
    """

    def __init__(self, session: SamplingSession, patcher: PackModel) -> None:
        self.fill(patcher.handle)
        self.session = session
        self.model_patcher = self.current_patcher = patcher.clone()
        self.model_patcher.model = self
        self.diffusion_model = NetworkPlace()
        self.device = session.request.denoiser.device
        self._live = LiveOptions(owner=self)
        altered = getattr(session.request.denoiser, "model", patcher.handle).alterations
        self._is_changed = any(isinstance(each, PackChanges) for each in altered)
        self._plans: dict[Hashable, tuple[Sequence[object], GuidancePlanner]] = {}

    def predict_each(
        self,
        conditions: Sequence[Entries | None],
        x: Tensor,
        sigma: Tensor,
        options: Mapping[str, Any] | None = None,
    ) -> list[Tensor]:
        """Return the model's x0 for each list of conditions; zeros for None and for no conditions.

        Args:
            conditions: the lists, in the order positive, negative, others if there are several.
            x: [batch, channels, h, w] in the model's space.
            sigma: a scalar, or [batch].
            options: the model's, with functions inside of the network.

        Raises:
            NotOfferedError: an option has no counterpart.
        """
        if not any(conditions):
            return [torch.zeros_like(x) for _ in conditions]
        self._live.inside = dict((options or {}).get(INSIDE, {}))
        changes = PackChanges.of(options or {}, self._live)
        changes = changes if changes.hooks or self._is_changed else None
        call = Call(x, sigma, self.step_at(sigma))
        plan = self._plan(conditions, (x.shape[-2], x.shape[-1]), changes)
        found = plan.predict_each(call, self.session.request.denoiser)
        return found[: len(conditions)]

    def step_at(self, sigma: Tensor) -> int:
        """Return the step of the schedule that a noise level belongs to, from 0."""
        sigmas = self.session.request.sigmas
        level, ahead = float(sigma.flatten()[0]), sigmas[:-1].to(torch.float64)
        nearest = int((ahead - level).abs().argmin())
        passed = sigmas[0] > sigmas[-1] and float(ahead[nearest]) < level * (1 - 1e-6)
        return max(0, nearest - 1) if passed else nearest

    def _plan(
        self,
        conditions: Sequence[Entries | None],
        size: tuple[int, int],
        changes: PackChanges | None,
    ) -> GuidancePlanner:
        """Return the plan for these conditions; the same one while they stay as they are."""
        asked = [entries or () for entries in conditions]
        kept = [value for entries in asked for entry in entries for value in entry.values()]
        keys = [tuple(entry) for entries in asked for entry in entries]
        lengths = [len(entries) for entries in asked]
        key = str(keys), tuple(lengths), tuple(map(id, kept)), size, changes
        if key not in self._plans:
            branches = [_branch_of(entries, changes) for entries in asked]
            self._plans[key] = kept, self.session.planner_of(branches, size)
        return self._plans[key][1]


class NetworkPlace:
    """The object in place of a network: keeps what packs store in it, and has nothing else."""

    def _get_name(self) -> str:
        """Return the name of its class, as torch's modules do."""
        return type(self).__name__

    def __call__(self, *_args: object, **_more: object) -> NoReturn:
        """Refuse: the engine calls networks.

        Raises:
            NotOfferedError: always.
        """
        what = "the network of a model"
        raise NotOfferedError(what, hint="`comfy.samplers.calc_cond_batch` predicts with it.")

    forward = state_dict = parameters = named_parameters = modules = named_modules = __call__


def with_branch(entries: list[dict[str, Any]], branch: Branch) -> list[dict[str, Any]]:
    """Return a guider's conditions with the branch of guidance that they belong to."""
    return [{**entry, BRANCH: branch} for entry in entries]


def to_conditioning(entries: Entries | None) -> Conditioning:
    """Convert a guider's conditions, which may be missing."""
    return from_entries(entries or ())


def _branch_of(entries: Entries, changes: PackChanges | None) -> tuple[Conditioning, Branch]:
    """Return a guider's conditions as ours, and the branch of guidance that they belong to.

    Each has the changes inside of the network, if any, which take the place of the model's.
    """
    negative = bool(entries) and entries[0].get(BRANCH) == "negative"
    inside = () if changes is None else (changes,)
    conds = (
        replace(cond, alterations=(*cond.alterations, *inside))
        for cond in from_entries(entries).conds
    )
    return Conditioning(tuple(conds)), "negative" if negative else "positive"
