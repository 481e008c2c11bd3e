"""SAMPLER in ComfyUI's form, and functions of packs as samplers of ours."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from torch import Tensor

from nodes.comfy.values.errors import NotOfferedError
from nodes.comfy.values.sampling.guiders import (
    POST_CFG,
    CFGGuider,
    StepCallback,
    live_guider,
    predict_with,
    seed_of,
)
from nodes.sampling.guidance.session import SamplingSession
from nodes.sampling.samplers.registry import (
    Answerer,
    Call,
    Process,
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
SamplerFunction = Callable[..., Tensor]
"""As k-diffusion has them: (model, x, sigmas, extra_args=, callback=, disable=, options…) to x."""


class Sampler:
    """The base of ComfyUI's samplers."""

    def sample(self, *_args: object, **_more: object) -> Tensor:
        """Refuse: a guider samples.

        Raises:
            NotOfferedError: always.
        """
        what = f"{type(self).__name__}.sample"
        raise NotOfferedError(what, hint="`comfy.samplers.CFGGuider.sample` works.")

    def to_native(self, callback: StepCallback | None = None) -> SamplerOrName:
        """Return the sampler for our own nodes.

        Raises:
            NotOfferedError: it is of a class of the pack's own.
        """
        del callback
        what = f"a sampler of the class {type(self).__name__}"
        raise NotOfferedError(what, hint="`comfy.samplers.KSAMPLER` with a function works.")


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

    def to_native(self, callback: StepCallback | None = None) -> SamplerOrName:
        """Return the sampler for our own nodes; ours itself if it is one of those."""
        name = getattr(self.sampler_function, NATIVE, None)
        if not isinstance(name, str) or "noise_sampler" in self.extra_options:
            return FunctionSampler(self, callback)
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


@dataclass(frozen=True, slots=True)
class FunctionSampler:
    """A function of a pack as a sampler; a `DirectSampler`."""

    value: KSAMPLER
    callback: StepCallback | None = None

    def sample(self, x: Tensor, sigmas: Tensor, process: Process, model: Answerer, /) -> Tensor:
        """Call the function with a model that answers as the run does.

        Raises:
            NotOfferedError: this is not a run of the denoising loop.
        """
        del process
        if not isinstance(model, SamplingSession):
            what = "a sampler of a pack without a run"
            raise NotOfferedError(what)
        denoiser = PackDenoiser(model)
        extra = {
            "model_options": denoiser.model_options,
            "seed": seed_of(model),
            "denoise_mask": denoiser.denoise_mask,
        }
        return self.value.sampler_function(
            denoiser,
            x,
            sigmas.to(x.device),
            extra_args=extra,
            callback=partial(self._report, len(sigmas) - 1),
            disable=True,
            **self.value.extra_options,
        ).to(x)

    def _report(self, total: int, step: Mapping[str, Any]) -> None:
        """Pass k-diffusion's report of a step on."""
        if self.callback is not None:
            self.callback(int(step["i"]), step["denoised"], step["x"], total)


@dataclass(eq=False)
class PackDenoiser:
    """The model that a pack's sampler function calls: `model(x, sigma, **extra_args)` is x0."""

    session: SamplingSession
    inner_model: CFGGuider = field(init=False)
    model_options: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.inner_model = live_guider(self.session)
        self.sigmas = self.session.request.sigmas
        self.latent_image, self.noise = self.session.clean, self.session.noise
        self.denoise_mask = self.session.mask
        options = self.inner_model.model_options
        inside = {**options.get("transformer_options", {}), "sample_sigmas": self.sigmas}
        self.model_options = {**options, "transformer_options": inside}

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

        Functions that the pack has added to `model_options` apply to this call.
        """
        del denoise_mask, seed
        step = self.inner_model.inner_model.step_at(sigma)
        options = self.model_options if model_options is None else model_options
        if _rules(options) == _rules(self.model_options):
            return self.session.answer(Call(x, sigma, step)).x0
        call = Call(x, sigma, step, wants_uncond=POST_CFG in options)
        return self.session.answer(
            call, lambda session, call: predict_with(self.inner_model, session, call, options)
        ).x0


def _rules(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the model options that change a prediction."""
    return {
        name: value for name, value in options.items() if name != "transformer_options" and value
    }
