"""The samplers, by the names that workflows use."""

from collections.abc import Mapping
from pkgutil import resolve_name
from types import MappingProxyType

import torch
from torch import Tensor

from nodegraph.runtime.entry_points import entry_points
from nodes.sampling.noise_schedule.errors import BadSettingError
from nodes.sampling.noise_schedule.parameterization import Parameterization
from nodes.sampling.noise_schedule.schedules import schedule
from nodes.sampling.samplers.adams import deis, ipndm, ipndm_v, lms
from nodes.sampling.samplers.dpm_solver import dpm_adaptive, dpm_fast
from nodes.sampling.samplers.dpmpp import (
    dpmpp_2m,
    dpmpp_2m_cfg_pp,
    dpmpp_2s_ancestral,
    dpmpp_2s_ancestral_cfg_pp,
)
from nodes.sampling.samplers.dpmpp_sde import (
    dpmpp_2m_sde,
    dpmpp_2m_sde_heun,
    dpmpp_3m_sde,
    dpmpp_sde,
)
from nodes.sampling.samplers.er_sde import er_sde
from nodes.sampling.samplers.euler import (
    ddpm,
    euler,
    euler_ancestral,
    euler_ancestral_cfg_pp,
    euler_cfg_pp,
    gradient_estimation,
    gradient_estimation_cfg_pp,
    lcm,
)
from nodes.sampling.samplers.exponential import (
    res_multistep,
    res_multistep_ancestral,
    res_multistep_ancestral_cfg_pp,
    res_multistep_cfg_pp,
    seeds_2,
    seeds_3,
)
from nodes.sampling.samplers.heun import dpm_2, dpm_2_ancestral, heun, heunpp2
from nodes.sampling.samplers.protocol import (
    Answerer,
    AnySampler,
    Call,
    DirectSampler,
    NamedSampler,
    Process,
    Reply,
    Sampler,
    SamplerOrName,
    SamplerRun,
    Sampling,
    run_sampler,
)
from nodes.sampling.samplers.sa_solver import sa_solver, sa_solver_pece
from nodes.sampling.samplers.uni_pc import uni_pc, uni_pc_bh2

GROUP = "nodes.samplers"
"""Entry points of distributions that add samplers: the name, and a `NamedSampler`."""
_OWN = {
    "euler": NamedSampler(euler),
    "euler_cfg_pp": NamedSampler(euler_cfg_pp),
    "euler_ancestral": NamedSampler(euler_ancestral),
    "euler_ancestral_cfg_pp": NamedSampler(euler_ancestral_cfg_pp),
    "heun": NamedSampler(heun),
    "heunpp2": NamedSampler(heunpp2),
    "dpm_2": NamedSampler(dpm_2, drops_penultimate=True),
    "dpm_2_ancestral": NamedSampler(dpm_2_ancestral, drops_penultimate=True),
    "lms": NamedSampler(lms),
    "dpm_fast": NamedSampler(dpm_fast),
    "dpm_adaptive": NamedSampler(dpm_adaptive),
    "dpmpp_2s_ancestral": NamedSampler(dpmpp_2s_ancestral),
    "dpmpp_2s_ancestral_cfg_pp": NamedSampler(dpmpp_2s_ancestral_cfg_pp),
    "dpmpp_sde": NamedSampler(dpmpp_sde),
    "dpmpp_sde_gpu": NamedSampler(dpmpp_sde),
    "dpmpp_2m": NamedSampler(dpmpp_2m),
    "dpmpp_2m_cfg_pp": NamedSampler(dpmpp_2m_cfg_pp),
    "dpmpp_2m_sde": NamedSampler(dpmpp_2m_sde),
    "dpmpp_2m_sde_gpu": NamedSampler(dpmpp_2m_sde),
    "dpmpp_2m_sde_heun": NamedSampler(dpmpp_2m_sde_heun),
    "dpmpp_2m_sde_heun_gpu": NamedSampler(dpmpp_2m_sde_heun),
    "dpmpp_3m_sde": NamedSampler(dpmpp_3m_sde),
    "dpmpp_3m_sde_gpu": NamedSampler(dpmpp_3m_sde),
    "ddpm": NamedSampler(ddpm),
    "lcm": NamedSampler(lcm),
    "ipndm": NamedSampler(ipndm),
    "ipndm_v": NamedSampler(ipndm_v),
    "deis": NamedSampler(deis),
    "res_multistep": NamedSampler(res_multistep),
    "res_multistep_cfg_pp": NamedSampler(res_multistep_cfg_pp),
    "res_multistep_ancestral": NamedSampler(res_multistep_ancestral),
    "res_multistep_ancestral_cfg_pp": NamedSampler(res_multistep_ancestral_cfg_pp),
    "gradient_estimation": NamedSampler(gradient_estimation),
    "gradient_estimation_cfg_pp": NamedSampler(gradient_estimation_cfg_pp),
    "er_sde": NamedSampler(er_sde),
    "seeds_2": NamedSampler(seeds_2),
    "seeds_3": NamedSampler(seeds_3),
    "sa_solver": NamedSampler(sa_solver),
    "sa_solver_pece": NamedSampler(sa_solver_pece),
    "ddim": NamedSampler(euler, renews_noise=True),
    "uni_pc": NamedSampler(uni_pc, drops_penultimate=True),
    "uni_pc_bh2": NamedSampler(uni_pc_bh2, drops_penultimate=True),
}
"""The samplers of this package, in ComfyUI's order."""


def _load_entry_points() -> dict[str, NamedSampler]:
    return {name: resolve_name(place) for name, place in entry_points(GROUP).items()}


NAMED_SAMPLERS: Mapping[str, NamedSampler] = MappingProxyType({**_OWN, **_load_entry_points()})
"""Every sampler by the name that workflows use: ours first, then those of other distributions."""
SAMPLERS: Mapping[str, Sampler] = MappingProxyType(
    {
        name: each.sampler
        for name, each in NAMED_SAMPLERS.items()
        if not isinstance(each.sampler, DirectSampler)
    }
)
ADDED_SAMPLERS: dict[str, NamedSampler] = {}
"""Those that packs add when they are imported; one of `NAMED_SAMPLERS` keeps its name."""


def named_sampler(name: str) -> NamedSampler:
    """Return a sampler by its name.

    Raises:
        BadSettingError: there is none.
    """
    found = NAMED_SAMPLERS.get(name) or ADDED_SAMPLERS.get(name)
    if found is None:
        hint = "Choose one of the list, or install the pack that adds it."
        raise BadSettingError(name="sampler_name", what=f"is {name!r}, which is none", hint=hint)
    return found


def sampler_of(sampler: SamplerOrName) -> AnySampler:
    """Return a sampler that is given by its name, or itself.

    Raises:
        BadSettingError: there is none of that name.
    """
    return named_sampler(sampler).sampler if isinstance(sampler, str) else sampler


def sigmas_for(
    parameterization: Parameterization, scheduler: str, sampler: str, steps: int, denoise: float
) -> Tensor:
    """Return the sigmas of a KSampler.

    Args:
        parameterization: of the model.
        scheduler: the schedule's name.
        sampler: the sampler's name; some leave out the last level above 0.
        steps: how many steps to take.
        denoise: below 1, the tail of a longer schedule: `steps` steps that begin
            where this share of the noise is left. 0 gives no sigmas at all.

    Raises:
        BadSettingError: there is no such scheduler.
    """
    if denoise <= 0.0:
        return torch.empty(0)
    total = steps if denoise > 0.9999 else int(steps / denoise)
    named = NAMED_SAMPLERS.get(sampler) or ADDED_SAMPLERS.get(sampler)
    if named is not None and named.drops_penultimate:
        sigmas = schedule(parameterization, scheduler, total + 1)
        sigmas = torch.cat([sigmas[:-2], sigmas[-1:]])
    else:
        sigmas = schedule(parameterization, scheduler, total)
    return sigmas if denoise > 0.9999 else sigmas[-(steps + 1) :]


__all__ = [
    "ADDED_SAMPLERS",
    "NAMED_SAMPLERS",
    "SAMPLERS",
    "Answerer",
    "AnySampler",
    "Call",
    "DirectSampler",
    "NamedSampler",
    "Process",
    "Reply",
    "Sampler",
    "SamplerOrName",
    "SamplerRun",
    "Sampling",
    "named_sampler",
    "run_sampler",
    "sampler_of",
    "sigmas_for",
]
