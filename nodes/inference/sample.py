"""A guider, and `run`, which denoises a latent with one; every sampling node calls it."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import ClassVar, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from nodegraph.definition.context import Context
from nodegraph.runtime.device_lane import sampling_turn
from nodegraph.runtime.devices import is_accelerator
from nodegraph.runtime.out_of_memory import is_out_of_memory
from nodegraph.runtime.run_environment import run_environment
from nodes.inference.preview_thread import PreviewThread
from nodes.inference.previews import choose_preview, preview
from nodes.inference.two_models import open_denoisers
from nodes.models.loading.checkpoint import unload_others
from nodes.models.loading.handles import ModelHandle
from nodes.models.networks.base.errors import (
    ChannelMismatchError,
    CompiledCodeError,
    LayeredLatentError,
)
from nodes.models.networks.modifiers.compiled import TorchCompile
from nodes.sampling.conditioning.cond import Conditioning
from nodes.sampling.conditioning.latents import DOWNSCALE, LAYERED, Latent, Noise
from nodes.sampling.guidance.errors import NotFiniteError
from nodes.sampling.guidance.loop import Request, sample, start_noise
from nodes.sampling.guidance.session import Predictor
from nodes.sampling.samplers.foreseen import foresee_levels
from nodes.sampling.samplers.registry import SamplerOrName


@dataclass(frozen=True, slots=True, eq=False)
class Guider:
    """A model with its conditions and cfg; the guidance rule is in the model's settings."""

    __socket__: ClassVar = "GUIDER"

    model: ModelHandle
    positive: Conditioning
    negative: Conditioning
    cfg: float | tuple[float, ...]
    """The guidance scale, one for the batch or one for each image."""
    predictor: Predictor | None = None
    """Answers the sampler's calls instead of the model's guidance settings."""
    runner: "GuiderRunner | None" = None
    """Does `run` in a way of its own; the rest of the guider is for those who read it."""
    negative_model: ModelHandle | None = None
    """Predicts for the negative conditions; None is the same model."""


@dataclass(frozen=True, slots=True)
class SamplingResult:
    """The latents that sampling returns."""

    output: Latent
    """The latent at the last noise level."""
    clean: Latent
    """The model's x0 in the last step."""


GuiderRunner: TypeAlias = Callable[[SamplerOrName, Tensor, Noise, Latent, Context], SamplingResult]
"""Gets what `run` gets after the guider."""


@runtime_checkable
class SamplingWrapper(Protocol):
    """An alteration of a model with a say in sampling as a whole."""

    def runner(self, guider: Guider) -> GuiderRunner:
        """Return what does `run` for a guider of the model."""
        ...


def run(
    guider: Guider,
    sampler: SamplerOrName,
    sigmas: Tensor,
    noise: Noise,
    latent: Latent,
    ctx: Context,
) -> SamplingResult:
    """Add noise to a latent and remove it, with progress, previews and cancellation.

    Raises:
        ChannelMismatchError: the latent is of another family.
        LayeredLatentError: it has layers, and the model makes pictures without.
        BatchCountError: each image has its seed, but there are not as many images.
        NotFiniteError: the model predicts infinities or NaN, even in float32.
    """
    runner = guider.runner or _runner_of(guider)
    if runner:
        return runner(sampler, sigmas, noise, latent, ctx)
    model, last_x0 = guider.model, list[Tensor]()
    latent = fit_channels(fit_layers(latent, model), model)
    device = model.model.network.placement.device
    start = start_noise(latent, noise, device)
    show = cache(lambda: choose_preview(model, ctx))
    beside = is_accelerator(device)
    previews = PreviewThread(lambda x0: preview(model, x0, show()), ctx.preview)

    def on_step(done: int, total: int, x0: Tensor) -> bool:
        last_x0[:] = [x0]
        ctx.progress(done, total)
        watched = ctx.wants_preview
        if watched and beside:
            previews.offer(x0)
        elif watched:
            ctx.preview(*preview(model, x0, show()))
        return watched

    def attempt(model: ModelHandle) -> Tensor:
        levels = cache(partial(foresee_levels, sampler, sigmas, model.parameterization))
        other = guider.negative_model
        if other and model.dtype != guider.model.dtype:
            other = other.in_wider_dtype()
        with open_denoisers(model, other, ctx, levels, sigmas) as denoiser:
            request = Request(
                denoiser=denoiser,
                sampler=sampler,
                sigmas=sigmas,
                positive=guider.positive,
                negative=guider.negative,
                cfg=guider.cfg,
                seed=noise.seed,
                guidance=model.guidance,
                predictor=guider.predictor,
            )
            return sample(request, latent, start, on_step)

    turn = nullcontext() if run_environment().merger else sampling_turn(device)
    with turn, previews:
        output = replace(latent, samples=_retry(attempt, model, ctx))
    clean = [replace(output, samples=model.latent_format.to_raw(x0)) for x0 in last_x0]
    return SamplingResult(output, clean[0] if clean else output)


def _runner_of(guider: Guider) -> GuiderRunner | None:
    """Return what the guider's model has sampled by; None for `run` itself."""
    wrappers = (each for each in guider.model.alterations if isinstance(each, SamplingWrapper))
    wrapper = next(wrappers, None)
    return None if wrapper is None else wrapper.runner(guider)


def _retry(attempt: Callable[[ModelHandle], Tensor], model: ModelHandle, ctx: Context) -> Tensor:
    """Sample; again in a way that can work if it fails.

    That is without compiled code, in a wider dtype if numbers overflow, or with other models
    unloaded.
    """
    try:
        return attempt(model)
    except CompiledCodeError as error:
        ctx.notice(f"{error.message} Sampling starts again without compiled code.")
        return _retry(attempt, model.without_alterations(TorchCompile), ctx)
    except NotFiniteError:
        wider = model.in_wider_dtype()
        if wider is model:
            raise
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error) or not unload_others(ctx.models, model.model.network):
            raise
        wider = None
    if wider is None:
        ctx.notice("out of memory: the other models were unloaded, trying again.")
        return attempt(model)
    found, again = model.precision, wider.precision
    ctx.notice(f"numbers of the model were too large for {found}: again in {again}.")
    return _retry(attempt, wider, ctx)


def fit_layers(latent: Latent, model: ModelHandle) -> Latent:
    """Return the latent with an axis for layers, if the model has several; then it is the only one.

    Raises:
        LayeredLatentError: it has layers, and the model makes pictures without.
    """
    has_layers = latent.samples.ndim == LAYERED
    if has_layers and not model.latent_format.layered:
        raise LayeredLatentError(what="the latent")
    if has_layers or not model.latent_format.layered:
        return latent
    return replace(latent, samples=latent.samples.unsqueeze(2))


def fit_channels(latent: Latent, model: ModelHandle) -> Latent:
    """Return the latent with the model's channels and scale; only an empty one can be changed.

    Raises:
        ChannelMismatchError: it has other channels, and something in them.
    """
    wanted, (batch, found, *layers, _, _) = model.latent_format.channels, latent.samples.shape
    downscale = model.latent_format.downscale
    ratio = _drawn_downscale(latent, downscale) / downscale
    if found == wanted and (ratio == 1 or latent.samples.count_nonzero()):
        return latent
    if latent.samples.count_nonzero():
        raise ChannelMismatchError(
            code="latent_channels",
            what="the latent",
            found=found,
            expected=wanted,
            reader="this model",
            hint="Encode the image with the VAE that belongs to the model.",
        )
    sides = (max(1, int(side * ratio)) for side in latent.samples.shape[-2:])
    empty = torch.zeros(batch, wanted, *layers, *sides, device=latent.samples.device)
    return replace(latent, samples=empty, extras={**latent.extras, DOWNSCALE: downscale})


def _drawn_downscale(latent: Latent, usual: int) -> float:
    """Return the pixels that a latent pixel stands for, where a node has said so."""
    stated = latent.extras.get(DOWNSCALE, usual)
    return stated if isinstance(stated, int | float) and stated > 0 else usual
