"""Nodes that prompt boxes of an image: GLIGEN."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from nodegraph.definition.context import Context
from nodegraph.definition.markers import ModelFile, Step
from nodegraph.definition.node import node
from nodes.builtin.inputs import LatentOffset, Prompt
from nodes.models.adapters.errors import NoVectorError
from nodes.models.loading.handles import ClipHandle
from nodes.models.patches.gligen import GligenHandle, open_gligen
from nodes.models.text.textual_inversion import Embeddings, embedding_hashes
from nodes.values import Area, Box, Conditioning

Side = Annotated[int, Field(ge=8, le=16384), Step(8)]


@node("GLIGENLoader", category="loaders", preflight="nodes.preflight.models:gligen")
def gligen_loader(gligen_name: Annotated[str, ModelFile("gligen")], ctx: Context) -> GligenHandle:
    """Open a GLIGEN model, which lets a Stable Diffusion 1 model fill boxes by their own texts."""
    path = ctx.files.model("gligen", gligen_name)
    return open_gligen(path, ctx.files.identity(path))


@node("GLIGENTextBoxApply", category="conditioning/gligen", state=embedding_hashes("text"))
def gligen_text_box_apply(  # noqa: PLR0917 - the node has as many
    conditioning_to: Conditioning,
    clip: ClipHandle,
    gligen_textbox_model: GligenHandle,
    text: Prompt,
    ctx: Context,
    width: Side = 64,
    height: Side = 64,
    x: LatentOffset = 0,
    y: LatentOffset = 0,
) -> Conditioning:
    """Draw what a text describes in a rectangle; sizes and offsets are in pixels.

    Several can be chained with one GLIGEN model. The prompt should mention their texts, too.
    """
    encoded = clip.encode(text, Embeddings(ctx.files, ctx.notice))
    if encoded.pooled is None:
        raise NoVectorError(code="no_box_text")
    box = Box(encoded.pooled, Area(height // 8, width // 8, y // 8, x // 8), gligen_textbox_model)
    conds = (replace(cond, boxes=(*cond.boxes, box)) for cond in conditioning_to.conds)
    return Conditioning(tuple(conds))
