"""From a noisy latent to a clean one: everything between a KSampler's inputs and its output.

A node says what to do in a `Request`, draws the noise and calls `sample`::

    sigmas = sigmas_for(model.parameterisation, scheduler, sampler_name, steps, denoise)
    request = Request(
        denoiser=model, sampler=sampler_name, sigmas=sigmas, seed=seed,
        positive=positive, negative=negative, cfg=cfg,
    )
    samples = sample(request, latent, noise_for(latent, seed), on_step, context.check_cancelled)
    return replace(latent, samples=samples)

KSamplerAdvanced cuts the sigmas with `cut_steps` and has `noise_for(..., add=False)` where it adds
no noise. `Denoising` is one run of it, without the model calls: a caller with several of them may
gather their calls, make them together and hand each its answers.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from nodes.denoiser import Denoiser
from nodes.guidance import Guidance, ModelCall, Span
from nodes.guiding import PLAIN, Guiding
from nodes.inpainting import Inpainting
from nodes.noise import Seeds, noise_like, noise_source
from nodes.parameterisation import Parameterisation
from nodes.regions import place
from nodes.reuse import Reusing
from nodes.samplers import SAMPLERS, Call, Process, Reply, Sampler, SamplerOrName
from nodes.sampling_errors import NotFiniteError
from nodes.values import Beside, Cond, Conditioning, Latent

OnStep: TypeAlias = Callable[[int, int, Tensor], None]
"""Told (steps done, steps in all, x0 in the model's space) once a step."""


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """What to denoise with what."""

    denoiser: Denoiser
    sampler: SamplerOrName
    """A name of `SAMPLERS`, or one with options of its own."""
    sigmas: Tensor
    """[steps + 1], descending; empty leaves the latent as it is."""
    positive: Conditioning
    negative: Conditioning
    cfg: float | Sequence[float]
    """How far beyond the negative prediction to go; at 1 the negative is not asked for.

    One for the whole batch, or one an image.
    """
    seed: Seeds
    """For the noise that samplers add on the way."""
    guiding: Guiding = PLAIN


class Denoising:
    """One run: asks for model calls, takes their answers, until it has a result."""

    def __init__(self, request: Request, latent: Latent, noise: Tensor) -> None:
        """Begin.

        Args:
            request: at least one step.
            latent: in the VAE's space; its mask says where to denoise.
            noise: of the latent's shape; zeros add none.
        """
        self._request = request
        format_, parameterisation = request.denoiser.latent_format, self._parameterisation
        # An empty latent is empty in the model's space too.
        raw = latent.samples
        clean = format_.to_model(raw) if raw.count_nonzero() else raw
        self._sizes: dict[tuple[int, int], Guidance] = {}
        mask = latent.noise_mask
        self._beside = None if mask is None else Beside(raw, mask.float())
        self._inpainting = (
            Inpainting.of(
                latent.noise_mask,
                clean,
                self._masked_noise(noise),
                parameterisation,
                _masking(request),
            )
            if latent.noise_mask is not None
            else None
        )
        first = request.sigmas[0]
        covers = _is_highest(float(first), parameterisation)
        x = parameterisation.add_noise(first, noise, clean, max_denoise=covers)
        process = Process(parameterisation, noise_source(request.seed))
        self._sampling = _sampler(request)(x, request.sigmas, process)
        reuse = request.guiding.reuse
        self._reusing = Reusing(reuse, parameterisation) if reuse else None
        self._calls: list[ModelCall] = []
        self._result: Tensor | None = None
        self._call: Call | None = None
        self._resume(None)

    @property
    def result(self) -> Tensor | None:
        """The latent in the VAE's space, once there is nothing left to ask."""
        return self._result

    @property
    def step(self) -> int:
        """Which step the pending call belongs to, from 0."""
        return self._pending.step

    def model_calls(self) -> list[ModelCall]:
        """What the model has to answer next; nothing where an answer from before will do."""
        return self._calls

    def advance(self, calls: Sequence[ModelCall], outputs: Sequence[Tensor]) -> Tensor:
        """Go on with the answers, one x0 prediction a call; returns the x0 they make."""
        call = self._pending
        guidance = self._guidance(call)
        if self._reusing is not None:
            reply = self._reusing.reply(guidance, call, outputs)
        else:
            reply = guidance.reply(call, calls, outputs)
        if self._inpainting is not None:
            reply = replace(reply, x0=self._inpainting.restore(reply.x0, call.sigma))
        self._resume(reply)
        return reply.x0

    @property
    def _parameterisation(self) -> Parameterisation:
        return self._request.denoiser.parameterisation

    @property
    def _pending(self) -> Call:
        assert self._call is not None, "the run has its result"
        return self._call

    def _resume(self, reply: Reply | None) -> None:
        try:
            call = next(self._sampling) if reply is None else self._sampling.send(reply)
        except StopIteration as stop:
            latent = self._parameterisation.finish(self._request.sigmas[-1], stop.value)
            self._result = self._request.denoiser.latent_format.to_raw(latent)
            self._call = None
            return
        if self._inpainting is not None:
            call = replace(call, x=self._inpainting.surround(call.x, call.sigma))
        self._call, self._calls = call, self._guidance(call).model_calls(call)
        if self._reusing is not None and self._reusing.plan(call, self._calls):
            self._calls = []

    def _guidance(self, call: Call) -> Guidance:
        """The conditions placed in a latent of the call's size; few samplers change it."""
        size = call.x.shape[-2], call.x.shape[-1]
        if size not in self._sizes:
            self._sizes[size] = _guidance(self._request, size, self._beside)
        return self._sizes[size]

    def _masked_noise(self, noise: Tensor) -> Tensor:
        """What is added to the latent outside the mask: DDIM draws anew, as in ComfyUI."""
        if self._request.sampler != "ddim":
            return noise
        seed = self._request.seed
        following = _next(seed) if isinstance(seed, int) else [_next(each) for each in seed]
        return noise_like(noise, following)


@torch.no_grad()
def sample(
    request: Request,
    latent: Latent,
    noise: Tensor,
    on_step: OnStep | None = None,
    check_cancelled: Callable[[], None] | None = None,
) -> Tensor:
    """Denoise a latent.

    Args:
        request: what with.
        latent: [batch, channels, h, w] in the VAE's space; never modified.
        noise: of the same shape, standard normal; see `noise_for`.
        on_step: told of each step as soon as its first prediction is there.
        check_cancelled: asked before each model call; raises to stop.

    Returns:
        The new samples, in the VAE's space.

    Raises:
        NotFiniteError: the model predicts what is no number.
    """
    if len(request.sigmas) < 2:
        return latent.samples
    run, total, told = Denoising(request, latent, noise), len(request.sigmas) - 1, 0
    while run.result is None:
        step, calls, outputs = run.step, run.model_calls(), list[Tensor]()
        for call in calls:
            if check_cancelled is not None:
                check_cancelled()
            outputs.append(request.denoiser.denoise(call.x, call.sigma, call.cond))
        if not all(output.isfinite().all() for output in outputs):
            what = f"the model's prediction in step {step + 1} of {total}"
            raise NotFiniteError(what)
        x0 = run.advance(calls, outputs)
        if on_step is not None and step >= told:
            told = step + 1
            on_step(told, total, x0)
    return run.result


def noise_for(latent: Latent, seed: Seeds, *, add: bool = True) -> Tensor:
    """The seed's noise for a latent, each image with its own draw; zeros if none is to be added.

    Raises:
        SeedCountError: there is one seed an image, but not as many as images.
    """
    noise = noise_like(latent.samples, seed, latent.batch_index)
    return noise if add else torch.zeros_like(noise)


def cut_steps(sigmas: Tensor, start: int, end: int, *, leave_noise: bool) -> Tensor:
    """The steps of a schedule from `start` up to `end`, as KSamplerAdvanced takes them.

    Args:
        sigmas: [steps + 1] of the whole schedule.
        start: the first step to take, from 0.
        end: the step to stop before; any number beyond the last is the last.
        leave_noise: keep the noise that is left at `end`; else the last of the steps goes to 0.

    Returns:
        The levels of these steps; empty if there are none.
    """
    cut = sigmas[: end + 1].clone()
    if len(cut) < len(sigmas) and not leave_noise:
        cut[-1] = 0
    return cut[start:] if start < len(cut) - 1 else sigmas.new_empty(0)


def _sampler(request: Request) -> Sampler:
    return SAMPLERS[request.sampler] if isinstance(request.sampler, str) else request.sampler


def _guidance(request: Request, size: tuple[int, int], beside: Beside | None) -> Guidance:
    """The conditions placed; those that show the model nothing beside the latent show it this."""
    facts, guiding = request.denoiser.parameterisation, request.guiding
    seed = request.seed if isinstance(request.seed, int) else request.seed[0]

    def prepared(cond: Cond) -> Cond:
        return replace(cond, seed=seed, beside=cond.beside or beside)

    positive, negative, *extras = (
        [request.denoiser.conditions(prepared(cond), *size) for cond in side.conds]
        for side in (request.positive, _against(request.negative), *guiding.extras)
    )
    placed = [place(side, [], size, facts)[0] for side in extras]
    positive, negative = place(positive, negative, size, facts)
    cfg = request.cfg if isinstance(request.cfg, int | float) else torch.tensor(request.cfg)
    return Guidance(
        positive,
        negative,
        cfg,
        guiding,
        placed,
        steps=len(request.sigmas) - 1,
        repeats_text=request.denoiser.repeats_text,
        weakened=[Span.of(each.start, each.end, facts) for each in guiding.weakened],
        hampered=[Span.of(each.start, each.end, facts) for each in guiding.hampered],
    )


def _masking(request: Request) -> Callable[[Tensor, Tensor], Tensor] | None:
    """The request's rule for masks, told how much is left of the steps it will take."""
    rule, facts = request.guiding.masking, request.denoiser.parameterisation
    if rule is None:
        return None

    def at(sigma: Tensor) -> float:
        return float(facts.timestep(sigma.flatten()[:1].float()))

    first, last = request.sigmas[:1], request.sigmas[-1:].clamp(min=facts.sigma_min)
    start, end = at(first), at(last)
    span = (start - end) or 1.0
    return lambda mask, sigma: rule(mask, (at(sigma) - end) / span)


def _next(seed: int) -> int:
    return (seed + 1) % 2**64


def _against(conditioning: Conditioning) -> Conditioning:
    """Conditions that know which side they are on."""
    return Conditioning(tuple(replace(cond, negative=True) for cond in conditioning.conds))


def _is_highest(sigma: float, parameterisation: Parameterisation) -> bool:
    highest = parameterisation.sigma_max
    return sigma > highest or math.isclose(sigma, highest, rel_tol=1e-5)
