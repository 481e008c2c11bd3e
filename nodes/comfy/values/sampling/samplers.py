"""SAMPLER in ComfyUI's form, and samplers of packs as ours."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

from torch import Tensor

from nodes.comfy.values.errors import NotOfferedError
from nodes.comfy.values.sampling.guiders import (
    POST_CFG,
    live_guider,
    predict_with,
)
from nodes.comfy.values.sampling.session import (
    StepCallback,
    StepReports,
    before_last_scaling,
    options_in,
    seed_of,
    session_of,
)
from nodes.sampling.guidance.session import SamplingSession
from nodes.sampling.noise_schedule.noise import noise_like
from nodes.sampling.samplers.registry import (
    Answerer,
    Call,
    Process,
    Reply,
    SamplerOrName,
    SamplerRun,
    Sampling,
    sampler_of,
)
from nodes.sampling.samplers.registry import (
    Sampler as NativeSampler,
)

NATIVE = "nodegraph_sampler"
"""The attribute of a function of `comfy.k_diffusion.sampling` with the name of our sampler."""
_CLOSE = 1e-5
_SEEDS = 2**64
SamplerFunction = Callable[..., Tensor]
"""As k-diffusion has them: (model, x, sigmas, extra_args=, callback=, disable=, options…) to x."""


class Sampler:
    """The base of ComfyUI's samplers; packs derive their own from it and override `sample`."""

    def sample(
        self,
        model_wrap: Any,
        sigmas: Tensor,
        extra_args: dict[str, Any],
        callback: StepCallback | None,
        noise: Tensor,
        latent_image: Tensor | None = None,
        denoise_mask: Tensor | None = None,
        disable_pbar: bool = False,
    ) -> Tensor:
        """Return the latent at the last noise level, in the model's space.

        Args:
            model_wrap: the guider; `model_wrap(x, sigma, **extra_args)` is the guided x0.
            sigmas: [steps + 1].
            extra_args: `model_options` and `seed`.
            callback: is called in each step.
            noise: standard normal, [batch, channels, h, w].
            latent_image: where sampling begins, in the model's space.
            denoise_mask: in [0, 1]; 1 is denoised.
            disable_pbar: without effect.

        Raises:
            NotOfferedError: the class has no method of its own.
        """
        what = f"{type(self).__name__}.sample"
        raise NotOfferedError(what, hint="A class that derives from it overrides `sample`.")

    def max_denoise(self, model_wrap: Any, sigmas: Tensor) -> bool:
        """Return True if sampling begins at the highest level or above: nothing but noise."""
        highest = float(model_wrap.inner_model.model_sampling.sigma_max)
        return float(sigmas[0]) > highest * (1 - _CLOSE)

    def to_native(self, callback: StepCallback | None = None) -> SamplerOrName:
        """Return the sampler for our own nodes."""
        return PackSampling(self, callback)


class KSAMPLER(Sampler):
    """A sampler made of a function.

    Args:
        sampler_function: as in k-diffusion.
        extra_options: its further keyword arguments.
        inpaint_options: `random` draws the noise outside of a mask anew.
    """

    def __init__(
        self,
        sampler_function: SamplerFunction,
        extra_options: Mapping[str, Any] | None = None,
        inpaint_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.sampler_function = sampler_function
        self.extra_options = dict(extra_options or {})
        self.inpaint_options = dict(inpaint_options or {})

    def sample(
        self,
        model_wrap: Any,
        sigmas: Tensor,
        extra_args: dict[str, Any],
        callback: StepCallback | None,
        noise: Tensor,
        latent_image: Tensor | None = None,
        denoise_mask: Tensor | None = None,
        disable_pbar: bool = False,
    ) -> Tensor:
        """Add noise to the latent, and call the function; see `Sampler.sample`."""
        model = PackDenoiser(model_wrap, sigmas)
        model.latent_image = noise.new_zeros(noise.shape) if latent_image is None else latent_image
        model.noise = self._noise_around_mask(noise, extra_args.get("seed"))
        sampling, highest = (
            model_wrap.inner_model.model_sampling,
            self.max_denoise(model_wrap, sigmas),
        )
        x = sampling.noise_scaling(sigmas[0], noise, model.latent_image, highest)
        samples = self.sampler_function(
            model,
            x,
            sigmas,
            extra_args={**extra_args, "denoise_mask": denoise_mask},
            callback=partial(_tell, callback, len(sigmas) - 1),
            disable=disable_pbar,
            **self.extra_options,
        )
        return sampling.inverse_noise_scaling(sigmas[-1], samples)

    def _noise_around_mask(self, noise: Tensor, seed: int | None) -> Tensor:
        """Return the noise outside of a mask."""
        renews = self.inpaint_options.get("random")
        return noise_like(noise, ((seed or 0) + 1) % _SEEDS) if renews else noise

    def to_native(self, callback: StepCallback | None = None) -> SamplerOrName:
        """Return the sampler for our own nodes; ours itself if it is one of those."""
        name = getattr(self.sampler_function, NATIVE, None)
        overrides = type(self).sample is not KSAMPLER.sample
        if overrides or not isinstance(name, str) or "noise_sampler" in self.extra_options:
            return PackSampling(self, callback)
        if name == "euler" and self.inpaint_options.get("random"):
            name = "ddim"
        if not self.extra_options and callback is None:
            return name
        found = cast("NativeSampler", sampler_of(name))
        chosen = partial(found, **self.extra_options) if self.extra_options else found
        return (
            chosen
            if callback is None
            else partial(_with_callback, sampler=chosen, callback=callback)
        )


def _with_callback(
    x: Tensor, sigmas: Tensor, process: Process, *, sampler: NativeSampler, callback: StepCallback
) -> Sampling:
    """Sample as another sampler does, and call a function in each step."""
    run, done = SamplerRun(sampler(x, sigmas, process)), 0
    for call in run:
        reply = yield call
        if call.step >= done:
            done = call.step + 1
            callback(call.step, reply.x0, call.x, len(sigmas) - 1)
        run.answer(reply)
    return run.latent


def _tell(callback: StepCallback | None, total: int, step: Mapping[str, Any]) -> None:
    """Pass k-diffusion's report of a step on."""
    if callback is not None:
        callback(int(step["i"]), step["denoised"], step["x"], total)


@dataclass(frozen=True, slots=True)
class PackSampling:
    """A sampler of a pack in our denoising loop; a `DirectSampler`."""

    value: Sampler
    callback: StepCallback | None = None

    def sample(self, x: Tensor, sigmas: Tensor, process: Process, model: Answerer, /) -> Tensor:
        """Have the sampler denoise the latent that x was made of.

        Raises:
            NotOfferedError: this is not a run of the denoising loop.
        """
        session = session_of(model)
        guider = live_guider(session)
        found = self.value.sample(
            guider,
            sigmas.to(x.device),
            {"model_options": options_in(guider.model_options, sigmas), "seed": seed_of(session)},
            StepReports(session, self.callback),
            session.noise,
            session.clean,
            session.mask,
            True,
        )
        return before_last_scaling(found.to(x), sigmas, process)


@dataclass(eq=False)
class PackDenoiser:
    """The model that a pack's sampler function calls: `model(x, sigma, **extra_args)` is x0.

    Args:
        inner_model: the guider, or an object of a pack's around it.
        sigmas: of the run.
    """

    inner_model: Any
    sigmas: Tensor
    latent_image: Tensor = field(init=False)
    """The original outside of a mask, in the model's space."""
    noise: Tensor = field(init=False)
    """The noise that the original gets there."""

    def __post_init__(self) -> None:
        live = getattr(self.inner_model, "inner_model", None)
        self.session = session_of(getattr(live, "session", None))
        self.latent_image, self.noise = self.session.clean, self.session.noise
        guider = live_guider(self.session)
        self.model_options = options_in(guider.model_options, self.sigmas)
        self._is_plain = guider is self.inner_model

    def __call__(
        self,
        x: Tensor,
        sigma: Tensor,
        denoise_mask: Tensor | None = None,
        model_options: Mapping[str, Any] | None = None,
        seed: int | None = None,
        **_more: object,
    ) -> Tensor:
        """Return the guided x0 of x, [batch, channels, h, w], at sigma, a scalar or [batch].

        Outside of the mask it is `latent_image`. Functions that the pack has added to
        `model_options` apply to this call.
        """
        step = self.inner_model.inner_model.step_at(sigma)
        options = self.model_options if model_options is None else model_options
        around = self.session.inpainting(denoise_mask, self.latent_image, self.noise)
        call, predictor = Call(x, sigma, step), None
        if not self._is_plain:
            predictor = partial(self._ask, options, seed)
        elif _rules(options) != _rules(self.model_options):
            call = replace(call, wants_uncond=POST_CFG in options)
            predictor = partial(self._predict, options)
        return self.session.answer_around(around, call, predictor).x0

    def _predict(self, options: Mapping[str, Any], session: SamplingSession, call: Call) -> Reply:
        return predict_with(self.inner_model, session, call, options)

    def _ask(
        self, options: Mapping[str, Any], seed: int | None, session: SamplingSession, call: Call
    ) -> Reply:
        """Ask the object of a pack's that stands for the guider."""
        del session
        sigma = call.sigma.reshape(-1).expand(len(call.x)).to(call.x.device)
        return Reply(self.inner_model(call.x, sigma, model_options=options, seed=seed))


def _rules(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the model options that change a prediction."""
    return {
        name: value for name, value in options.items() if name != "transformer_options" and value
    }
