"""Nodes that combine a model, its conditionings and the guidance for SamplerCustomAdvanced."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from nodegraph.definition.markers import Optional, Step
from nodegraph.definition.node import node
from nodes.builtin.conditioning.conditioning import conditioning_zero_out
from nodes.builtin.inputs import Cfg
from nodes.inference.sample import Guider
from nodes.models.loading.handles import ModelHandle
from nodes.sampling.guidance.rules import DualCfg, PerpNeg
from nodes.values import Conditioning

NegativeScale = Annotated[float, Field(ge=0.0, le=100.0), Step(0.01)]

_GUIDERS = "sampling/custom_sampling/guiders"


@node("BasicGuider", category=_GUIDERS)
def basic_guider(model: ModelHandle, conditioning: Conditioning) -> Guider:
    """Follow one prompt without guidance: for models that need none, such as FLUX."""
    return Guider(model, conditioning, Conditioning(()), 1.0)


@node("CFGGuider", category=_GUIDERS)
def cfg_guider(
    model: ModelHandle, positive: Conditioning, negative: Conditioning, cfg: Cfg = 8.0
) -> Guider:
    """Guide with classifier-free guidance (`cfg`) from a negative to a positive prompt."""
    return Guider(model, positive, negative, cfg)


@node("DualCFGGuider", category=_GUIDERS)
def dual_cfg_guider(
    *,
    model: ModelHandle,
    cond1: Conditioning,
    cond2: Conditioning,
    negative: Conditioning,
    cfg_conds: Cfg = 8.0,
    cfg_cond2_negative: Cfg = 8.0,
    style: Literal["regular", "nested"],
) -> Guider:
    """Guide by two prompts: from the negative one to `cond2`, and from `cond2` to `cond1`.

    `regular` adds both differences; `nested` guides from the negative prompt to the guided result
    of the two.
    """
    rule = DualCfg(cfg_cond2_negative, style)
    guidance = model.guidance.with_rule(rule, cond2, disable_cfg1_optimization=True)
    return Guider(replace(model, guidance=guidance), cond1, negative, cfg_conds)


@node("DualModelGuider", category=_GUIDERS, display_name="Dual Model CFG Guider")
def dual_model_guider(
    model: ModelHandle,
    positive: Conditioning,
    model_negative: Annotated[ModelHandle | None, Optional()] = None,
    negative: Annotated[Conditioning | None, Optional()] = None,
    *,
    cfg: Cfg = 4.0,
) -> Guider:
    """Guide with classifier-free guidance, where the negative prediction is another model's.

    Both models have latents of one kind; the noise levels and guidance settings are those of
    `model`. Without `model_negative` it is CFGGuider; without `negative` the negative prediction is
    for zeros in place of the positive prompt.
    """
    empty = conditioning_zero_out(positive) if negative is None else negative
    return Guider(model, positive, empty, cfg, negative_model=model_negative)


@node("PerpNegGuider", category="_for_testing", experimental=True)
def perp_neg_guider(
    *,
    model: ModelHandle,
    positive: Conditioning,
    negative: Conditioning,
    empty_conditioning: Conditioning,
    cfg: Cfg = 8.0,
    neg_scale: NegativeScale = 1.0,
) -> Guider:
    """Guide with Perp-Neg: use only the part of the negative prompt perpendicular to the positive.

    `empty_conditioning` is an encoded empty prompt; `neg_scale` is the negative prompt's weight.
    """
    return Guider(perpendicular(model, empty_conditioning, neg_scale), positive, negative, cfg)


@node(
    "PerpNeg",
    category="_for_testing",
    display_name="Perp-Neg (DEPRECATED by PerpNegGuider)",
    deprecated=True,
    experimental=True,
)
def perp_neg(
    model: ModelHandle, empty_conditioning: Conditioning, neg_scale: NegativeScale = 1.0
) -> ModelHandle:
    """Guide with Perp-Neg in every sampler that uses this model; see PerpNegGuider."""
    return perpendicular(model, empty_conditioning, neg_scale)


def perpendicular(model: ModelHandle, empty: Conditioning, scale: float) -> ModelHandle:
    """Return the model with Perp-Neg as its guidance rule."""
    guidance = model.guidance.with_rule(PerpNeg(scale), empty, disable_cfg1_optimization=True)
    return replace(model, guidance=guidance)
