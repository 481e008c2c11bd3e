"""Nodes that choose a sampler and set its options."""

from functools import partial
from typing import Annotated, Literal

from pydantic import Field

from nodegraph.definition.markers import Round, Step
from nodegraph.definition.node import node
from nodes.builtin.inputs import Fraction
from nodes.builtin.sampling.ksampler import SamplerName
from nodes.models.loading.handles import ModelHandle
from nodes.sampling.noise_schedule.errors import BadSettingError
from nodes.sampling.samplers.adams import lms
from nodes.sampling.samplers.dpm_solver import Accuracy, dpm_adaptive
from nodes.sampling.samplers.dpmpp import dpmpp_2s_ancestral
from nodes.sampling.samplers.dpmpp_sde import dpmpp_2m_sde, dpmpp_3m_sde, dpmpp_sde
from nodes.sampling.samplers.er_sde import ODE, er_sde, reverse_time
from nodes.sampling.samplers.euler import (
    euler_ancestral,
    euler_ancestral_cfg_pp,
    lcm_scaled,
    lcm_upscale,
)
from nodes.sampling.samplers.registry import SamplerOrName
from nodes.sampling.samplers.sa_solver import Scheme, interval_tau, sa_solver

Amount = Annotated[float, Field(ge=0.0, le=100.0), Step(0.01), Round(False)]
Device = Literal["gpu", "cpu"]

_SAMPLERS = "sampling/custom_sampling/samplers"
_SAFEST = 2.5
"""No step is ever safer than 1 + pi / 2, by the step size controller's limiter."""


@node("KSamplerSelect", category=_SAMPLERS)
def ksampler_select(sampler_name: SamplerName) -> SamplerOrName:
    """Choose a sampler with its usual options."""
    return sampler_name


@node("SamplerEulerAncestral", category=_SAMPLERS)
def sampler_euler_ancestral(eta: Amount = 1.0, s_noise: Amount = 1.0) -> SamplerOrName:
    """Euler's method that adds noise at every step (ancestral).

    `eta` is the amount of noise (0: none), `s_noise` a factor for that noise.
    """
    return partial(euler_ancestral, eta=eta, s_noise=s_noise)


@node("SamplerEulerAncestralCFGPP", category=_SAMPLERS, display_name="SamplerEulerAncestralCFG++")
def sampler_euler_ancestral_cfg_pp(
    eta: Annotated[float, Field(ge=0.0, le=1.0), Step(0.01), Round(False)] = 1.0,
    s_noise: Annotated[float, Field(ge=0.0, le=10.0), Step(0.01), Round(False)] = 1.0,
) -> SamplerOrName:
    """Ancestral Euler with CFG++, for guidance between 0 and 2; options as for the plain one."""
    return partial(euler_ancestral_cfg_pp, eta=eta, s_noise=s_noise)


@node(
    "SamplerEulerCFGpp",
    category="_for_testing",
    display_name="SamplerEulerCFG++",
    experimental=True,
)
def sampler_euler_cfg_pp(version: Literal["regular"]) -> SamplerOrName:
    """Euler with CFG++, for guidance between 0 and 2."""
    del version
    return "euler_cfg_pp"


@node("SamplerLCM", category=_SAMPLERS)
def sampler_lcm(
    s_noise: Annotated[float, Field(ge=0.0, le=64.0), Step(0.01), Round(False)] = 1.0,
    s_noise_end: Annotated[float, Field(ge=0.0, le=64.0), Step(0.01), Round(False)] = 1.0,
    noise_clip_std: Annotated[float, Field(ge=0.0, le=10.0), Step(0.01), Round(False)] = 0.0,
) -> SamplerOrName:
    """LCM with a factor for the noise of each step, from `s_noise` first to `s_noise_end` last.

    `noise_clip_std` cuts the noise off at so many standard deviations; 0 leaves it as it is.
    """
    return partial(lcm_scaled, first=s_noise, last=s_noise_end, clip=noise_clip_std)


@node("SamplerLMS", category=_SAMPLERS)
def sampler_lms(order: Annotated[int, Field(ge=1, le=100)] = 4) -> SamplerOrName:
    """Linear multistep: a polynomial through the last `order` slopes."""
    return partial(lms, order=order)


@node("SamplerDPMPP_2S_Ancestral", category=_SAMPLERS)
def sampler_dpmpp_2s_ancestral(eta: Amount = 1.0, s_noise: Amount = 1.0) -> SamplerOrName:
    """DPM-Solver++(2S) that adds noise at every step; options as for ancestral Euler."""
    return partial(dpmpp_2s_ancestral, eta=eta, s_noise=s_noise)


@node("SamplerDPMPP_2M_SDE", category=_SAMPLERS)
def sampler_dpmpp_2m_sde(
    *,
    solver_type: Literal["midpoint", "heun"],
    eta: Amount = 1.0,
    s_noise: Amount = 1.0,
    noise_device: Device,
) -> SamplerOrName:
    """DPM-Solver++(2M) for the SDE; options as for ancestral Euler.

    Noise is always drawn on the CPU, whatever `noise_device` is: images don't depend on it.
    """
    del noise_device
    return partial(dpmpp_2m_sde, eta=eta, s_noise=s_noise, solver_type=solver_type)


@node("SamplerDPMPP_3M_SDE", category=_SAMPLERS)
def sampler_dpmpp_3m_sde(
    *, eta: Amount = 1.0, s_noise: Amount = 1.0, noise_device: Device
) -> SamplerOrName:
    """DPM-Solver++(3M) for the SDE; options as for SamplerDPMPP_2M_SDE."""
    del noise_device
    return partial(dpmpp_3m_sde, eta=eta, s_noise=s_noise)


@node("SamplerDPMPP_SDE", category=_SAMPLERS)
def sampler_dpmpp_sde(
    *, eta: Amount = 1.0, s_noise: Amount = 1.0, r: Amount = 0.5, noise_device: Device
) -> SamplerOrName:
    """Single-step DPM-Solver++ for the SDE; options as for SamplerDPMPP_2M_SDE.

    `r` is the fraction of a step at which the model is called a second time.
    """
    del noise_device
    if r == 0:
        raise BadSettingError(name="r", what="is 0", hint="Use a number above 0, best 0.5.")
    return partial(dpmpp_sde, eta=eta, s_noise=s_noise, r=r)


@node("SamplerDPMAdaptative", category=_SAMPLERS)
def sampler_dpm_adaptive(
    *,
    order: Annotated[int, Field(ge=2, le=3)] = 3,
    rtol: Amount = 0.05,
    atol: Amount = 0.0078,
    h_init: Amount = 0.05,
    pcoeff: Amount = 0.0,
    icoeff: Amount = 1.0,
    dcoeff: Amount = 0.0,
    accept_safety: Amount = 0.81,
    eta: Amount = 0.0,
    s_noise: Amount = 1.0,
) -> SamplerOrName:
    """DPM-Solver that chooses its own steps between the first and the last level.

    `rtol` and `atol` are the error tolerances, `h_init` is the first step's length. `pcoeff`,
    `icoeff` and `dcoeff` are the coefficients of the step size's PID controller; a step is
    accepted if the controller's factor is at least `accept_safety`.
    """
    if h_init == 0:
        raise BadSettingError(name="h_init", what="is 0", hint="Use a number above 0, best 0.05.")
    if accept_safety > _SAFEST:
        what = f"is {accept_safety}, which no step can reach"
        raise BadSettingError(
            name="accept_safety", what=what, hint=f"Use at most {_SAFEST}, best 0.81."
        )
    accuracy = Accuracy(order, rtol, atol, h_init, pcoeff, icoeff, dcoeff, accept_safety)
    return partial(dpm_adaptive, accuracy=accuracy, eta=eta, s_noise=s_noise)


@node("SamplerER_SDE", category=_SAMPLERS)
def sampler_er_sde(
    solver_type: Literal["ER-SDE", "Reverse-time SDE", "ODE"],
    max_stage: Annotated[int, Field(ge=1, le=3)] = 3,
    eta: Amount = 1.0,
    s_noise: Amount = 1.0,
) -> SamplerOrName:
    """ER-SDE solver of up to three stages; `ODE` adds no noise.

    `eta` is how much noise the reverse-time SDE adds (0: none), `s_noise` a factor for all noise.
    """
    if solver_type == "ER-SDE":
        return partial(er_sde, max_stage=max_stage, s_noise=s_noise)
    if solver_type == "ODE" or eta == 0:
        return partial(er_sde, max_stage=max_stage, s_noise=0.0, scale=ODE)
    return partial(er_sde, max_stage=max_stage, s_noise=s_noise, scale=reverse_time(eta))


@node("SamplerSASolver", category=_SAMPLERS)
def sampler_sa_solver(
    *,
    model: ModelHandle,
    eta: Annotated[float, Field(ge=0.0, le=10.0), Step(0.01), Round(False)] = 1.0,
    sde_start_percent: Fraction = 0.2,
    sde_end_percent: Fraction = 0.8,
    s_noise: Amount = 1.0,
    predictor_order: Annotated[int, Field(ge=1, le=6)] = 3,
    corrector_order: Annotated[int, Field(ge=0, le=6)] = 4,
    use_pece: bool,
    simple_order_2: bool,
) -> SamplerOrName:
    """SA-Solver, with noise `eta` between two fractions of the schedule.

    `use_pece` calls the model again after a step is corrected; `simple_order_2` uses the simpler
    formula of second order.
    """
    scheme = Scheme(predictor_order, corrector_order, use_pece, simple_order_2)
    tau = interval_tau(model.parameterization, sde_start_percent, sde_end_percent, eta)
    return partial(sa_solver, tau=tau, s_noise=s_noise, scheme=scheme)


@node("SamplerLCMUpscale", category=_SAMPLERS)
def sampler_lcm_upscale(
    *,
    scale_ratio: Annotated[float, Field(ge=0.1, le=20.0), Step(0.01)] = 1.0,
    scale_steps: Annotated[int, Field(ge=-1, le=1000), Step(1)] = -1,
    upscale_method: Literal["bislerp", "nearest-exact", "bilinear", "area", "bicubic"],
) -> SamplerOrName:
    """The LCM sampler with upscaling of the latent, evenly over the first steps.

    After `scale_steps` steps (-1: all but the last) it is `scale_ratio` times as large.
    """
    return partial(lcm_upscale, ratio=scale_ratio, stages=scale_steps, method=upscale_method)
