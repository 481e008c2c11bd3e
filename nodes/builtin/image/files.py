"""Nodes that read and write image files."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import repeat
from typing import Annotated, Literal, NamedTuple

import torch
from PIL.Image import Image as PILImage
from torch import Tensor

from nodegraph.definition.context import Context
from nodegraph.definition.markers import InputFile, Name, Widget
from nodegraph.definition.node import node
from nodegraph.graph.results import Artifact, FolderType, Ui
from nodegraph.graph.sockets import Socket
from nodes.imaging.codec import channel, colours, encode_png, has_alpha, read_frames
from nodes.imaging.metadata import texts
from nodes.imaging.quick_png import encode_preview
from nodes.values import Image, Mask

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff", ".ppm")
_HIDDEN = ("prompt", "extra_pnginfo")
_NO_MASK = (1, 64, 64)
_Encode = Callable[[Tensor, Mapping[str, str]], bytes]
_ENCODERS = min(4, os.cpu_count() or 1)
"""Images of a batch that are encoded at once."""

ImageFile = Annotated[str, InputFile("image_upload", _SUFFIXES)]


OutputFile = Annotated[str, InputFile("image_upload", _SUFFIXES, "output")]


class ImageAndMask(NamedTuple):
    """The outputs of `LoadImage`."""

    image: Image
    mask: Mask


@node(
    "SaveImage",
    category="image",
    display_name="Save Image",
    output_node=True,
    writes_only=True,
    hidden=_HIDDEN,
    preflight="nodes.preflight.images:check_prefix",
)
def save_image(
    images: Image, filename_prefix: str = "ComfyUI", *, ctx: Context
) -> Annotated[Image, Name("images")] | Ui:
    """Write each image to the output folder as a PNG that carries its workflow.

    `filename_prefix` may name a folder (`cats/tabby`) and hold `%width%`, `%height%`,
    `%batch_num%`, `%year%`, `%month%`, `%day%`, `%hour%`, `%minute%`, `%second%` and
    `%date:yyyy-MM-dd%`. Running the file as a workflow makes the same pixels again.
    """
    saved = _save(images, "output", filename_prefix, ctx, encode_png)
    return replace(saved, outputs=(images,))


@node(
    "PreviewImage",
    category="image",
    display_name="Preview Image",
    output_node=True,
    writes_only=True,
    hidden=_HIDDEN,
)
def preview_image(images: Image, ctx: Context) -> Annotated[Image, Name("images")] | Ui:
    """Show images without keeping them: they go to the temp folder, lightly compressed."""
    return replace(show_images(images, ctx), outputs=(images,))


@node(
    "ImageCompare",
    category="image",
    display_name="Compare Images",
    output_node=True,
    writes_only=True,
    hidden=_HIDDEN,
)
def image_compare(
    image_a: Image | None = None,
    image_b: Image | None = None,
    *,
    compare_view: Annotated[object, Socket("IMAGECOMPARE"), Widget(default=["", ""])],
    ctx: Context,
) -> Ui:
    """Show two images, one above the other, with a slider between them; neither is kept.

    `compare_view` is the editor's.
    """
    del compare_view
    shown: dict[str, Sequence[Artifact]] = {}
    for letter, images in (("a", image_a), ("b", image_b)):
        if images is not None:
            prefix = f"comfy.compare.{letter}"
            saved = _save(images, "temp", prefix, ctx, encode_preview)
            shown[f"{letter}_images"] = saved.artifacts["images"]
    return Ui(artifacts=shown)


@node("MaskPreview", category="mask", output_node=True, writes_only=True, hidden=_HIDDEN)
def mask_preview(mask: Mask, ctx: Context) -> Annotated[Mask, Name("mask")] | Ui:
    """Show masks without keeping them: grey images in the temp folder, 1 is white."""
    return replace(show_mask(mask, ctx), outputs=(mask,))


@node(
    "LoadImage",
    category="image",
    display_name="Load Image",
    preflight="nodes.preflight.images:check_image",
)
def load_image(image: ImageFile, ctx: Context) -> ImageAndMask:
    """Read an image of the input folder, turned upright by its EXIF orientation.

    `IMAGE` has no alpha channel; `MASK` is 1 where the image is transparent. Without an alpha
    channel the mask is 64 by 64 zeros. An animation gives a batch of its frames.
    """
    frames = read_frames(ctx.files.input(image), ctx.notice)
    images = torch.stack([colours(frame) for frame in frames])
    if not any(has_alpha(frame) for frame in frames):
        return ImageAndMask(images, torch.zeros(_NO_MASK))
    return ImageAndMask(images, torch.stack([_transparency(frame) for frame in frames]))


@node(
    "LoadImageOutput",
    category="image",
    display_name="Load Image (from Outputs)",
    experimental=True,
    preflight="nodes.preflight.images:check_image",
)
def load_image_output(image: OutputFile, ctx: Context) -> ImageAndMask:
    """Read an image of the output folder, such as `cat_00001_.png [output]`; see `LoadImage`."""
    return load_image(image, ctx)


@node(
    "LoadImageMask",
    category="mask",
    display_name="Load Image (as Mask)",
    preflight="nodes.preflight.images:check_image",
)
def load_image_mask(
    image: ImageFile, channel: Literal["alpha", "red", "green", "blue"], ctx: Context
) -> Mask:
    """Read one channel of an image file as a mask, [1, height, width].

    `alpha` is inverted: 1 where the image is transparent.
    """
    frame = read_frames(ctx.files.input(image), ctx.notice)[0]
    return (_transparency(frame) if channel == "alpha" else _channel(frame, channel))[None]


def show_images(images: Tensor, ctx: Context) -> Ui:
    """Write images to the temp folder, lightly compressed."""
    return _save(images, "temp", "ComfyUI_temp", ctx, encode_preview)


def show_mask(mask: Tensor, ctx: Context) -> Ui:
    """Write masks to the temp folder as grey images, where 1 is white."""
    return show_images(mask.reshape(-1, *mask.shape[-2:], 1).expand(-1, -1, -1, 3), ctx)


def _transparency(frame: PILImage) -> Tensor:
    return 1.0 - _channel(frame, "alpha")


def _channel(frame: PILImage, name: str) -> Tensor:
    return channel(frame, name[0].upper())


def _save(images: Tensor, folder: FolderType, prefix: str, ctx: Context, encode: _Encode) -> Ui:
    chunks = texts(ctx)
    saved: list[Artifact] = []
    encoded = zip(images, _encode_all(images, chunks, encode), strict=True)
    for number, (image, data) in enumerate(encoded):
        ctx.check_cancelled()
        tokens = {"width": image.shape[1], "height": image.shape[0], "batch_num": number}
        saved.append(ctx.files.save(folder, prefix, ".png", data, tokens))
    return Ui(artifacts={"images": saved})


def _encode_all(images: Tensor, chunks: Mapping[str, str], encode: _Encode) -> Iterator[bytes]:
    """Yield each image as a file, in order; the next ones are encoded while one is written."""
    if len(images) < 2:
        yield from (encode(image, chunks) for image in images)
        return
    threads = ThreadPoolExecutor(min(len(images), _ENCODERS), thread_name_prefix="encode")
    try:
        yield from threads.map(encode, list[Tensor](images), repeat(chunks))
    finally:
        threads.shutdown(cancel_futures=True)
