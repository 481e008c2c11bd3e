"""Nodes that encode prompts for families with several text encoders, each with its own text."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Step
from nodegraph.definition.node import node
from nodes.builtin.inputs import Prompt
from nodes.models.loading.handles import ClipHandle
from nodes.models.loading.text_model import Texts
from nodes.models.text.textual_inversion import Embeddings, embedding_hashes
from nodes.values import CONTROL_TEXT, Cond, Conditioning

Side = Annotated[int, Field(ge=0, le=16384)]
_LUMINA2 = {
    "superior": "You are an assistant designed to generate superior images with the superior degree"
    " of image-text alignment based on textual prompts or user prompts.",
    "alignment": "You are an assistant designed to generate high-quality images with the highest"
    " degree of image-text alignment based on textual prompts.",
}
"""The texts before a prompt, by their names: those of the model's authors."""


@node(
    "CLIPTextEncodeSDXL",
    category="advanced/conditioning",
    state=embedding_hashes("text_g", "text_l"),
)
def clip_text_encode_sdxl(  # noqa: PLR0917 - the node has as many
    clip: ClipHandle,
    width: Side = 1024,
    height: Side = 1024,
    crop_w: Side = 0,
    crop_h: Side = 0,
    target_width: Side = 1024,
    target_height: Side = 1024,
    *,
    text_g: Prompt,
    text_l: Prompt,
    ctx: Context,
) -> Conditioning:
    """Encode a prompt for SDXL, with a text for each text encoder and SDXL's size conditioning.

    `width` and `height` are the size before cropping, `crop_w` and `crop_h` the pixels cropped at
    the left and the top, `target_width` and `target_height` the size after cropping.
    """
    said = {
        "width": width,
        "height": height,
        "crop_w": crop_w,
        "crop_h": crop_h,
        "target_width": target_width,
        "target_height": target_height,
    }
    return _encode(clip, ctx, {"": text_g, "clip_g": text_g, "clip_l": text_l}, **said)


@node("CLIPTextEncodeSDXLRefiner", category="advanced/conditioning", state=embedding_hashes("text"))
def clip_text_encode_sdxl_refiner(
    ascore: Annotated[float, Field(ge=0.0, le=1000.0), Step(0.01)] = 6.0,
    width: Side = 1024,
    height: Side = 1024,
    *,
    text: Prompt,
    clip: ClipHandle,
    ctx: Context,
) -> Conditioning:
    """Encode a prompt for SDXL's refiner, with an aesthetic score.

    The usual `ascore` is 6 for the positive prompt and 2.5 for the negative one.
    """
    return _encode(clip, ctx, {"": text}, aesthetic_score=ascore, width=width, height=height)


@node(
    "CLIPTextEncodeSD3",
    category="advanced/conditioning",
    state=embedding_hashes("clip_l", "clip_g", "t5xxl"),
)
def clip_text_encode_sd3(
    clip: ClipHandle,
    clip_l: Prompt,
    clip_g: Prompt,
    t5xxl: Prompt,
    empty_padding: Literal["none", "empty_prompt"],
    ctx: Context,
) -> Conditioning:
    """Encode a prompt for SD3, with a text for each text encoder.

    With `none` an encoder with an empty text is left out, with `empty_prompt` it encodes the
    empty text.
    """
    texts = {"clip_l": clip_l, "clip_g": clip_g, "t5xxl": t5xxl}
    absent = None if empty_padding == "none" else ""
    return _encode(clip, ctx, {name: text or absent for name, text in texts.items()})


@node(
    "CLIPTextEncodeFlux",
    category="advanced/conditioning/flux",
    state=embedding_hashes("clip_l", "t5xxl"),
)
def clip_text_encode_flux(
    *,
    clip: ClipHandle,
    clip_l: Prompt,
    t5xxl: Prompt,
    guidance: Annotated[float, Field(ge=0.0, le=100.0), Step(0.1)] = 3.5,
    ctx: Context,
) -> Conditioning:
    """Encode a prompt for FLUX.1: a text for CLIP-L, a text for T5, and the guidance.

    CLIP-L's text counts as a whole, T5's word by word.

    The higher the guidance, the more closely FLUX.1 dev follows the prompt.
    """
    texts = {"": clip_l, "clip_l": clip_l, "t5xxl": t5xxl}
    return _encode(clip, ctx, texts, guidance=guidance)


@node(
    "CLIPTextEncodeLumina2",
    category="conditioning",
    display_name="CLIP Text Encode for Lumina2",
    state=embedding_hashes("user_prompt"),
)
def clip_text_encode_lumina2(
    system_prompt: Literal["superior", "alignment"],
    user_prompt: Prompt,
    clip: ClipHandle,
    ctx: Context,
) -> Conditioning:
    """Encode a prompt for Lumina 2, after one of the two texts that it was trained with.

    `superior` asks for the best picture, `alignment` for the one closest to the text.
    """
    return _encode(clip, ctx, {"": f"{_LUMINA2[system_prompt]} <Prompt Start> {user_prompt}"})


@node(
    "CLIPTextEncodeControlnet",
    category="_for_testing/conditioning",
    state=embedding_hashes("text"),
    experimental=True,
)
def clip_text_encode_controlnet(
    clip: ClipHandle, conditioning: Conditioning, text: Prompt, ctx: Context
) -> Conditioning:
    """Give the ControlNets of a conditioning their own prompt; the model keeps its own."""
    tokens = clip.encode(text, Embeddings(ctx.files, ctx.notice)).tokens
    return Conditioning(
        tuple(
            replace(cond, extras={**cond.extras, CONTROL_TEXT: tokens})
            for cond in conditioning.conds
        )
    )


@node("T5TokenizerOptions", category="_for_testing/conditioning", experimental=True)
def t5_tokenizer_options(
    clip: ClipHandle,
    min_padding: Annotated[int, Field(ge=0, le=10000), Step(1)] = 0,
    min_length: Annotated[int, Field(ge=0, le=10000), Step(1)] = 0,
    *,
    ctx: Context,
) -> ClipHandle:
    """Set how T5's prompts are padded: by at least `min_padding` tokens, to `min_length` tokens.

    This replaces the family's own length (256 for FLUX.1, 77 for SD3, and one token more than
    the prompt for Chroma); 0 and 0 mean no padding. The model reads the padding like other tokens.
    """
    if not any(encoder.rules.takes_padding for encoder in clip.text.encoders):
        ctx.notice("This CLIP has no T5, so there is nothing to pad.")
    return replace(clip, text=clip.text.with_t5_padding(min_length, min_padding))


def _encode(clip: ClipHandle, ctx: Context, texts: Texts, **extras: object) -> Conditioning:
    encoded = clip.encode(texts, Embeddings(ctx.files, ctx.notice))
    return Conditioning(
        (Cond(encoded.tokens, encoded.pooled, extras={**encoded.extras, **extras}),)
    )
