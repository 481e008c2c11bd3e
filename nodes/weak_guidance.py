"""Nodes that guide away from what a perturbed network would make."""

import re
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from nodegraph.define import node
from nodegraph.markers import Round, Step, Widget
from nodes.alterations.perturbed import Perturbed
from nodes.alterations.skipped import Skipped
from nodes.guiding import PerturbedGuidance, UncondModifier
from nodes.inputs import Fraction, Strength
from nodes.weights.handle import ModelHandle

Layers = Annotated[str, Widget(multiline=False)]
Scale = Annotated[float, Field(ge=0.0, le=10.0), Step(0.1)]

_GUIDANCE = "advanced/guidance"


@node("PerturbedAttentionGuidance", category="model_patches/unet")
def perturbed_attention_guidance(
    model: ModelHandle,
    scale: Annotated[float, Field(ge=0.0, le=100.0), Step(0.01), Round(0.01)] = 3.0,
) -> ModelHandle:
    """Guide away from what the model makes when it can't see how a picture hangs together.

    On top of the sampler's own guidance, and without a negative prompt. It takes another call of
    the model a step; for U-Nets.
    """
    return _add_guidance(model, PerturbedGuidance(Perturbed(), scale))


@node("SkipLayerGuidanceSD3", category=_GUIDANCE, experimental=True)
def skip_layer_guidance_sd3(
    model: ModelHandle,
    layers: Layers = "7, 8, 9",
    scale: Scale = 3.0,
    start_percent: Fraction = 0.01,
    end_percent: Fraction = 0.15,
) -> ModelHandle:
    """Guide away from what the model makes without some of its layers: better hands, and bodies.

    For SD3.5 medium above all. `layers` are numbers from 0; the guidance is added from
    `start_percent` to `end_percent` of the denoising.
    """
    numbers = _numbers(layers)
    if not numbers:
        return model
    return _add_guidance(
        model, PerturbedGuidance(Skipped(numbers), scale, start_percent, end_percent)
    )


@node("SkipLayerGuidanceDiT", category=_GUIDANCE, experimental=True)
def skip_layer_guidance_dit(
    *,
    model: ModelHandle,
    double_layers: Layers = "7, 8, 9",
    single_layers: Layers = "7, 8, 9",
    scale: Scale = 3.0,
    start_percent: Fraction = 0.01,
    end_percent: Fraction = 0.15,
    rescaling_scale: Strength = 0.0,
) -> ModelHandle:
    """The same as SkipLayerGuidanceSD3 for every transformer.

    Single layers are those for text and picture together, which FLUX has. `rescaling_scale` brings
    the contrast back to what the positive prompt alone has.
    """
    skipped = _skip_layers(double_layers, single_layers)
    if skipped is None:
        return model
    weakened = PerturbedGuidance(skipped, scale, start_percent, end_percent, rescaling_scale)
    return _add_guidance(model, weakened)


@node("SkipLayerGuidanceDiTSimple", category=_GUIDANCE, experimental=True)
def skip_layer_guidance_dit_simple(
    model: ModelHandle,
    double_layers: Layers = "7, 8, 9",
    single_layers: Layers = "7, 8, 9",
    start_percent: Fraction = 0.0,
    end_percent: Fraction = 1.0,
) -> ModelHandle:
    """Leave some layers out where the model follows the negative prompt, at no further cost."""
    skipped = _skip_layers(double_layers, single_layers)
    if skipped is None:
        return model
    model.check(skipped)
    modifier = UncondModifier(skipped, start_percent, end_percent)
    guiding = replace(model.guiding, uncond_modifiers=(*model.guiding.uncond_modifiers, modifier))
    return replace(model, guiding=guiding)


def _add_guidance(model: ModelHandle, weakened: PerturbedGuidance) -> ModelHandle:
    model.check(weakened.alteration)
    guiding = replace(model.guiding, perturbed=(*model.guiding.perturbed, weakened))
    return replace(model, guiding=guiding)


def _skip_layers(double: str, single: str) -> Skipped | None:
    numbers = _numbers(double), _numbers(single)
    return Skipped(*numbers) if any(numbers) else None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text))
