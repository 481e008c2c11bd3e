"""Nodes that write a batch of images as one animated file."""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Step
from nodegraph.definition.node import node
from nodegraph.graph.results import Ui
from nodes.imaging.codec import encode_apng, encode_webp
from nodes.imaging.errors import EmptyBatchError
from nodes.imaging.metadata import texts
from nodes.values import Image

FramesASecond = Annotated[float, Field(ge=0.01, le=1000.0), Step(0.01)]
Method: TypeAlias = Literal["default", "fastest", "slowest"]

_HIDDEN = ("prompt", "extra_pnginfo")
_EFFORT: Mapping[Method, int] = {"default": 4, "fastest": 0, "slowest": 6}


@node(
    "SaveAnimatedPNG",
    category="image/animation",
    output_node=True,
    writes_only=True,
    hidden=_HIDDEN,
    preflight="nodes.preflight.images:check_prefix",
)
def save_animated_png(
    images: Image,
    filename_prefix: str = "ComfyUI",
    fps: FramesASecond = 6.0,
    compress_level: Annotated[int, Field(ge=0, le=9)] = 4,
    *,
    ctx: Context,
) -> Ui:
    """Write a batch of images as one animated PNG that carries its workflow.

    `filename_prefix` works as in `SaveImage`. A higher `compress_level` takes longer and makes
    smaller files; it changes no pixel.
    """
    _check(images, ctx)
    data = encode_apng(images, texts(ctx), 1000 / fps, compress_level)
    return _save(images, filename_prefix, ".png", data, ctx)


@node(
    "SaveAnimatedWEBP",
    category="image/animation",
    output_node=True,
    writes_only=True,
    hidden=_HIDDEN,
    preflight="nodes.preflight.images:check_prefix",
)
def save_animated_webp(
    *,
    images: Image,
    filename_prefix: str = "ComfyUI",
    fps: FramesASecond = 6.0,
    lossless: bool = True,
    quality: Annotated[int, Field(ge=0, le=100)] = 80,
    method: Method,
    ctx: Context,
) -> Ui:
    """Write a batch of images as one animated WebP that carries its workflow.

    With `lossless` no pixel changes, and a higher `quality` compresses harder; without it, a higher
    `quality` keeps more detail. A higher `method` takes longer and makes smaller files.
    """
    _check(images, ctx)
    data = encode_webp(
        images,
        texts(ctx),
        1000 / fps,
        lossless=lossless,
        quality=quality,
        method=_EFFORT[method],
    )
    return _save(images, filename_prefix, ".webp", data, ctx)


def _check(images: Image, ctx: Context) -> None:
    ctx.check_cancelled()
    if len(images) == 0:
        raise EmptyBatchError(what="images")


def _save(images: Image, prefix: str, suffix: str, data: bytes, ctx: Context) -> Ui:
    tokens = {"width": images.shape[2], "height": images.shape[1]}
    saved = ctx.files.save("output", prefix, suffix, data, tokens)
    return Ui(artifacts={"images": [saved]}, values={"animated": [True]})
