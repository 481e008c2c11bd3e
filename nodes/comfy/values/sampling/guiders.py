"""GUIDER in ComfyUI's form; packs derive guiders of their own from `CFGGuider`."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from nodes.comfy.values import runtime
from nodes.comfy.values.conditions import conditioning_to, to_entries
from nodes.comfy.values.errors import NotOfferedError
from nodes.comfy.values.models import PackModel
from nodes.comfy.values.patches.options import INSIDE, is_sampled_by_packs
from nodes.comfy.values.patches.wrappers import (
    CallbacksMP,
    WrappersMP,
    functions_of,
    with_wrappers,
)
from nodes.comfy.values.sampling.guidance import sampling_function
from nodes.comfy.values.sampling.live_model import LiveModel, to_conditioning, with_branch
from nodes.comfy.values.sampling.session import (
    StepCallback,
    StepReports,
    before_last_scaling,
    options_in,
    seed_of,
    session_of,
)
from nodes.inference.sample import Guider, run
from nodes.models.loading.forward import ModelDenoiser
from nodes.sampling.guidance.session import SamplingSession
from nodes.sampling.samplers.registry import (
    Answerer,
    Call,
    Process,
    Reply,
    SamplerOrName,
)
from nodes.values import Latent, Noise

POST_CFG = "sampler_post_cfg_function"
_GUIDER = "guider of a pack"
SAMPLING_METHODS = ("sample", "outer_sample", "inner_sample")
"""The methods of a guider that sample; packs may override them."""


class PackSampler(Protocol):
    """A SAMPLER in ComfyUI's form."""

    sample: Callable[..., Tensor]
    """See `nodes.comfy.values.sampling.samplers.Sampler.sample`."""

    def to_native(self, callback: StepCallback | None = None) -> SamplerOrName:
        """Return the sampler; `callback` is called in each step."""
        ...


class CFGGuider:
    """A model with conditions; predicts what a sampler asks for.

    Packs override its methods, and have conditions under names of their own. While it samples,
    it has an `inner_model`.

    Args:
        model_patcher: the MODEL.
    """

    def __init__(self, model_patcher: PackModel) -> None:
        self.model_patcher = model_patcher
        self.model_options = model_patcher.model_options
        self.original_conds: dict[str, list[dict[str, Any]]] = {}
        self.conds: dict[str, list[dict[str, Any]]] = {}
        self.cfg: Any = 1.0
        self.inner_model: Any = None

    def set_conds(self, positive: Any, negative: Any) -> None:
        """Set the conditions, as CONDITIONING values."""
        self.inner_set_conds({"positive": positive, "negative": negative})

    def set_cfg(self, cfg: Any) -> None:
        """Set the scale of classifier-free guidance."""
        self.cfg = cfg

    def inner_set_conds(self, conds: Mapping[str, Any]) -> None:
        """Set conditions by name, as CONDITIONING values; the others stay."""
        for name, cond in conds.items():
            branch = "negative" if name.endswith("negative") else "positive"
            self.original_conds[name] = with_branch(to_entries(cond), branch)

    def predict_noise(
        self,
        x: Tensor,
        timestep: Tensor,
        model_options: Mapping[str, Any] | None = None,
        seed: int | None = None,
    ) -> Tensor:
        """Return the guided x0 of a noisy latent, [batch, channels, h, w], at sigma, [batch]."""
        positive, negative = self.conds.get("positive"), self.conds.get("negative")
        return sampling_function(
            self.inner_model, x, timestep, negative, positive, self.cfg, model_options, seed
        )

    def __call__(self, *args: Any, **more: Any) -> Tensor:
        """Do as `predict_noise` does."""
        return self.predict_noise(*args, **more)

    def sample(
        self,
        noise: Tensor,
        latent_image: Tensor,
        sampler: PackSampler,
        sigmas: Tensor,
        denoise_mask: Tensor | None = None,
        callback: StepCallback | None = None,
        disable_pbar: bool = False,
        seed: int | None = None,
    ) -> Tensor:
        """Denoise latents, [batch, channels, h, w] in the VAE's space, on the CPU.

        Args:
            noise: standard normal, or zeros; of the latents' shape.
            latent_image: where sampling begins.
            sampler: as `comfy.samplers.sampler_object` returns.
            sigmas: [steps + 1].
            denoise_mask: in [0, 1]; 1 is denoised.
            callback: called in each step.
            disable_pbar: without effect.
            seed: of the noise that samplers add on the way.

        Raises:
            NotOfferedError: no node is running.
        """
        if len(sigmas) == 0:
            return latent_image
        self.conds = {name: list(conds) for name, conds in self.original_conds.items()}
        outer = self._around(WrappersMP.OUTER_SAMPLE, self.outer_sample, self)
        return outer(
            noise, latent_image, sampler, sigmas, denoise_mask, callback, disable_pbar, seed
        )

    def _around(self, kind: str, function: Callable[..., Any], owner: object) -> Callable[..., Any]:
        """Return a function with the wrappers of packs around it."""
        return with_wrappers(kind, function, owner, self.model_options.get(INSIDE, {}))

    def outer_sample(
        self,
        noise: Tensor,
        latent_image: Tensor,
        sampler: PackSampler,
        sigmas: Tensor,
        denoise_mask: Tensor | None = None,
        callback: StepCallback | None = None,
        disable_pbar: bool = False,
        seed: int | None = None,
    ) -> Tensor:
        """Do as `sample` does, with `conds`: load the model, and call `inner_sample`."""
        del disable_pbar
        context = runtime.context()
        if context is None:
            what = "sampling outside of a node's run"
            raise NotOfferedError(what)
        drawn = Noise((seed or 0,), draw=lambda _latent: noise)
        latent = Latent(latent_image, _one_channel(denoise_mask))
        plain = not (_overridden(self) or is_sampled_by_packs(self.model_options))
        prepare = self._around(WrappersMP.PREPARE_SAMPLING, prepare_sampling, None)
        prepared = prepare(
            self.model_patcher, noise.shape, self.conds, model_options=self.model_options
        )
        self.conds = prepared[1]
        native = sampler.to_native(callback) if plain else InnerSampling(self, sampler, callback)
        patcher = self.model_patcher
        self._call_back(CallbacksMP.ON_PRE_RUN, patcher)
        try:
            result = run(self.to_native(), native, sigmas.cpu(), drawn, latent, context)
        finally:
            self.inner_model = None
            self._call_back(CallbacksMP.ON_CLEANUP, patcher)
        return result.output.samples.cpu()

    def _call_back(self, kind: str, patcher: PackModel) -> None:
        for callback in functions_of("callbacks", kind, self.model_options.get(INSIDE, {})):
            callback(patcher)

    def inner_sample(
        self,
        noise: Tensor,
        latent_image: Tensor | None,
        device: torch.device,
        sampler: PackSampler,
        sigmas: Tensor,
        denoise_mask: Tensor | None,
        callback: StepCallback | None,
        disable_pbar: bool,
        seed: int | None,
    ) -> Tensor:
        """Have the sampler denoise latents on the device of `inner_model`; see `sample`."""
        del device
        if latent_image is not None and latent_image.count_nonzero():
            latent_image = self.inner_model.process_latent_in(latent_image)
        extra = {"model_options": options_in(self.model_options, sigmas), "seed": seed}
        sample = self._around(WrappersMP.SAMPLER_SAMPLE, sampler.sample, sampler)
        samples = sample(
            self, sigmas, extra, callback, noise, latent_image, denoise_mask, disable_pbar
        )
        return self.inner_model.process_latent_out(samples.float())

    def to_native(self) -> Guider:
        """Return the guider for our own nodes, but for methods that sample in a pack's own way."""
        positive, negative = (
            to_conditioning(self.original_conds.get(name)) for name in ("positive", "negative")
        )
        own = type(self).predict_noise is CFGGuider.predict_noise
        own = own and not is_sampled_by_packs(self.model_options)
        predictor = None if own else PackPredictor(copy.copy(self))
        handle = self.model_patcher.to_handle(live_guider)
        return Guider(handle, positive, negative, self.cfg, predictor)

    @classmethod
    def from_native(cls, guider: Guider) -> "CFGGuider":
        """Return a guider in ComfyUI's form."""
        made = cls(PackModel(guider.model))
        made.set_conds(conditioning_to(guider.positive), conditioning_to(guider.negative))
        made.set_cfg(guider.cfg)
        return made

    def enter(self, session: SamplingSession) -> None:
        """Make the model ready for a run of a sampler, in which this is the guider."""
        self.inner_model = live = LiveModel(session, self.model_patcher)
        self.model_patcher = live.model_patcher
        session.kept[_GUIDER] = self


@dataclass(frozen=True, slots=True, eq=False)
class PackPredictor:
    """Answers a sampler's calls by a guider of a pack; see `Predictor`."""

    guider: CFGGuider

    def __call__(self, session: SamplingSession, call: Call) -> Reply:
        """Return the guider's x0, and the predictions that it was made of if they are wanted."""
        guider = live_guider(session)
        return predict_with(guider, session, call, guider.model_options)


def live_guider(session: SamplingSession) -> CFGGuider:
    """Return the guider of a run in ComfyUI's form, the same one at every call."""
    found = session.kept.get(_GUIDER)
    if isinstance(found, CFGGuider):
        return found
    request, denoiser = session.request, session.request.denoiser
    if isinstance(request.predictor, PackPredictor):
        guider = request.predictor.guider
    elif isinstance(denoiser, ModelDenoiser):
        cfg = request.cfg if isinstance(request.cfg, int | float) else tuple(request.cfg)
        native = Guider(denoiser.model, request.positive, request.negative, cfg)
        guider = CFGGuider.from_native(native)
    else:
        what = f"the sampling of {type(denoiser).__name__}"
        raise NotOfferedError(what)
    guider = copy.copy(guider)
    guider.conds = {name: list(conds) for name, conds in guider.original_conds.items()}
    guider.enter(session)
    return guider


@dataclass(frozen=True, slots=True, eq=False)
class InnerSampling:
    """A guider's `inner_sample` in our denoising loop; a `DirectSampler`."""

    guider: CFGGuider
    sampler: PackSampler
    callback: StepCallback | None

    def sample(self, x: Tensor, sigmas: Tensor, process: Process, model: Answerer, /) -> Tensor:
        """Have the guider denoise the latent that x was made of."""
        session = session_of(model)
        self.guider.enter(session)
        found = self.guider.inner_sample(
            session.noise,
            session.latent.samples.to(x.device),
            x.device,
            self.sampler,
            sigmas.to(x.device),
            session.mask,
            StepReports(session, self.callback),
            True,
            seed_of(session),
        )
        inside = self.guider.inner_model.process_latent_in(found.to(x))
        return before_last_scaling(inside, sigmas, process)


def prepare_sampling(
    model: PackModel,
    noise_shape: object,
    conds: Mapping[str, Any],
    model_options: Mapping[str, Any] | None = None,
) -> tuple[Any, Mapping[str, Any], list[Any]]:
    """Return the object under a MODEL, the conditions, and no further models."""
    del noise_shape, model_options
    return model.model, conds, []


def _overridden(guider: CFGGuider) -> bool:
    """Return True if a guider samples or predicts in a way of its own."""
    return any(
        getattr(type(guider), name) is not getattr(CFGGuider, name)
        for name in (*SAMPLING_METHODS, "predict_noise")
    )


def predict_with(
    guider: CFGGuider, session: SamplingSession, call: Call, options: Mapping[str, Any]
) -> Reply:
    """Answer a sampler's call by a guider.

    Args:
        guider: of the run.
        session: the run.
        call: of the sampler.
        options: the model options to predict with.
    """
    sigma = call.sigma.reshape(-1).expand(len(call.x)).to(call.x.device)
    predictions: dict[str, Tensor] = {}

    def keep(arguments: dict[str, Any]) -> Tensor:
        predictions.update(cond=arguments["cond_denoised"], uncond=arguments["uncond_denoised"])
        return arguments["denoised"]

    inside = {
        **options.get("transformer_options", {}),
        "sample_sigmas": session.request.sigmas,
        "sigmas": sigma,
    }
    options = {**options, "transformer_options": inside}
    if call.wants_uncond:
        options = with_post_cfg(options, keep, True)
    predict = with_wrappers(WrappersMP.PREDICT_NOISE, guider.predict_noise, guider, inside)
    x0 = predict(call.x, sigma, options, seed_of(session))
    return Reply(x0, predictions.get("uncond"), predictions.get("cond"))


def with_post_cfg(
    options: Mapping[str, Any],
    function: Callable[[dict[str, Any]], Any],
    disable_cfg1_optimization: bool,
    name: str = POST_CFG,
) -> dict[str, Any]:
    """Return model options with one more function that corrects the guided prediction.

    Args:
        options: stay as they are.
        function: gets the predictions and more by name.
        disable_cfg1_optimization: ask for the negative prediction at a cfg of 1, too.
        name: of the functions' list in the options.
    """
    always = {"disable_cfg1_optimization": True} if disable_cfg1_optimization else {}
    return {**options, **always, name: [*options.get(name, ()), function]}


def _one_channel(mask: Tensor | None) -> Tensor | None:
    """Return a mask with one channel: packs repeat it for all of them."""
    if mask is None:
        return None
    return mask[:, :1] if mask.ndim == 4 else mask.reshape(-1, 1, *mask.shape[-2:])
