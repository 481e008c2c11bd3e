"""Nodes that add an image to the prompt: FLUX.1 Redux."""

import math
from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from nodegraph.definition.context import Context
from nodegraph.definition.markers import ModelFile, Step
from nodegraph.definition.node import node
from nodes.models.adapters.errors import StyleMismatchError
from nodes.models.adapters.style import StyleHandle, open_style
from nodes.models.networks.components.style import BIAS
from nodes.values import Cond, Conditioning, SeenPictures


@node(
    "StyleModelLoader",
    category="loaders",
    display_name="Load Style Model",
    preflight="nodes.preflight.models:style_model",
)
def style_model_loader(
    style_model_name: Annotated[str, ModelFile("style_models")], ctx: Context
) -> StyleHandle:
    """Open a style model: FLUX.1 Redux, which turns images into prompt tokens."""
    path = ctx.files.model("style_models", style_model_name)
    return open_style(path, ctx.files.identity(path), ctx.models)


@node("StyleModelApply", category="conditioning/style_model", display_name="Apply Style Model")
def style_model_apply(
    conditioning: Conditioning,
    style_model: StyleHandle,
    clip_vision_output: SeenPictures,
    strength: Annotated[float, Field(ge=0.0, le=10.0), Step(0.001)] = 1.0,
    *,
    strength_type: Literal["multiply", "attn_bias"],
) -> Conditioning:
    """Append an image to the prompt as tokens; several can be chained.

    `multiply` scales these tokens by `strength`. `attn_bias` leaves them unchanged and makes
    attention count each of them `strength` times.
    """
    tokens = style_model.tokens(clip_vision_output)
    times = strength if strength_type == "multiply" else 1.0
    bias = math.log(strength) if strength > 0 else -math.inf
    bias = bias if strength_type == "attn_bias" else 0.0
    conds = (_append_tokens(cond, tokens * times, bias, style_model) for cond in conditioning.conds)
    return Conditioning(tuple(conds))


def _append_tokens(cond: Cond, tokens: Tensor, bias: float, style: StyleHandle) -> Cond:
    """Append tokens to a condition's own.

    Raises:
        StyleMismatchError: they have another width.
    """
    own, found = cond.tokens.shape[2], tokens.shape[2]
    if own != found:
        raise StyleMismatchError(style.network.header.path, found, own)
    longer = replace(cond, tokens=torch.cat([cond.tokens, tokens], dim=1))
    before = cond.extras.get(BIAS)
    if bias == 0.0 and before is None:
        return longer
    whole = longer.tokens.new_zeros(1, longer.tokens.shape[1], dtype=torch.float32)
    if isinstance(before, Tensor):
        whole[:, : before.shape[1]] = before
    whole[:, cond.tokens.shape[1] :] = bias
    return replace(longer, extras={**cond.extras, BIAS: whole})
