"""Our samplers as functions of k-diffusion, which packs call with a model of their own."""

import inspect
from collections.abc import Callable, Mapping
from functools import cache, partial
from inspect import Parameter
from typing import Any, cast

import torch
from torch import Tensor

from nodes.comfy.values.errors import NotOfferedError
from nodes.comfy.values.sampling.guiders import with_post_cfg
from nodes.comfy.values.sampling.samplers import (
    KSAMPLER,
    NATIVE,
    PackSampling,
    SamplerFunction,
)
from nodes.comfy.values.sampling.samplers import Sampler as PackSampler
from nodes.sampling.noise_schedule.noise import Brownian, BrownianPath, NoiseSource, noise_source
from nodes.sampling.noise_schedule.parameterization import Discrete, Parameterization
from nodes.sampling.samplers.registry import (
    SAMPLERS,
    Call,
    Process,
    Reply,
    Sampler,
    SamplerOrName,
    SamplerRun,
)

NoiseSampler = Callable[[Tensor, Tensor], Tensor]
"""Draws noise for the step from one level to the next."""
_CHURN = {"s_churn": 0.0, "s_tmin": 0.0, "s_tmax": float("inf"), "s_noise": 1.0}
"""The options of k-diffusion's ODE samplers that ours lack, with their defaults."""
_SEEDS = 2**63


def sampler_functions() -> Mapping[str, SamplerFunction]:
    """Return the functions of all our samplers, by the samplers' names."""
    return {name: sampler_function(name) for name in SAMPLERS}


@cache
def sampler_function(name: str) -> SamplerFunction:
    """Return one of our samplers as a function: `sample_euler(model, x, sigmas, …)`."""
    sampler = SAMPLERS[name]
    own = _options_of(sampler)
    function: Any = partial(_sample, sampler, frozenset(own))
    given = ("model", "x", "sigmas", "extra_args", "callback", "disable")
    either = Parameter.POSITIONAL_OR_KEYWORD
    parameters = [
        Parameter(each, either, default=Parameter.empty if each in given[:3] else None)
        for each in given
    ]
    parameters += [each.replace(kind=either) for each in own.values()]
    parameters.append(Parameter("noise_sampler", either, default=None))
    function.__signature__ = inspect.Signature(parameters)
    function.__name__ = f"sample_{name}"
    setattr(function, NATIVE, name)
    return function


def ksampler_of(sampler: SamplerOrName) -> PackSampler:
    """Return a sampler in ComfyUI's form; for one that a pack made, that object.

    Raises:
        NotOfferedError: nobody knows how to call it as k-diffusion's samplers are called.
    """
    if isinstance(sampler, PackSampling):
        return sampler.value
    options: dict[str, Any] = {}
    found: Any = sampler
    while isinstance(found, partial):
        options, found = {**found.keywords, **options}, cast("Any", found.func)
    name = found if isinstance(found, str) else _name_of(found)
    if name == "ddim":
        return KSAMPLER(sampler_function("euler"), options, {"random": True})
    if name not in SAMPLERS:
        what = f"the sampler {getattr(found, '__name__', found)!r} as a value"
        raise NotOfferedError(what, hint="Choose it by name in KSampler.")
    return KSAMPLER(sampler_function(name), options)


def _name_of(sampler: Any) -> str:
    return next((name for name, each in SAMPLERS.items() if each is sampler), "")


def _options_of(sampler: Sampler) -> dict[str, Parameter]:
    """Return the keyword arguments of a sampler."""
    parameters = inspect.signature(sampler).parameters
    return {name: each for name, each in parameters.items() if each.kind is Parameter.KEYWORD_ONLY}


def _sample(
    sampler: Sampler,
    own: frozenset[str],
    model: Any,
    x: Tensor,
    sigmas: Tensor,
    extra_args: Mapping[str, Any] | None = None,
    callback: Callable[[dict[str, Any]], object] | None = None,
    disable: bool | None = None,
    noise_sampler: NoiseSampler | None = None,
    **options: Any,
) -> Tensor:
    """Sample with a model that is called as `model(x, sigma, **extra_args)` and returns x0.

    Args:
        sampler: one of ours.
        own: the names of its options.
        model: called with sigma, [batch].
        x: [batch, channels, h, w] with the noise of `sigmas[0]`.
        sigmas: [steps + 1].
        extra_args: for the model; its `seed` is that of the noise on the way.
        callback: gets `x`, `i`, `sigma`, `sigma_hat`, `denoised` at each call of the model.
        disable: without effect.
        noise_sampler: draws the noise on the way in place of the seed.
        **options: of the sampler.

    Raises:
        NotOfferedError: the sampler has no such option.
    """
    del disable
    extra = dict(extra_args or {})
    for name in options.keys() - own:
        if options[name] != _CHURN.get(name):
            what = f"the option {name!r} of a sampler"
            raise NotOfferedError(what)
    chosen = {name: value for name, value in options.items() if name in own}
    levels = sigmas.detach().float().cpu()
    noise = _CalledNoise(noise_sampler, levels) if noise_sampler else _noise(extra.get("seed"))
    run = SamplerRun(sampler(x, levels, Process(parameterization_of(model), noise), **chosen))
    for call in run:
        if isinstance(noise, _CalledNoise):
            noise.step = call.step
        reply = _ask(model, call, extra)
        if callback:
            level = call.sigma.to(x.device)
            told = {"x": call.x, "i": call.step, "sigma": level, "sigma_hat": level}
            callback({**told, "denoised": reply.x0})
        run.answer(reply)
    return run.latent


def _ask(model: Any, call: Call, extra: dict[str, Any]) -> Reply:
    """Call a pack's model; the prediction without the prompt comes by a post-cfg function."""
    predictions: dict[str, Tensor] = {}

    def keep(arguments: dict[str, Any]) -> Tensor:
        predictions.update(uncond=arguments["uncond_denoised"], cond=arguments["cond_denoised"])
        return arguments["denoised"]

    if call.wants_uncond:
        options = with_post_cfg(extra.get("model_options") or {}, keep, True)
        extra = {**extra, "model_options": options}
    sigma = call.sigma.reshape(-1).expand(len(call.x)).to(call.x)
    x0 = model(call.x, sigma, **extra)
    return Reply(x0, predictions.get("uncond"), predictions.get("cond"))


def parameterization_of(model: Any) -> Parameterization:
    """Return the noise levels of the model that a sampler was given; Stable Diffusion's if none."""
    inner = getattr(getattr(model, "inner_model", None), "inner_model", None)
    sampling = getattr(inner, "model_sampling", None)
    return getattr(sampling, "parameterization", None) or Discrete.scaled_linear()


def _noise(seed: int | None) -> NoiseSource:
    return noise_source(seed) if seed is not None else _Unseeded()


class _Unseeded:
    """Noise of torch's own generator."""

    def white(self, x: Tensor) -> Tensor:
        """Return the generator's next draw."""
        return torch.randn_like(x)

    def brownian(self, x: Tensor, sigma_min: float, sigma_max: float) -> Brownian:
        """Return a path of a seed that the generator draws."""
        seed = int(torch.randint(_SEEDS - 1, ()))
        return BrownianPath(x, sigma_min, sigma_max, seed)


class _CalledNoise:
    """Noise that a pack's function draws for each step."""

    def __init__(self, function: NoiseSampler, sigmas: Tensor) -> None:
        self.step = 0
        self._function = function
        self._sigmas = sigmas

    def white(self, x: Tensor) -> Tensor:
        """Return the function's noise for the step that is being taken."""
        level, after = self._sigmas[self.step], self._sigmas[self.step + 1]
        return self._function(level.to(x.device), after.to(x.device)).to(x)

    def brownian(self, x: Tensor, sigma_min: float, sigma_max: float) -> Brownian:
        """Return the function itself."""
        del sigma_min, sigma_max
        return lambda sigma, sigma_next: self._function(sigma.to(x.device), sigma_next.to(x.device))
