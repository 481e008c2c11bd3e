"""The node that one paints on images with, in the editor."""

from collections.abc import Mapping
from typing import Annotated, NamedTuple, TypeAlias

import torch
from pydantic import Field
from torch import Tensor

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Step, Widget
from nodegraph.definition.node import node
from nodegraph.errors import NodeGraphError
from nodegraph.files.files import Files
from nodegraph.graph.sockets import Socket
from nodes.builtin.logic.numeric import color_to_rgb_int
from nodes.imaging.codec import channel, colours, read_frames
from nodes.imaging.resize import resize_images
from nodes.values import Image, Mask

CanvasSide: TypeAlias = Annotated[
    int, Field(ge=64, le=4096), Step(64), Widget(hidden=True, socketless=True)
]


class Painting(NamedTuple):
    """An image with what was painted on it, and where that is."""

    IMAGE: Image
    MASK: Mask


def _painted_file(inputs: Mapping[str, object], files: Files) -> str:
    """Return the content of what was painted, as the node's outside state."""
    name = inputs.get("mask")
    if not isinstance(name, str) or not name:
        return ""
    try:
        return files.identity(files.input(name))
    except NodeGraphError:
        return ""  # The node itself says what is wrong with it.


@node("Painter", category="image", display_name="Painter", state=_painted_file)
def painter(
    image: Image | None = None,
    mask: Annotated[str, Widget(widgetType="PAINTER", socketless=True)] = "",
    width: CanvasSide = 512,
    height: CanvasSide = 512,
    bg_color: Annotated[str, Socket("COLOR")] = "#000000",
    *,
    ctx: Context,
) -> Painting:
    """Paint on an image, or on a canvas of one colour, with a brush in the editor.

    `mask` is the file that the editor makes of the strokes, with transparency where nothing is
    painted; it is scaled to the image. `MASK` is 1 where something is painted, and `IMAGE` has the
    strokes on every image of a batch. `width`, `height` and `bg_color` are those of a canvas
    without an image.
    """
    base = _canvas(width, height, bg_color) if image is None else image[..., :3]
    size = base.shape[2], base.shape[1]
    if not mask:
        return Painting(base, torch.zeros(1, size[1], size[0]))
    frame = read_frames(ctx.files.input(mask), ctx.notice)[0]
    covered = channel(frame, "A")[..., None]
    paint = torch.cat([colours(frame) * covered, covered], dim=-1)[None]
    if (paint.shape[2], paint.shape[1]) != size:
        paint = resize_images(paint, *size, "bilinear")
    paint = paint.to(base.device)
    covered = paint[..., 3:]
    return Painting(base * (1.0 - covered) + paint[..., :3], covered[..., 0])


def _canvas(width: int, height: int, colour: str) -> Tensor:
    number = color_to_rgb_int(colour).rgb_int
    values = torch.tensor([number >> shift & 255 for shift in (16, 8, 0)]) / 255
    return values.expand(1, height, width, 3).contiguous()
