"""Nodes that encode prompts."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Step
from nodegraph.definition.node import node
from nodes.builtin.inputs import Prompt
from nodes.models.loading.handles import ClipHandle
from nodes.models.text.textual_inversion import Embeddings, embedding_hashes
from nodes.values import Cond, Conditioning


@node(
    "CLIPTextEncode",
    category="conditioning",
    display_name="CLIP Text Encode (Prompt)",
    state=embedding_hashes("text"),
)
def clip_text_encode(
    text: Prompt,
    clip: ClipHandle,
    ctx: Context,
) -> Conditioning:
    """Encode a prompt, so that it can guide the model towards what it describes.

    `(word:1.3)` weighs a part of the prompt, `(word)` is a weight of 1.1, `embedding:name` inserts
    a textual inversion. Long prompts are encoded in chunks.
    """
    encoded = clip.encode(text, Embeddings(ctx.files, ctx.notice))
    return Conditioning((Cond(encoded.tokens, encoded.pooled, extras=encoded.extras),))


@node("CLIPSetLastLayer", category="conditioning", display_name="CLIP Set Last Layer")
def clip_set_last_layer(
    clip: ClipHandle,
    stop_at_clip_layer: Annotated[int, Field(ge=-24, le=-1), Step(1)] = -1,
) -> ClipHandle:
    """Use an earlier layer of the text encoder: -1 is the last, -2 is "clip skip 2"."""
    return replace(clip, layer=stop_at_clip_layer)
