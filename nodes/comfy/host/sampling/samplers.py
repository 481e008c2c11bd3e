"""`comfy.samplers`: samplers, schedules and guiders; packs add names to the lists here."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from nodes.comfy.host.sampling import k_diffusion as k_diffusion_sampling
from nodes.comfy.values.errors import NotOfferedError
from nodes.comfy.values.inner_model import ModelSampling
from nodes.comfy.values.models import PackModel
from nodes.comfy.values.sampling.guidance import calc_cond_batch as calc_cond_batch
from nodes.comfy.values.sampling.guidance import calc_cond_uncond_batch as calc_cond_uncond_batch
from nodes.comfy.values.sampling.guidance import cfg_function as cfg_function
from nodes.comfy.values.sampling.guidance import sampling_function as sampling_function
from nodes.comfy.values.sampling.guiders import CFGGuider as CFGGuider
from nodes.comfy.values.sampling.k_diffusion import ksampler_of
from nodes.comfy.values.sampling.samplers import KSAMPLER as KSAMPLER
from nodes.comfy.values.sampling.samplers import PackDenoiser
from nodes.comfy.values.sampling.samplers import Sampler as Sampler
from nodes.comfy.values.sampling.session import StepCallback
from nodes.sampling.guidance.loop import cut_steps
from nodes.sampling.noise_schedule.schedules import (
    SCHEDULES,
    beta_sigmas,
    kl_optimal_sigmas,
    linear_quadratic,
    schedule,
)
from nodes.sampling.samplers.registry import NAMED_SAMPLERS, SAMPLERS, sigmas_for

KSamplerX0Inpaint = PackDenoiser
SAMPLER_NAMES = list(NAMED_SAMPLERS)
SCHEDULER_NAMES = list(SCHEDULES)
KSAMPLER_NAMES = SAMPLER_NAMES
_ALL_STEPS = 10_000


class SchedulerHandler(NamedTuple):
    """A function that makes noise levels."""

    handler: Callable[..., Tensor]
    """Of (model_sampling, steps); of (n, sigma_min, sigma_max) by keyword if `use_ms` is False."""
    use_ms: bool = True


def simple_scheduler(model_sampling: ModelSampling, steps: int) -> Tensor:
    """Return evenly spaced levels of the training schedule."""
    return schedule(model_sampling.parameterization, "simple", steps)


def ddim_scheduler(model_sampling: ModelSampling, steps: int) -> Tensor:
    """Return every k-th training level."""
    return schedule(model_sampling.parameterization, "ddim_uniform", steps)


def normal_scheduler(
    model_sampling: ModelSampling, steps: int, sgm: bool = False, floor: bool = False
) -> Tensor:
    """Return evenly spaced timesteps; with `sgm` without the last."""
    return schedule(model_sampling.parameterization, "sgm_uniform" if sgm else "normal", steps)


def beta_scheduler(
    model_sampling: ModelSampling, steps: int, alpha: float = 0.6, beta: float = 0.6
) -> Tensor:
    """Return training levels at the quantiles of a beta distribution."""
    return beta_sigmas(model_sampling.parameterization, steps, alpha, beta)


def kl_optimal_scheduler(n: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Return [n + 1] evenly spaced arctangents."""
    return kl_optimal_sigmas(n, float(sigma_min), float(sigma_max))


def linear_quadratic_schedule(
    model_sampling: ModelSampling,
    steps: int,
    threshold_noise: float = 0.025,
    linear_steps: int | None = None,
) -> Tensor:
    """Return [steps + 1] levels: some along a line down by a threshold, the rest on a parabola."""
    own = model_sampling.parameterization
    return linear_quadratic(own, steps, threshold_noise, linear_steps)


def _own_schedule(name: str) -> Callable[[ModelSampling, int], Tensor]:
    return lambda model_sampling, steps: schedule(model_sampling.parameterization, name, steps)


SCHEDULER_HANDLERS = {name: SchedulerHandler(_own_schedule(name)) for name in SCHEDULES}


def calculate_sigmas(model_sampling: ModelSampling, scheduler_name: str, steps: int) -> Tensor:
    """Return the noise levels of a schedule, [steps + 1], the last of them 0.

    Raises:
        NotOfferedError: a pack has added the name, but no function to it.
    """
    found = SCHEDULER_HANDLERS.get(scheduler_name)
    if found is None:
        function = getattr(k_diffusion_sampling, f"get_sigmas_{scheduler_name}", None)
        found = None if function is None else SchedulerHandler(function, use_ms=False)
    if found is None:
        what = f"the name of a scheduler without its function, {scheduler_name!r}"
        raise NotOfferedError(what, hint="The pack that adds its name must add a handler, too.")
    if found.use_ms:
        return found.handler(model_sampling, steps)
    ends = float(model_sampling.sigma_min), float(model_sampling.sigma_max)
    return found.handler(n=steps, sigma_min=ends[0], sigma_max=ends[1])


def ksampler(
    sampler_name: str,
    extra_options: Mapping[str, Any] | None = None,
    inpaint_options: Mapping[str, Any] | None = None,
) -> KSAMPLER:
    """Return a sampler with options, by its name.

    Raises:
        NotOfferedError: a pack has added the name, but no function to it.
    """
    function = getattr(k_diffusion_sampling, f"sample_{sampler_name}", None)
    if function is None:
        what = f"the name of a sampler without its function, {sampler_name!r}"
        raise NotOfferedError(what, hint="The pack that adds its name must add a function, too.")
    return KSAMPLER(function, extra_options, inpaint_options)


def sampler_object(name: str) -> Sampler:
    """Return a sampler, by its name."""
    return ksampler_of(name) if name in SAMPLERS else ksampler(name)


def sample(
    model: PackModel,
    noise: Tensor,
    positive: Any,
    negative: Any,
    cfg: float,
    device: object,
    sampler: Sampler,
    sigmas: Tensor,
    model_options: Mapping[str, Any] | None = None,
    latent_image: Tensor | None = None,
    denoise_mask: Tensor | None = None,
    callback: StepCallback | None = None,
    disable_pbar: bool = False,
    seed: int | None = None,
) -> Tensor:
    """Denoise latents with classifier-free guidance; see `CFGGuider.sample`.

    Changes of guidance in `model_options` apply, too.
    """
    patched = PackModel(model.handle, model_options or model.model_options)
    guider = CFGGuider(patched)
    guider.set_conds(positive, negative)
    guider.set_cfg(cfg)
    latent = noise.new_zeros(noise.shape) if latent_image is None else latent_image
    return guider.sample(noise, latent, sampler, sigmas, denoise_mask, callback, seed=seed)


class KSampler:
    """A sampler with the noise levels of its steps; its lists are the names that workflows offer.

    Args:
        model: the MODEL.
        steps: how many.
        device: without effect.
        sampler: its name; the first one's if there is none of that name.
        scheduler: likewise.
        denoise: below 1, the tail of a longer schedule.
        model_options: as in `sample`.
    """

    SAMPLERS: ClassVar = SAMPLER_NAMES
    SCHEDULERS: ClassVar = SCHEDULER_NAMES
    DISCARD_PENULTIMATE_SIGMA_SAMPLERS: ClassVar = {
        name for name, each in NAMED_SAMPLERS.items() if each.drops_penultimate
    }

    def __init__(
        self,
        model: PackModel,
        steps: int,
        device: object,
        sampler: str | None = None,
        scheduler: str | None = None,
        denoise: float | None = None,
        model_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.device = device
        self.sampler = sampler if sampler in self.SAMPLERS else self.SAMPLERS[0]
        self.scheduler = scheduler if scheduler in self.SCHEDULERS else self.SCHEDULERS[0]
        self.model_options = model_options or {}
        self.set_steps(steps, denoise)

    def set_steps(self, steps: int, denoise: float | None = None) -> None:
        """Set the number of steps, and make their levels."""
        self.steps, self.denoise = steps, denoise
        sampling = self.model.model.model_sampling
        share = 1.0 if denoise is None else denoise
        self.sigmas = sigmas_for(
            sampling.parameterization, self.scheduler, self.sampler, steps, share
        )

    def calculate_sigmas(self, steps: int) -> Tensor:
        """Return the levels of a number of steps, [steps + 1]."""
        sampling = self.model.model.model_sampling
        return sigmas_for(sampling.parameterization, self.scheduler, self.sampler, steps, 1.0)

    def sample(
        self,
        noise: Tensor,
        positive: Any,
        negative: Any,
        cfg: float,
        latent_image: Tensor | None = None,
        start_step: int | None = None,
        last_step: int | None = None,
        force_full_denoise: bool = False,
        denoise_mask: Tensor | None = None,
        sigmas: Tensor | None = None,
        callback: StepCallback | None = None,
        disable_pbar: bool = False,
        seed: int | None = None,
    ) -> Tensor:
        """Denoise latents over a part of the steps; see `sample`."""
        del disable_pbar
        end = _ALL_STEPS if last_step is None else last_step
        levels = self.sigmas if sigmas is None else sigmas
        cut = cut_steps(levels, start_step or 0, end, leave_noise=not force_full_denoise)
        if len(cut) < 2:
            return noise.new_zeros(noise.shape) if latent_image is None else latent_image
        return sample(
            self.model,
            noise,
            positive,
            negative,
            cfg,
            self.device,
            sampler_object(self.sampler),
            cut,
            self.model_options,
            latent_image,
            denoise_mask,
            callback,
            seed=seed,
        )
