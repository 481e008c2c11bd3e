"""One run of a sampler: its request, and the answers to the sampler's calls."""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TypeAlias

import torch
from torch import Tensor

from nodes.sampling.conditioning.cond import ConcatLatent, Conditioning
from nodes.sampling.conditioning.denoiser import Branch, Denoiser, PreparedCond
from nodes.sampling.conditioning.inpainting import Inpainting
from nodes.sampling.conditioning.latents import Latent
from nodes.sampling.conditioning.regions import resolve
from nodes.sampling.guidance.finiteness import FinitenessCheck
from nodes.sampling.guidance.planner import GuidancePlanner, with_ranges
from nodes.sampling.guidance.settings import PLAIN, GuidanceSettings
from nodes.sampling.guidance.step_cache import EasyCache
from nodes.sampling.noise_schedule.noise import Seeds, noise_like
from nodes.sampling.samplers.registry import Call, Reply, SamplerOrName, named_sampler

OnStep: TypeAlias = Callable[[int, int, Tensor], bool | None]
"""Gets (steps done, steps in all, x0 in the model's space) once a step.

x0 is on the model's device; True says that it was copied from there, so that nothing more is lost
by a look at the predictions' finiteness.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """All that one run of a sampler needs, apart from the latent and its noise."""

    denoiser: Denoiser
    sampler: SamplerOrName
    """A name of `SAMPLERS`, or one with options of its own."""
    sigmas: Tensor
    """[steps + 1], descending; empty leaves the latent as it is."""
    positive: Conditioning
    negative: Conditioning
    cfg: float | Sequence[float]
    """The guidance scale, one for the batch or one for each image.

    At 1 the negative prediction is not needed, and not computed.
    """
    seed: Seeds
    """The seed of the noise that samplers add during sampling."""
    guidance: GuidanceSettings = PLAIN
    predictor: "Predictor | None" = None
    """Answers the calls instead of the guidance settings."""


Predictor: TypeAlias = Callable[["SamplingSession", Call], Reply]
"""Answers a sampler's call in a way of its own; asks the session for the model's predictions."""


_CURRENT: ContextVar["SamplingSession | None"] = ContextVar("sampling_session", default=None)


def current_session() -> "SamplingSession | None":
    """Return the run whose sampler's call is being answered in this thread; None outside of one."""
    return _CURRENT.get()


class SamplingSession:
    """Answers a sampler's calls: inpainting, guidance, the model, progress.

    Args:
        request: the model, the sampler, and the conditions.
        latent: in the VAE's space; its mask says where.
        clean: the same in the model's space.
        noise: the noise that sampling starts with, standard normal.
        on_step: called in each step as soon as its first prediction is there.
    """

    def __init__(
        self,
        request: Request,
        latent: Latent,
        clean: Tensor,
        noise: Tensor,
        on_step: OnStep | None = None,
    ) -> None:
        self.request = request
        self.latent = latent
        self.clean = clean
        self.noise = noise
        self.finiteness = FinitenessCheck()
        self.kept: dict[str, object] = {}
        """The values that predictors and samplers of others keep from call to call."""
        around = noise if latent.noise_mask is None else _noise_around_mask(request, noise)
        self._inpainting = self.inpainting(latent.noise_mask, clean, around)
        self._planner_for = cache(partial(_planner, request, _concat(latent), self.finiteness))
        self._guided = _predictor(request)
        self._on_step = on_step
        self._steps_done = 0

    @property
    def mask(self) -> Tensor | None:
        """Where the latent is denoised: [batch, 1, h, w] in [0, 1]; None is everywhere."""
        return self._inpainting.mask if self._inpainting else None

    def answer(self, call: Call, predictor: "Predictor | None" = None) -> Reply:
        """Return the predictions that a call asks for; outside the mask is the original.

        Args:
            call: of the sampler.
            predictor: answers this call; the request's, or the guidance settings, if None.

        Raises:
            NotFiniteError: the model's prediction holds infinities or NaN; see `FinitenessCheck`.
        """
        return self.answer_around(self._inpainting, call, predictor)

    @torch.no_grad()
    def answer_around(
        self, inpainting: Inpainting | None, call: Call, predictor: "Predictor | None" = None
    ) -> Reply:
        """Do as `answer` does, with another mask, original or noise; without a mask if None."""
        inside = replace(call, x=inpainting.surround(call.x, call.sigma)) if inpainting else call
        predict = predictor or self.request.predictor or SamplingSession.predict
        token = _CURRENT.set(self)
        try:
            reply = predict(self, inside)
        finally:
            _CURRENT.reset(token)
        x0 = inpainting.restore(reply.x0, call.sigma) if inpainting else reply.x0
        self.report(call.step, x0)
        return replace(reply, x0=x0)

    def report(self, step: int, x0: Tensor) -> None:
        """Tell of a step's prediction, once for each step; a call's answer does so itself.

        Args:
            step: from 0.
            x0: in the model's space.
        """
        if self._on_step and step >= self._steps_done:
            self._steps_done = step + 1
            if self._on_step(self._steps_done, len(self.request.sigmas) - 1, x0):
                self.finiteness.look()

    def inpainting(self, mask: Tensor | None, original: Tensor, noise: Tensor) -> Inpainting | None:
        """Return what denoises inside a mask; None if there is no mask.

        Args:
            mask: of any size.
            original: the latent outside of it, in the model's space.
            noise: that of the original.
        """
        if mask is None:
            return None
        parameterization = self.request.denoiser.parameterization
        function = _denoise_mask_function(self.request)
        return Inpainting.for_latent(mask, original, noise, parameterization, function)

    def predict(self, call: Call) -> Reply:
        """Return the predictions as the guidance settings combine them.

        Raises:
            NotFiniteError: see `answer`.
        """
        planner = self._planner_for(*call.x.shape[-2:])
        return self._guided(planner, call, self.request.denoiser)

    def planner_of(
        self, branches: Sequence[tuple[Conditioning, Branch]], size: tuple[int, int]
    ) -> GuidancePlanner:
        """Return the plan of one prediction for each of these conditionings, without guidance.

        Args:
            branches: each with the branch of guidance that it belongs to.
            size: height and width of the latent.
        """
        concat = _concat(self.latent)
        prepared = [_prepare(self.request, concat, size, *each) for each in branches]
        prepared += [[]] * (2 - len(prepared))
        parameterization = self.request.denoiser.parameterization
        return GuidancePlanner(
            *resolve(prepared[0], prepared[1], size, parameterization),
            1.0,
            _EACH,
            [resolve(each, [], size, parameterization)[0] for each in prepared[2:]],
            steps=len(self.request.sigmas) - 1,
            repeats_text=self.request.denoiser.repeats_text,
            finiteness=self.finiteness,
        )


_EACH = replace(PLAIN, disable_cfg1_optimization=True)
"""The settings that ask for the predictions of all conditions."""


def _predictor(request: Request) -> Callable[[GuidancePlanner, Call, Denoiser], Reply]:
    """Return the way to answer a call: always by the model, or at times from the step cache."""
    step_cache = request.guidance.step_cache
    if step_cache is None:
        return GuidancePlanner.predict
    return EasyCache(step_cache, request.denoiser.parameterization).predict


def _concat(latent: Latent) -> ConcatLatent | None:
    """Return the latent and its mask, for models that read a image and bring none."""
    mask = latent.noise_mask
    return None if mask is None else ConcatLatent(latent.samples, mask.float())


def _noise_around_mask(request: Request, noise: Tensor) -> Tensor:
    """Return the noise outside the mask, which some samplers draw anew."""
    sampler = request.sampler
    if not isinstance(sampler, str) or not named_sampler(sampler).renews_noise:
        return noise
    seed = request.seed
    next_seed = _next(seed) if isinstance(seed, int) else [_next(each) for each in seed]
    return noise_like(noise, next_seed)


def _planner(
    request: Request,
    concat: ConcatLatent | None,
    finiteness: FinitenessCheck,
    height: int,
    width: int,
) -> GuidancePlanner:
    """Return the guidance for latents of one size; few samplers change the size.

    Args:
        request: with the conditions.
        concat: for conditions that bring none.
        finiteness: of the whole run.
        height: of the latent.
        width: of the latent.
    """
    denoiser, settings, size = request.denoiser, request.guidance, (height, width)
    parameterization = denoiser.parameterization
    prepare = partial(_prepare, request, concat, size)
    positive, negative = prepare(request.positive), prepare(request.negative, "negative")
    extras = [prepare(each) for each in settings.extras]
    cfg = request.cfg if isinstance(request.cfg, int | float) else torch.tensor(request.cfg)
    return GuidancePlanner(
        *resolve(positive, negative, size, parameterization),
        cfg,
        settings,
        [resolve(each, [], size, parameterization)[0] for each in extras],
        steps=len(request.sigmas) - 1,
        repeats_text=denoiser.repeats_text,
        perturbed=with_ranges(settings.perturbed, parameterization),
        uncond_modifiers=with_ranges(settings.uncond_modifiers, parameterization),
        cfg_overrides=with_ranges(settings.cfg_overrides, parameterization),
        watch=settings.self_attention.watch() if settings.self_attention else None,
        finiteness=finiteness,
    )


def _prepare(
    request: Request,
    concat: ConcatLatent | None,
    size: tuple[int, int],
    conditioning: Conditioning,
    branch: Branch = "positive",
) -> list[PreparedCond]:
    """Return conditions as the model reads them; see `Denoiser.prepare`."""
    seed = request.seed if isinstance(request.seed, int) else request.seed[0]
    conds = (replace(cond, concat=cond.concat or concat) for cond in conditioning.conds)
    return [request.denoiser.prepare(cond, size, branch, seed) for cond in conds]


def _denoise_mask_function(request: Request) -> Callable[[Tensor, Tensor], Tensor] | None:
    """Return the settings' function of (mask, fraction left) as one of (mask, sigma)."""
    function, parameterization = (
        request.guidance.denoise_mask_function,
        request.denoiser.parameterization,
    )
    if function is None:
        return None

    def time(sigma: Tensor) -> float:
        return float(parameterization.timestep(sigma.flatten()[:1].float()))

    last = request.sigmas[-1:].clamp(min=parameterization.sigma_min)
    start, end = time(request.sigmas[:1]), time(last)
    duration = (start - end) or 1.0
    return lambda mask, sigma: function(mask, (time(sigma) - end) / duration)


def _next(seed: int) -> int:
    return (seed + 1) % 2**64
