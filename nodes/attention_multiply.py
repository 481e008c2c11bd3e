"""Nodes that turn the attention of a network up or down: they multiply its weights."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from nodegraph.context import Context
from nodegraph.define import node
from nodegraph.markers import Step
from nodes.networks.build import network_class
from nodes.weights.handle import ClipHandle, ModelHandle
from nodes.weights.merging import ScalePatch
from nodes.weights.network import Network

_CATEGORY = "_for_testing/attention_experiments"
Factor = Annotated[float, Field(ge=0.0, le=10.0), Step(0.01)]


@node("UNetSelfAttentionMultiply", category=_CATEGORY, experimental=True)
def unet_self_attention_multiply(
    model: ModelHandle,
    ctx: Context,
    q: Factor = 1.0,
    k: Factor = 1.0,
    v: Factor = 1.0,
    out: Factor = 1.0,
) -> ModelHandle:
    """Multiply the weights of a U-Net's self-attentions; transformers stay as they are."""
    return _scaled(model, _of_unet("attn1", q, k, v, out), ctx)


@node("UNetCrossAttentionMultiply", category=_CATEGORY, experimental=True)
def unet_cross_attention_multiply(
    model: ModelHandle,
    ctx: Context,
    q: Factor = 1.0,
    k: Factor = 1.0,
    v: Factor = 1.0,
    out: Factor = 1.0,
) -> ModelHandle:
    """Multiply the weights of the attentions by which a U-Net reads the text."""
    return _scaled(model, _of_unet("attn2", q, k, v, out), ctx)


@node("UNetTemporalAttentionMultiply", category=_CATEGORY, experimental=True)
def unet_temporal_attention_multiply(
    model: ModelHandle,
    ctx: Context,
    self_structural: Factor = 1.0,
    self_temporal: Factor = 1.0,
    cross_structural: Factor = 1.0,
    cross_temporal: Factor = 1.0,
) -> ModelHandle:
    """Multiply what a U-Net's attentions give, those within pictures and those between them.

    Models of pictures have none between them: the temporal factors are for models of videos.
    """
    time = r".*\.time_stack\..*\.{}\.to_out\.0"
    space = r"(?!.*\.time_stack\.).*\.{}\.to_out\.0"
    factors = {
        space.format("attn1"): self_structural,
        time.format("attn1"): self_temporal,
        space.format("attn2"): cross_structural,
        time.format("attn2"): cross_temporal,
    }
    return _scaled(model, factors, ctx)


@node("CLIPAttentionMultiply", category=_CATEGORY, experimental=True)
def clip_attention_multiply(
    clip: ClipHandle,
    q: Factor = 1.0,
    k: Factor = 1.0,
    v: Factor = 1.0,
    out: Factor = 1.0,
) -> ClipHandle:
    """Multiply the weights of the attentions of CLIP's text encoders; T5 stays as it is."""
    parts = {"q_proj": q, "k_proj": k, "v_proj": v, "out_proj": out}
    factors = {rf".*\.self_attn\.{part}": factor for part, factor in parts.items()}
    for encoder in clip.text.encoders:
        for patch in _patches(encoder.network, factors):
            clip = clip.patched(encoder.name, patch)
    return clip


def _of_unet(attention: str, q: float, k: float, v: float, out: float) -> Mapping[str, float]:
    parts = {"to_q": q, "to_k": k, "to_v": v, r"to_out\.0": out}
    return {rf".*\.{attention}\.{part}": factor for part, factor in parts.items()}


def _scaled(model: ModelHandle, factors: Mapping[str, float], ctx: Context) -> ModelHandle:
    if not network_class(model.model.network.spec.kind).cross_attends:
        ctx.notice("This model is no U-Net: its attentions stay as they are.")
        return model
    for patch in _patches(model.model.network, factors):
        model = model.patched(patch)
    return model


def _patches(network: Network, factors: Mapping[str, float]) -> list[ScalePatch]:
    """One for each factor, by a pattern for the names of the layers."""
    found: list[ScalePatch] = []
    for pattern, factor in factors.items():
        layer = re.compile(pattern + r"\.(weight|bias)")
        keys = frozenset(key for key in network.table if layer.fullmatch(key))
        if keys and factor != 1.0:
            found.append(ScalePatch(keys, factor))
    return found
