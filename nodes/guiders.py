"""Nodes that put a model, its conditions and their strength together for SamplerCustomAdvanced."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from nodegraph.define import node
from nodegraph.markers import Step
from nodes.guided import Guider
from nodes.inputs import Cfg
from nodes.rules import PerpendicularNegative, TwoConditions
from nodes.values import Conditioning
from nodes.weights.handle import ModelHandle

NegativeScale = Annotated[float, Field(ge=0.0, le=100.0), Step(0.01)]

_GUIDERS = "sampling/custom_sampling/guiders"


@node("BasicGuider", category=_GUIDERS)
def basic_guider(model: ModelHandle, conditioning: Conditioning) -> Guider:
    """Follow one prompt as it is, without guidance: for models that need none, such as FLUX."""
    return Guider(model, conditioning, Conditioning(()), 1.0)


@node("CFGGuider", category=_GUIDERS)
def cfg_guider(
    model: ModelHandle, positive: Conditioning, negative: Conditioning, cfg: Cfg = 8.0
) -> Guider:
    """Go beyond the negative prompt, `cfg` times as far as the positive one is."""
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
    """Guide by two prompts: from the negative to `cond2`, and from there on to `cond1`.

    `regular` adds both steps up; `nested` takes the step to what the two prompts give together.
    """
    rule = TwoConditions(cfg_cond2_negative, style)
    guiding = model.guiding.with_rule(rule, cond2, always=True)
    return Guider(replace(model, guiding=guiding), cond1, negative, cfg_conds)


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
    """Take from the negative prompt only what does not speak against the positive one.

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
    """The same as PerpNegGuider for all samplers that use this model."""
    return perpendicular(model, empty_conditioning, neg_scale)


def perpendicular(model: ModelHandle, empty: Conditioning, scale: float) -> ModelHandle:
    """The model with Perp-Neg for its rule."""
    guiding = model.guiding.with_rule(PerpendicularNegative(scale), empty, always=True)
    return replace(model, guiding=guiding)
