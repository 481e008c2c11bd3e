"""The node that saves images as PNG, OpenEXR or AVIF, with the choices of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import Field
from torch import Tensor

from nodegraph.definition.context import Context
from nodegraph.definition.markers import DynamicCombo, Name
from nodegraph.definition.node import node
from nodegraph.graph.results import Artifact, Ui
from nodes.builtin.image.animations import FramesASecond
from nodes.builtin.image.errors import ChannelsError
from nodes.imaging.codec import encode_avif, encode_png
from nodes.imaging.errors import EmptyBatchError
from nodes.imaging.exr import ColourSpace, encode_exr
from nodes.imaging.metadata import texts
from nodes.imaging.quick_png import encode_deep_png
from nodes.values import Image

_HIDDEN = ("prompt", "extra_pnginfo")
_STILL = 1000.0


@dataclass(frozen=True, slots=True)
class Png:
    """Lossless, of 8 or 16 bits a channel."""

    bit_depth: Literal["8-bit", "16-bit"] = "8-bit"
    input_color_space: Literal["sRGB"] = "sRGB"

    channels = (1, 3, 4)
    suffix = ".png"
    kind = "images"

    def encode(self, images: Tensor, ctx: Context) -> Iterator[bytes]:
        """Yield a file for each image."""
        encode = encode_png if self.bit_depth == "8-bit" else encode_deep_png
        for image in images:
            yield encode(image, texts(ctx))


@dataclass(frozen=True, slots=True)
class Exr:
    """Linear light, of 16 or 32 bits a channel."""

    bit_depth: Literal["16-bit float", "32-bit float"] = "16-bit float"
    input_color_space: ColourSpace = "sRGB"

    channels = (1, 3, 4)
    suffix = ".exr"
    kind = "files"

    def encode(self, images: Tensor, ctx: Context) -> Iterator[bytes]:
        """Yield a file for each image."""
        half = self.bit_depth == "16-bit float"
        for image in images:
            yield encode_exr(image, texts(ctx), self.input_color_space, half=half)


@dataclass(frozen=True, slots=True)
class Still:
    """Each image is a file."""


@dataclass(frozen=True, slots=True)
class Animated:
    """The batch is one file."""

    fps: FramesASecond = 6.0
    loop_count: Annotated[int, Field(ge=0, le=1000)] = 0


@dataclass(frozen=True, slots=True)
class Avif:
    """Small and lossy, of 8 bits a channel."""

    bit_depth: Literal["auto", "8-bit YUV420"] = "auto"
    input_color_space: Literal["sRGB"] = "sRGB"
    crf: Annotated[int, Field(ge=1, le=63)] = 18
    save_mode: Annotated[
        Still | Animated, DynamicCombo({"still images": Still, "animated": Animated})
    ] = Still()

    channels = (1, 3)
    suffix = ".avif"
    kind = "images"

    def encode(self, images: Tensor, ctx: Context) -> Iterator[bytes]:
        """Yield a file for each image, or one for all."""
        if isinstance(self.save_mode, Animated):
            if self.save_mode.loop_count:
                ctx.notice("an animated AVIF plays without end: loop_count is not written.")
            yield encode_avif(images, texts(ctx), 1000 / self.save_mode.fps, crf=self.crf)
            return
        for image in images:
            yield encode_avif(image[None], texts(ctx), _STILL, crf=self.crf)


Format: TypeAlias = Annotated[
    Png | Exr | Avif, DynamicCombo({"png": Png, "exr": Exr, "avif": Avif})
]


@node(
    "SaveImageAdvanced",
    category="image",
    display_name="Save Image (Advanced)",
    output_node=True,
    writes_only=True,
    hidden=_HIDDEN,
    preflight="nodes.preflight.images:check_prefix",
)
def save_image_advanced(
    images: Image, filename_prefix: str = "ComfyUI", format: Format = Png(), *, ctx: Context
) -> Annotated[Image, Name("images")] | Ui:
    """Write images to the output folder as PNG, OpenEXR or AVIF files that carry their workflow.

    `filename_prefix` works as in `SaveImage`. An EXR file holds linear light: `input_color_space`
    says what the images are, and `HDR` is HLG with the primaries of BT.2020. AVIF files have 8 bits
    a channel and play without end, whatever `loop_count` is; `crf` is 1 for the best quality to 63
    for the smallest files.
    """
    if images.shape[-1] not in format.channels:
        raise ChannelsError(format.suffix, images.shape[-1], format.channels)
    if len(images) == 0:
        raise EmptyBatchError(what="images")
    saved: list[Artifact] = []
    for number, data in enumerate(format.encode(images, ctx)):
        ctx.check_cancelled()
        tokens = {"width": images.shape[2], "height": images.shape[1], "batch_num": number}
        saved.append(ctx.files.save("output", filename_prefix, format.suffix, data, tokens))
    return Ui(artifacts={format.kind: saved}, outputs=(images,))
