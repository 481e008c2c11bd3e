"""The noise levels that a sampler visits, as named schedules give them."""

import math
from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from types import MappingProxyType
from typing import TypeAlias

import torch
from scipy import special
from torch import Tensor

from nodegraph.runtime.entry_points import entry_points
from nodes.sampling.noise_schedule.errors import BadSettingError
from nodes.sampling.noise_schedule.parameterization import Parameterization

Schedule: TypeAlias = Callable[[Parameterization, int], Tensor]
"""A function from a parameterization and a number of steps to [steps + 1] sigmas; the last is 0."""


def simple(parameterization: Parameterization, steps: int) -> Tensor:
    """Return evenly spaced levels of the training schedule, from the highest."""
    table = parameterization.sigmas
    stride = len(table) / steps
    return _append_zero(table[[-(1 + int(i * stride)) for i in range(steps)]])


def sgm_uniform(parameterization: Parameterization, steps: int) -> Tensor:
    """Return evenly spaced timesteps, leaving out the last."""
    first, last = _timestep_range(parameterization)
    return _at_timesteps(parameterization, torch.linspace(first, last, steps + 1)[:-1])


def normal(parameterization: Parameterization, steps: int) -> Tensor:
    """Return evenly spaced timesteps, both ends included."""
    first, last = _timestep_range(parameterization)
    return _at_timesteps(parameterization, torch.linspace(first, last, steps))


def karras(parameterization: Parameterization, steps: int) -> Tensor:
    """`karras_sigmas` over the model's range."""
    return karras_sigmas(steps, parameterization.sigma_min, parameterization.sigma_max)


def exponential(parameterization: Parameterization, steps: int) -> Tensor:
    """`exponential_sigmas` over the model's range."""
    return exponential_sigmas(steps, parameterization.sigma_min, parameterization.sigma_max)


def ddim_uniform(parameterization: Parameterization, steps: int) -> Tensor:
    """Return every k-th training level from the second lowest up.

    Song et al. 2020 (arXiv:2010.02502). It never splits a stride, so there may be another number of
    steps than asked for.
    """
    table = parameterization.sigmas
    stride = max(len(table) // steps, 1)
    return _append_zero(table[1::stride].flip(0))


def beta(parameterization: Parameterization, steps: int) -> Tensor:
    """`beta_sigmas` with both parameters 0.6."""
    return beta_sigmas(parameterization, steps, 0.6, 0.6)


def linear_quadratic(
    parameterization: Parameterization,
    steps: int,
    threshold: float = 0.025,
    linear_steps: int | None = None,
) -> Tensor:
    """Some steps along a line, the rest along a parabola (Mochi, Movie Gen).

    Polyak et al. 2024, arXiv:2410.13720, section 3.4.2.

    Args:
        parameterization: of the model.
        steps: in all.
        threshold: the part of the noise that the line takes away.
        linear_steps: those along the line; half of all if None.
    """
    if steps == 1:
        return torch.tensor([parameterization.sigma_max, 0.0])
    linear_steps = steps // 2 if linear_steps is None else linear_steps
    quadratic_steps = steps - linear_steps
    excess = linear_steps - threshold * steps
    a = excess / (linear_steps * quadratic_steps**2)
    b = threshold / linear_steps - 2 * excess / quadratic_steps**2
    c = a * linear_steps**2
    line = [i * threshold / linear_steps for i in range(linear_steps)]
    parabola = [a * i**2 + b * i + c for i in range(linear_steps, steps)]
    sigmas = torch.tensor([1.0 - t for t in [*line, *parabola, 1.0]])
    return sigmas * parameterization.sigma_max


def kl_optimal(parameterization: Parameterization, steps: int) -> Tensor:
    """Evenly spaced arctangents; see `kl_optimal_sigmas`."""
    return kl_optimal_sigmas(steps, parameterization.sigma_min, parameterization.sigma_max)


def kl_optimal_sigmas(steps: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Return [steps + 1] evenly spaced arctangents (Sabour et al. 2024, arXiv:2404.14507, 3.1).

    One step has no spacing: its sigma is NaN, as in ComfyUI.
    """
    fraction = torch.arange(steps, dtype=torch.float32) / torch.tensor(float(steps - 1))
    low, high = torch.tensor(sigma_min).atan(), torch.tensor(sigma_max).atan()
    return _append_zero((fraction * low + (1 - fraction) * high).tan())


GROUP = "nodes.schedulers"
"""Entry points of distributions that add schedules: the name, and a `Schedule`."""


def _load_entry_points() -> dict[str, Schedule]:
    return {name: resolve_name(place) for name, place in entry_points(GROUP).items()}


SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {
        "simple": simple,
        "sgm_uniform": sgm_uniform,
        "karras": karras,
        "exponential": exponential,
        "ddim_uniform": ddim_uniform,
        "beta": beta,
        "normal": normal,
        "linear_quadratic": linear_quadratic,
        "kl_optimal": kl_optimal,
        **_load_entry_points(),
    }
)
"""Every schedule by the name that workflows use, in ComfyUI's order; then those of others."""
ADDED_SCHEDULES: dict[str, Schedule] = {}
"""Those that packs add when they are imported; one of `SCHEDULES` keeps its name."""


def schedule(parameterization: Parameterization, name: str, steps: int) -> Tensor:
    """Return a named schedule's sigmas: [steps + 1] float32, descending, the last of them 0.

    Raises:
        BadSettingError: there is none of that name.
    """
    found = SCHEDULES.get(name) or ADDED_SCHEDULES.get(name)
    if found is None:
        hint = "Choose one of the list, or install the pack that adds it."
        raise BadSettingError(name="scheduler", what=f"is {name!r}, which is none", hint=hint)
    return found(parameterization, steps)


def karras_sigmas(steps: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """Space sigmas evenly in sigma^(1/rho) (Karras et al. 2022, arXiv:2206.00364, eq. 5)."""
    ramp = torch.linspace(0, 1, steps)
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return _append_zero((high + ramp * (low - high)) ** rho)


def exponential_sigmas(steps: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Return sigmas evenly spaced in log sigma."""
    return _append_zero(torch.linspace(math.log(sigma_max), math.log(sigma_min), steps).exp())


def polyexponential_sigmas(
    steps: int, sigma_min: float, sigma_max: float, rho: float = 1.0
) -> Tensor:
    """Return a polynomial of degree rho in log sigma (k-diffusion)."""
    ramp = torch.linspace(1, 0, steps) ** rho
    low, high = math.log(sigma_min), math.log(sigma_max)
    return _append_zero((ramp * (high - low) + low).exp())


def laplace_sigmas(
    steps: int, sigma_min: float, sigma_max: float, mu: float = 0.0, beta_: float = 0.5
) -> Tensor:
    """Log sigma at the quantiles of a Laplace distribution (Hang et al. 2024, arXiv:2407.03297).

    [steps], without a 0 at the end, as ComfyUI's node has it.
    """
    offset = 0.5 - torch.linspace(0, 1, steps)
    log_sigmas = mu - beta_ * offset.sign() * (1 - 2 * offset.abs() + 1e-5).log()
    return log_sigmas.exp().clamp(sigma_min, sigma_max)


def vp_sigmas(
    steps: int, beta_d: float = 19.9, beta_min: float = 0.1, eps_s: float = 1e-3
) -> Tensor:
    """Return a VP process's levels at even times (Song et al. 2021, arXiv:2011.13456, eq. 33)."""
    t = torch.linspace(1, eps_s, steps)
    return _append_zero((beta_d * t**2 / 2 + beta_min * t).expm1().sqrt())


def turbo_sigmas(parameterization: Parameterization, steps: int, denoise: float = 1.0) -> Tensor:
    """Return the levels that SD-Turbo was distilled at (Sauer et al. 2023, arXiv:2311.17042).

    Up to ten, a tenth of the schedule apart; `denoise` leaves out the first of them.
    """
    skipped = 10 - int(10 * denoise)
    timesteps = torch.arange(1000, 0, -100)[skipped : skipped + steps] - 1
    return _at_timesteps(parameterization, timesteps)


def stretched_sigmas(steps: int, mu: float, terminal: float | None) -> Tensor:
    """Return a flow's even levels, shifted by exp(mu) and stretched to end at `terminal`.

    LTX-Video (HaCohen et al. 2024, arXiv:2501.00103), as diffusers' flow-matching Euler scheduler
    with `shift_terminal`.

    Args:
        steps: how many.
        mu: the logarithm of the shift.
        terminal: the last level above 0, below 1; None stretches nothing.
    """
    even = torch.linspace(1.0, 0.0, steps + 1)[:-1]
    shifted = math.exp(mu) / (math.exp(mu) + (1 / even - 1))
    if terminal is not None and steps > 1:
        shifted = 1 - (1 - shifted) * ((1 - terminal) / (1 - shifted[-1]))
    return _append_zero(shifted)


_AT_10_STEPS, _AT_200_STEPS = (8.73809524e-05, 1.89833333), (0.00016927, 0.45666666)
"""Lines of mu by the number of tokens, each a slope and a start."""
_MANY_TOKENS = 4300
"""Above so many the number of steps no longer counts."""


def measured_mu(tokens: int, steps: int) -> float:
    """Return the mu of FLUX.2's levels: the logarithm of the shift, by size and steps.

    Measured by its authors (https://github.com/black-forest-labs/flux2): one line at 10 steps, one
    at 200, and between them as the number of steps is.

    Args:
        tokens: of the picture, 16 x 16 pixels each.
        steps: how many.
    """
    few, many = (slope * tokens + start for slope, start in (_AT_10_STEPS, _AT_200_STEPS))
    if tokens > _MANY_TOKENS:
        return many
    return many + (many - few) / 190 * (steps - 200)


def beta_sigmas(
    parameterization: Parameterization, steps: int, alpha: float, beta_: float
) -> Tensor:
    """Training levels at the quantiles of a beta distribution (Lee et al. 2024, arXiv:2407.12173).

    Quantiles that fall on the same level count once, so there may be fewer steps.
    """
    table = parameterization.sigmas
    quantiles = [_beta_quantile(1 - i / steps, alpha, beta_) for i in range(steps)]
    levels = dict.fromkeys(round(quantile * (len(table) - 1)) for quantile in quantiles)
    return _append_zero(table[list(levels)])


def _beta_quantile(probability: float, alpha: float, beta_: float) -> float:
    """Return the beta distribution's inverse cumulative distribution function."""
    return float(special.betaincinv(alpha, beta_, probability))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType, reportAttributeAccessIssue]


def _timestep_range(parameterization: Parameterization) -> tuple[float, float]:
    high = parameterization.timestep(torch.tensor(parameterization.sigma_max))
    low = parameterization.timestep(torch.tensor(parameterization.sigma_min))
    return float(high), float(low)


def _at_timesteps(parameterization: Parameterization, timesteps: Tensor) -> Tensor:
    return _append_zero(parameterization.sigma(timesteps))


def _append_zero(sigmas: Tensor) -> Tensor:
    """Append the 0 at which sampling ends."""
    return torch.cat([sigmas, sigmas.new_zeros(1)])
