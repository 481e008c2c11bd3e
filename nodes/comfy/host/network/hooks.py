"""`comfy.hooks`: masks, times and strengths over time, without the hooks that change a model.

Hooks change a model for single conditions, which nothing here does: what makes one is absent, and a
condition with one is refused where it leaves the pack's node.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from torch import Tensor

from nodes.comfy.values.conditions import HOOKS

Conditions = Sequence[Sequence[Any]]
"""ComfyUI's CONDITIONING: pairs of tokens and a dict."""


@dataclass(frozen=True, slots=True)
class HookKeyframe:
    """The strength of hooks from a part of the sampling on, 0 to 1."""

    strength: float
    start_percent: float = 0.0
    guarantee_steps: int = 1
    """The fewest steps that it lasts."""


@dataclass(slots=True, eq=False)
class HookKeyframeGroup:
    """Strengths over time, by their beginnings."""

    keyframes: list[HookKeyframe] = field(default_factory=list[HookKeyframe])

    def add(self, keyframe: HookKeyframe) -> None:
        """Add one more."""
        self.keyframes.append(keyframe)
        self.keyframes.sort(key=attrgetter("start_percent"))

    def is_empty(self) -> bool:
        """Return True if there are none."""
        return not self.keyframes

    def clone(self) -> "HookKeyframeGroup":
        """Return a copy."""
        return HookKeyframeGroup(list(self.keyframes))


@dataclass(slots=True, eq=False)
class HookGroup:
    """Hooks in their order."""

    hooks: list[Any] = field(default_factory=list[Any])

    def add(self, hook: Any) -> None:
        """Add one, unless it is there."""
        if hook not in self.hooks:
            self.hooks.append(hook)

    def contains(self, hook: Any) -> bool:
        """Return True if a hook is there."""
        return hook in self.hooks

    def clone(self) -> "HookGroup":
        """Return a group of the same hooks."""
        return HookGroup(list(self.hooks))

    def clone_and_combine(self, other: "HookGroup | None") -> "HookGroup":
        """Return a group of these hooks and those of another group."""
        combined = self.clone()
        for hook in other.hooks if other else ():
            combined.add(hook)
        return combined

    def set_keyframes_on_hooks(self, hook_kf: HookKeyframeGroup | None) -> None:
        """Set the strengths over time of all hooks; a copy of the group is kept."""
        for hook in self.hooks:
            hook.hook_keyframe = (hook_kf or HookKeyframeGroup()).clone()

    @staticmethod
    def combine_all_hooks(
        hooks_list: "Sequence[HookGroup | None]", require_count: int = 0
    ) -> "HookGroup | None":
        """Return a group of the hooks of all groups; None if there is no group.

        Raises:
            ValueError: there are fewer than `require_count` groups.
        """
        groups = [group for group in hooks_list if group is not None]
        if len(groups) < require_count:
            message = f"{require_count} groups of hooks are wanted, there are {len(groups)}"
            raise ValueError(message)
        combined = HookGroup()
        for group in groups:
            combined = combined.clone_and_combine(group)
        return combined if groups else None


def set_hooks_for_conditioning(
    cond: Conditions, hooks: HookGroup | None, append_hooks: bool = True, cache: object = None
) -> Conditions:
    """Return conditions with hooks, after those that they have unless these replace them."""
    del cache
    if hooks is None:
        return cond
    found: list[Sequence[Any]] = []
    for tokens, more in cond:
        before = more.get(HOOKS) if append_hooks else None
        found.append([tokens, {**more, HOOKS: HookGroup.combine_all_hooks([before, hooks])}])
    return found


def set_timesteps_for_conditioning(
    cond: Conditions, timestep_range: tuple[float, float] | None
) -> Conditions:
    """Return conditions that hold from one part of the sampling to another, 0 to 1."""
    if timestep_range is None:
        return cond
    start, end = timestep_range
    return _with(cond, start_percent=start, end_percent=end)


def set_mask_for_conditioning(
    cond: Conditions, mask: Tensor | None, set_cond_area: str, strength: float
) -> Conditions:
    """Return conditions with a mask, [height, width] or [batch, height, width], and its strength.

    With the area "mask bounds" the model is asked for the mask's surroundings alone.
    """
    if mask is None:
        return cond
    mask = mask[None] if mask.ndim < 3 else mask
    bounds = set_cond_area != "default"
    return _with(cond, mask=mask, set_area_to_bounds=bounds, mask_strength=strength)


def set_conds_props(
    conds: Iterable[Conditions],
    strength: float,
    set_cond_area: str,
    mask: Tensor | None = None,
    hooks: HookGroup | None = None,
    timesteps_range: tuple[float, float] | None = None,
    append_hooks: bool = True,
) -> list[Conditions]:
    """Return conditionings with hooks, a mask and times; what is None stays as it is."""
    hooked = (set_hooks_for_conditioning(cond, hooks, append_hooks) for cond in conds)
    masked = (set_mask_for_conditioning(cond, mask, set_cond_area, strength) for cond in hooked)
    return [set_timesteps_for_conditioning(cond, timesteps_range) for cond in masked]


def set_conds_props_and_combine(
    conds: Iterable[Conditions],
    new_conds: Iterable[Conditions],
    strength: float = 1.0,
    set_cond_area: str = "default",
    mask: Tensor | None = None,
    hooks: HookGroup | None = None,
    timesteps_range: tuple[float, float] | None = None,
    append_hooks: bool = True,
) -> list[Conditions]:
    """Return each conditioning followed by the new one, which gets what `set_conds_props` sets."""
    changed = set_conds_props(
        new_conds, strength, set_cond_area, mask, hooks, timesteps_range, append_hooks
    )
    return [[*cond, *new] for cond, new in zip(conds, changed, strict=False)]


def _with(cond: Conditions, **values: object) -> Conditions:
    return [[tokens, {**more, **values}] for tokens, more in cond]
