"""The changes of a pack inside of a network, as an alteration of ours."""

from collections.abc import Callable, Hashable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from torch import Tensor, nn

from nodes.comfy.values.patches.calls import arguments_of, network_arguments, pass_with
from nodes.comfy.values.patches.options import (
    FUNCTION,
    INSIDE,
    OVERRIDE,
    LiveOptions,
    Options,
    PackAlteration,
    PassState,
    during_pass,
    freeze,
    hooks_of,
)
from nodes.comfy.values.patches.unet_hooks import hook_unet
from nodes.comfy.values.patches.wrappers import WrappersMP, functions_of, with_wrappers
from nodes.models.networks.base.call_context import current
from nodes.sampling.conditioning.cond import CondBatch, ForwardPass, NetworkRun

_HOOKED = "hooked_for_packs"
_IN_LAYERS = ("patches", "patches_replace", OVERRIDE)
"""The options whose functions are called in the layers of a network."""


@dataclass(frozen=True, slots=True, eq=False)
class PackChanges(PackAlteration):
    """Functions of packs in a network; a `ForwardWrapper`, equal for the same functions of a run.

    Several on one network do not add up: the last one counts.
    """

    hooks: Mapping[str, Any]
    """See `hooks_of`."""
    key: Hashable
    """Equal for the same functions in the same places."""
    live: LiveOptions
    """The options that functions read."""

    @classmethod
    def of(cls, options: Options, live: LiveOptions | None = None) -> "PackChanges":
        """Return the changes that a model's options make.

        Args:
            options: of the model.
            live: of the run; new ones with these options if None.

        Raises:
            NotOfferedError: one of them has no counterpart.
        """
        hooks = hooks_of(options)
        return cls(hooks, freeze(hooks), live or LiveOptions(dict(options.get(INSIDE, {}))))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PackChanges) and (self.key, self.live) == (other.key, other.live)

    def __hash__(self) -> int:
        return hash((self.key, id(self.live)))

    @property
    def options(self) -> dict[str, Any]:
        """Return the model options that these changes were made of."""
        found: dict[str, Any] = {INSIDE: self.live.inside}
        if FUNCTION in self.hooks:
            found[FUNCTION] = self.hooks[FUNCTION]
        return found

    def alter(self, network: nn.Module) -> None:
        """Change a network; see `nodes.sampling.conditioning.cond.Alteration`.

        Raises:
            WrongNetworkError: functions for its layers, and it is no U-Net.
        """
        if any(name in self.hooks for name in _IN_LAYERS) and not hasattr(network, _HOOKED):
            hook_unet(network)
            setattr(network, _HOOKED, True)

    def predict(self, forward: Callable[[ForwardPass], Tensor], asked: ForwardPass) -> Tensor:
        """Return x0, by the pack's function around the network if there is one."""
        inside = self._inside(asked.cond, asked.sigma.to(asked.x.device), asked.memory.sigmas)
        function = self.hooks.get(FUNCTION)
        around = any(functions_of("wrappers", WrappersMP.APPLY_MODEL, inside))
        if function is None and not around:
            return forward(asked)
        apply_model = partial(self._apply_model, forward, asked)
        sigma = inside["sigmas"]
        conditions: dict[str, Any] = {**arguments_of(asked.cond), INSIDE: inside}
        if function is None:
            return apply_model(asked.x, sigma, **conditions).to(asked.x)
        given = {
            "input": asked.x,
            "timestep": sigma,
            "c": conditions,
            "cond_or_uncond": inside["cond_or_uncond"],
        }
        return function(apply_model, given).to(asked.x)

    def run(
        self, network: NetworkRun, module: nn.Module, x: Tensor, timestep: Tensor, cond: CondBatch
    ) -> Tensor:
        """Run the network, with the functions of packs in it and around it."""
        call = current()
        inside = self._inside(cond, call.sigma.to(x.device), call.memory.sigmas)
        inside["original_shape"] = list(x.shape)
        state = PassState(inside)
        names = network_arguments(module)
        values = {"x": x, "timesteps": timestep, "context": cond.tokens, "y": cond.pooled}
        values["guidance"] = cond.extras.get("guidance")
        original = partial(_run, network, state, names, cond)
        function = with_wrappers(WrappersMP.DIFFUSION_MODEL, original, module, inside)
        with during_pass(state):
            return function(*({**values, INSIDE: inside}.get(name) for name in names))

    def _inside(self, cond: CondBatch, sigma: Tensor, sigmas: Tensor | None) -> dict[str, Any]:
        """Return the transformer options of a pass."""
        if self.live.given is not None:
            return self.live.given
        own = {"cond_or_uncond": list(cond.branches), "sigmas": sigma}
        schedule = {} if sigmas is None else {"sample_sigmas": sigmas.to(sigma.device)}
        return {**schedule, **self.live.inside, **own}

    def _apply_model(
        self,
        forward: Callable[[ForwardPass], Tensor],
        asked: ForwardPass,
        x: Tensor,
        t: Tensor,
        c_concat: Tensor | None = None,
        c_crossattn: Tensor | None = None,
        control: object = None,
        transformer_options: MutableMapping[str, Any] | None = None,
        **extra: Any,
    ) -> Tensor:
        """Return x0 as ComfyUI's `apply_model` does: x in the model's space, t the noise level."""
        inside = dict(transformer_options or {})
        function = partial(_forward, self, forward, asked)
        around = with_wrappers(WrappersMP.APPLY_MODEL, function, self.live.owner, inside)
        return around(x, t, c_concat, c_crossattn, control, inside, **extra)


def _forward(
    changes: PackChanges,
    forward: Callable[[ForwardPass], Tensor],
    asked: ForwardPass,
    x: Tensor,
    t: Tensor,
    c_concat: Tensor | None = None,
    c_crossattn: Tensor | None = None,
    control: object = None,
    transformer_options: MutableMapping[str, Any] | None = None,
    **extra: Any,
) -> Tensor:
    """Return the x0 of a pass with what a pack gives; controls are added by the engine."""
    del control
    named = {"c_concat": c_concat, "c_crossattn": c_crossattn, **extra}
    given = {name: value for name, value in named.items() if value is not None}
    made = pass_with(asked, x, t, given)
    inside = dict(transformer_options or {})
    own = hooks_of({INSIDE: inside})
    live = changes.live
    if freeze(own) != freeze({k: v for k, v in changes.hooks.items() if k != FUNCTION}):
        live = LiveOptions(inside, owner=changes.live.owner)
        others = (each for each in made.cond.alterations if not isinstance(each, PackChanges))
        alterations = (*others, PackChanges(own, freeze(own), live))
        made = replace(made, cond=replace(made.cond, alterations=alterations))
    before, live.given = live.given, inside
    try:
        return forward(made)
    finally:
        live.given = before


def _run(
    network: NetworkRun,
    state: PassState,
    names: tuple[str, ...],
    cond: CondBatch,
    *args: Any,
    **more: Any,
) -> Tensor:
    """Run the network with the arguments that a wrapper gives."""
    given = {**dict(zip(names, args, strict=False)), **more}
    context, pooled = given.get("context"), given.get("y")
    state.options = cast("dict[str, Any]", given.get(INSIDE) or state.options)
    cond = replace(
        cond,
        tokens=cond.tokens if context is None else context,
        pooled=cond.pooled if pooled is None else pooled,
    )
    return network(given["x"], given["timesteps"], cond)
