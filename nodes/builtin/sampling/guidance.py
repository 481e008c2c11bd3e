"""Nodes that change how a model's predictions are combined, for every sampler that uses it."""

from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from nodegraph.definition.markers import Optional, Round, Step, Widget
from nodegraph.definition.node import node
from nodes.builtin.inputs import Cfg, Fraction, Ratio, Strength
from nodes.models.loading.handles import ModelHandle
from nodes.sampling.guidance.rules import (
    AdaptiveProjectedGuidance,
    CfgCurve,
    CfgNorm,
    EpsilonScaling,
    FrameCfg,
    FreSca,
    RenormCfg,
    RescaledCfg,
    cfg_zero_star_scale,
    tangential_damping,
)
from nodes.sampling.guidance.settings import CfgOverride, PostCfg, PreCfg

LeastCfg = Annotated[float, Field(ge=0.0, le=100.0), Step(0.5), Round(0.01)]


class PatchedModel(NamedTuple):
    """A model with changed guidance."""

    patched_model: ModelHandle


@node("RescaleCFG", category="advanced/model")
def rescale_cfg(
    model: ModelHandle,
    multiplier: Ratio = 0.7,
) -> ModelHandle:
    """Rescale the guided prediction to the positive one's contrast, against over-exposure.

    0 changes nothing, 1 is the most. Not for flow models such as FLUX or SD3.
    """
    return replace(model, guidance=model.guidance.with_rule(RescaledCfg(multiplier)))


@node("RenormCFG", category="advanced/model")
def renorm_cfg(
    model: ModelHandle,
    cfg_trunc: Annotated[float, Field(ge=0.0, le=100.0), Step(0.01)] = 100,
    renorm_cfg: Annotated[float, Field(ge=0.0, le=100.0), Step(0.01)] = 1.0,
) -> ModelHandle:
    """Guide Lumina 2 without burnt colours: by less, and only in a part of the schedule.

    The guided prediction gets at most `renorm_cfg` times the length of the positive one (0: any
    length). There is guidance while the noise level is below `cfg_trunc`, which is 1 at the start
    of the schedule and 0 at its end; 100 is the whole schedule.
    """
    return replace(model, guidance=model.guidance.with_rule(RenormCfg(cfg_trunc, renorm_cfg)))


@node("APG", category="sampling/custom_sampling", display_name="Adaptive Projected Guidance")
def apg(
    model: ModelHandle,
    eta: Annotated[float, Field(ge=-10.0, le=10.0), Step(0.01)] = 1.0,
    norm_threshold: Annotated[float, Field(ge=0.0, le=50.0), Step(0.1)] = 5.0,
    momentum: Annotated[float, Field(ge=-5.0, le=1.0), Step(0.01)] = 0.0,
) -> ModelHandle:
    """Reduce the part of the guidance that saturates colours (APG), so that cfg can be higher.

    `eta` is how much of that part remains, `norm_threshold` the largest length of the guidance
    (0 for no limit), `momentum` how much of the past guidance is added (below 0: subtracted).
    """
    guidance = model.guidance.with_rule(AdaptiveProjectedGuidance(eta, norm_threshold, momentum))
    return replace(model, guidance=guidance)


@node("CFGZeroStar", category="advanced/guidance")
def cfg_zero_star(model: ModelHandle) -> PatchedModel:
    """Scale the negative prediction to fit the positive one best (CFG-Zero*), for flow models.

    Only the optimised scale of CFG-Zero* is used; no step is left out.
    """
    return PatchedModel(_add_pre_cfg(model, cfg_zero_star_scale))


@node("CFGNorm", category="advanced/guidance", experimental=True)
def cfg_norm(
    model: ModelHandle,
    strength: Annotated[float, Field(ge=0.0, le=100.0), Step(0.01)] = 1.0,
    pre_cfg: Annotated[bool, Optional()] = False,
) -> PatchedModel:
    """Bring the guided prediction to the length of the positive one, against burnt colours.

    The image is only ever made fainter. With `pre_cfg` the predicted noise is compared instead, and
    lengthened, too. `strength` is a factor for the result; 1 is the usual one.
    """
    norms = (*model.guidance.norms, CfgNorm(strength, pre_cfg))
    return PatchedModel(replace(model, guidance=replace(model.guidance, norms=norms)))


@node("CFGOverride", category="advanced/guidance", display_name="CFG Override")
def cfg_override(
    model: ModelHandle,
    cfg: Cfg = 1.0,
    start_percent: Fraction = 0.0,
    end_percent: Fraction = 1.0,
) -> ModelHandle:
    """Use another guidance scale than the sampler's in a part of the schedule.

    Where several overlap, the last one in the chain counts. A scale of 1 halves the time, for the
    negative prompt is not computed there.
    """
    override = CfgOverride(cfg, start_percent, end_percent)
    overrides = (*model.guidance.cfg_overrides, override)
    return replace(model, guidance=replace(model.guidance, cfg_overrides=overrides))


@node("VideoLinearCFGGuidance", category="sampling/video_models")
def video_linear_cfg_guidance(model: ModelHandle, min_cfg: LeastCfg = 1.0) -> ModelHandle:
    """Raise the guidance from frame to frame, from `min_cfg` to the sampler's cfg.

    The images of a batch count as frames.
    """
    guidance = model.guidance.with_rule(FrameCfg(min_cfg, "linear"))
    return replace(model, guidance=guidance)


@node("VideoTriangleCFGGuidance", category="sampling/video_models")
def video_triangle_cfg_guidance(model: ModelHandle, min_cfg: LeastCfg = 1.0) -> ModelHandle:
    """Raise the guidance to the sampler's cfg in the middle frame, from `min_cfg` at both ends.

    The images of a batch count as frames, as those of an orbit do.
    """
    guidance = model.guidance.with_rule(FrameCfg(min_cfg, "triangle"))
    return replace(model, guidance=guidance)


@node("TCFG", category="advanced/guidance", display_name="Tangential Damping CFG")
def tcfg(model: ModelHandle) -> PatchedModel:
    """Keep only the part of the negative prediction that agrees with the positive one (TCFG)."""
    return PatchedModel(_add_pre_cfg(model, tangential_damping))


@node("Epsilon Scaling", category="model_patches/unet")
def epsilon_scaling(
    model: ModelHandle,
    scaling_factor: Annotated[
        float, Field(ge=0.5, le=1.5), Step(0.001), Widget(display="number")
    ] = 1.005,
) -> ModelHandle:
    """Divide the predicted noise by a factor, against the error that builds up over many steps."""
    return _add_post_cfg(model, EpsilonScaling(scaling_factor))


@node("FreSca", category="_for_testing", display_name="FreSca", experimental=True)
def fresca(
    model: ModelHandle,
    scale_low: Strength = 1.0,
    scale_high: Strength = 1.25,
    freq_cutoff: Annotated[int, Field(ge=1, le=10000), Step(1)] = 20,
) -> ModelHandle:
    """Scale the guidance of coarse shapes (`scale_low`) and fine detail (`scale_high`).

    Up to `freq_cutoff` waves across the latent count as coarse.
    """
    return _add_pre_cfg(model, FreSca(scale_low, scale_high, freq_cutoff))


@node("GuidanceSchedule", category="advanced/guidance", display_name="Guidance Schedule")
def guidance_schedule(
    model: ModelHandle,
    shape: Literal["constant", "linear", "cosine"] = "cosine",
    first: Strength = 1.0,
    last: Strength = 0.0,
    start: Ratio = 0.0,
    end: Ratio = 1.0,
) -> ModelHandle:
    """Change the guidance from step to step, as a share of the sampler's `cfg`.

    1 is all of it, 0 none: there the negative prompt is not computed, which halves the time.
    The share goes from `first` to `last` along a line or half a cosine, or stays at `first`.
    Outside `start` to `end` (fractions of the steps) it is 0: "constant" with 0.2 and 0.8 is
    guidance in an interval.
    """
    guidance = replace(model.guidance, cfg_schedule=CfgCurve(shape, first, last, start, end))
    return replace(model, guidance=guidance)


def _add_pre_cfg(model: ModelHandle, pre_cfg: PreCfg) -> ModelHandle:
    guidance = replace(model.guidance, pre_cfg=(*model.guidance.pre_cfg, pre_cfg))
    return replace(model, guidance=guidance)


def _add_post_cfg(model: ModelHandle, post_cfg: PostCfg) -> ModelHandle:
    guidance = replace(model.guidance, post_cfg=(*model.guidance.post_cfg, post_cfg))
    return replace(model, guidance=guidance)
