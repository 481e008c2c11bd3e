"""Nodes for Qwen-Image 2.1: prompts with pictures to look at, and what is kept of them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Annotated, NamedTuple, cast, get_args

import torch
from pydantic import Field
from torch import Tensor

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Autogrow, Choices, Name, Optional, Step
from nodegraph.definition.node import node
from nodes.builtin.inputs import Prompt
from nodes.imaging.resize import lanczos
from nodes.inference.vae import encode_images
from nodes.models.networks.base.errors import TooManyReferencesError
from nodes.models.networks.base.placed_references import SLOTS, Slot
from nodes.models.networks.base.prefix_cache import Place, Precision, PrefixCaching, PrefixPolicy
from nodes.models.text.chunks import Chunk
from nodes.models.text.textual_inversion import Embeddings, embedding_hashes
from nodes.sampling.conditioning.latents import empty_latent
from nodes.values import (
    REFERENCES,
    ClipHandle,
    Cond,
    Conditioning,
    Image,
    Latent,
    ModelHandle,
    VaeHandle,
)

_MOST = 16
_NAMES = tuple(f"image_{number}" for number in range(1, _MOST + 1))
_ENCODER = "qwen3_vl_8b"
_PLACE = "<|vision_start|><|image_pad|><|vision_end|>"
_SQUARE, _STEP = 1024, 32
_CHANNELS, _DOWNSCALE = 64, 16
"""Of the latents: their channels, and the pixels of one of their own, each way."""


class Prompted(NamedTuple):
    """Two conditionings with reference images, and an empty latent as large as the first."""

    positive: Conditioning
    negative: Conditioning
    latent: Annotated[Latent, Name("latent")]


@node(
    "TextEncodeQwenImage21",
    category="advanced/conditioning",
    state=embedding_hashes("prompt", "negative_prompt"),
)
def text_encode_qwen_image21(
    clip: ClipHandle,
    prompt: Prompt = "",
    negative_prompt: Prompt = "",
    vae: VaeHandle | None = None,
    resolution: Annotated[int, Field(ge=0, le=4096), Step(_STEP)] = _SQUARE,
    *,
    images: Annotated[dict[str, Image], Autogrow(names=_NAMES, least=0), Optional()],
    ctx: Context,
) -> Prompted:
    """Encode a prompt and a negative prompt for Qwen-Image 2.1, with up to 16 reference images.

    A prompt may name them: `<image1>` is the first. Each is scaled to about `resolution` pixels
    squared, in multiples of 32; at 0 it keeps its size but for that. The text encoder sees them;
    with a VAE the model reads them, too, alpha and all. The empty latent is as large as the first
    image, or a square: sample at this size, as edits shift at others.
    """
    pictures = [_scale(row[None], resolution) for batch in images.values() for row in batch]
    if len(pictures) > _MOST:
        raise TooManyReferencesError(len(pictures), _MOST)
    latents = tuple(encode_images(each.movedim(-1, 1), vae, ctx) for each in pictures if vae)
    positive, negative = (
        _encode(clip, text, pictures, latents, ctx) for text in (prompt, negative_prompt)
    )
    side = resolution or _SQUARE
    height, width = pictures[0].shape[1:3] if pictures else (side, side)
    latent = empty_latent(1, _CHANNELS, height, width, _DOWNSCALE)
    return Prompted(positive, negative, latent)


@node(
    "QwenImage21Cache",
    category="advanced/model",
    experimental=True,
)
def qwen_image21_cache(
    model: ModelHandle,
    device: Annotated[str, Choices(get_args(Place))] = "auto",
    dtype: Annotated[str, Choices(get_args(Precision))] = "default",
) -> ModelHandle:
    """Choose where Qwen-Image 2.1 keeps what it made of the prompt and of reference images.

    Their keys and values are the same at every step, and are computed once: `auto` keeps them in
    spare memory of the device, else of the host, as it does without this node; `gpu` and `cpu` in
    that memory alone; `off` computes them at every step. `int8` takes half of the memory of
    bfloat16, `int4` a quarter, and both are less exact. What does not fit is computed anew.
    """
    policy = PrefixPolicy(cast("Place", device), cast("Precision", dtype))
    caching = PrefixCaching(policy, "QwenImage21Cache", "Qwen-Image 2.1")
    return model.without_alterations(PrefixCaching).with_alteration(caching)


def _scale(image: Tensor, resolution: int) -> Tensor:
    """Scale [1, height, width, channels] to a number of pixels, as `QwenImage21Pipeline` does."""
    height, width = image.shape[1:3]
    ratio = width / height
    wide = math.sqrt(resolution**2 * ratio) if resolution else width
    high = wide / ratio if resolution else height
    columns, rows = (max(1, round(side / _STEP)) * _STEP for side in (wide, high))
    if (rows, columns) == (height, width):
        return image
    return lanczos(image.movedim(-1, 1), columns, rows).movedim(1, -1)


def _encode(
    clip: ClipHandle,
    prompt: str,
    pictures: Sequence[Tensor],
    latents: tuple[Tensor, ...],
    ctx: Context,
) -> Conditioning:
    """Encode a prompt after the pictures' places; a blank stands for no prompt at all."""
    places = " ".join(f"<image{number}>{_PLACE}" for number, _ in enumerate(pictures, 1))
    text = {_ENCODER: places + (prompt or " ")}
    embeddings = Embeddings(ctx.files, ctx.notice)
    chunks = clip.text.chunks(text, embeddings, [_over_white(each[0]) for each in pictures])
    encoded = clip.encode_chunks(chunks)
    extras: Mapping[str, object] = {}
    if latents:
        dropped = clip.text.encoders[0].rules.dropped
        slots = tuple(_slots(chunks[_ENCODER][0][dropped:]))
        extras = {REFERENCES: latents, SLOTS: slots}
    return Conditioning((Cond(encoded.tokens, encoded.pooled, extras=extras),))


def _over_white(picture: Tensor) -> Tensor:
    """Return the colours of [height, width, 3 or 4] as the text encoder was trained to see them."""
    colours, alpha = picture[..., :3], picture[..., 3:]
    return torch.lerp(torch.ones_like(colours), colours, alpha) if alpha.numel() else colours


def _slots(tokens: Chunk) -> Iterator[Slot]:
    """Yield the place of each picture: its first token, and the number of its tokens."""
    at = 0
    for picture, run in groupby(tokens, key=lambda token: token.picture):
        number = len(list(run))
        if picture is not None:
            yield at, number
        at += number
