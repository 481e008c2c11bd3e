"""MODEL, CLIP and VAE in ComfyUI's form: thin objects around the handles."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NoReturn, cast

import torch
from torch import Tensor

from nodes.comfy.values import runtime
from nodes.comfy.values.errors import NotOfferedError
from nodes.models.loading.handles import ClipHandle, ModelHandle, VaeHandle
from nodes.models.text.textual_inversion import Embeddings
from nodes.sampling.guidance.rules import GuidanceInputs
from nodes.sampling.noise_schedule.parameterization import Parameterization
from nodes.sampling.noise_schedule.variance_exploding import rows_on
from nodes.values import Cond, Conditioning

_COMBINES, _CORRECT = "sampler_cfg_function", "sampler_post_cfg_function"
_PREPARE = "sampler_pre_cfg_function"
_ALWAYS = "disable_cfg1_optimization"
_OPTIONS = (_COMBINES, _CORRECT, _PREPARE, _ALWAYS)


@dataclass(frozen=True, slots=True)
class PackRule:
    """A pack's function as a guidance rule; it combines x minus each prediction."""

    function: Callable[[dict[str, Any]], Tensor]
    model: "PackModel"

    def __call__(self, inputs: GuidanceInputs) -> Tensor:
        """Call the function with x minus each prediction; x minus its result is x0."""
        arguments = rule_arguments(inputs, self.model)
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

    def __call__(self, inputs: GuidanceInputs) -> Tensor:
        """Combine the predictions that the function returns: positive, negative."""
        arguments = rule_arguments(inputs, self.model)
        arguments["conds_out"] = [arguments["cond_denoised"], arguments["uncond_denoised"]]
        arguments["conds"] = [None, None]
        cond, uncond, *_rest = self.function(arguments)
        device = inputs.x.device
        return self.rule(replace(inputs, cond=cond.to(device), uncond=uncond.to(device)))


@dataclass(frozen=True, slots=True)
class PackPostCfg:
    """A guidance rule followed by a pack's function that corrects its result."""

    rule: Callable[[GuidanceInputs], Tensor]
    function: Callable[[dict[str, Any]], Tensor]
    model: "PackModel"

    def __call__(self, inputs: GuidanceInputs) -> Tensor:
        """Correct the guided prediction."""
        guided = self.rule(inputs)
        arguments = rule_arguments(inputs, self.model)
        arguments["denoised"] = guided.to(self.model.load_device)
        return self.function(arguments).to(guided.device)


def rule_arguments(inputs: GuidanceInputs, model: "PackModel") -> dict[str, Any]:
    """Return the arguments of packs' guidance functions at a step, on the device of the model."""
    device, cfg = model.load_device, inputs.cfg
    sigma = rows_on(device, inputs.sigma.reshape(-1).expand(inputs.x.shape[0]))
    return _RuleArguments(
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


class _RuleArguments(dict[str, Any]):
    """The arguments of a guidance function; a plain message for those that are not there."""

    def __missing__(self, name: str) -> NoReturn:
        what = f"the argument {name!r} of a guidance function"
        raise NotOfferedError(what, hint="A guider derived from `CFGGuider` has it.")


class ModelSampling:
    """A model's noise schedule with ComfyUI's attributes."""

    def __init__(self, parameterization: Parameterization) -> None:
        self.parameterization = parameterization
        self.sigmas = parameterization.sigmas.clone()
        self.sigma_min = torch.tensor(parameterization.sigma_min)
        self.sigma_max = torch.tensor(parameterization.sigma_max)

    def timestep(self, sigma: Tensor) -> Tensor:
        """Return the timestep of a noise level."""
        return self.parameterization.timestep(sigma.cpu()).to(sigma.device)

    def sigma(self, timestep: Tensor) -> Tensor:
        """Return the noise level at a timestep."""
        level = torch.as_tensor(timestep, dtype=torch.float32)
        return self.parameterization.sigma(level.cpu()).to(level.device)

    def percent_to_sigma(self, percent: float) -> float:
        """Return the noise level at a fraction of the schedule."""
        return self.parameterization.percent_to_sigma(percent)


class InnerModel:
    """The object under `model.model`."""

    def __init__(self, handle: ModelHandle) -> None:
        self._handle = handle
        self.model_sampling = ModelSampling(handle.parameterization)
        self.latent_format = LatentFormat(handle)

    def get_dtype(self) -> torch.dtype:
        """Return the dtype that it computes in."""
        return cast("torch.dtype", getattr(torch, self._handle.precision))

    def process_latent_in(self, latent: Tensor) -> Tensor:
        """Scale a latent from the VAE's space to the model's."""
        return self._handle.latent_format.to_model(latent)

    def process_latent_out(self, latent: Tensor) -> Tensor:
        """Scale a latent from the model's space to the VAE's."""
        return self._handle.latent_format.to_raw(latent)


class LatentFormat:
    """A model's latent format with ComfyUI's attributes."""

    def __init__(self, handle: ModelHandle) -> None:
        own = handle.latent_format
        self.latent_channels = own.channels
        self.scale_factor = own.scale
        self.process_in = own.to_model
        self.process_out = own.to_raw


class PackModel:
    """A MODEL, with the methods of ComfyUI's ModelPatcher."""

    def __init__(self, handle: ModelHandle, options: Mapping[str, Any] | None = None) -> None:
        self.handle = handle
        self.model = InnerModel(handle)
        self.model_options = copy_options({"transformer_options": {}, **(options or {})})
        self.load_device = handle.model.network.placement.device
        self.offload_device = torch.device("cpu")

    def clone(self) -> "PackModel":
        """Return a copy to be patched."""
        return PackModel(self.handle, self.model_options)

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
        found = getattr(self.model, name, None)
        if found is None:
            what = f"the {name!r} of a model"
            raise NotOfferedError(what)
        return found

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
        raise AttributeError(name)

    def to_handle(self) -> ModelHandle:
        """Return the handle with the changes that the options describe.

        Raises:
            NotOfferedError: they change more than how predictions are combined and corrected.
        """
        inside = [
            name for name, value in self.model_options["transformer_options"].items() if value
        ]
        if inside:
            what = f"{inside[0]!r} of a model's transformer_options"
            raise NotOfferedError(what)
        if not any(self.model_options.get(name) for name in _OPTIONS):
            return self.handle  # An equal value, whose results caches know.
        guidance = self.handle.guidance
        always = guidance.disable_cfg1_optimization or bool(self.model_options.get(_ALWAYS))
        combine = self.model_options.get(_COMBINES)
        if combine:
            guidance = guidance.with_rule(PackRule(combine, self))
        for correct in self.model_options.get(_CORRECT, ()):
            guidance = replace(guidance, rule=PackPostCfg(guidance.rule, correct, self))
        for prepare in reversed(self.model_options.get(_PREPARE, [])):
            guidance = replace(guidance, rule=PackPreCfg(guidance.rule, prepare, self))
        return replace(self.handle, guidance=replace(guidance, disable_cfg1_optimization=always))

    def _ask_always(self, always: bool) -> None:
        if always:
            self.model_options[_ALWAYS] = True


class PackClip:
    """A CLIP: text encoders."""

    def __init__(self, handle: ClipHandle) -> None:
        self.handle = handle

    def clone(self) -> "PackClip":
        """Return a copy."""
        return PackClip(self.handle)

    def clip_layer(self, layer: int) -> None:
        """Use an earlier layer."""
        self.handle = replace(self.handle, layer=layer)

    def tokenize(self, text: str, **_more: object) -> dict[str, Any]:
        """Return a text's tokens as an opaque dict for the encode methods."""
        return {"text": text}

    def encode_from_tokens(
        self, tokens: Mapping[str, Any], return_pooled: bool = False, return_dict: bool = False
    ) -> Any:
        """Encode the result of `tokenize`: hidden states, and the pooled vector if asked for."""
        (cond,) = self._encode_tokens(tokens).conds
        if return_dict:
            return {"cond": cond.tokens, "pooled_output": cond.pooled}
        return (cond.tokens, cond.pooled) if return_pooled else cond.tokens

    def encode_from_tokens_scheduled(
        self, tokens: Mapping[str, Any], add_dict: Mapping[str, Any] | None = None, **_more: object
    ) -> list[list[Any]]:
        """Encode the result of `tokenize` as CONDITIONING."""
        (cond,) = self._encode_tokens(tokens).conds
        return [[cond.tokens, {"pooled_output": cond.pooled, **(add_dict or {})}]]

    def encode(self, text: str) -> Tensor:
        """Return a text's hidden states."""
        return self.encode_from_tokens(self.tokenize(text))

    def _encode_tokens(self, tokens: Mapping[str, Any]) -> Conditioning:
        running = runtime.context()
        embeddings = Embeddings(runtime.files(), running.notice if running else _ignore)
        encoded = self.handle.encode(str(tokens["text"]), embeddings)
        pooled = None if encoded.pooled is None else encoded.pooled.cpu()
        return Conditioning((Cond(encoded.tokens.cpu(), pooled),))


class PackVae:
    """A VAE."""

    def __init__(self, handle: VaeHandle) -> None:
        self.handle = handle
        self.latent_channels = handle.channels
        self.downscale_ratio = handle.downscale

    def encode(self, pixels: Tensor) -> Tensor:
        """Encode [batch, height, width, 3] in [0, 1] to latents."""
        from nodes.inference.vae import crop_to_vae  # Here: it imports much.

        images = crop_to_vae(pixels.movedim(-1, 1), self.handle)[:, :3]
        return torch.cat([self.handle.encode(image) for image in torch.split(images, 1)]).cpu()

    def decode(self, samples: Tensor) -> Tensor:
        """Decode latents to [batch, height, width, 3] in [0, 1]."""
        images = torch.cat([self.handle.decode(latent) for latent in torch.split(samples, 1)])
        return images.clamp(0.0, 1.0).movedim(1, -1).contiguous().cpu()

    def spacial_compression_decode(self) -> int:
        """Return the number of pixels per latent pixel, along each side."""
        return self.handle.downscale

    spacial_compression_encode = spacial_compression_decode


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


def _ignore(message: str) -> None:
    del message
