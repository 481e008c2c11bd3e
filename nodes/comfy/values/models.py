"""MODEL in ComfyUI's form: a thin object around the handle."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NoReturn, TypeAlias

import torch
from torch import Tensor

from nodes.comfy.values.errors import NotOfferedError, NotOfferedPartError
from nodes.comfy.values.inner_model import InnerModel, ModelSampling, PackNoiseLevels
from nodes.comfy.values.patches.changes import PackChanges
from nodes.comfy.values.patches.options import INSIDE, PackAlteration, freeze
from nodes.comfy.values.patches.patcher import OptionPatcher
from nodes.comfy.values.patches.weights import key_patches, note_patches, weight_patch
from nodes.comfy.values.patches.wrappers import CallbacksMP
from nodes.models.loading.handles import ModelHandle
from nodes.sampling.guidance.rules import GuidanceInputs
from nodes.sampling.guidance.session import SamplingSession, current_session
from nodes.sampling.noise_schedule.parameterization import Parameterization
from nodes.sampling.noise_schedule.variance_exploding import rows_on

_COMBINES, _CORRECT = "sampler_cfg_function", "sampler_post_cfg_function"
_PREPARE = "sampler_pre_cfg_function"
_SAMPLING = "model_sampling"
_ALWAYS = "disable_cfg1_optimization"
_OPTIONS = (_COMBINES, _CORRECT, _PREPARE, _ALWAYS)


LiveGuider: TypeAlias = Callable[[SamplingSession], Any]
"""Returns the guider of a run in ComfyUI's form."""


@dataclass(frozen=True, slots=True)
class PackRule:
    """A pack's function as a guidance rule; it combines x minus each prediction."""

    function: Callable[[dict[str, Any]], Tensor]
    model: "PackModel"
    live: LiveGuider | None = None

    def __call__(self, inputs: GuidanceInputs) -> Tensor:
        """Call the function with x minus each prediction; x minus its result is x0."""
        arguments = rule_arguments(inputs, self.model, self.live)
        x = arguments["input"]
        arguments["cond"] = x - arguments["cond_denoised"]
        arguments["uncond"] = x - arguments["uncond_denoised"]
        return inputs.x - self.function(arguments).to(inputs.x.device)


@dataclass(frozen=True, slots=True)
class PackPreCfg:
    """A pack's function that changes the predictions, followed by a guidance rule."""

    rule: Callable[[GuidanceInputs], Tensor]
    function: Callable[[dict[str, Any]], list[Tensor]]
    model: "PackModel"
    live: LiveGuider | None = None

    def __call__(self, inputs: GuidanceInputs) -> Tensor:
        """Combine the predictions that the function returns: positive, negative."""
        arguments = rule_arguments(inputs, self.model, self.live)
        arguments["conds_out"] = [arguments["cond_denoised"], arguments["uncond_denoised"]]
        arguments["conds"] = [arguments.pop("cond", None), arguments.pop("uncond", None)]
        cond, uncond, *_rest = self.function(arguments)
        device = inputs.x.device
        return self.rule(replace(inputs, cond=cond.to(device), uncond=uncond.to(device)))


@dataclass(frozen=True, slots=True)
class PackPostCfg:
    """A guidance rule followed by a pack's function that corrects its result."""

    rule: Callable[[GuidanceInputs], Tensor]
    function: Callable[[dict[str, Any]], Tensor]
    model: "PackModel"
    live: LiveGuider | None = None

    def __call__(self, inputs: GuidanceInputs) -> Tensor:
        """Correct the guided prediction."""
        guided = self.rule(inputs)
        arguments = rule_arguments(inputs, self.model, self.live)
        arguments["denoised"] = guided.to(self.model.load_device)
        return self.function(arguments).to(guided.device)


def rule_arguments(
    inputs: GuidanceInputs, model: "PackModel", live: LiveGuider | None = None
) -> dict[str, Any]:
    """Return the arguments of packs' guidance functions at a step, on the device of the model.

    Args:
        inputs: the predictions.
        model: of the pack.
        live: for the conditions, and for a model that predicts with them; without it there is
            neither.
    """
    device, cfg = model.load_device, inputs.cfg
    sigma = rows_on(device, inputs.sigma.reshape(-1).expand(inputs.x.shape[0]))
    found = _RuleArguments(
        {
            "cond_scale": cfg.to(device) if isinstance(cfg, Tensor) else cfg,
            "timestep": sigma,
            "sigma": sigma,
            "input": inputs.x.to(device),
            "cond_denoised": inputs.cond.to(device),
            "uncond_denoised": inputs.uncond.to(device),
            "model": model.model,
            "model_options": model.model_options,
        }
    )
    session = current_session()
    if live is not None and session is not None:
        guider = live(session)
        found |= {"cond": guider.conds.get("positive"), "uncond": guider.conds.get("negative")}
        inside = guider.model_options.get(INSIDE, {})
        found |= {
            "model": guider.inner_model,
            "model_options": {**model.model_options, INSIDE: inside},
        }
    return found


class _RuleArguments(dict[str, Any]):
    """The arguments of a guidance function; a plain message for those that are not there."""

    def __missing__(self, name: str) -> NoReturn:
        what = f"the argument {name!r} of a guidance function"
        raise NotOfferedError(what, hint="A guider derived from `CFGGuider` has it.")


class PackModel(OptionPatcher):
    """A MODEL, with the methods of ComfyUI's ModelPatcher.

    Args:
        handle: the model; what an earlier pack changes inside of its network becomes options.
        options: of the model; those of the earlier pack if None.
        object_patches: the parts that are replaced, by name.
        attachments: values of packs that go with it, by name.
    """

    def __init__(
        self,
        handle: ModelHandle,
        options: Mapping[str, Any] | None = None,
        object_patches: Mapping[str, Any] | None = None,
        attachments: Mapping[str, Any] | None = None,
    ) -> None:
        before = [each for each in handle.alterations if isinstance(each, PackChanges)]
        self._before = before[-1] if before else None
        if options is None and self._before:
            options = self._before.options
        packs = any(isinstance(each, PackAlteration) for each in handle.alterations)
        self.handle = handle.without_alterations(PackAlteration) if packs else handle
        self.attachments = dict(attachments or {})
        self.model = InnerModel.of(self.handle)
        self.object_patches: dict[str, Any] = dict(object_patches or {})
        self.patches: dict[str, list[Any]] = {}
        self.parent = None
        self.is_clip = False
        self.patches_uuid = uuid.uuid4()
        self.model_options = copy_options({"transformer_options": {}, **(options or {})})
        self.load_device = handle.model.network.placement.device
        self.offload_device = torch.device("cpu")

    def clone(self) -> "PackModel":
        """Return a copy to be patched."""
        made = PackModel(self.handle, self.model_options, self.object_patches, self.attachments)
        made._before = self._before
        made.patches = dict(self.patches)
        for callback in self.get_all_callbacks(CallbacksMP.ON_CLONE):
            callback(self, made)
        return made

    @property
    def current_device(self) -> torch.device:
        """Return the device that it computes on."""
        return self.load_device

    @property
    def size(self) -> int:
        """Return the size in bytes."""
        return self.model_size()

    def loaded_size(self) -> int:
        """Return the size in bytes: a model is loaded whole, as far as packs see."""
        return self.model_size()

    def model_state_dict(self, filter_prefix: str | None = None) -> dict[str, Tensor]:
        """Return the names of its weights, with tensors that have shapes and no values."""
        found = self.model.state_dict()
        return {name: v for name, v in found.items() if name.startswith(filter_prefix or "")}

    def add_patches(
        self, patches: Mapping[Any, Any], strength_patch: float = 1.0, strength_model: float = 1.0
    ) -> list[Any]:
        """Change weights; return the names of those that there are.

        Args:
            patches: changes by the name of the weight, as from `comfy.lora.load_lora`.
            strength_patch: the factor of the changes.
            strength_model: the factor of the weights as they were.
        """
        network = self.handle.model.network
        patch = weight_patch(network, patches, strength_patch, strength_model)
        if patch.changes:
            self.handle = self.handle.with_patch(patch)
            self.patches_uuid = uuid.uuid4()
        return note_patches(self.patches, patches, patch.changes, strength_patch, strength_model)

    def get_key_patches(self, filter_prefix: str | None = None) -> dict[str, list[Any]]:
        """Return the weights as values of `add_patches`, by name; they are read when used."""
        handle = self.handle
        return key_patches(handle.model.network, handle.patches, filter_prefix)

    def patch_model(self, *_args: object, **_more: object) -> InnerModel:
        """Return the object under it: the engine patches weights when it loads them."""
        return self.model

    def unpatch_model(self, *_args: object, **_more: object) -> None:
        """Do nothing: the engine keeps a model's own weights apart from patches."""

    def add_object_patch(self, name: str, obj: Any) -> None:
        """Replace a part of the model: `model_sampling`, its noise schedule.

        Raises:
            NotOfferedError: any other part.
        """
        if name != _SAMPLING:
            what = f"add_object_patch for the {name!r} of a model"
            raise NotOfferedError(what)
        self.object_patches[name] = obj

    def set_model_sampler_cfg_function(
        self, sampler_cfg_function: Callable[..., Tensor], disable_cfg1_optimization: bool = False
    ) -> None:
        """Combine the predictions with a function of the pack."""
        self.model_options[_COMBINES] = sampler_cfg_function
        self._ask_always(disable_cfg1_optimization)

    def set_model_sampler_post_cfg_function(
        self,
        post_cfg_function: Callable[..., Tensor],
        disable_cfg1_optimization: bool = False,
    ) -> None:
        """Correct the combined prediction with a function of the pack."""
        before = self.model_options.get(_CORRECT, [])
        self.model_options[_CORRECT] = [*before, post_cfg_function]
        self._ask_always(disable_cfg1_optimization)

    def set_model_sampler_pre_cfg_function(
        self,
        pre_cfg_function: Callable[..., list[Tensor]],
        disable_cfg1_optimization: bool = False,
    ) -> None:
        """Change the predictions with a function of the pack before they are combined."""
        before = self.model_options.get(_PREPARE, [])
        self.model_options[_PREPARE] = [*before, pre_cfg_function]
        self._ask_always(disable_cfg1_optimization)

    def get_model_object(self, name: str) -> object:
        """Return a part of the model: `model_sampling`, `latent_format`.

        Raises:
            NotOfferedError: any other.
        """
        return self.object_patches.get(name) or getattr(self.model, name)

    def model_size(self) -> int:
        """Return the size in bytes."""
        return self.handle.weight_bytes

    def memory_required(self, input_shape: object) -> int:
        """Return 0: the engine makes room itself for what a model computes."""
        del input_shape
        return 0

    def model_dtype(self) -> torch.dtype:
        """Return the dtype that it computes in."""
        return self.model.get_dtype()

    def is_clone(self, other: object) -> bool:
        """Return True if both have the same weights."""
        return isinstance(other, PackModel) and other.handle.model == self.handle.model

    def __deepcopy__(self, memo: dict[int, Any]) -> "PackModel":
        """Return a copy to be patched; weights are shared."""
        del memo
        return self.clone()

    def __getattr__(self, name: str) -> Any:
        """Return a method that refuses, for the methods of ModelPatcher that are not supported."""
        if name.startswith(("set_model_", "add_", "patch_")):
            return partial(_refuse, name)
        what = f"the {name!r} of a MODEL"
        raise NotOfferedPartError(what)

    def to_handle(self, live: LiveGuider | None = None) -> ModelHandle:
        """Return the handle with the changes that the options describe.

        Args:
            live: lets guidance functions have the conditions, and predict with others.

        Raises:
            NotOfferedError: one of them has no counterpart.
        """
        handle, changes = self._guided_handle(live), self.changes()
        if changes is None:
            return handle
        return replace(handle, alterations=(*handle.alterations, changes))

    def changes(self) -> PackChanges | None:
        """Return the changes inside of the network; None if there are none.

        Raises:
            NotOfferedError: one of them has no counterpart.
        """
        made = PackChanges.of(copy_options(self.model_options))
        made.live.owner = self.model
        if self._before and freeze(self._before.options) == freeze(made.options):
            return self._before  # An equal value, whose modules the network keeps.
        return made if made.options[INSIDE] or made.hooks else None

    def _guided_handle(self, live: LiveGuider | None) -> ModelHandle:
        """Return the handle with the changes of guidance and of the noise schedule."""
        if not self.object_patches and not any(self.model_options.get(name) for name in _OPTIONS):
            return self.handle  # An equal value, whose results caches know.
        guidance = self.handle.guidance
        always = guidance.disable_cfg1_optimization or bool(self.model_options.get(_ALWAYS))
        combine = self.model_options.get(_COMBINES)
        if combine:
            guidance = guidance.with_rule(PackRule(combine, self, live))
        for correct in self.model_options.get(_CORRECT, ()):
            guidance = replace(guidance, rule=PackPostCfg(guidance.rule, correct, self, live))
        for prepare in reversed(self.model_options.get(_PREPARE, [])):
            guidance = replace(guidance, rule=PackPreCfg(guidance.rule, prepare, self, live))
        guidance = replace(guidance, disable_cfg1_optimization=always)
        return replace(self.handle, guidance=guidance, sampling=self._sampling())

    def _sampling(self) -> Parameterization | None:
        """Return the noise schedule that replaces the model's own."""
        replaced = self.object_patches.get(_SAMPLING)
        if replaced is None:
            return self.handle.sampling
        if isinstance(replaced, ModelSampling):  # one of ours, of this model or another
            return replaced.parameterization
        return PackNoiseLevels(self.handle.parameterization, replaced)

    def _ask_always(self, always: bool) -> None:
        if always:
            self.model_options[_ALWAYS] = True


def copy_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Copy the dicts and lists, but not their other contents."""
    return {
        key: copy_options(value)
        if isinstance(value, dict)
        else list(value)
        if isinstance(value, list)
        else value
        for key, value in options.items()
    }


def _refuse(name: str, *_args: object, **_more: object) -> None:
    what = f"{name}, which changes a network from within"
    raise NotOfferedError(what)
