"""The samplers, by the names that workflows use."""

from collections.abc import Mapping
from types import MappingProxyType

from nodes.samplers.adams import deis, ipndm, ipndm_v, lms
from nodes.samplers.calls import Call, Process, Reply, Sampler, SamplerOrName, Sampling, drive
from nodes.samplers.dpm_solver import dpm_adaptive, dpm_fast
from nodes.samplers.dpmpp import (
    dpmpp_2m,
    dpmpp_2m_cfg_pp,
    dpmpp_2s_ancestral,
    dpmpp_2s_ancestral_cfg_pp,
)
from nodes.samplers.dpmpp_sde import dpmpp_2m_sde, dpmpp_2m_sde_heun, dpmpp_3m_sde, dpmpp_sde
from nodes.samplers.er_sde import er_sde
from nodes.samplers.euler import (
    ddpm,
    euler,
    euler_ancestral,
    euler_ancestral_cfg_pp,
    euler_cfg_pp,
)
from nodes.samplers.gradient_estimation import gradient_estimation, gradient_estimation_cfg_pp
from nodes.samplers.heun import dpm_2, dpm_2_ancestral, heun, heunpp2
from nodes.samplers.lcm import lcm
from nodes.samplers.res import (
    res_multistep,
    res_multistep_ancestral,
    res_multistep_ancestral_cfg_pp,
    res_multistep_cfg_pp,
)
from nodes.samplers.sa_solver import sa_solver, sa_solver_pece
from nodes.samplers.seeds import seeds_2, seeds_3
from nodes.samplers.uni_pc import uni_pc, uni_pc_bh2

SAMPLERS: Mapping[str, Sampler] = MappingProxyType(
    {
        "euler": euler,
        "euler_cfg_pp": euler_cfg_pp,
        "euler_ancestral": euler_ancestral,
        "euler_ancestral_cfg_pp": euler_ancestral_cfg_pp,
        "heun": heun,
        "heunpp2": heunpp2,
        "dpm_2": dpm_2,
        "dpm_2_ancestral": dpm_2_ancestral,
        "lms": lms,
        "dpm_fast": dpm_fast,
        "dpm_adaptive": dpm_adaptive,
        "dpmpp_2s_ancestral": dpmpp_2s_ancestral,
        "dpmpp_2s_ancestral_cfg_pp": dpmpp_2s_ancestral_cfg_pp,
        "dpmpp_sde": dpmpp_sde,
        "dpmpp_sde_gpu": dpmpp_sde,
        "dpmpp_2m": dpmpp_2m,
        "dpmpp_2m_cfg_pp": dpmpp_2m_cfg_pp,
        "dpmpp_2m_sde": dpmpp_2m_sde,
        "dpmpp_2m_sde_gpu": dpmpp_2m_sde,
        "dpmpp_2m_sde_heun": dpmpp_2m_sde_heun,
        "dpmpp_2m_sde_heun_gpu": dpmpp_2m_sde_heun,
        "dpmpp_3m_sde": dpmpp_3m_sde,
        "dpmpp_3m_sde_gpu": dpmpp_3m_sde,
        "ddpm": ddpm,
        "lcm": lcm,
        "ipndm": ipndm,
        "ipndm_v": ipndm_v,
        "deis": deis,
        "res_multistep": res_multistep,
        "res_multistep_cfg_pp": res_multistep_cfg_pp,
        "res_multistep_ancestral": res_multistep_ancestral,
        "res_multistep_ancestral_cfg_pp": res_multistep_ancestral_cfg_pp,
        "gradient_estimation": gradient_estimation,
        "gradient_estimation_cfg_pp": gradient_estimation_cfg_pp,
        "er_sde": er_sde,
        "seeds_2": seeds_2,
        "seeds_3": seeds_3,
        "sa_solver": sa_solver,
        "sa_solver_pece": sa_solver_pece,
        "ddim": euler,
        "uni_pc": uni_pc,
        "uni_pc_bh2": uni_pc_bh2,
    }
)
"""Every sampler by the name that workflows use, in ComfyUI's order."""

__all__ = ["SAMPLERS", "Call", "Process", "Reply", "Sampler", "SamplerOrName", "Sampling", "drive"]
