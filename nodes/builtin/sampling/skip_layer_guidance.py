"""Nodes that guide away from what a perturbed network, or the network at a blur, would make."""

import re
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from nodegraph.definition.markers import Round, Step, Widget
from nodegraph.definition.node import node
from nodes.builtin.inputs import Fraction, Strength
from nodes.models.loading.handles import ModelHandle
from nodes.models.networks.modifiers.perturbed_attention import PerturbedAttention
from nodes.models.networks.modifiers.skip_layers import SkipLayers
from nodes.models.networks.modifiers.watched_attention import WatchedAttention
from nodes.sampling.guidance.self_attention import SelfAttentionGuidance
from nodes.sampling.guidance.settings import PerturbedGuidance, UncondModifier

Layers = Annotated[str, Widget(multiline=False)]
Scale = Annotated[float, Field(ge=0.0, le=10.0), Step(0.1)]

_GUIDANCE = "advanced/guidance"


@node("PerturbedAttentionGuidance", category="model_patches/unet")
def perturbed_attention_guidance(
    model: ModelHandle,
    scale: Annotated[float, Field(ge=0.0, le=100.0), Step(0.01), Round(0.01)] = 3.0,
) -> ModelHandle:
    """Guide away from the prediction with perturbed self-attention, for better structure (PAG).

    It is added to the sampler's own guidance, needs no negative prompt, and takes another model
    call per step. For U-Nets.
    """
    return _add_guidance(model, PerturbedGuidance(PerturbedAttention(), scale))


@node(
    "SelfAttentionGuidance",
    category="_for_testing",
    display_name="Self-Attention Guidance",
    experimental=True,
)
def self_attention_guidance(
    model: ModelHandle,
    scale: Annotated[float, Field(ge=-2.0, le=5.0), Step(0.01)] = 0.5,
    blur_sigma: Annotated[float, Field(ge=0.0, le=10.0), Step(0.1)] = 2.0,
) -> ModelHandle:
    """Guide away from a prediction that is blurred where the model looks most (SAG).

    It is added to the sampler's own guidance, against soft and unfinished shapes, and takes another
    model call per step. `blur_sigma` is the blur's width in latent pixels. For U-Nets.
    """
    model.check(WatchedAttention())
    settings = SelfAttentionGuidance(WatchedAttention, scale, blur_sigma)
    return replace(model, guidance=replace(model.guidance, self_attention=settings))


@node("SkipLayerGuidanceSD3", category=_GUIDANCE, experimental=True)
def skip_layer_guidance_sd3(
    model: ModelHandle,
    layers: Layers = "7, 8, 9",
    scale: Scale = 3.0,
    start_percent: Fraction = 0.01,
    end_percent: Fraction = 0.15,
) -> ModelHandle:
    """Guide away from the prediction without some layers, for better hands and bodies (SLG).

    Mainly for SD3.5 medium. `layers` are numbers from 0; the guidance is added from
    `start_percent` to `end_percent` of the denoising.
    """
    numbers = _numbers(layers)
    if not numbers:
        return model
    return _add_guidance(
        model, PerturbedGuidance(SkipLayers(numbers), scale, start_percent, end_percent)
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
    """Guide away from the prediction without some layers, for any transformer (SLG).

    Single layers are FLUX's layers for text and image together. `rescaling_scale` brings the
    contrast back to that of the positive prediction.
    """
    skipped = _skip_layers(double_layers, single_layers)
    if skipped is None:
        return model
    perturbed = PerturbedGuidance(skipped, scale, start_percent, end_percent, rescaling_scale)
    return _add_guidance(model, perturbed)


@node("SkipLayerGuidanceDiTSimple", category=_GUIDANCE, experimental=True)
def skip_layer_guidance_dit_simple(
    model: ModelHandle,
    double_layers: Layers = "7, 8, 9",
    single_layers: Layers = "7, 8, 9",
    start_percent: Fraction = 0.0,
    end_percent: Fraction = 1.0,
) -> ModelHandle:
    """Skip some layers in the negative prediction: skip-layer guidance at no further cost."""
    skipped = _skip_layers(double_layers, single_layers)
    if skipped is None:
        return model
    model.check(skipped)
    modifier = UncondModifier(skipped, start_percent, end_percent)
    modifiers = (*model.guidance.uncond_modifiers, modifier)
    return replace(model, guidance=replace(model.guidance, uncond_modifiers=modifiers))


def _add_guidance(model: ModelHandle, perturbed: PerturbedGuidance) -> ModelHandle:
    model.check(perturbed.alteration)
    guidance = replace(model.guidance, perturbed=(*model.guidance.perturbed, perturbed))
    return replace(model, guidance=guidance)


def _skip_layers(double: str, single: str) -> SkipLayers | None:
    numbers = _numbers(double), _numbers(single)
    return SkipLayers(*numbers) if any(numbers) else None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text))
