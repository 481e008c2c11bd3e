"""Nodes that scale a network's attention by multiplying its weights."""

import re
from collections.abc import Mapping

from nodegraph.definition.context import Context
from nodegraph.definition.node import node
from nodes.builtin.inputs import Strength
from nodes.models.loading.handles import ClipHandle, ModelHandle
from nodes.models.loading.network import Network
from nodes.models.networks.factory import network_class
from nodes.models.patches.merge import ScalePatch

_CATEGORY = "_for_testing/attention_experiments"


@node("UNetSelfAttentionMultiply", category=_CATEGORY, experimental=True)
def unet_self_attention_multiply(
    model: ModelHandle,
    ctx: Context,
    q: Strength = 1.0,
    k: Strength = 1.0,
    v: Strength = 1.0,
    out: Strength = 1.0,
) -> ModelHandle:
    """Multiply the weights of a U-Net's self-attention layers; transformers are not changed."""
    return _multiply_weights(model, _unet_factors("attn1", q, k, v, out), ctx)


@node("UNetCrossAttentionMultiply", category=_CATEGORY, experimental=True)
def unet_cross_attention_multiply(
    model: ModelHandle,
    ctx: Context,
    q: Strength = 1.0,
    k: Strength = 1.0,
    v: Strength = 1.0,
    out: Strength = 1.0,
) -> ModelHandle:
    """Multiply the weights of a U-Net's cross-attention layers, which read the text."""
    return _multiply_weights(model, _unet_factors("attn2", q, k, v, out), ctx)


@node("UNetTemporalAttentionMultiply", category=_CATEGORY, experimental=True)
def unet_temporal_attention_multiply(
    model: ModelHandle,
    ctx: Context,
    self_structural: Strength = 1.0,
    self_temporal: Strength = 1.0,
    cross_structural: Strength = 1.0,
    cross_temporal: Strength = 1.0,
) -> ModelHandle:
    """Multiply the output of a U-Net's attentions, within frames and between frames.

    Image models have no attention between frames; the temporal factors are for video models.
    """
    time = r".*\.time_stack\..*\.{}\.to_out\.0"
    space = r"(?!.*\.time_stack\.).*\.{}\.to_out\.0"
    factors = {
        space.format("attn1"): self_structural,
        time.format("attn1"): self_temporal,
        space.format("attn2"): cross_structural,
        time.format("attn2"): cross_temporal,
    }
    return _multiply_weights(model, factors, ctx)


@node("CLIPAttentionMultiply", category=_CATEGORY, experimental=True)
def clip_attention_multiply(
    clip: ClipHandle,
    q: Strength = 1.0,
    k: Strength = 1.0,
    v: Strength = 1.0,
    out: Strength = 1.0,
) -> ClipHandle:
    """Multiply the weights of the attention layers of CLIP's text encoders. T5 is not changed."""
    parts = {"q_proj": q, "k_proj": k, "v_proj": v, "out_proj": out}
    factors = {rf".*\.self_attn\.{part}": factor for part, factor in parts.items()}
    for encoder in clip.text.encoders:
        for patch in _patches(encoder.network, factors):
            clip = clip.with_patch(encoder.name, patch)
    return clip


def _unet_factors(attention: str, q: float, k: float, v: float, out: float) -> Mapping[str, float]:
    parts = {"to_q": q, "to_k": k, "to_v": v, r"to_out\.0": out}
    return {rf".*\.{attention}\.{part}": factor for part, factor in parts.items()}


def _multiply_weights(
    model: ModelHandle, factors: Mapping[str, float], ctx: Context
) -> ModelHandle:
    if not network_class(model.model.network.spec.kind).cross_attends:
        ctx.notice("This model is not a U-Net: its attention is not changed.")
        return model
    for patch in _patches(model.model.network, factors):
        model = model.with_patch(patch)
    return model


def _patches(network: Network, factors: Mapping[str, float]) -> list[ScalePatch]:
    """Return a patch for each factor; each factor's key is a pattern for the layers' names."""
    found: list[ScalePatch] = []
    for pattern, factor in factors.items():
        layer = re.compile(pattern + r"\.(weight|bias)")
        keys = frozenset(key for key in network.table if layer.fullmatch(key))
        if keys and factor != 1.0:
            found.append(ScalePatch(keys, factor))
    return found
